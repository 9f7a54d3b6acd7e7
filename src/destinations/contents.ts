/** How many rows something has, and from when to when they are. */
import { Schema } from "effect"
import { type Contents, emptyContents } from "./Destination.ts"
import { Count, later } from "./manifest.ts"

const Millis = Schema.NullOr(Schema.Int)

/** The members of `Contents`, for the schema of a format. */
export const contentsFields = { rows: Count, firstMillis: Millis, lastMillis: Millis }

const earlier = (a: number | null, b: number | null): number | null =>
  a === null ? b : b === null ? a : Math.min(a, b)

/** The rows of all of them. */
export const sumOf = (parts: ReadonlyArray<Contents>): Contents =>
  parts.reduce<Contents>(
    (sum, { firstMillis, lastMillis, rows }) => ({
      rows: sum.rows + rows,
      firstMillis: earlier(sum.firstMillis, firstMillis),
      lastMillis: later(sum.lastMillis, lastMillis)
    }),
    emptyContents
  )

/** What samples and rows of tables have in common: their times, in order. */
export interface TimedBlock {
  readonly length: number
  readonly times: Float64Array
}

/** Counts the rows of blocks. It allocates nothing per block, because there are many. */
export class ContentsTally {
  private rows = 0
  private first = Number.POSITIVE_INFINITY
  private last = Number.NEGATIVE_INFINITY

  /** A block that has rows. */
  add({ length, times }: TimedBlock): void {
    this.rows += length
    if (times[0]! < this.first) this.first = times[0]!
    if (times[length - 1]! > this.last) this.last = times[length - 1]!
  }

  /** All that was added since the last time. */
  take(): Contents {
    const { first, last, rows } = this
    this.rows = 0
    this.first = Number.POSITIVE_INFINITY
    this.last = Number.NEGATIVE_INFINITY
    return rows === 0 ? emptyContents : { rows, firstMillis: first, lastMillis: last }
  }
}
