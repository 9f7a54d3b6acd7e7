/** Hides secret values in texts that leave the process: logs, traces and status messages. */

const MASK = "****"

/**
 * Makes a function that masks every occurrence of the secrets, longest first: also as servers and proxies repeat
 * them in JSON, addresses, forms and web pages.
 */
export const makeMask = (secrets: ReadonlyArray<string>): ((text: string) => string) => {
  const all = [...new Set(secrets)].filter((secret) => secret !== "").sort((a, b) => b.length - a.length)
  const long = all.filter((secret) => secret.length > LONG).flatMap(wholeForms)
  const patterns = all.filter((secret) => secret.length <= LONG).map(patternOf)
  const pattern = patterns.length === 0 ? undefined : new RegExp(patterns.join("|"), "gu")
  return (text) => {
    const rest = long.reduce((text, form) => text.replaceAll(form, MASK), text)
    return pattern === undefined ? rest : rest.replace(pattern, MASK)
  }
}

/** A regular expression for more characters than this may be more than one can be. No password is that long. */
const LONG = 2000

/** How a long secret is repeated, if at all, from the longest form to the shortest. */
const wholeForms = (secret: string): ReadonlyArray<string> => [
  encodeURIComponent(secret.toWellFormed()),
  JSON.stringify(secret).slice(1, -1),
  secret
]

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
    `\\u{${hex}}`,
    // JSON, also quoted more than once.
    ...(character in shortEscapes ? [`\\\\+${shortEscapes[character]}`] : []),
    Array.from({ length: character.length }, (_, i) => unicodeEscape(character.charCodeAt(i))).join(""),
    percentEscape(character),
    `&#0*${code};`,
    `&#[xX]0*${anyCase(hex)};`,
    ...(character in entities ? [`&(?:${entities[character]});`] : [])
  ]
  if (character === " ") forms.push("\\+")
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
