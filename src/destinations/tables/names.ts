/** Streams as tables of a database: their names and their columns. */
import { columnOf } from "../../records/LabelColumns.ts"
import type { Layout } from "../../samples/Layout.ts"
import { structHistograms } from "./histograms.ts"

/** The name under which the database is attached, whatever the name of its file. */
export const DATABASE = "data"

/** The schema of manifests, separate from the tables of streams, which may have any name. */
export const OWN_SCHEMA = "_source_prometheus"

/** The kinds of objects with a name in a schema. */
export type Relation = "table" | "view" | "index" | "sequence" | "type"

/** The first and the last time, both included, in milliseconds. */
export interface TimeRange {
  readonly first: number
  readonly last: number
}

/** A name as DuckDB compares it: case-insensitive. */
export const folded = (name: string): string => name.toLowerCase()

/** The table of a stream with an empty name, which SQL does not support. */
const UNNAMED = "unnamed"

/**
 * The table name for a stream: the name of the stream, with a number (`Up_2`) if DuckDB would not distinguish it from a name in
 * `taken`, which are folded. SQL supports neither NUL nor lone surrogates: U+FFFD replaces them.
 */
export const tableName = (stream: string, taken: ReadonlySet<string>): string => {
  const plain = stream === "" ? UNNAMED : stream.toWellFormed().replaceAll("\0", "\ufffd")
  for (let number = 1; ; number++) {
    const name = number === 1 ? plain : `${plain}_${number}`
    if (!taken.has(folded(name))) return name
  }
}

/** Implicit columns of every DuckDB table. A label of that name is renamed like `time`. */
const ROW_ID = "rowid"
const PREFIX = "label_"

/** The column of a label, by the rules of all records and those of DuckDB; undefined if SQL does not support its name. */
export const duckdbColumnOf = (label: string): string | undefined => {
  if (folded(label) === ROW_ID) return PREFIX + label
  const isRepresentable = label !== "" && !label.includes("\0") && label.isWellFormed()
  if (folded(label) === PREFIX + ROW_ID || !isRepresentable) return undefined
  return columnOf(label)
}

/**
 * The columns that are not labels. Labels without a column are JSON and not a map: all other destinations get the same text, and
 * `other_labels->>'name'` reads it.
 */
export const ownColumns = (rest: Layout["rest"]): ReadonlyArray<readonly [name: string, type: string]> => [
  ["time", "TIMESTAMPTZ"],
  ["value", "DOUBLE"],
  ["special_value", "VARCHAR"],
  ["series_id", "VARCHAR"],
  ["histogram", structHistograms.type],
  [rest, "JSON"]
]

/** Whether a column is one of those that are not labels. */
export const isOwnColumn = (rest: Layout["rest"], name: string): boolean =>
  ownColumns(rest).some(([own]) => own === name)

/** The columns of a new table: labels are last, after the name of the metric. */
export const inTableOrder = <A>(
  rest: Layout["rest"],
  own: ReadonlyArray<A>,
  labels: ReadonlyArray<A>
): ReadonlyArray<A> =>
  rest === "labels" ? [...own.slice(0, -1), ...labels, ...own.slice(-1)] : [...own, ...labels]

/** A time as an SQL literal. */
export const timeLiteral = (millis: number): string => `make_timestamptz(${millis * 1000}::BIGINT)`

/** A condition on a time. */
export const isBetween = (time: string, { first, last }: TimeRange): string =>
  `${time} BETWEEN ${timeLiteral(first)} AND ${timeLiteral(last)}`
