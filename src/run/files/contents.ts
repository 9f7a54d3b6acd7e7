/** How many rows something has, and from when to when they are. */
import { Schema } from "effect"
import type { SampleBlock } from "../../prometheus/Sample.ts"
import type { Contents } from "../Destination.ts"
import { Count, later } from "../entries.ts"

const Millis = Schema.NullOr(Schema.Int)

/** The members of `Contents`, for the schema of a format. */
export const contentsFields = { rows: Count, firstMillis: Millis, lastMillis: Millis }

export const noRows: Contents = { rows: 0, firstMillis: null, lastMillis: null }

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
    noRows
  )

/** The rows of a block, which has some. */
export const contentsOf = ({ length, times }: SampleBlock): Contents => ({
  rows: length,
  firstMillis: times[0]!,
  lastMillis: times[length - 1]!
})
