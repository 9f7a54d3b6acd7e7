/**
 * Regular expressions in RE2's syntax, like those of Prometheus, matched in linear time.
 *
 * JavaScript's own engine backtracks: `(a+)+` on a long name from a hostile server would never end. This module includes an RE2
 * engine, so it is loaded only if a configuration has a regular expression.
 */
import { RE2JS, RE2JSException } from "re2js"

/**
 * Compiles an expression that must match a complete text. As in Prometheus 3, a dot also matches a line feed. Returns undefined
 * for an invalid expression.
 */
export const compileExpression = (
  expression: string,
  dotAll = true
): { readonly test: (text: string) => boolean } | undefined => {
  try {
    const compiled = RE2JS.compile(expression, dotAll ? RE2JS.DOTALL : 0)
    return { test: (text) => compiled.matches(text) }
  } catch (error) {
    if (error instanceof RE2JSException) return undefined
    throw error
  }
}
