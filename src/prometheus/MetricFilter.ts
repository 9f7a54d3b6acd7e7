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
  const expression = isExpression(pattern) ? pattern : globToExpression(pattern)
  try {
    return Result.succeed(new RegExp(`^(?:${expression})$`, "s"))
  } catch {
    return Result.fail(`${JSON.stringify(pattern)} is not a regular expression`)
  }
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
