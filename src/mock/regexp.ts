/** Regular expressions of the matchers `=~` and `!~`, in RE2's language and in linear time, as in Prometheus. */
import { createRequire } from "node:module"
import type * as RegularExpression from "../promql/RegularExpression.ts"

/**
 * The engine is loaded when the first expression is compiled: the demo, which is a part of the program, rarely needs it.
 * Without a promise, since a mock responds at once. In a build the engine is a file of its own.
 */
const loadEngine = (): typeof RegularExpression =>
  createRequire(import.meta.url)(
    import.meta.url.endsWith(".ts") ? "../promql/RegularExpression.ts" : "./regexp.mjs"
  )

/** The largest total weight of a selector's expressions, by `weightOf`: linear time can be long too. */
export const MAX_WEIGHT = 20_000

/**
 * An upper bound of an expression's size in the engine: its length times the repetitions of its parts. Repetitions of groups
 * multiply, since groups can be nested.
 */
export const weightOf = (expression: string): number => {
  let plain = 1
  let groups = 1
  for (const [, group, least, most] of expression.matchAll(/(\)?)\{(\d{1,9})(?:,(\d{0,9}))?\}/g)) {
    const times = Math.max(1, Number(least), Number(most ?? 0))
    if (group === "") plain += times
    else groups *= times
  }
  return expression.length * plain * groups
}

/**
 * Compiles an RE2 expression that must match a complete value.
 *
 * `dotAll`: whether `.` matches a line feed, as it does since Prometheus 3.0. Throws a SyntaxError for syntax that RE2 does not
 * have.
 */
export const compileFullMatch = (expression: string, dotAll: boolean): ((text: string) => boolean) => {
  // Anchored as in Prometheus, so that the same expressions are refused.
  const compiled = loadEngine().compileExpression(`^(?:${expression})$`, dotAll)
  if (compiled === undefined) throw new SyntaxError(`invalid or unsupported syntax: \`${expression}\``)
  // Many series share few values.
  const known = new Map<string, boolean>()
  return (text) => {
    const isMatch = known.get(text) ?? compiled.test(text)
    if (known.size < MAX_KNOWN) known.set(text, isMatch)
    return isMatch
  }
}

/** How many results of one expression are cached. */
const MAX_KNOWN = 10_000
