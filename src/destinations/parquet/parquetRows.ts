/** The columns of Parquet files, and queries for the staged samples of each day. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { columnOf } from "../../records/LabelColumns.ts"
import { quoteName } from "../tables/quoteSql.ts"
import type { StagedSamples } from "../tables/staging/StagedSamples.ts"
import { labelNames, type Part, stagedRows, stagedSeries } from "../tables/staging/stagedRows.ts"
import { DAY } from "./Days.ts"

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

/** Encoding pays off above this number of rows. Each row group contains the dictionary of all series, so there must not be many. */
const ENCODED_ROWS = 50_000
const ENCODED_SERIES = 2000
const ROWS_PER_SERIES = 100

/**
 * The staged series, for `rowsOfDay`. Their texts are enums if that pays off: DuckDB writes the same strings, and takes a third
 * of the time, because it does not have to build the dictionary of a column.
 */
export const seriesOf = async (staged: StagedSamples, connection: DuckDBConnection): Promise<string> => {
  const series = stagedSeries(staged)
  const rows = staged.floats().all - staged.floats().first
  const count = staged.seriesCount()
  if (rows < ENCODED_ROWS || count > ENCODED_SERIES || count * ROWS_PER_SERIES > rows) return series
  const columns = ["series_id", "rest", ...labelNames(staged)]
  const types = columns.map(
    (column) =>
      `CREATE OR REPLACE TEMP TYPE ${column}_values AS ENUM (SELECT DISTINCT ${column} FROM ${series} WHERE ${column} IS NOT NULL);`
  )
  const encoded = columns.map((column) => `${column}::${column}_values AS ${column}`)
  await connection.run(`
    DROP TABLE IF EXISTS temp.encoded_series;
    ${types.join("\n")}
    CREATE TEMP TABLE encoded_series AS SELECT number, ${encoded.join(", ")} FROM ${series}`)
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
  const names = staged.labels?.names ?? []
  const labels = labelNames(staged).map((label, index) => `, ${label} AS ${quoteName(names[index]!)}`)
  const rows = stagedRows(staged, part, series, `epoch_ms(r.time) // ${DAY} = ${midnight / DAY}`)
  const all = `SELECT series_id, time, value, special_value, histogram${labels.join("")}, rest AS ${staged.rest} FROM (${rows})`
  return isUnique
    ? `${all} QUALIFY row_number() OVER (PARTITION BY series_id, time ORDER BY place DESC, number DESC) = 1`
    : all
}
