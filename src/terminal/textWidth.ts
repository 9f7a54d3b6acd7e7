/**
 * How many columns of a terminal a text takes, and texts made to fit. Names and labels may be in any script.
 *
 * Not `CliOutput.displayWidth` of Effect: it counts a character with its marks once, and terminals give spacing marks, as in
 * Hindi, Tamil or Thai, columns of their own. A line that is wider than it was taken for tears the picture of a `Screen`.
 */
import { largest } from "../text/largest.ts"

/** Nothing on its own: it joins the character before it, or is not seen at all. */
const takesNothing = /^[\p{Mn}\p{Me}\p{Cf}\p{Cc}]$/u

/** Two columns: the scripts of East Asia, their full forms, and emoji. */
const takesTwo =
  /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Bopomofo}\p{Script=Yi}\p{Script=Tangut}\p{Emoji_Presentation}\u3000-\u303e\u30fb-\u30fc\u3200-\u33ff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f000}-\u{1faff}]$/u

const hasOnlyAscii = /^[\x20-\x7e]*$/

/** Half as wide as the others of their scripts: they were made for that. */
const isHalfWidth = /^[\uff61-\uffdc]$/

const columnsOf = (character: string): number => {
  // An emoji's sign makes what is before it one column wider; a soft hyphen is seen.
  if (character === "\ufe0f" || character === "\u00ad") return 1
  if (takesNothing.test(character)) return 0
  return takesTwo.test(character) && !isHalfWidth.test(character) ? 2 : 1
}

/**
 * The columns that a text takes. Terminals differ in emoji of several characters: this is the most that any of them
 * gives them.
 */
export const textWidth = (text: string): number => {
  if (hasOnlyAscii.test(text)) return text.length
  let width = 0
  for (const character of text) width += columnsOf(character)
  return width
}

/** The width of the widest of some texts. */
export const maxWidth = (texts: ReadonlyArray<string>): number => largest(texts.map(textWidth))

/** A text of at most so many columns, with an ellipsis if it was cut. */
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

/** A text with blanks after it up to so many columns. */
export const padEnd = (text: string, columns: number): string =>
  text + " ".repeat(Math.max(0, columns - textWidth(text)))

/** A text with blanks before it up to so many columns. */
export const padStart = (text: string, columns: number): string =>
  " ".repeat(Math.max(0, columns - textWidth(text))) + text

/** A text in lines of at most so many columns, broken between words where there is a choice. */
export const wrap = (text: string, columns: number): ReadonlyArray<string> => {
  if (textWidth(text) <= columns) return [text]
  const lines: Array<string> = []
  let line = ""
  let width = 0
  const breakLine = (): void => {
    lines.push(line)
    line = ""
    width = 0
  }
  for (const word of text.split(" ")) {
    const wordWidth = textWidth(word)
    if (line !== "" && width + 1 + wordWidth <= columns) {
      line += ` ${word}`
      width += 1 + wordWidth
      continue
    }
    if (line !== "") breakLine()
    if (wordWidth <= columns) {
      line = word
      width = wordWidth
      continue
    }
    for (const character of word) {
      const more = columnsOf(character)
      if (width + more > columns && line !== "") breakLine()
      line += character
      width += more
    }
  }
  return [...lines, line]
}
