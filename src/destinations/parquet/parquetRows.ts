/** The columns of Parquet files, and queries for the staged samples of each day. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { columnOf } from "../../records/LabelColumns.ts"
import type { Contents } from "../Destination.ts"
import { quoteName } from "../duckdb/quoteSql.ts"
import type { Staged, StagedSamples } from "../duckdb/staging/StagedSamples.ts"
import { FLOAT_VALUE, SPECIAL_VALUE } from "../duckdb/staging/stagedSql.ts"

/** Columns that readers of Parquet files add. A label of that name is renamed like one named `time`. */
const addedByReaders: ReadonlySet<string> = new Set(["day", "filename", "file_row_number"])

const PREFIX = "label_"

/** The column of a label, by the rules of all records and those of Parquet files. */
export const parquetColumnOf = (label: string): string | undefined => {
  const lower = label.toLowerCase()
  if (addedByReaders.has(lower)) return PREFIX + label
  if (lower.startsWith(PREFIX) && addedByReaders.has(lower.slice(PREFIX.length))) return undefined
  return label.includes("\0") ? undefined : columnOf(label)
}

/** A part of the staged rows: before the mark, or after it. */
export type Part = "kept" | "rest"

const isPart = (part: Part, { all, first, marked }: Staged): string =>
  part === "kept"
    ? `r.number >= ${first} AND r.number < ${marked}`
    : `r.number >= ${marked} AND r.number < ${all}`

/** Whether a part has rows. */
export const hasPart = (staged: StagedSamples, part: Part): boolean =>
  [staged.floats(), staged.histograms()].some(({ all, first, marked }) =>
    part === "kept" ? marked > first : all > marked
  )

const DAY = 86_400_000

/** A day with rows. Its midnight is in milliseconds too. */
export interface Day extends Contents {
  readonly midnight: number
}

/** The days with rows in a part, in the order of time. */
export const daysOf = async (
  staged: StagedSamples,
  connection: DuckDBConnection,
  part: Part
): Promise<ReadonlyArray<Day>> => {
  await staged.flush()
  const times = (table: string, of: Staged) =>
    `SELECT epoch_ms(r.time) AS millis FROM temp.${table} AS r WHERE ${isPart(part, of)}`
  const reader = await connection.runAndReadAll(
    `SELECT millis // ${DAY} AS day, count(*), min(millis), max(millis)
     FROM (${times("staged", staged.floats())} UNION ALL ${times("staged_histogram", staged.histograms())})
     GROUP BY day ORDER BY day`
  )
  return reader.getRows().map(([day, rows, first, last]) => ({
    midnight: Number(day) * DAY,
    rows: Number(rows),
    firstMillis: Number(first),
    lastMillis: Number(last)
  }))
}

/** The columns of the series, with their labels as `label_0` and so on. */
const plainSeries = ({ labels }: StagedSamples): string =>
  `(SELECT number, series_id, rest${(labels?.names ?? []).map((_, index) => `, labels[${index + 1}] AS label_${index}`).join("")} FROM temp.staged_series)`

/** Encoding pays off above this number of rows. Each row group contains the dictionary of all series, so there must not be many. */
const ENCODED_ROWS = 50_000
const ENCODED_SERIES = 2000
const ROWS_PER_SERIES = 100

/**
 * The staged series, for `rowsOfDay`. Their texts are enums if that pays off: DuckDB writes the same strings, and takes a third
 * of the time, because it does not have to build the dictionary of a column.
 */
export const seriesOf = async (staged: StagedSamples, connection: DuckDBConnection): Promise<string> => {
  const series = plainSeries(staged)
  const rows = staged.floats().all - staged.floats().first
  const count = staged.seriesCount()
  if (rows < ENCODED_ROWS || count > ENCODED_SERIES || count * ROWS_PER_SERIES > rows) return series
  const columns = ["series_id", "rest", ...(staged.labels?.names ?? []).map((_, index) => `label_${index}`)]
  await connection.run("DROP TABLE IF EXISTS temp.encoded_series")
  for (const column of columns) {
    await connection.run(
      `CREATE OR REPLACE TEMP TYPE ${column}_values AS ENUM (SELECT DISTINCT ${column} FROM ${series} WHERE ${column} IS NOT NULL)`
    )
  }
  const encoded = columns.map((column) => `${column}::${column}_values AS ${column}`)
  await connection.run(
    `CREATE TEMP TABLE encoded_series AS SELECT number, ${encoded.join(", ")} FROM ${series}`
  )
  return "temp.encoded_series"
}

/**
 * A query for the rows of a part and a day, whose midnight is in milliseconds: only the last row of each series and time, or
 * all rows. `series` is the result of `seriesOf`.
 */
export const rowsOfDay = (
  staged: StagedSamples,
  series: string,
  part: Part,
  midnight: number,
  isUnique: boolean
): string => {
  const { labels } = staged
  const columns = (labels?.names ?? []).map((column, index) => `, s.label_${index} AS ${quoteName(column)}`)
  const rest = labels === undefined ? "labels" : "other_labels"
  const select = (
    value: string,
    special: string,
    histogram: string,
    place: string,
    table: string,
    of: Staged
  ) => `
    SELECT ${isUnique ? `${place} AS place, r.number AS number, ` : ""}s.series_id, r.time, ${value} AS value, ${special} AS special_value, ${histogram} AS histogram${columns.join("")}, s.rest AS ${rest}
    FROM temp.${table} AS r JOIN ${series} AS s ON s.number = r.series
    WHERE epoch_ms(r.time) // ${DAY} = ${midnight / DAY} AND ${isPart(part, of)}`
  const floats = select(
    FLOAT_VALUE,
    SPECIAL_VALUE,
    "NULL::VARCHAR",
    "2 * r.number + 1",
    "staged",
    staged.floats()
  )
  const histograms = () =>
    select(
      "NULL::DOUBLE",
      "NULL::VARCHAR",
      "r.histogram",
      "2 * r.before",
      "staged_histogram",
      staged.histograms()
    )
  const all = staged.histograms().all === 0 ? floats : `${floats} UNION ALL ${histograms()}`
  if (!isUnique) return all
  // A histogram comes after `before` floats, and before the next float.
  return `SELECT * EXCLUDE (place, number) FROM (${all})
    QUALIFY row_number() OVER (PARTITION BY series_id, time ORDER BY place DESC, number DESC) = 1`
}
