/**
 * Makes text safe to print. Names, help texts and errors from a server, and paths, may contain anything. A terminal must not
 * interpret it, and it must not look like something else. Invisible characters are shown as `\u202e`.
 *
 * All text printed to a terminal is either made printable here or written by the program.
 */
import { truncateText } from "./excerpt.ts"

/**
 * Control characters, direction marks, invisible characters and lone surrogates. The joiners U+200C and U+200D stay, because
 * scripts and emoji need them. So do Arabic signs that are visible although Unicode classifies them as format characters.
 */
const unprintable =
  /[[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\u034f\u115f\u1160\u3164\uffa0\u{e0000}-\u{e0fff}]--[\u200c\u200d\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}]]/gv

const hex = (code: number): string => code.toString(16).padStart(4, "0")

const escapeOf = (character: string): string => {
  const code = character.codePointAt(0)!
  return code > 0xffff ? `\\u{${hex(code)}}` : `\\u${hex(code)}`
}

/** A text with all invisible characters shown as codes, including line feeds. */
export const visible = (text: string, escape = escapeOf): string => text.replace(unprintable, escape)

/** The same, but with line feeds unchanged. Only for texts whose line breaks come from the program, such as a stack trace. */
export const visibleLines = (text: string): string =>
  visible(text.replaceAll("\r\n", "\n"), (character) => (character === "\n" ? "\n" : escapeOf(character)))

/** The maximum length of a name in a table or a line. */
const MAX_NAME = 300

/** The maximum length of a sentence. The program's own sentences are shorter; a server's may have any length. */
const MAX_SENTENCE = 4000

/** A text on one line: line breaks and tabs become a blank. It is truncated first, so that the cost is bounded. */
export const printable = (text: string, most = MAX_SENTENCE): string =>
  truncateText(visible(onOneLine(truncateText(text, most)).trim()), most)

const onOneLine = (text: string): string =>
  text.replace(/[ \t\n\v\f\r]+/g, (blanks) => (/^ +$/.test(blanks) ? blanks : " "))

/**
 * A message that may have several lines. The further ones are indented, so that a line feed in a server's text cannot fake the
 * beginning of a message.
 */
export const printableLines = (text: string, most: number): string =>
  truncateText(text, most)
    .split(/\r?\n/)
    .map((line) => visible(onOneLine(line)).trimEnd())
    .join("\n  ")

/** A printable name, truncated to fit a table. */
export const printableName = (name: string): string => printable(name, MAX_NAME)

/** A value as indented JSON that is printable: characters that JSON allows unescaped, such as U+009B, are escaped too. */
export const printableJson = (value: unknown): string =>
  visible(JSON.stringify(value, null, 2), (character) =>
    // Line feeds outside of strings come from the program. Inside they are already escaped.
    character === "\n" ? "\n" : character.replace(/[\s\S]/g, (unit) => `\\u${hex(unit.charCodeAt(0))}`)
  )
