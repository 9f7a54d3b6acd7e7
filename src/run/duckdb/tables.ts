/** Streams as tables of a DuckDB database: their names, their columns, and the statements that change them. */
import { columnOf } from "../../records/Columns.ts"
import { quoteName } from "../quoteSql.ts"

/** What the database is called where it is attached, whatever its file is called. */
export const DATABASE = "data"

/** The schema of what is remembered of streams: beside the tables of streams, which may be called anything. */
export const OWN_SCHEMA = "_source_prometheus"

/** A table of a stream, unmistakably: a schema or another database may have the same name. */
export const qualified = (table: string): string => `${DATABASE}.main.${quoteName(table)}`

/** A name as DuckDB tells it from others: not by its case. */
export const folded = (name: string): string => name.toLowerCase()

/**
 * The table for a stream: called as the stream is, and numbered (`Up_2`) where DuckDB would not tell it from one of
 * `taken`, which are folded. SQL cannot say NUL, nor UTF-8 half a surrogate pair: U+FFFD stands for them.
 */
export const tableName = (stream: string, taken: ReadonlySet<string>): string => {
  const plain = stream.toWellFormed().replaceAll("\0", "\ufffd")
  for (let number = 1; ; number++) {
    const name = number === 1 ? plain : `${plain}_${number}`
    if (!taken.has(folded(name))) return name
  }
}

/** What every table of DuckDB has already, without a column. A label of that name is renamed as `time` is. */
const ROW_ID = "rowid"
const PREFIX = "label_"

/** The column of a label, by the rules of all records and those of DuckDB. */
export const duckdbColumnOf = (label: string): string | undefined => {
  if (folded(label) === ROW_ID) return PREFIX + label
  if (folded(label) === PREFIX + ROW_ID || label.includes("\0") || !label.isWellFormed()) return undefined
  return columnOf(label)
}

/**
 * The columns that are not of labels. What has no column of its own, and histograms, are JSON and not maps: it is the
 * text that all other destinations get, `other_labels->>'name'` reads it, and counts keep the server's digits.
 */
export const ownColumns = (
  hasLabelColumns: boolean
): ReadonlyArray<readonly [name: string, type: string]> => [
  ["time", "TIMESTAMPTZ"],
  ["value", "DOUBLE"],
  ["special_value", "VARCHAR"],
  ["series_id", "VARCHAR"],
  ["histogram", "JSON"],
  [hasLabelColumns ? "other_labels" : "labels", "JSON"]
]

/**
 * Makes a table. No primary key is declared: that no series and time is there twice is the work of whoever inserts. With one,
 * DuckDB keeps an index of all rows. Measured on two cores that had nothing else to do: whole runs of 5.76 million rows took
 * 15.0 s and 15.3 s instead of 8.7 s and 8.7 s, which is a little less than 400,000 rows a second, and files of twice the
 * size; inserts alone came to 0.43 instead of 1.76 million rows a second. Nor could rows be appended twice in the other modes.
 */
export const createTable = (
  table: string,
  hasLabelColumns: boolean,
  labels: ReadonlyArray<string>
): string => {
  const columns = [
    ...ownColumns(hasLabelColumns).map(([name, type]) => `${quoteName(name)} ${type}`),
    ...labels.map((name) => `${quoteName(name)} VARCHAR`)
  ]
  return `CREATE TABLE ${qualified(table)} (${columns.join(", ")})`
}

export const addLabelColumn = (table: string, label: string): string =>
  `ALTER TABLE ${qualified(table)} ADD COLUMN ${quoteName(label)} VARCHAR`

/** Leaves the last row of each series and time in a qualified table. Rows are numbered in the order in which they came. */
export const deleteRepeated = (table: string): string => `
  DELETE FROM ${table} AS t
  USING (
    SELECT series_id, time, max(rowid) AS last FROM ${table}
    GROUP BY series_id, time HAVING count(*) > 1
  ) AS k
  WHERE t.series_id = k.series_id AND t.time = k.time AND t.rowid < k.last`

/** A moment as SQL has it. */
export const timeLiteral = (millis: number): string => `make_timestamptz(${millis * 1000}::BIGINT)`
