import { grouped } from "./figures.ts"

/** A count with its noun: `1 row`, `12,000 rows`, `2 retries`. */
export const pluralize = (count: number, singular: string, plural = `${singular}s`): string =>
  `${grouped(count)} ${count === 1 ? singular : plural}`
