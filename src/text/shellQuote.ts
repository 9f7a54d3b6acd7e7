import { replaceUnprintable } from "./printable.ts"

/** The bytes of a character, as `$'…'` has them. */
const octal = (character: string): string =>
  Array.from(Buffer.from(character), (byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("")

/**
 * A text as one word of a POSIX shell. Plain ones stay as they are, and of the two quotes it has those that it needs not itself.
 * What a terminal would obey is escaped, so that the word can be printed and copied; bash, zsh and ksh read that.
 */
export const shellQuote = (text: string): string => {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text
  const literal = text.replace(/[\\']/g, "\\$&")
  const escaped = replaceUnprintable(literal, octal)
  if (escaped !== literal) return `$'${escaped}'`
  return text.includes("'") && !/["$`\\!]/.test(text) ? `"${text}"` : `'${text.replaceAll("'", "'\\''")}'`
}

/** A path as an argument, also where it begins like an option. */
export const pathArgument = (path: string): string => shellQuote(path.startsWith("-") ? `./${path}` : path)
