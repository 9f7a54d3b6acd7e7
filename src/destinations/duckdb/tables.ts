/** Streams as tables of a DuckDB database: their names, their columns, and the statements that change them. */
import { columnOf } from "../../records/Columns.ts"
import { quoteName } from "./quoteSql.ts"

/** What the database is called where it is attached, whatever its file is called. */
export const DATABASE = "data"

/** The schema of manifests: apart from the tables of streams, which may have any name. */
export const OWN_SCHEMA = "_source_prometheus"

/** What may have a name in a schema. */
export type Relation = "table" | "view"

/** A table of a stream, unmistakably: a schema or another database may have the same name. */
export const qualified = (table: string): string => `${DATABASE}.main.${quoteName(table)}`

/** A name as DuckDB compares it: without its case. */
export const folded = (name: string): string => name.toLowerCase()

/** What a stream is called whose name is empty, which SQL cannot say. */
const UNNAMED = "unnamed"

/**
 * The table for a stream: called as the stream is, and numbered (`Up_2`) where DuckDB would not tell it from one of
 * `taken`, which are folded. SQL cannot say NUL, nor UTF-8 half a surrogate pair: U+FFFD stands for them.
 */
export const tableName = (stream: string, taken: ReadonlySet<string>): string => {
  const plain = stream === "" ? UNNAMED : stream.toWellFormed().replaceAll("\0", "\ufffd")
  for (let number = 1; ; number++) {
    const name = number === 1 ? plain : `${plain}_${number}`
    if (!taken.has(folded(name))) return name
  }
}

/** What every table of DuckDB has already, without a column. A label of that name is renamed as `time` is. */
const ROW_ID = "rowid"
const PREFIX = "label_"

/** The column of a label, by the rules of all records and those of DuckDB; undefined where SQL cannot say its name. */
export const duckdbColumnOf = (label: string): string | undefined => {
  if (folded(label) === ROW_ID) return PREFIX + label
  const isSayable = label !== "" && !label.includes("\0") && label.isWellFormed()
  if (folded(label) === PREFIX + ROW_ID || !isSayable) return undefined
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

/** Makes a table. It declares no key: one would take half the speed and two thirds of the file. `uniqueRows.ts` keeps rows unique. */
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

/** A moment as SQL has it. */
export const timeLiteral = (millis: number): string => `make_timestamptz(${millis * 1000}::BIGINT)`
