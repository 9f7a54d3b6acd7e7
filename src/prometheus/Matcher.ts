/**
 * Label matchers: the part of PromQL that selects series, `{env="prod",job=~"api.*"}`.
 *
 * The configuration's `selector` is parsed here, the queries we send are rendered here, and the mock
 * evaluates with the same matchers, so that all three agree.
 */
import { Result } from "effect"

/** `=` equal, `!=` not equal, `=~` and `!~` the same with a regular expression over the whole value. */
export type MatchOperator = "=" | "!=" | "=~" | "!~"

/** One condition on one label. An absent label counts as the empty string. */
export interface Matcher {
  readonly label: string
  readonly operator: MatchOperator
  readonly value: string
}

const bareName = /^[a-zA-Z_][a-zA-Z0-9_]*$/

/** Quotes a string as PromQL and Go do it, so that any label value survives. */
export const quote = (text: string): string =>
  `"${text.replace(/["\\\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`))}"`

/** Renders matchers as a selector. Names that PromQL does not take bare are quoted, as version 3 wants them. */
export const render = (matchers: ReadonlyArray<Matcher>): string =>
  `{${matchers.map((m) => `${bareName.test(m.label) ? m.label : quote(m.label)}${m.operator}${quote(m.value)}`).join(",")}}`

/** The selector of every series of one metric that also satisfies `matchers`. */
export const metricSelector = (metric: string, matchers: ReadonlyArray<Matcher> = []): string =>
  render([{ label: "__name__", operator: "=", value: metric }, ...matchers])

/** A matcher's expression over the whole value; RE2's leading `(?i)` becomes JavaScript's flag. */
const anchored = (expression: string): RegExp =>
  expression.startsWith("(?i)")
    ? new RegExp(`^(?:${expression.slice(4)})$`, "si")
    : new RegExp(`^(?:${expression})$`, "s")

/**
 * Compiles matchers into a predicate over a label lookup that answers `""` for an absent label.
 * Throws a SyntaxError for an expression that JavaScript does not know; the real server judges its own.
 */
export const compile = (
  matchers: ReadonlyArray<Matcher>
): ((value: (label: string) => string) => boolean) => {
  const tests = matchers.map((m): ((value: (label: string) => string) => boolean) => {
    switch (m.operator) {
      case "=":
        return (value) => value(m.label) === m.value
      case "!=":
        return (value) => value(m.label) !== m.value
      case "=~":
      case "!~": {
        const pattern = anchored(m.value)
        const wanted = m.operator === "=~"
        return (value) => pattern.test(value(m.label)) === wanted
      }
    }
  })
  return (value) => tests.every((test) => test(value))
}

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
    let out = ""
    for (;;) {
      const c = this.peek()
      if (c === "") this.fail("the quoted value does not end")
      this.position++
      if (c === delimiter) return out
      if (c !== "\\" || delimiter === "`") {
        out += c
        continue
      }
      out += this.escape()
    }
  }

  escape(): string {
    const c = this.peek()
    this.position++
    const simple = escapes[c]
    if (simple !== undefined) return simple
    const digits = /^(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})/.exec(
      this.text.slice(this.position - 1)
    )
    if (digits !== null) {
      const code = Number.parseInt(digits[0].slice(1), 16)
      if (code <= 0x10ffff) {
        this.position += digits[0].length - 1
        return String.fromCodePoint(code)
      }
    }
    return this.fail(`\\${c} is not an escape sequence of PromQL`)
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
    throw new SelectorSyntaxError(`${message} (at character ${this.position + 1} of ${this.text})`)
  }
}
