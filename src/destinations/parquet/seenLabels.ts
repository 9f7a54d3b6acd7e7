/** Gives the labels of rows in files other columns, if other processes have given the columns of the stream in another order. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { DEFAULT_LABEL_COLUMNS } from "../../records/LabelColumns.ts"
import type { Layout } from "../../samples/Layout.ts"
import { quoteName } from "../tables/quoteSql.ts"
import {
  appendLabels,
  seenLabels as begin,
  rulesIn,
  type SeenLabels,
  seenAgain
} from "../tables/staging/seenLabels.ts"
import { parquetColumnOf } from "./parquetRows.ts"

const rules = { columnOf: parquetColumnOf, most: DEFAULT_LABEL_COLUMNS }

/**
 * Starts with the columns that a stream has. `before` are labels that had columns before, and get one again. Undefined if the layout
 * gives no label a column.
 */
export const seenLabels = (
  layout: Layout,
  known: ReadonlyArray<string>,
  before?: SeenLabels
): SeenLabels | undefined => {
  const own = rulesIn(layout, rules)
  if (own === undefined) return undefined
  return before === undefined ? begin(known, own) : seenAgain(before, known, own)
}

/** How many series are inserted at once. */
const BATCH = 500

/**
 * Writes the labels of the series in some rows with other columns to a temporary table `moved_series`. Returns a query for the
 * rows with these columns. `rows` is a query with the columns `before`.
 */
export const withColumns = async (
  duckdb: typeof import("@duckdb/node-api"),
  connection: DuckDBConnection,
  rows: string,
  before: SeenLabels,
  after: SeenLabels
): Promise<string> => {
  const described = await connection.runAndReadAll(`DESCRIBE ${rows}`)
  const present = new Set(described.getRowObjectsJS().map((row) => String(row.column_name)))
  const old = Array.from(before.seen).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && present.has(entry[1])
  )
  const columns = ["series_id", "other_labels", ...old.map(([, column]) => column)]
  const series = await connection.runAndReadAll(
    `SELECT DISTINCT ${columns.map(quoteName).join(", ")} FROM (${rows})`
  )
  await connection.run(
    "CREATE OR REPLACE TEMP TABLE moved_series (series_id VARCHAR, rest VARCHAR, labels VARCHAR[])"
  )
  const all = series.getRowsJS() as ReadonlyArray<ReadonlyArray<string | null>>
  for (let from = 0; from < all.length; from += BATCH) {
    const appender = await connection.createAppender("moved_series", null, "temp")
    for (const [id, others, ...values] of all.slice(from, from + BATCH)) {
      const labels: Array<readonly [string, string]> = others ? Object.entries(JSON.parse(others)) : []
      for (const [index, value] of values.entries()) if (value !== null) labels.push([old[index]![0], value!])
      appender.appendVarchar(id!)
      appendLabels(appender, duckdb, labels, after)
      appender.endRow()
    }
    appender.closeSync()
  }
  const names = after.names.map((name, index) => `, m.labels[${index + 1}] AS ${quoteName(name)}`)
  return `SELECT r.series_id, r.time, r.value, r.special_value, r.histogram${names.join("")}, m.rest AS other_labels
    FROM (${rows}) AS r JOIN temp.moved_series AS m ON m.series_id = r.series_id`
}
