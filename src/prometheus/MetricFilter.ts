/** Patterns over metric names: which metrics become streams. */
import { Result } from "effect"

// Characters that a glob does not have: with one of them a pattern is a regular expression.
const isExpression = (pattern: string): boolean => /[.()[\]{}|^$+\\]/.test(pattern)

const globToExpression = (glob: string): string => glob.replaceAll("*", ".*").replaceAll("?", ".")

/**
 * Compiles a pattern that must match a whole name: a glob (`node_*`, `up?`), or a regular expression
 * (`node_.*_total`) where it has other special characters. Fails with a sentence.
 */
export const compilePattern = (pattern: string): Result.Result<RegExp, string> => {
  if (pattern.trim() === "") return Result.fail("an empty pattern matches no metric")
  const expression = isExpression(pattern) ? pattern : globToExpression(pattern)
  // With "u" a dot is a whole character, but it refuses escapes without need, such as "\\-".
  for (const flags of ["su", "s"]) {
    try {
      // On its own first: `a)|(b` is only balanced by our own parentheses.
      new RegExp(expression, flags)
      return Result.succeed(new RegExp(`^(?:${expression})$`, flags))
    } catch {
      // The next flags may do.
    }
  }
  return Result.fail(`${JSON.stringify(pattern)} is not a regular expression`)
}

/** Patterns compiled; an empty `include` means all names. */
export interface MetricFilter {
  readonly include: ReadonlyArray<RegExp>
  readonly exclude: ReadonlyArray<RegExp>
}

/** Whether a metric of that name is to be replicated. */
export const isIncluded = (filter: MetricFilter, name: string): boolean =>
  (filter.include.length === 0 || filter.include.some((pattern) => pattern.test(name))) &&
  !filter.exclude.some((pattern) => pattern.test(name))
