/**
 * What a terminal can show, according to the environment, and the few colours that are used.
 *
 * Not `TerminalCapabilities` of Effect: it knows standard output only, and `NO_COLOR` beats `FORCE_COLOR` there.
 */

/** The size of a terminal in characters. */
export interface Size {
  readonly columns: number
  readonly rows: number
}

export interface Appearance {
  /** Whether lines can be drawn again in their place. */
  readonly isLive: boolean
  readonly hasColours: boolean
}

/**
 * What can be done on a stream, which is a terminal or not. `FORCE_COLOR` beats `NO_COLOR`, as it does for Node; neither
 * makes a terminal of what is none.
 */
export const appearanceOf = (
  environment: Readonly<Record<string, string | undefined>>,
  isTerminal: boolean
): Appearance => {
  const isLive = isTerminal && environment.TERM !== "dumb"
  const { FORCE_COLOR: forced, NO_COLOR: unwanted } = environment
  if (forced !== undefined) return { isLive, hasColours: forced !== "0" && forced !== "false" }
  return { isLive, hasColours: isLive && (unwanted ?? "") === "" }
}

/** What a part of a line is, beside its words. */
export type Meaning = "quiet" | "strong" | "good" | "bad" | "waiting"

const codes: Readonly<Record<Meaning, string>> = {
  quiet: "2",
  strong: "1",
  good: "32",
  bad: "31",
  waiting: "33"
}

/** Colours a text that is as wide as it is to be. */
export type Paint = (meaning: Meaning, text: string) => string

/** The same text without colours. */
export const plain: Paint = (_, text) => text

export const coloured: Paint = (meaning, text) =>
  text === "" ? "" : `\u001b[${codes[meaning]}m${text}\u001b[0m`

/** Finds what `coloured` puts around a text, and nothing else that a terminal would obey. */
export const colourCodes = new RegExp(`\u001b\\[(?:0|${Object.values(codes).join("|")})m`, "g")

export const paintFor = ({ hasColours }: Appearance): Paint => (hasColours ? coloured : plain)
