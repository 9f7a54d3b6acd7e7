/** The value of the flag `--query`. */

/** `NAME=EXPRESSION` or `NAME@STEP=EXPRESSION` as a query of the configuration; undefined for any other text. */
export const parseQueryFlag = (text: string): Readonly<Record<string, string>> | undefined => {
  const [, name, step, expression] = /^([^=@]+)(?:@([^=@]+))?=(.+)$/s.exec(text) ?? []
  if (name === undefined || expression === undefined) return undefined
  return {
    name: name.trim(),
    expression: expression.trim(),
    ...(step === undefined ? {} : { step: step.trim() })
  }
}
