import { visible } from "./printable.ts"

/** The bytes of a character, as octal escapes for `$'…'`. */
const octal = (character: string): string =>
  Array.from(Buffer.from(character), (byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("")

/**
 * Quotes a text as one word of a POSIX shell. Plain words stay unquoted, and the quotes are those that the text does not
 * contain. Control characters are escaped with `$'…'`, so that the word can be printed and copied. bash, zsh and ksh understand
 * it.
 */
export const shellQuote = (text: string): string => {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text
  const literal = text.replace(/[\\']/g, "\\$&")
  const escaped = visible(literal, octal)
  if (escaped !== literal) return `$'${escaped}'`
  return text.includes("'") && !/["$`\\!]/.test(text) ? `"${text}"` : `'${text.replaceAll("'", "'\\''")}'`
}

/** A path as an argument, even if it begins like an option. */
export const pathArgument = (path: string): string => shellQuote(path.startsWith("-") ? `./${path}` : path)
