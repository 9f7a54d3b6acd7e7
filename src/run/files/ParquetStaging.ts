/**
 * Rows of one stream on their way into Parquet files: they gather in temporary tables of DuckDB, numbers in columns and
 * what a series has of text once per series, and are joined as they are written.
 */
import type { DuckDBAppender, DuckDBConnection, DuckDBDataChunk } from "@duckdb/node-api"
import type { SampleBlock, Series } from "../../prometheus/Sample.ts"
import { METRIC_NAME } from "../../prometheus/Series.ts"
import { columnOf } from "../../records/Columns.ts"
import { jsonLine } from "../../records/jsonLine.ts"
import { renderHistogram } from "../../records/RecordEncoder.ts"
import { quoteName } from "../quoteSql.ts"
import { floatOf } from "./floatOf.ts"

type DuckDB = typeof import("@duckdb/node-api")

/** Rows of one chunk that DuckDB takes at once. */
const CHUNK_ROWS = 2048

/** What a row takes while it is staged. */
const ROW_BYTES = 24

/** More labels than this have no column of their own. */
const MOST_COLUMNS = 1000

/** Columns that readers of Parquet files add to them. A label of that name is renamed as one called `time` is. */
const addedByReaders: ReadonlySet<string> = new Set(["day", "filename", "file_row_number"])

const PREFIX = "label_"

/** The column of a label, by the rules of all records and those of Parquet files. */
export const parquetColumnOf = (label: string): string | undefined => {
  const lower = label.toLowerCase()
  if (addedByReaders.has(lower)) return PREFIX + label
  if (lower.startsWith(PREFIX) && addedByReaders.has(lower.slice(PREFIX.length))) return undefined
  return label.includes("\0") ? undefined : columnOf(label)
}

/** Which of the staged rows: those before the mark, those after it, or all. */
export type Part = "kept" | "rest"

export interface Staging {
  /** Takes samples. */
  readonly append: (block: SampleBlock) => Promise<void>
  /** How many bytes it takes, about. */
  readonly bytes: () => number
  /** Which columns of labels there are by now, those given included. */
  readonly columns: () => ReadonlyArray<string>
  /** All rows so far are before the mark. */
  readonly mark: () => void
  /** Whether there are rows of a part. */
  readonly has: (part: Part) => boolean
  /** The midnights of the days that rows of a part are of, in the order of time. */
  readonly days: (part: Part) => Promise<ReadonlyArray<number>>
  /** A query for the rows of a part from one time to before another. */
  readonly query: (part: Part, fromMillis: number, toMillis: number) => string
  /** Forgets all rows. */
  readonly clear: () => Promise<void>
}

