/**
 * Text that is safe to print. Names, help texts and errors of a server, and paths, may have anything in them: a terminal
 * must not obey it, and it must not look like something else. Invisible characters are shown as `\u202e`.
 *
 * Every text that leaves for a terminal goes through here, or is ours.
 */

/**
 * Control characters, those that turn the direction of a text, those that are not seen at all, and halves of characters.
 * The joiners U+200C and U+200D stay, as scripts and emoji need them; so do Arabic signs that are seen although
 * Unicode calls them formats.
 */
const unprintable =
  /[[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\u034f\u115f\u1160\u3164\uffa0\u{e0000}-\u{e0fff}]--[\u200c\u200d\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}]]/gv

const hex = (code: number): string => code.toString(16).padStart(4, "0")

const escapeOf = (character: string): string => {
  const code = character.codePointAt(0)!
  return code > 0xffff ? `\\u{${hex(code)}}` : `\\u${hex(code)}`
}

/** Writes all that cannot be seen in another way, line feeds too. */
export const replaceUnprintable = (text: string, escape: (character: string) => string): string =>
  text.replace(unprintable, escape)

/** A text with all that cannot be seen shown by its code. */
export const visible = (text: string): string => replaceUnprintable(text, escapeOf)

/** The same, with line feeds as they are. Only for texts whose lines are ours, such as a stack trace. */
export const visibleLines = (text: string): string =>
  text
    .replaceAll("\r\n", "\n")
    .replace(unprintable, (character) => (character === "\n" ? "\n" : escapeOf(character)))

/** The longest name in a table or a line. */
export const MAX_NAME = 300

/** The longest sentence. Our own are shorter; a server's may be of any length. */
export const MAX_SENTENCE = 4000

/** A text of at most so many UTF-16 units, with an ellipsis if it was cut. No surrogate pair is cut. */
export const cutTo = (text: string, most: number): string => {
  if (text.length <= most) return text
  const end = most - 1
  return `${text.slice(0, /[\ud800-\udbff]/.test(text.charAt(end - 1)) ? end - 1 : end)}…`
}

/** A text on one line: line breaks and tabs become a blank. It is cut first, so that it costs no more than it shows. */
export const printable = (text: string, most = MAX_SENTENCE): string =>
  cutTo(visible(onOneLine(cutTo(text, most)).trim()), most)

const onOneLine = (text: string): string =>
  text.replace(/[ \t\n\v\f\r]+/g, (blanks) => (/^ +$/.test(blanks) ? blanks : " "))

/**
 * A message that may have several lines. The further ones are indented: a line feed in what a server sent makes none that
 * looks like the beginning of a message.
 */
export const printableLines = (text: string, most: number): string =>
  cutTo(text, most)
    .split(/\r?\n/)
    .map((line) => visible(onOneLine(line)).trimEnd())
    .join("\n  ")

/** A name as `printable`, of a length that a table can have. */
export const printableName = (name: string): string => printable(name, MAX_NAME)

/** A JSON document that means the same and can be printed: what JSON leaves as it is, such as U+009B, is escaped. */
export const printableJson = (json: string): string =>
  json.replace(unprintable, (character) => {
    // Outside of its strings, where they are escaped already, line feeds are ours.
    if (character === "\n") return character
    let escaped = ""
    for (let unit = 0; unit < character.length; unit++) escaped += `\\u${hex(character.charCodeAt(unit))}`
    return escaped
  })
