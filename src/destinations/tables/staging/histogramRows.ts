/** Appends native histograms to DuckDB in chunks, which is much faster than row by row. */
import type { DuckDBConnection } from "@duckdb/node-api"
import type { Histogram } from "../../../samples/Sample.ts"
import type { HistogramColumn } from "../histograms.ts"

type DuckDB = typeof import("@duckdb/node-api")

/** The maximum number of rows in a chunk of DuckDB, and of buckets in all of its rows. */
const CHUNK_ROWS = 2048
const CHUNK_BUCKETS = 16_384

/** A row of the table `staged_histogram`. */
export interface HistogramRow {
  readonly number: number
  readonly series: number
  readonly timeMillis: number
  readonly before: number
  readonly histogram: Histogram
}

export const histogramRows = (duckdb: DuckDB, connection: DuckDBConnection, column: HistogramColumn) => {
  const { DuckDBDataChunk, DuckDBTimestampTZValue, INTEGER, TIMESTAMPTZ } = duckdb
  const types = [INTEGER, INTEGER, TIMESTAMPTZ, INTEGER, column.typeIn(duckdb)]
  const valueOf = column.valueIn(duckdb)
  let rows: Array<HistogramRow> = []
  let buckets = 0
  const clear = () => {
    rows = []
    buckets = 0
  }
  const flush = async () => {
    if (rows.length === 0) return
    const chunk = DuckDBDataChunk.create(types, rows.length)
    chunk.setColumns([
      rows.map(({ number }) => number),
      rows.map(({ series }) => series),
      rows.map(({ timeMillis }) => new DuckDBTimestampTZValue(BigInt(timeMillis) * 1000n)),
      rows.map(({ before }) => before),
      rows.map(({ histogram }) => valueOf(histogram))
    ])
    clear()
    const appender = await connection.createAppender("staged_histogram", null, "temp")
    appender.appendDataChunk(chunk)
    appender.closeSync()
  }
  return {
    append: async (row: HistogramRow): Promise<void> => {
      rows.push(row)
      buckets += row.histogram.buckets.length
      if (rows.length === CHUNK_ROWS || buckets >= CHUNK_BUCKETS) await flush()
    },
    /** Writes all rows to the table. */
    flush,
    clear
  }
}
