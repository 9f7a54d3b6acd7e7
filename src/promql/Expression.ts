/** What a read must know about PromQL expressions: whether they can be read in parts, and where they are wrong. */
import { Effect, Result } from "effect"
import { type Matcher, ofMetric, parse as parseMatchers } from "./Matcher.ts"

/** An expression. */
export interface Expression {
  readonly text: string
  /** The matchers of a plain selector, so that its series can be requested in parts; undefined for any other expression. */
  readonly matchers: ReadonlyArray<Matcher> | undefined
  /** Whether its value is a number without labels at each point, and never a list of series. */
  readonly isScalar: boolean
  /**
   * Where the parser stops recognizing it as PromQL, as a part of a sentence. The server may support more: a newer PromQL, or
   * MetricsQL.
   */
  readonly doubt: string | undefined
}

/**
 * Parses an expression. Fails with the end of a sentence if the expression is certainly wrong, or cannot be read in parts. A sync
 * requests the range in parts, so the value at a point must not depend on the range of the request.
 */
export const parseExpression = Effect.fnUntraced(function* (
  text: string
): Effect.fn.Return<Expression, string> {
  const { parseSyntax } = yield* Effect.promise(() => import("./PromqlParser.ts"))
  const { errorAt, isScalar, ofRange, selector } = parseSyntax(text)
  const stray = strayBracketAt(text)
  if (stray !== undefined) {
    return yield* Effect.fail(`has an unmatched closing bracket at ${positionText(text, stray)}`)
  }
  if (errorAt !== undefined && errorAt >= contentEnd(text)) {
    return yield* Effect.fail(`ends too early at ${positionText(text, errorAt)}`)
  }
  const at = Math.min(...ofRange, rangeFunctionAt(text) ?? Number.POSITIVE_INFINITY)
  if (Number.isFinite(at)) {
    return yield* Effect.fail(
      `depends on the range of the request at ${positionText(text, at)}: a sync requests its range in parts, so the values would differ`
    )
  }
  return {
    text,
    isScalar,
    matchers: selector === undefined ? undefined : matchersOf(text.slice(...selector)),
    doubt: errorAt === undefined ? undefined : positionText(text, errorAt)
  }
})

/** The characters before and after a position in a message. */
const AROUND = 60

/** A position in a text, with the text around it. */
const positionText = (text: string, at: number): string => {
  const before = text.slice(0, at)
  const lines = before.split("\n")
  const lineStart = at - lines.at(-1)!.length
  const [line = ""] = text.slice(lineStart).split("\n")
  const column = Array.from(line.slice(0, at - lineStart)).length + 1
  const near = (part: string) => part.toWellFormed().replaceAll("\ufffd", "")
  const from = Math.max(lineStart, at - AROUND)
  const to = Math.min(lineStart + line.length, at + AROUND)
  const head = `${from > lineStart ? "…" : ""}${near(text.slice(from, at)).trimEnd()}`
  const tail = `${near(text.slice(at, to)).trimStart()}${to < lineStart + line.length ? "…" : ""}`
  const marked = [head, "<-- HERE", tail].filter((part) => part !== "").join(" ")
  return `line ${lines.length}, column ${column} (${marked})`
}

/** Strings and comments, which contain no code. */
const notCode = /"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|`[^`]*`?|#[^\n]*/gs

/** The text with strings and comments replaced by blanks of the same length. */
const codeOf = (text: string): string => text.replace(notCode, (part) => " ".repeat(part.length))

/** Where trailing white space and comments begin. */
const contentEnd = (text: string): number =>
  text.replace(notCode, (part) => (part.startsWith("#") ? " ".repeat(part.length) : part)).trimEnd().length

/**
 * Functions of MetricsQL over all points of a request, such as `range_avg`, and those that return its start or end. Aggregations may
 * have their labels before the parenthesis.
 */
const rangeFunction =
  /(?<![\w:.])(?:range_\w+|running_\w+|(?:topk|bottomk)_(?:min|max|avg|median|last)|outliersk|smooth_exponential|remove_resets|interpolate|keep_(?:last|next)_value|drop_common_labels|limit_offset|outliers_\w+|buckets_limit|start|end)\s*(?:(?:by|without)\s*\(|\()/i

const rangeFunctionAt = (text: string): number | undefined => rangeFunction.exec(codeOf(text))?.index

const opening: Readonly<Record<string, string>> = { ")": "(", "]": "[", "}": "{" }

/** The position of the first closing bracket that does not match an open one. */
const strayBracketAt = (text: string): number | undefined => {
  const open: Array<string> = []
  for (const { 0: bracket, index } of codeOf(text).matchAll(/[()[\]{}]/g)) {
    const expected = opening[bracket]
    if (expected === undefined) open.push(bracket)
    else if (open.pop() !== expected) return index
  }
  return undefined
}

/** The matchers of a selector, `name{…}` or `{…}`. */
const matchersOf = (selector: string): ReadonlyArray<Matcher> | undefined => {
  const brace = selector.indexOf("{")
  const name = (brace < 0 ? selector : selector.slice(0, brace)).replace(notCode, "").trim()
  const parsed = parseMatchers(brace < 0 ? "" : selector.slice(brace))
  if (Result.isFailure(parsed)) return undefined
  return [...(name === "" ? [] : [ofMetric(name)]), ...parsed.success]
}

/** Counts the series of an expression at each point. The expression is on its own lines, because it may end with a comment. */
export const countOf = ({ isScalar, text }: Pick<Expression, "text" | "isScalar">): string =>
  isScalar ? `count(vector(\n${text}\n))` : `count(\n${text}\n)`
