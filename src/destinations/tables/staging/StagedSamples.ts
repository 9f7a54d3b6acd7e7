/**
 * Stages the samples of one stream before they are inserted into a table or file: in temporary DuckDB tables, with numbers in
 * columns and the text of a series once. Beyond DuckDB's memory limit these spill to disk, so a window may have any size.
 */
import type { DuckDBAppender, DuckDBConnection, DuckDBDataChunk, DuckDBVector } from "@duckdb/node-api"
import { jsonLine } from "../../../records/jsonLine.ts"
import type { LabelColumns } from "../../../records/LabelColumns.ts"
import type { Layout } from "../../../samples/Layout.ts"
import { type HistogramBlock, numberAt, type SampleBlock, type Series } from "../../../samples/Sample.ts"
import { METRIC_NAME } from "../../../samples/Series.ts"
import { type HistogramColumn, structHistograms } from "../histograms.ts"
import { histogramRows } from "./histogramRows.ts"

type DuckDB = typeof import("@duckdb/node-api")

/** Rows of one DuckDB chunk. */
const CHUNK_ROWS = 2048

/** The number of 32-bit values. */
const WORD = 2 ** 32

/** The size of a staged row. */
const ROW_BYTES = 24

/** About the size of a native histogram without its buckets, and of a bucket. Texts are longer than structs. */
const HISTOGRAM_BYTES = 40
const BUCKET_BYTES = 50

/** The size of a series without the text of its labels, here and in DuckDB. */
const SERIES_BYTES = 200

/** Series are kept for later windows up to this size. */
const MAX_SERIES_BYTES = 8 * 1024 * 1024

/** How many series are appended to their table at once. */
const MAX_PENDING_SERIES = 2000

/** The buffer of rows before they are appended to DuckDB. */
interface RowBuffer {
  readonly chunk: DuckDBDataChunk
  readonly vectors: ReadonlyArray<DuckDBVector>
  readonly places: Int32Array
  readonly series: Int32Array
  readonly values: Float64Array
  /** Microseconds as two words each, because big integers would take longer than everything else. */
  readonly words: Int32Array
}

const makeBuffer = ({ DOUBLE, DuckDBDataChunk, INTEGER, TIMESTAMPTZ }: DuckDB): RowBuffer => {
  const chunk = DuckDBDataChunk.create([INTEGER, INTEGER, TIMESTAMPTZ, DOUBLE], CHUNK_ROWS)
  const vectors = [0, 1, 2, 3].map((index) => chunk.getColumnVector(index))
  const [places, series, times, values] = vectors.map(
    (vector) => (vector as unknown as { readonly items: unknown }).items
  ) as [Int32Array, Int32Array, BigInt64Array, Float64Array]
  const words = new Int32Array(times.buffer, times.byteOffset, times.length * 2)
  return { chunk, vectors, places, series, values, words }
}

/**
 * Buffers that are currently unused. Their memory is outside V8's heap and is freed only by the next collection, so that one
 * for each of thousands of streams would be too much.
 */
const idle: Array<RowBuffer> = []
const MAX_IDLE_BUFFERS = 16

/** The numbers of staged rows of a kind: from the first one to the mark, and up to the last one. */
export interface Staged {
  readonly first: number
  readonly marked: number
  readonly all: number
}

export type StagedSamples = ReturnType<typeof stageSamples>

/** What differs between the destinations of staged samples. */
export interface StagingRules {
  /** Whether a column can have this text. A label with another one is in the column for other labels. */
  readonly acceptsText?: ((text: string) => boolean) | undefined
  readonly histograms?: HistogramColumn | undefined
}

/**
 * Stages samples in the temporary tables of a connection of its own:
 * `staged (number INTEGER, series INTEGER, time TIMESTAMPTZ, value DOUBLE)`,
 * `staged_histogram (number INTEGER, series INTEGER, time TIMESTAMPTZ, before INTEGER, histogram)`,
 * `staged_series (number INTEGER, series_id VARCHAR, rest VARCHAR, labels VARCHAR[])`.
 * DuckDB does not keep the order of rows, so both kinds of samples are numbered. `before` is the number of floats that came
 * before a histogram. `labels` has the labels with columns in the order of these, and `rest` the others as JSON. The tables
 * are created with the first sample, because many streams have nothing new.
 */
