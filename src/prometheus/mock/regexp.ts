/**
 * Regular expressions of the matchers `=~` and `!~`: RE2's language, which is close to JavaScript's but not the same.
 *
 * Only the differences that label values and people's selectors can meet are translated.
 */

const posix: ReadonlyMap<string, string> = new Map([
  ["alnum", "0-9A-Za-z"],
  ["alpha", "A-Za-z"],
  ["ascii", "\\x00-\\x7f"],
  ["blank", "\\t "],
  ["digit", "0-9"],
  ["lower", "a-z"],
  ["punct", "!-\\/:-@\\[-`{-~"],
  ["space", "\\t\\n\\v\\f\\r "],
  ["upper", "A-Z"],
  ["word", "0-9A-Za-z_"],
  ["xdigit", "0-9A-Fa-f"]
])

/** Letters after a backslash that both languages read alike, under JavaScript's flag `u`. */
const sameEscapes = "bBdDwWtnrfv"

/**
 * Translates an RE2 expression to one that has to match a whole value.
 *
 * `dotAll`: whether `.` matches a line feed, as it does since Prometheus 3.0. Throws a SyntaxError for what RE2
 * does not know either, with a text of its own.
 */
export const wholeValue = (expression: string, dotAll: boolean): RegExp => {
  const flags = /^\(\?([ims]+)\)/.exec(expression)
  const rest = flags === null ? expression : expression.slice(flags[0].length)
  const has = (flag: string) => flags?.[1]?.includes(flag) === true
  const source = translate(rest, dotAll || has("s"))
  return new RegExp(`^(?:${source})$`, has("i") ? "iu" : "u")
}

// The places at which the translation has something to say; all other text is the same in both languages.
const token = new RegExp(
  [
    /\\Q([\s\S]*?)(?:\\E|$)/,
    /\\x\{([0-9a-fA-F]+)\}/,
    /\\([pP])(?:([A-Z])|\{(\w+)\})/,
    /\\([\s\S])/,
    /\[\^?\]?(?:\[:\^?[a-z]+:\]|\\[\s\S]|[^\]\\])*\]/,
    /\(\?(P<|<[=!]|[\s\S])/,
    /\{\d+(?:,\d*)?\}/,
    /[.{}\]]/
  ]
    .map((part) => part.source)
    .join("|"),
  "gu"
)

const translate = (expression: string, dotAll: boolean): string =>
  expression.replace(token, (text, literal, codePoint, property, letter, name, escaped, group) => {
    if (literal !== undefined) return literal.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")
    if (codePoint !== undefined) return `\\u{${codePoint}}`
    if (property !== undefined)
      return `\\${property}{${letter ?? (name.length > 2 ? `Script=${name}` : name)}}`
    if (escaped !== undefined) return translateEscape(escaped)
    if (group !== undefined) return translateGroup(group)
    if (text.startsWith("[")) return translateClass(text)
    if (text === ".") return dotAll ? "[^]" : "[^\\n]"
    return text.length === 1 ? `\\${text}` : text
  })

const translateEscape = (letter: string): string => {
  if (letter === "A") return "^"
  if (letter === "z") return "$"
  if (letter === "a") return "\\x07"
  if (letter === "s") return "[\\t\\n\\f\\r ]"
  if (letter === "S") return "[^\\t\\n\\f\\r ]"
  if (letter === "p" || letter === "P" || letter === "x" || sameEscapes.includes(letter)) return `\\${letter}`
  // RE2 lets any punctuation be escaped, JavaScript only its own; a letter or digit is refused by both.
  if (/[!-/:-@[-`{-~]/.test(letter)) return `\\x${letter.charCodeAt(0).toString(16)}`
  throw new SyntaxError(`invalid escape sequence: \`\\${letter}\``)
}

const translateGroup = (kind: string): string => {
  if (kind === "P<") return "(?<"
  if (kind === "=" || kind === "!" || kind.startsWith("<")) {
    throw new SyntaxError(`invalid or unsupported Perl syntax: \`(?${kind}\``)
  }
  return `(?${kind}`
}

const translateClass = (text: string): string => {
  const start = text.startsWith("[^") ? 2 : 1
  const content = text
    .slice(start, -1)
    .replace(/\[:(\^?)([a-z]+):\]|\\([\s\S])|[[\]]/gu, (all, not, name, letter) => {
      if (name !== undefined) {
        const members = posix.get(name)
        if (members === undefined || not !== "")
          throw new SyntaxError(`invalid character class range: \`${all}\``)
        return members
      }
      if (letter === undefined) return `\\${all}`
      if (letter === "s") return "\\t\\n\\f\\r "
      return translateEscape(letter)
    })
  return `${text.slice(0, start)}${content}]`
}
