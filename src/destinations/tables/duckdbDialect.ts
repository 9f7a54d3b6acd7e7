/** Tables of DuckDB itself, and of catalogs whose tables it treats like its own. */
import type { Layout } from "../../samples/Layout.ts"
import type { TableColumn } from "../../samples/TableRow.ts"
import type { Dialect, RunQuery } from "./Dialect.ts"
import { structHistograms } from "./histograms.ts"
import { VERSION } from "./manifests.ts"
import {
  DATABASE,
  duckdbColumnOf,
  folded,
  inTableOrder,
  isBetween,
  OWN_SCHEMA,
  ownColumns,
  tableName
} from "./names.ts"
import { quoteName } from "./quoteSql.ts"
import { duckdbTypes } from "./staging/StagedTable.ts"

/** A schema or another database may have the same name. */
const qualified = (table: string): string => `${DATABASE}.main.${quoteName(table)}`

/**
 * Creates a table. It declares no key, which would halve the speed and add two thirds to the file. `uniqueRows.ts` keeps rows
 * unique.
 */
const createTable = (
  table: string,
  rest: Layout["rest"],
  labels: ReadonlyArray<string>
): ReadonlyArray<string> => {
  const columns = inTableOrder(
    rest,
    ownColumns(rest).map(([name, type]) => `${quoteName(name)} ${type}`),
    labels.map((name) => `${quoteName(name)} VARCHAR`)
  )
  return [`CREATE TABLE ${qualified(table)} (${columns.join(", ")})`]
}

const rowColumn = ({ kind, name }: TableColumn): string => `${quoteName(name)} ${duckdbTypes[kind]}`

/** The first id of so many last rows. */
const firstOfLast = async (runQuery: RunQuery, table: string, rows: number): Promise<number> => {
  const from = qualified(table)
  const [all] = await runQuery(`SELECT count(*)::DOUBLE, max(rowid)::DOUBLE FROM ${from}`)
  const [count, last] = [Number(all?.[0]), all?.[1]]
  const end = last === null ? 0 : Number(last) + 1
  if (rows === 0) return end
  // Ids without gaps need no sorting.
  if (end === count) return Math.max(0, end - rows)
  const [found] = await runQuery(
    `SELECT min(id)::DOUBLE FROM (SELECT rowid AS id FROM ${from} ORDER BY id DESC LIMIT ${rows})`
  )
  return Number(found?.[0])
}

export const duckdbDialect: Dialect = {
  engine: "DuckDB",
  place: "file",
  version: VERSION,
  about: `${DATABASE}.${OWN_SCHEMA}.about`,
  streams: `${DATABASE}.${OWN_SCHEMA}.streams`,
  aboutName: `${OWN_SCHEMA}.about`,
  streamsName: `${OWN_SCHEMA}.streams`,
  folded,
  tableName,
  columnOf: duckdbColumnOf,
  histograms: structHistograms,
  qualified,
  createTable,
  createRows: (table, columns) => [`CREATE TABLE ${qualified(table)} (${columns.map(rowColumn).join(", ")})`],
  addRowColumn: (table, column) => `ALTER TABLE ${qualified(table)} ADD COLUMN ${rowColumn(column)}`,
  addColumn: (table, column) => `ALTER TABLE ${qualified(table)} ADD COLUMN ${quoteName(column)} VARCHAR`,
  dropTable: (table) => `DROP TABLE IF EXISTS ${qualified(table)}`,
  renameTable: (table, to) => `ALTER TABLE ${qualified(table)} RENAME TO ${quoteName(to)}`,
  rowsByMinute: (table, range) =>
    `SELECT epoch_ms(time) // 60000 AS minute, count(*) AS count FROM ${qualified(table)} WHERE ${range === undefined ? "true" : isBetween("time", range)} GROUP BY minute`,
  contents: (table, where) =>
    `SELECT count(*)::DOUBLE, epoch_ms(min(time))::DOUBLE, epoch_ms(max(time))::DOUBLE FROM ${qualified(table)} WHERE ${where}`,
  lastRows: async (runQuery, table, rows) => `rowid >= ${await firstOfLast(runQuery, table, rows)}`,
  // Rows inserted later have greater ids.
  removeEarlier: (table, range, key) => `
    DELETE FROM ${qualified(table)} AS old USING (
      SELECT ${key}, time, max(rowid) AS id FROM ${qualified(table)} WHERE ${isBetween("time", range)}
      GROUP BY ${key}, time HAVING count(*) > 1
    ) AS last
    WHERE ${isBetween("old.time", range)} AND old.${key} = last.${key} AND old.time = last.time AND old.rowid < last.id`
}
