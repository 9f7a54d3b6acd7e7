/** The tables and views of an attached database of DuckDB. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { DATABASE, folded, OWN_SCHEMA, type Relation } from "./names.ts"

export const readRelations = async (connection: DuckDBConnection) => {
  const result = await connection.runAndReadAll(
    `SELECT schema_name, table_name, 'table' FROM duckdb_tables() WHERE database_name = '${DATABASE}'
     UNION ALL
     SELECT schema_name, view_name, 'view' FROM duckdb_views() WHERE database_name = '${DATABASE}' AND NOT internal`
  )
  const all = result.getRowsJS()
  const main = all.filter(([schema]) => schema === "main")
  return {
    isEmpty: all.length === 0,
    /** Whether it has the bookkeeping of this program. */
    hasOwn: all.some(([schema]) => schema === OWN_SCHEMA),
    /** Those beside the bookkeeping, by folded name. */
    relations: new Map(main.map(([, name, kind]) => [folded(String(name)), kind as Relation]))
  }
}
