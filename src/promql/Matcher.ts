/**
 * Label matchers: the part of PromQL that selects series, `{env="prod",job=~"api.*"}`.
 *
 * The configuration's `selector` is parsed here, and all queries are rendered here.
 */
import { Result } from "effect"
import { truncateText } from "../text/excerpt.ts"

/** `=` equal, `!=` not equal, `=~` and `!~` the same with a regular expression over the complete value. */
export type MatchOperator = "=" | "!=" | "=~" | "!~"

/** A condition on a label. A missing label counts as the empty string. */
export interface Matcher {
  readonly label: string
  readonly operator: MatchOperator
  readonly value: string
}

/** Whether a label name needs no quotes. */
export const isBareName = (label: string): boolean => /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label)

/** Quotes a string like PromQL and Go, so that any label value is preserved. */
export const quote = (text: string): string =>
  `"${text.replace(/["\\\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`))}"`

const renderOne = ({ label, operator, value }: Matcher): string =>
  `${isBareName(label) ? label : quote(label)}${operator}${quote(value)}`

/** Renders matchers as a selector. Names that PromQL does not accept unquoted are quoted, as version 3 requires. */
export const render = (matchers: ReadonlyArray<Matcher>): string => `{${matchers.map(renderOne).join(",")}}`

/** The maximum length of a selector or of labels in a message. */
const MAX_SHOWN_CHARACTERS = 500

/** A selector for a message, such as `{env="prod", job=~"api.*"}`, truncated if it is long. */
export const selectorText = (matchers: ReadonlyArray<Matcher>, maximum = MAX_SHOWN_CHARACTERS): string => {
  const shown: Array<string> = []
  let length = 0
  for (const { label, operator, value } of matchers) {
    if (length > maximum) break
    // Truncate before quoting: a server may send megabytes.
    shown.push(
      renderOne({ label: truncateText(label, maximum), operator, value: truncateText(value, maximum) })
    )
    length += shown.at(-1)!.length
  }
  return truncateText(`{${shown.join(", ")}}`, maximum)
}

/** The labels of a series for a message, formatted like `selectorText`. */
export const labelText = (
  labels: ReadonlyArray<readonly [name: string, value: string]>,
  maximum = MAX_SHOWN_CHARACTERS
): string =>
  selectorText(
    labels.map(([label, value]) => ({ label, operator: "=", value })),
    maximum
  )

/** Matches all series with a label. An empty label counts as missing. */
export const hasLabel = (label: string): Matcher => ({ label, operator: "!=", value: "" })

/** Matches the series of one metric. */
export const ofMetric = (metric: string): Matcher => ({ label: "__name__", operator: "=", value: metric })

/** The selector of all series of a metric that satisfy `matchers`. */
export const metricSelector = (metric: string, matchers: ReadonlyArray<Matcher> = []): string =>
  render([ofMetric(metric), ...matchers])

/**
 * Parses a selector such as `{env="prod"}`; the braces may be left out.
 *
 * Fails with a sentence that says what is wrong and where.
 */
export const parse = (text: string): Result.Result<ReadonlyArray<Matcher>, string> => {
  const parser = new SelectorParser(text)
  try {
    return Result.succeed(parser.parse())
  } catch (error) {
    if (error instanceof SelectorSyntaxError) return Result.fail(error.message)
    throw error
  }
}

class SelectorSyntaxError extends Error {}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const escapes: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  a: "\x07",
  b: "\b",
  f: "\f",
  v: "\v",
  "\\": "\\",
  '"': '"',
  "'": "'"
}

/** A recursive descent over the few tokens of a selector. Errors are thrown here and returned by `parse`. */
class SelectorParser {
  readonly text: string
  position = 0

  constructor(text: string) {
    this.text = text
  }

  parse(): ReadonlyArray<Matcher> {
    const matchers: Array<Matcher> = []
    this.space()
    const braced = this.take("{")
    this.space()
    while (this.position < this.text.length && this.peek() !== "}") {
      matchers.push(this.matcher())
      this.space()
      if (!this.take(",")) break
      this.space()
    }
    if (braced && !this.take("}")) this.fail('expected "," or "}"')
    this.space()
    if (this.position < this.text.length) this.fail('expected label matchers such as {env="prod"}')
    return matchers
  }

  matcher(): Matcher {
    const quoted = this.peek() === '"' || this.peek() === "'"
    const label = quoted ? this.string() : this.name()
    this.space()
    if (quoted && (this.peek() === "," || this.peek() === "}" || this.peek() === "")) {
      return { label: "__name__", operator: "=", value: label }
    }
    const operator = (["=~", "!~", "!=", "="] as const).find((op) => this.take(op))
    if (operator === undefined) this.fail(`expected one of = != =~ !~ after the label ${label}`)
    this.space()
    const value = this.string()
    return { label, operator, value }
  }

  name(): string {
    const match = /^[a-zA-Z_][a-zA-Z0-9_]*/.exec(this.text.slice(this.position))
    if (match === null) this.fail("expected a label name")
    this.position += match[0].length
    return match[0]
  }

  string(): string {
    const delimiter = this.peek()
    if (delimiter !== '"' && delimiter !== "'" && delimiter !== "`") this.fail("expected a quoted value")
    this.position++
    // In bytes, because `\\x` and octal escapes stand for bytes.
    const parts: Array<Uint8Array> = []
    for (;;) {
      const c = String.fromCodePoint(this.text.codePointAt(this.position) ?? 0)
      if (this.position >= this.text.length) this.fail("the quoted value does not end")
      this.position += c.length
      if (c === delimiter) break
      parts.push(c === "\\" && delimiter !== "`" ? this.escape() : Buffer.from(c))
    }
    try {
      return utf8.decode(Buffer.concat(parts))
    } catch {
      return this.fail("the escapes of the quoted value are not UTF-8")
    }
  }

  escape(): Uint8Array {
    const c = this.peek()
    const simple = escapes[c]
    if (simple !== undefined) {
      this.position++
      return Buffer.from(simple)
    }
    const digits = /^(?:x[0-9a-fA-F]{2}|[0-3][0-7]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})/.exec(
      this.text.slice(this.position)
    )?.[0]
    if (digits === undefined) return this.fail(`\\${c} is not an escape sequence of PromQL`)
    this.position += digits.length
    const isOctal = /^[0-7]/.test(digits)
    const code = isOctal ? Number.parseInt(digits, 8) : Number.parseInt(digits.slice(1), 16)
    if (isOctal || c === "x") return Buffer.of(code)
    const isSurrogate = code >= 0xd800 && code <= 0xdfff
    if (code > 0x10ffff || isSurrogate) this.fail(`\\${digits} is no character`)
    return Buffer.from(String.fromCodePoint(code))
  }

  peek(): string {
    return this.text.charAt(this.position)
  }

  take(token: string): boolean {
    if (!this.text.startsWith(token, this.position)) return false
    this.position += token.length
    return true
  }

  space(): void {
    while (/\s/.test(this.peek())) this.position++
  }

  fail(message: string): never {
    const text = this.text.length > 200 ? `${this.text.slice(0, 200)}…` : this.text
    throw new SelectorSyntaxError(`${message} (at character ${this.position + 1} of ${text})`)
  }
}
