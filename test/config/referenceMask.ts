/**
 * A mask of regular expressions, one for all forms of a secret. It is simple, but backtracks for some texts. The real mask is
 * compared with it.
 */

const MASK = "****"

/** Masks every occurrence of the secrets in a short text, overlapping ones too. */
export const referenceMask = (secrets: ReadonlyArray<string>): ((text: string) => string) => {
  const patterns = secrets
    .filter((secret) => secret !== "")
    .map(patternOf)
    .map((pattern) => [new RegExp(pattern, "yu"), new RegExp(`^(?:${pattern})$`, "u")] as const)
  return (text) => {
    const isSecret = new Array<boolean>(text.length).fill(false)
    for (const [beginning, entire] of patterns) {
      for (let start = 0; start < text.length; start++) {
        beginning.lastIndex = start
        const found = beginning.exec(text)
        // Within a surrogate pair, the match begins at the first half.
        if (found === null || found.index < start) continue
        // A pattern finds one of its possible ends.
        for (let end = start + 1; end <= text.length; end++) {
          if (end === start + found[0].length || entire.test(text.slice(start, end)))
            isSecret.fill(true, start, end)
        }
      }
    }
    return Array.from(isSecret, (secret, i) =>
      secret ? (isSecret[i - 1] === true ? "" : MASK) : text.charAt(i)
    ).join("")
  }
}

/** Line breaks and runs of blanks match as one blank. */
const patternOf = (secret: string): string =>
  (secret.match(/\s+|\S/gu) ?? [])
    .map((part) => {
      const exact = Array.from(part, formsOf).join("")
      return /\s/.test(part) ? `(?:${exact}|\\s+)` : exact
    })
    .join("")

/** A pattern for all encodings of a character. */
const formsOf = (character: string): string => {
  if (/^[0-9A-Za-z]$/.test(character)) return character
  const code = character.codePointAt(0)!
  const hex = code.toString(16)
  const forms = [
    // JSON, also quoted more than once.
    ...(character in shortEscapes ? [`\\\\+${shortEscapes[character]}`] : []),
    Array.from({ length: character.length }, (_, i) => unicodeEscape(character.charCodeAt(i))).join(""),
    percentEscape(character),
    byteEscape(character),
    ...(code > 0x7f ? [Buffer.from(character).toString("latin1")] : []),
    `&#0*${code};`,
    `&#[xX]0*${anyCase(hex)};`,
    ...(character in entities ? [`&(?:${entities[character]});`] : [])
  ]
  if (character === " ") forms.push("\\+")
  // Last, because the longest alternative counts.
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
  Array.from(Buffer.from(character), (byte) => `%(?:25)*${anyCase(byte.toString(16).padStart(2, "0"))}`).join(
    ""
  )

const byteEscape = (character: string): string =>
  Array.from(Buffer.from(character), (byte) => `\\\\+x${anyCase(byte.toString(16).padStart(2, "0"))}`).join(
    ""
  )

const anyCase = (hex: string): string =>
  hex.replace(/[a-f]/g, (letter) => `[${letter}${letter.toUpperCase()}]`)
