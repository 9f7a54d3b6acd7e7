/**
 * The mask by regular expressions, one for all forms of a secret: plain to read, but it backtracks over some texts. The
 * real one is compared with it.
 */

const MASK = "****"

/** Masks every occurrence of the secrets, longest first, in a short text. */
export const referenceMask = (secrets: ReadonlyArray<string>): ((text: string) => string) => {
  const all = [...new Set(secrets)].filter((secret) => secret !== "").sort((a, b) => b.length - a.length)
  if (all.length === 0) return (text) => text
  const pattern = new RegExp(all.map(patternOf).join("|"), "gu")
  return (text) => text.replace(pattern, MASK)
}

/** Line breaks and runs of spaces are told as one space. */
const patternOf = (secret: string): string =>
  (secret.match(/\s+|\S/gu) ?? [])
    .map((part) => {
      const exact = Array.from(part, formsOf).join("")
      return /\s/.test(part) ? `(?:${exact}|\\s+)` : exact
    })
    .join("")

/** A pattern for all that a character is written as. */
const formsOf = (character: string): string => {
  if (/^[0-9A-Za-z]$/.test(character)) return character
  const code = character.codePointAt(0)!
  const hex = code.toString(16)
  const forms = [
    // JSON, also quoted more than once.
    ...(character in shortEscapes ? [`\\\\+${shortEscapes[character]}`] : []),
    Array.from({ length: character.length }, (_, i) => unicodeEscape(character.charCodeAt(i))).join(""),
    percentEscape(character),
    `&#0*${code};`,
    `&#[xX]0*${anyCase(hex)};`,
    ...(character in entities ? [`&(?:${entities[character]});`] : [])
  ]
  if (character === " ") forms.push("\\+")
  // Last, since what is longer counts.
  forms.push(`\\u{${hex}}`)
  return `(?:${forms.join("|")})`
}

const shortEscapes: Readonly<Record<string, string>> = {
  '"': '"',
  "'": "'",
  "\\": "\\\\",
  "/": "\\/",
  "\b": "b",
  "\f": "f",
  "\n": "n",
  "\r": "r",
  "\t": "t"
}

const entities: Readonly<Record<string, string>> = {
  "&": "amp",
  "<": "lt",
  ">": "gt",
  '"': "quot",
  "'": "apos",
  "\u00a0": "nbsp"
}

const unicodeEscape = (unit: number): string => `\\\\+u${anyCase(unit.toString(16).padStart(4, "0"))}`

const percentEscape = (character: string): string =>
  Array.from(Buffer.from(character), (byte) => `%${anyCase(byte.toString(16).padStart(2, "0"))}`).join("")

const anyCase = (hex: string): string =>
  hex.replace(/[a-f]/g, (letter) => `[${letter}${letter.toUpperCase()}]`)
