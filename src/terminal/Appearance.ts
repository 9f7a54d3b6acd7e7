/**
 * The capabilities of a terminal according to the environment, and the few colours in use.
 *
 * Not Effect's `TerminalCapabilities`, which covers standard output only, and where `NO_COLOR` overrides `FORCE_COLOR`.
 */

/** The size of a terminal in characters. */
export interface Size {
  readonly columns: number
  readonly rows: number
}

export interface Appearance {
  /** Whether lines can be redrawn in place. */
  readonly isLive: boolean
  readonly hasColours: boolean
}

/**
 * The capabilities of a stream, which may be a terminal. `FORCE_COLOR` overrides `NO_COLOR`, as in Node. Neither makes a stream
 * count as a terminal.
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

/** The meaning of a part of a line, which decides its colour. */
export type Meaning = "quiet" | "strong" | "good" | "bad" | "waiting"

const codes: Readonly<Record<Meaning, string>> = {
  quiet: "2",
  strong: "1",
  good: "32",
  bad: "31",
  waiting: "33"
}

/** Colours a text after it is fitted. */
export type Paint = (meaning: Meaning, text: string) => string

/** Leaves the text without colours. */
export const plain: Paint = (_, text) => text

export const coloured: Paint = (meaning, text) =>
  text === "" ? "" : `\u001b[${codes[meaning]}m${text}\u001b[0m`

/** Matches the escape sequences of `coloured`, and no others. Its group is the sequence. */
export const colourCodes = new RegExp(`(\u001b\\[(?:0|${Object.values(codes).join("|")})m)`, "g")

export const paintFor = ({ hasColours }: Appearance): Paint => (hasColours ? coloured : plain)
