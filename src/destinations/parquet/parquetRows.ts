/** What is special about Parquet files: their columns, and queries for staged samples by their days. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { columnOf } from "../../records/Columns.ts"
import type { Contents } from "../Destination.ts"
import { quoteName } from "../duckdb/quoteSql.ts"
import type { Staged, StagedSamples } from "../duckdb/staging/StagedSamples.ts"
import { FLOAT_VALUE, SPECIAL_VALUE } from "../duckdb/staging/stagedSql.ts"

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

/** Which of the staged rows: those before the mark, or those after it. */
export type Part = "kept" | "rest"

const isPart = (part: Part, { all, first, marked }: Staged): string =>
  part === "kept"
    ? `r.number >= ${first} AND r.number < ${marked}`
    : `r.number >= ${marked} AND r.number < ${all}`

/** Whether there are rows of a part. */
export const hasPart = (staged: StagedSamples, part: Part): boolean =>
  [staged.floats(), staged.histograms()].some(({ all, first, marked }) =>
    part === "kept" ? marked > first : all > marked
  )

const DAY = 86_400_000

/** A day that rows are of. Its midnight is in milliseconds, too. */
export interface Day extends Contents {
  readonly midnight: number
}

/** The days that rows of a part are of, in the order of time. */
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

/** What series have in common, with their labels as `label_0` and so on. */
const plainSeries = ({ labels }: StagedSamples): string =>
  `(SELECT number, series_id, rest${(labels?.names ?? []).map((_, index) => `, labels[${index + 1}] AS label_${index}`).join("")} FROM temp.staged_series)`

/** Encoding pays where there are so many rows. Each part of a file has all values of all series, so there must not be many. */
const ENCODED_ROWS = 50_000
const ENCODED_SERIES = 2000
const ROWS_PER_SERIES = 100

/**
 * The series of staged rows, for `rowsOfDay`. Their texts are enums where that pays: DuckDB writes them as the same texts, and
 * takes a third of the time, since it need not find the values that a column has.
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
 * A query for the rows of a part of one day, whose midnight is in milliseconds: the last of each series and time, or all.
 * `series` is what `seriesOf` returned.
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
  // A histogram came after so many floats, and before the next one.
  return `SELECT * EXCLUDE (place, number) FROM (${all})
    QUALIFY row_number() OVER (PARTITION BY series_id, time ORDER BY place DESC, number DESC) = 1`
}