export const stageSamples = (
  duckdb: DuckDB,
  connection: DuckDBConnection,
  labels: LabelColumns | undefined,
  { metricName, rest: restColumn }: Layout,
  { acceptsText = () => true, histograms: histogramColumn = structHistograms }: StagingRules = {}
) => {
  const { LIST, VARCHAR } = duckdb
  const histogramAppender = histogramRows(duckdb, connection, histogramColumn)
  const numbers = new Map<string, number>()
  /** The latest staged time of each series, by its number. */
  let lastTimes: Array<number> = []
  let pending: Array<{
    readonly id: string
    readonly values: Map<string, string>
    readonly rest: string | null
  }> = []
  let lastSeries: Series | undefined
  let lastNumber = 0
  let seriesBytes = 0
  let histogramBytes = 0
  let rows: Staged = { first: 0, marked: 0, all: 0 }
  let histograms: Staged = { first: 0, marked: 0, all: 0 }
  let hasRepeated = false
  let hasSpecial = false
  let appender: DuckDBAppender | undefined

  let buffer: RowBuffer | undefined
  let filled = 0
  const acquireBuffer = (): RowBuffer => {
    buffer ??= idle.pop() ?? makeBuffer(duckdb)
    return buffer
  }
  const releaseBuffer = () => {
    if (buffer !== undefined && idle.length < MAX_IDLE_BUFFERS) idle.push(buffer)
    buffer = undefined
  }

  const createSamples = () =>
    connection.run(`
      CREATE OR REPLACE TEMP TABLE staged (number INTEGER, series INTEGER, time TIMESTAMPTZ, value DOUBLE);
      CREATE OR REPLACE TEMP TABLE staged_histogram (number INTEGER, series INTEGER, time TIMESTAMPTZ, before INTEGER, histogram ${histogramColumn.type});
    `)
  const createSeries = () =>
    connection.run(
      "CREATE OR REPLACE TEMP TABLE staged_series (number INTEGER, series_id VARCHAR, rest VARCHAR, labels VARCHAR[])"
    )
  let hasTables = false
  const createTables = async () => {
    if (hasTables) return
    await createSamples()
    await createSeries()
    hasTables = true
  }

  const numberOf = (one: Series): number => {
    if (one === lastSeries) return lastNumber
    let number = numbers.get(one.id)
    if (number === undefined) {
      number = numbers.size
      numbers.set(one.id, number)
      const values = new Map<string, string>()
      const rest: Array<readonly [string, string]> = []
      seriesBytes += SERIES_BYTES
      for (const [label, value] of one.labels) {
        seriesBytes += label.length + value.length
        if (label === METRIC_NAME && metricName === "omitted") continue
        const column = acceptsText(value) ? labels?.columnFor(label) : undefined
        // DuckDB's JSON does not support lone surrogates.
        if (column === undefined) rest.push([label.toWellFormed(), value.toWellFormed()])
        else values.set(column, value)
      }
      pending.push({
        id: one.id,
        values,
        rest: rest.length === 0 && restColumn === "other_labels" ? null : jsonLine(Object.fromEntries(rest))
      })
    }
    lastSeries = one
    lastNumber = number
    return number
  }

  const appendChunk = async () => {
    if (filled === 0) return
    appender ??= await connection.createAppender("staged", null, "temp")
    const { chunk, vectors } = acquireBuffer()
    for (const vector of vectors) vector.flush()
    chunk.rowCount = filled
    appender.appendDataChunk(chunk)
    filled = 0
  }

  const appendHistograms = async (number: number, block: HistogramBlock) => {
    for (const [index, histogram] of block.histograms.entries()) {
      histogramBytes += HISTOGRAM_BYTES + histogram.buckets.length * BUCKET_BYTES
      await histogramAppender.append({
        number: histograms.all + index,
        series: number,
        timeMillis: block.times[index]!,
        before: rows.all,
        histogram
      })
    }
    histograms = { ...histograms, all: histograms.all + block.length }
  }

  const appendSeries = async () => {
    if (pending.length === 0) return
    const first = numbers.size - pending.length
    const target = await connection.createAppender("staged_series", null, "temp")
    const names = labels?.names ?? []
    const type = LIST(VARCHAR)
    for (const [index, { id, rest, values }] of pending.entries()) {
      target.appendInteger(first + index)
      target.appendVarchar(id)
      if (rest === null) target.appendNull()
      else target.appendVarchar(rest)
      target.appendList(
        names.map((name) => values.get(name) ?? null),
        type
      )
      target.endRow()
    }
    target.closeSync()
    pending = []
  }

  const clear = async () => {
    filled = 0
    releaseBuffer()
    appender?.closeSync()
    appender = undefined
    rows = { first: 0, marked: 0, all: 0 }
    histograms = { first: 0, marked: 0, all: 0 }
    histogramBytes = 0
    histogramAppender.clear()
    hasRepeated = false
    hasSpecial = false
    lastTimes = []
    if (!hasTables) return
    await createSamples()
    if (seriesBytes < MAX_SERIES_BYTES) return
    numbers.clear()
    pending = []
    lastSeries = undefined
    seriesBytes = 0
    await createSeries()
  }
  return {
    /** The label columns; undefined if all labels share one column. */
    labels,
    /** The column for other labels. */
    rest: restColumn,
    histogramColumn,
    append: async (block: SampleBlock): Promise<void> => {
      const { length } = block
      if (length === 0) return
      await createTables()
      const number = numberOf(block.series)
      if (pending.length >= MAX_PENDING_SERIES) await appendSeries()
      const lastTime = lastTimes[number]
      const last = block.times[length - 1]!
      if (lastTime !== undefined && block.times[0]! <= lastTime) hasRepeated = true
      lastTimes[number] = Math.max(lastTime ?? last, last)
      if (block._tag === "HistogramBlock") return appendHistograms(number, block)
      const { times } = block
      const { places, series, values, words } = acquireBuffer()
      for (let from = 0; from < length; ) {
        const to = Math.min(length, from + CHUNK_ROWS - filled)
        for (let i = from; i < to; i++, filled++) {
          const micros = times[i]! * 1000
          places[filled] = rows.all + i
          series[filled] = number
          const high = Math.floor(micros / WORD)
          words[filled * 2] = (micros - high * WORD) | 0
          words[filled * 2 + 1] = high
          const value = numberAt(block, i)
          if (!Number.isFinite(value)) hasSpecial = true
          values[filled] = value
        }
        from = to
        if (filled === CHUNK_ROWS) await appendChunk()
      }
      rows = { ...rows, all: rows.all + length }
    },
    /** The approximate number of staged bytes. */
    bytes: (): number =>
      (rows.all - rows.first + histograms.all - histograms.first) * ROW_BYTES + histogramBytes + seriesBytes,
    /** Marks all samples so far. */
    mark: (): void => {
      rows = { ...rows, marked: rows.all }
      histograms = { ...histograms, marked: histograms.all }
    },
    floats: (): Staged => rows,
    histograms: (): Staged => histograms,
    /** The number of series in `staged_series`. */
    seriesCount: (): number => numbers.size,
    /** Whether a series may have two samples of the same time. */
    hasRepeated: (): boolean => hasRepeated,
    /** Whether a value may not be finite. */
    hasSpecial: (): boolean => hasSpecial,
    /** Writes buffered samples to the tables. Call it before queries. */
    flush: async (): Promise<void> => {
      await appendChunk()
      releaseBuffer()
      appender?.closeSync()
      appender = undefined
      await histogramAppender.flush()
      await appendSeries()
    },
    /** Removes the marked samples. */
    removeMarked: async (): Promise<void> => {
      if (rows.marked === rows.all && histograms.marked === histograms.all) return clear()
      rows = { ...rows, first: rows.marked }
      histograms = { ...histograms, first: histograms.marked }
    },
    /** Removes all samples. */
    clear
  }
}
