/**
 * Regular expressions in RE2's language, which is that of Prometheus itself, matched in linear time.
 *
 * JavaScript's own engine backtracks: `(a+)+` over a long name of a hostile server would never end. This module brings
 * the engine along, so it is loaded only where a configuration has a regular expression.
 */
import { RE2JS, RE2JSException } from "re2js"

/**
 * Compiles an expression that must match a complete text. In Prometheus 3 a dot matches a line feed too. Undefined for an
 * invalid expression.
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
