/**
 * JSON for a line: beside what JSON itself asks for, it escapes the characters that some readers (Python's
 * `splitlines` is one) take for the end of a line.
 */
export const jsonLine = (value: unknown, replacer?: (key: string, value: unknown) => unknown): string =>
  JSON.stringify(value, replacer).replace(
    /[\u0085\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

/** The same of a text. Most need no escapes at all, which is quickly seen. */
export const jsonText = (text: string): string => (/^[ !#-[\]-~]*$/.test(text) ? `"${text}"` : jsonLine(text))
