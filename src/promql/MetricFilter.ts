/** Patterns for metric names, which select the metrics that become streams. */
import { Effect } from "effect"
import { truncateText } from "../text/excerpt.ts"

/** A compiled pattern. Matching takes linear time in the length of the name. */
export interface NamePattern {
  /** As it was written. */
  readonly text: string
  /** Whether it is a name, which only that metric has. */
  readonly isExact: boolean
  /** Whether it matches the complete name. */
  readonly test: (name: string) => boolean
}

/** Compiled patterns. An empty `include` matches all names. */
export interface MetricFilter {
  readonly include: ReadonlyArray<NamePattern>
  readonly exclude: ReadonlyArray<NamePattern>
}

/** The maximum length of a pattern, enough for thousands of names. */
export const MAX_PATTERN_CHARACTERS = 65_536

// Characters that neither a name nor a glob has. A pattern with one of them is a regular expression.
const isExpression = (pattern: string): boolean => /[()[\]{}|^$+\\]/.test(pattern)

/** A dot is part of many names (`http.server.duration`), so on its own it does not make a regular expression. */
const hasRepeatedDot = (pattern: string): boolean => /\.[*?]/.test(pattern)

/**
 * Compiles a pattern that must match a complete name. It is one of three, and fails with a sentence if it is none:
 *
 * - a name, if it has no other special characters than dots: `up`, `http.server.duration`
 * - a glob, if it also has `*` or `?`, but not after a dot: `node_*`, `*.duration`
 * - an RE2 regular expression, if it has `.*`, `.?` or any other special character: `node_.*_total`, `a|b`, `k8s\.pod\..+`. If
 *   it only has dots and stars and is not valid as such, it is a glob: `*.http.*`
 */
export const compilePattern = Effect.fnUntraced(function* (
  pattern: string
): Effect.fn.Return<NamePattern, string> {
  if (pattern.trim() === "") return yield* Effect.fail("an empty pattern matches no metric")
  if (pattern.length > MAX_PATTERN_CHARACTERS) {
    return yield* Effect.fail(
      `a pattern has ${pattern.length} characters, but must have at most ${MAX_PATTERN_CHARACTERS}`
    )
  }
  const mayBeGlob = !isExpression(pattern)
  if (mayBeGlob && !hasRepeatedDot(pattern)) return compileGlob(pattern)
  const { compileExpression } = yield* Effect.promise(() => import("./RegularExpression.ts"))
  const compiled = compileExpression(pattern)
  if (compiled !== undefined) return { text: pattern, isExact: false, test: compiled.test }
  if (mayBeGlob) return compileGlob(pattern)
  return yield* Effect.fail(
    `${JSON.stringify(truncateText(pattern, 200))} is not a regular expression of RE2, the language of Prometheus`
  )
})

/** Whether to replicate a metric of that name. */
export const isIncluded = (filter: MetricFilter, name: string): boolean =>
  (filter.include.length === 0 || filter.include.some((pattern) => pattern.test(name))) &&
  !filter.exclude.some((pattern) => pattern.test(name))

/** Whether a filter excludes every metric, for example because only queries are read. */
export const excludesAll = ({ exclude }: MetricFilter): boolean =>
  exclude.some(({ text }) => text === "*" || text === ".*" || text === ".+")

/** The metrics that are included by name and not excluded, and whether nothing else is included. */
export const exactNames = (
  filter: MetricFilter
): { readonly names: ReadonlyArray<string>; readonly isComplete: boolean } => {
  const exact = filter.include.filter(({ isExact }) => isExact)
  return {
    names: [...new Set(exact.map(({ text }) => text))].filter((name) => isIncluded(filter, name)),
    isComplete: exact.length > 0 && exact.length === filter.include.length
  }
}

/**
 * Matches a glob without backtracking. Only the last `*` so far may take more characters: extending an earlier one could not
 * help.
 */
const compileGlob = (glob: string): NamePattern => {
  const parts = Array.from(glob.replace(/\*+/g, "*"))
  const isPlain = !parts.includes("*") && !parts.includes("?")
  return {
    text: glob,
    isExact: isPlain,
    test: isPlain ? (name) => name === glob : (name) => matchGlob(parts, Array.from(name))
  }
}

/** Pattern and name as code points, so that `?` does not match half of one. */
const matchGlob = (glob: ReadonlyArray<string>, name: ReadonlyArray<string>): boolean => {
  let part = 0
  let star = -1
  /** The index of the first character after those that the last `*` matches. */
  let starEnd = 0
  for (let i = 0; i < name.length; ) {
    if (glob[part] === "*") {
      star = part++
      starEnd = i
    } else if (part < glob.length && (glob[part] === "?" || glob[part] === name[i])) {
      part++
      i++
    } else if (star >= 0) {
      part = star + 1
      i = ++starEnd
    } else return false
  }
  return glob.length - part === (glob[part] === "*" ? 1 : 0)
}
