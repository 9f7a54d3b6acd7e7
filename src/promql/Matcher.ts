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
  // Truncate before quoting: a server may send megabytes.
  const shown = matchers
    .slice(0, maximum)
    .map(({ label, operator, value }) =>
      renderOne({ label: truncateText(label, maximum), operator, value: truncateText(value, maximum) })
    )
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

const escapeSequence = /^(?:[abfnrtv\\"']|x[0-9a-fA-F]{2}|[0-3][0-7]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})/

/** A recursive descent over the few tokens of a selector. Errors are thrown here and returned by `parse`. */
class SelectorParser {
  readonly text: string
  position = 0

  constructor(text: string) {
    this.text = text
  }

  parse(): ReadonlyArray<Matcher> {
    const matchers: Array<Matcher> = []
    this.skipSpace()
    const isBraced = this.take(/\{/y) !== undefined
    while (!this.isAtEnd()) {
      matchers.push(this.matcher())
      if (this.take(/,/y) === undefined) break
    }
    if (isBraced && this.take(/\}/y) === undefined) this.fail('expected "," or "}"')
    if (this.position < this.text.length) this.fail('expected label matchers such as {env="prod"}')
    return matchers
  }

  matcher(): Matcher {
    const isQuoted = /["']/.test(this.peek())
    const label = isQuoted
      ? this.string()
      : (this.take(/[a-zA-Z_]\w*/y) ?? this.fail("expected a label name"))
    if (isQuoted && (this.peek() === "," || this.isAtEnd())) return ofMetric(label)
    const operator =
      this.take(/=~|!~|!=|=/y) ?? this.fail(`expected one of = != =~ !~ after the label ${label}`)
    return { label, operator: operator as MatchOperator, value: this.string() }
  }

  string(): string {
    const delimiter = this.peek()
    if (!/["'`]/.test(delimiter)) this.fail("expected a quoted value")
    this.position++
    // In bytes, because `\\x` and octal escapes stand for bytes.
    const parts: Array<Uint8Array> = []
    for (;;) {
      const code = this.text.codePointAt(this.position) ?? this.fail("the quoted value does not end")
      const character = String.fromCodePoint(code)
      this.position += character.length
      if (character === delimiter) break
      parts.push(character === "\\" && delimiter !== "`" ? this.escape() : Buffer.from(character))
    }
    this.skipSpace()
    try {
      return utf8.decode(Buffer.concat(parts))
    } catch {
      return this.fail("the escapes of the quoted value are not UTF-8")
    }
  }

  escape(): Uint8Array {
    const [escape] =
      escapeSequence.exec(this.text.slice(this.position, this.position + 9)) ??
      this.fail(`\\${this.peek()} is not an escape sequence of PromQL`)
    this.position += escape.length
    const simple = escapes[escape]
    if (simple !== undefined) return Buffer.from(simple)
    if (/^[0-7]/.test(escape)) return Buffer.of(Number.parseInt(escape, 8))
    const code = Number.parseInt(escape.slice(1), 16)
    if (escape.startsWith("x")) return Buffer.of(code)
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) this.fail(`\\${escape} is no character`)
    return Buffer.from(String.fromCodePoint(code))
  }

  peek(): string {
    return this.text.charAt(this.position)
  }

  /** Whether no matcher follows. */
  isAtEnd(): boolean {
    return this.peek() === "}" || this.peek() === ""
  }

  /** Takes a token and the white space after it. `token` must be sticky. */
  take(token: RegExp): string | undefined {
    token.lastIndex = this.position
    const taken = token.exec(this.text)?.[0]
    if (taken === undefined) return undefined
    this.position += taken.length
    this.skipSpace()
    return taken
  }

  skipSpace(): void {
    while (/\s/.test(this.peek())) this.position++
  }

  fail(message: string): never {
    throw new SelectorSyntaxError(
      `${message} (at character ${this.position + 1} of ${truncateText(this.text, 200)})`
    )
  }
}
