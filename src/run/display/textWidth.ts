/** How many columns of a terminal a text takes, and texts made to fit: names and labels may be in any script. */
import stringWidth from "string-width"

const hasOnlyAscii = /^[\x20-\x7e]*$/

/** The columns that a text takes, by what Unicode says of its characters. */
export const textWidth = (text: string): number => (hasOnlyAscii.test(text) ? text.length : stringWidth(text))

const segmenter = new Intl.Segmenter()

/** What readers take for its characters: a letter with its marks, an emoji of several parts. */
const charactersOf = (text: string): ReadonlyArray<string> =>
  hasOnlyAscii.test(text) ? [...text] : Array.from(segmenter.segment(text), ({ segment }) => segment)

/** A text in at most so many columns, which says where it goes on. */
export const fitted = (text: string, columns: number): string => {
  if (textWidth(text) <= columns) return text
  if (columns < 1) return ""
  let width = 0
  let fit = ""
  for (const character of charactersOf(text)) {
    width += textWidth(character)
    if (width > columns - 1) break
    fit += character
  }
  return `${fit}…`
}

/** A text followed by blanks up to so many columns. */
export const padded = (text: string, columns: number): string =>
  text + " ".repeat(Math.max(0, columns - textWidth(text)))

/** A text with blanks before it up to so many columns. */
export const paddedLeft = (text: string, columns: number): string =>
  " ".repeat(Math.max(0, columns - textWidth(text))) + text

/**
 * A text of somebody else's on one line, without what a terminal would obey: a name or a server's words must not move its
 * cursor, nor turn the direction of what follows.
 */
export const printable = (text: string): string =>
  text
    .replace(/[\s\u0085]+/gu, " ")
    .replace(/[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]|\p{Cs}/gu, "\ufffd")
    .trim()

/** A text in lines of at most so many columns, broken between words where there is a choice. */
export const wrapped = (text: string, columns: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`
    if (textWidth(longer) <= columns) {
      line = longer
      continue
    }
    if (line !== "") lines.push(line)
    line = ""
    let width = 0
    for (const character of charactersOf(word)) {
      const more = textWidth(character)
      if (width + more > columns && line !== "") {
        lines.push(line)
        line = ""
        width = 0
      }
      line += character
      width += more
    }
  }
  return [...lines, line]
}
