/** How a column stores native histograms. */
import type { DuckDBType, DuckDBValue } from "@duckdb/node-api"
import { renderHistogram } from "../../records/RecordEncoder.ts"
import type { Histogram } from "../../samples/Sample.ts"

type DuckDB = typeof import("@duckdb/node-api")

export interface HistogramColumn {
  /** Its type, as DuckDB names it. */
  readonly type: string
  /** The same type for DuckDB's library, and a value of it. */
  readonly typeIn: (duckdb: DuckDB) => DuckDBType
  readonly valueIn: (duckdb: DuckDB) => (histogram: Histogram) => DuckDBValue
  /** An expression that differs if two histograms do. */
  readonly identity: (column: string) => string
}

/** The text of records. It keeps each of the server's digits. */
export const jsonHistograms: HistogramColumn = {
  type: "VARCHAR",
  typeIn: ({ VARCHAR }) => VARCHAR,
  valueIn: () => renderHistogram,
  identity: (column) => `${column}::VARCHAR`
}

/** The number that the server's digits represent. */
const numberOf = (digits: string): number =>
  digits.endsWith("Inf") ? (digits.startsWith("-") ? -Infinity : Infinity) : Number(digits)

/** A struct of numbers. The server's counts, sums and bounds are floats, so this loses nothing. */
export const structHistograms: HistogramColumn = {
  type: "STRUCT(count DOUBLE, sum DOUBLE, buckets STRUCT(boundaries UTINYINT, lower DOUBLE, upper DOUBLE, count DOUBLE)[])",
  typeIn: ({ DOUBLE, LIST, STRUCT, UTINYINT }) =>
    STRUCT({
      count: DOUBLE,
      sum: DOUBLE,
      buckets: LIST(STRUCT({ boundaries: UTINYINT, lower: DOUBLE, upper: DOUBLE, count: DOUBLE }))
    }),
  valueIn:
    ({ listValue, structValue }) =>
    ({ buckets, count, sum }) =>
      structValue({
        count: numberOf(count),
        sum: numberOf(sum),
        buckets: listValue(
          buckets.map(({ boundaries, count, lower, upper }) =>
            structValue({
              boundaries,
              lower: numberOf(lower),
              upper: numberOf(upper),
              count: numberOf(count)
            })
          )
        )
      }),
  // Joining the histograms themselves needs a lot of memory. 0 and -0 are equal and have the same hash, hence the sign bits.
  identity: (column) => `hash(${column}, signbit(${column}.count), signbit(${column}.sum))`
}
