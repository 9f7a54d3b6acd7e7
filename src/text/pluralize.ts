/** Counts with their nouns, for sentences. */
import { grouped } from "./figures.ts"

/** A count with its noun: `1 row`, `12,000 rows`, `2 retries`. */
export const pluralize = (count: number, singular: string, plural = `${singular}s`): string =>
  `${grouped(count)} ${count === 1 ? singular : plural}`

/** At most `most` names for a sentence, and the number of the others: `a, b and 3 more`. */
export const listed = (
  names: ReadonlyArray<string>,
  most: number,
  others = (count: number) => `${count} more`
): string => {
  const left = names.length - most
  return left <= 0 ? names.join(", ") : `${names.slice(0, most).join(", ")} and ${others(left)}`
}
