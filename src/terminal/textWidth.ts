/**
 * The width of a text in terminal columns, and functions to truncate, pad and wrap it. Names and labels may be in any script.
 *
 * Not Effect's `CliOutput.displayWidth`: it counts a character and its marks once, but terminals give spacing marks their own
 * columns, as in Hindi, Tamil or Thai. A line wider than its computed width corrupts the picture of a `Screen`.
 */
import { largest } from "../text/largest.ts"

/** No column: combining characters and invisible ones. */
const takesNothing = /^[\p{Mn}\p{Me}\p{Cf}\p{Cc}]$/u

/** Two columns: East Asian scripts, full-width forms, and emoji. */
const takesTwo =
  /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Bopomofo}\p{Script=Yi}\p{Script=Tangut}\p{Emoji_Presentation}\u3000-\u303e\u30fb-\u30fc\u3200-\u33ff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f000}-\u{1faff}]$/u

const hasOnlyAscii = /^[\x20-\x7e]*$/

/** Half-width forms: one column, unlike the other characters of their scripts. */
const isHalfWidth = /^[\uff61-\uffdc]$/

const columnsOf = (character: string): number => {
  // An emoji variation selector makes the character before it one column wider. A soft hyphen is visible.
  if (character === "\ufe0f" || character === "\u00ad") return 1
  if (takesNothing.test(character)) return 0
  return takesTwo.test(character) && !isHalfWidth.test(character) ? 2 : 1
}

/**
 * The number of columns that a text takes. Terminals differ in emoji of several characters: this is the maximum of all
 * terminals.
 */
export const textWidth = (text: string): number => {
  if (hasOnlyAscii.test(text)) return text.length
  let width = 0
  for (const character of text) width += columnsOf(character)
  return width
}

/** The width of the widest of some texts. */
export const maxWidth = (texts: ReadonlyArray<string>): number => largest(texts.map(textWidth))

/** Truncates a text to `columns` columns, with an ellipsis if something was cut. */
export const truncate = (text: string, columns: number): string => {
  if (textWidth(text) <= columns) return text
  if (columns < 1) return ""
  let width = 0
  let fit = ""
  for (const character of text) {
    width += columnsOf(character)
    if (width > columns - 1) break
    fit += character
  }
  return `${fit}…`
}

/** Pads a text with blanks at its end. */
export const padEnd = (text: string, columns: number): string =>
  text + " ".repeat(Math.max(0, columns - textWidth(text)))

/** Pads a text with blanks at its beginning. */
export const padStart = (text: string, columns: number): string =>
  " ".repeat(Math.max(0, columns - textWidth(text))) + text

/** Wraps a text into lines of at most `columns` columns, between words if possible. */
export const wrap = (text: string, columns: number): ReadonlyArray<string> => {
  const words = text.split(" ")
  const parts = words.flatMap((word) => (textWidth(word) <= columns ? [word] : fill(word, "", columns)))
  return fill(parts, " ", columns)
}

/** Joins texts into lines of at most `columns` columns. A wider text is a line of its own. */
const fill = (texts: Iterable<string>, separator: string, columns: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let width = 0
  for (const text of texts) {
    const textColumns = textWidth(text)
    const joined = width + separator.length + textColumns
    const fits = lines.length > 0 && joined <= columns
    if (fits) lines[lines.length - 1] += separator + text
    else lines.push(text)
    width = fits ? joined : textColumns
  }
  return lines
}