/** Staging on a connection of its own. `known` are the columns of labels that the stream has already. */
export const makeStaging = async (
  { DOUBLE, DuckDBDataChunk, LIST, VARCHAR }: DuckDB,
  connection: DuckDBConnection,
  labelColumns: boolean,
  known: ReadonlyArray<string>
): Promise<Staging> => {
  /** Columns by their names in small letters: readers do not tell those from capitals. */
  const columns = new Map(known.map((column) => [column.toLowerCase(), column]))
  const numbers = new Map<string, number>()
  let pending: Array<{
    readonly id: string
    readonly values: Map<string, string>
    readonly rest: string | null
  }> = []
  let lastSeries: Series | undefined
  let lastNumber = 0
  let labelBytes = 0
  let rows = { kept: 0, all: 0 }
  let histograms = { kept: 0, all: 0 }
  let appender: DuckDBAppender | undefined
  const chunk: DuckDBDataChunk = DuckDBDataChunk.create([DOUBLE, DOUBLE, DOUBLE], CHUNK_ROWS)
  const vectors = [0, 1, 2].map((index) => chunk.getColumnVector(index))
  const [series, times, values] = vectors.map(
    (vector) => (vector as unknown as { readonly items: Float64Array }).items
  ) as [Float64Array, Float64Array, Float64Array]
  let filled = 0

  const create = () =>
    connection.run(`
      CREATE OR REPLACE TEMP TABLE staged (series DOUBLE, time DOUBLE, value DOUBLE);
      CREATE OR REPLACE TEMP TABLE staged_histogram (series DOUBLE, time DOUBLE, histogram VARCHAR);
      CREATE OR REPLACE TEMP TABLE staged_series (number DOUBLE, series_id VARCHAR, rest VARCHAR, labels VARCHAR[]);
    `)
  await create()

  const columnFor = (label: string): string | undefined => {
    if (!labelColumns) return undefined
    const column = parquetColumnOf(label)
    if (column === undefined) return undefined
    const lower = column.toLowerCase()
    const owner = columns.get(lower)
    if (owner !== undefined) return owner === column ? column : undefined
    if (columns.size >= MOST_COLUMNS) return undefined
    columns.set(lower, column)
    return column
  }

  const numberOf = (one: Series): number => {
    if (one === lastSeries) return lastNumber
    let number = numbers.get(one.id)
    if (number === undefined) {
      number = numbers.size
      numbers.set(one.id, number)
      const values = new Map<string, string>()
      const rest: Array<readonly [string, string]> = []
      for (const [label, value] of one.labels) {
        labelBytes += label.length + value.length + 64
        if (label === METRIC_NAME) continue
        const column = columnFor(label)
        if (column === undefined) rest.push([label, value])
        else values.set(column, value)
      }
      pending.push({
        id: one.id,
        values,
        rest: rest.length === 0 && labelColumns ? null : jsonLine(Object.fromEntries(rest))
      })
    }
    lastSeries = one
    lastNumber = number
    return number
  }

  const appendChunk = async () => {
    if (filled === 0) return
    appender ??= await connection.createAppender("staged", null, "temp")
    for (const vector of vectors) vector.flush()
    chunk.rowCount = filled
    appender.appendDataChunk(chunk)
    filled = 0
  }

  /** Puts all that is in memory here into the tables. */
  const flush = async () => {
    await appendChunk()
    appender?.closeSync()
    appender = undefined
    if (pending.length === 0) return
    const first = numbers.size - pending.length
    const names = [...columns.values()]
    const target = await connection.createAppender("staged_series", null, "temp")
    for (const [index, { id, rest, values }] of pending.entries()) {
      target.appendDouble(first + index)
      target.appendVarchar(id)
      if (rest === null) target.appendNull()
      else target.appendVarchar(rest)
      target.appendList(
        names.map((name) => values.get(name) ?? null),
        LIST(VARCHAR)
      )
      target.endRow()
    }
    target.closeSync()
    pending = []
  }

  const bounds = (part: Part, { all, kept }: typeof rows): string =>
    part === "kept" ? `r.rowid < ${kept}` : `r.rowid >= ${kept} AND r.rowid < ${all}`

  const has = (part: Part): boolean =>
    part === "kept"
      ? rows.kept + histograms.kept > 0
      : rows.all > rows.kept || histograms.all > histograms.kept

  return {
    append: async (block) => {
      const number = numberOf(block.series)
      if (block._tag === "HistogramBlock") {
        const target = await connection.createAppender("staged_histogram", null, "temp")
        for (const [index, histogram] of block.histograms.entries()) {
          const text = renderHistogram(histogram)
          labelBytes += text.length
          target.appendDouble(number)
          target.appendDouble(block.times[index]!)
          target.appendVarchar(text)
          target.endRow()
        }
        target.closeSync()
        histograms.all += block.length
        return
      }
      const { bytes, ends, length, starts } = block
      for (let from = 0; from < length; ) {
        const to = Math.min(length, from + CHUNK_ROWS - filled)
        for (let i = from; i < to; i++, filled++) {
          series[filled] = number
          times[filled] = block.times[i]!
          values[filled] = floatOf(bytes, starts[i]!, ends[i]!)
        }
        from = to
        if (filled === CHUNK_ROWS) await appendChunk()
      }
      rows.all += length
    },
    bytes: () => (rows.all + histograms.all) * ROW_BYTES + labelBytes,
    columns: () => [...columns.values()],
    mark: () => {
      rows.kept = rows.all
      histograms.kept = histograms.all
    },
    has,
    days: async (part) => {
      await flush()
      const reader = await connection.runAndReadAll(`
        SELECT DISTINCT floor(r.time / 86400000) * 86400000 AS day FROM staged r WHERE ${bounds(part, rows)}
        UNION
        SELECT DISTINCT floor(r.time / 86400000) * 86400000 FROM staged_histogram r WHERE ${bounds(part, histograms)}
        ORDER BY day`)
      return reader.getRows().map(([day]) => Number(day))
    },
    query: (part, fromMillis, toMillis) => {
      const labels = [...columns.values()].map(
        (column, index) => `, s.labels[${index + 1}] AS ${quoteName(column)}`
      )
      const rest = labelColumns ? "other_labels" : "labels"
      const select = (value: string, special: string, histogram: string, table: string, all: typeof rows) => `
        SELECT s.series_id, make_timestamptz(r.time::BIGINT * 1000) AS time, ${value} AS value,
          ${special} AS special_value, ${histogram} AS histogram${labels.join("")}, s.rest AS ${rest}
        FROM ${table} r JOIN staged_series s ON s.number = r.series
        WHERE r.time >= ${fromMillis} AND r.time < ${toMillis} AND ${bounds(part, all)}`
      const special = `CASE WHEN isfinite(r.value) THEN NULL WHEN isnan(r.value) THEN 'NaN' WHEN r.value > 0 THEN '+Inf' ELSE '-Inf' END`
      const floats = select(
        "CASE WHEN isfinite(r.value) THEN r.value END",
        special,
        "NULL::VARCHAR",
        "staged",
        rows
      )
      if (histograms.all === 0) return floats
      return `${floats} UNION ALL ${select("NULL::DOUBLE", "NULL::VARCHAR", "r.histogram", "staged_histogram", histograms)}`
    },
    clear: async () => {
      filled = 0
      appender?.closeSync()
      appender = undefined
      numbers.clear()
      pending = []
      lastSeries = undefined
      labelBytes = 0
      rows = { kept: 0, all: 0 }
      histograms = { kept: 0, all: 0 }
      await create()
    }
  }
}
