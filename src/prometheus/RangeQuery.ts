/** What is asked of a server: a range of time, and the query for its points. */
import type { SeriesCache } from "../samples/Series.ts"

/** A closed range of time, in milliseconds since the epoch. For lists of names, an infinite end is none. */
export interface TimeRange {
  readonly startMillis: number
  readonly endMillis: number
}

/** A range query: points at start, start + step, … up to and including end, in milliseconds. */
export interface RangeQuery extends TimeRange {
  readonly query: string
  readonly stepMillis: number
  /** How old the sample of a point may be, instead of the server's look-back. Some servers ignore this. */
  readonly lookbackMillis?: number
  /** The series of earlier responses to the same query. */
  readonly series?: SeriesCache
}
