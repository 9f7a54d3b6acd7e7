/** Tables of a DuckLake. DuckDB treats them nearly like its own. */
import type { Dialect } from "../tables/Dialect.ts"
import { duckdbDialect } from "../tables/duckdbDialect.ts"
import { tableName } from "../tables/names.ts"

/** A new table gets a folder with its name, which may have 255 bytes. */
const MAX_NAME = 200

export const ducklakeDialect: Dialect = {
  ...duckdbDialect,
  place: "catalog",
  tableName: (stream, taken) => tableName(stream.slice(0, MAX_NAME), taken),
  addsColumnsApart: true
}
