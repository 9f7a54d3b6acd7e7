/** A catalog in a DuckDB file. DuckDB locks it for one process. */
import { Effect, FileSystem } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { DestinationError } from "../Destination.ts"
import { checkPlace } from "../duckdb/checkPlace.ts"
import { holdFile, makeFile } from "../duckdb/openFile.ts"
import { quoteText } from "../tables/quoteSql.ts"
import { type CatalogEngine, type LakeCatalog, METADATA_TABLE } from "./LakeCatalog.ts"

/** Finds the file of a catalog, which this process holds until the scope closes. */
export const holdCatalogFile = Effect.fnUntraced(function* (path: string, readOnly: boolean) {
  const { exists, file } = yield* checkPlace(path)
  if (readOnly && !exists) {
    return yield* new DestinationError({ message: `${path} cannot be opened: it does not exist.` })
  }
  yield* holdFile(path, file)
  return { exists, file }
})

/** Reads the catalog in a file, and creates an empty file first if it does not exist. */
export const openCatalogFile = Effect.fnUntraced(function* (
  path: string,
  { exists, file }: { readonly exists: boolean; readonly file: string },
  { attempt, connection }: CatalogEngine
) {
  const files = yield* FileSystem.FileSystem
  if (!exists) yield* makeFile(path, file, (sql) => attempt(() => connection.run(sql)))
  const { dataPath, isForeign } = yield* attempt(async () => {
    await connection.run(`ATTACH ${quoteText(file)} AS probe (READ_ONLY)`)
    try {
      const rows = async (sql: string) => (await connection.runAndReadAll(sql)).getRowsJS()
      const tables = await rows("SELECT table_name FROM duckdb_tables() WHERE database_name = 'probe'")
      if (!tables.some(([name]) => name === METADATA_TABLE)) {
        return { dataPath: undefined, isForeign: tables.length > 0 }
      }
      const [found] = await rows(
        `SELECT value FROM probe.main.${METADATA_TABLE} WHERE key = 'data_path' AND scope IS NULL`
      )
      return { dataPath: found === undefined ? "" : String(found[0]), isForeign: false }
    } finally {
      await connection.run("DETACH probe")
    }
  })
  if (isForeign) {
    return yield* new ConfigError({
      message: `${path} is a DuckDB database with tables, and no catalog of a DuckLake. Choose another file, or write tables into it with --to duckdb:${path}.`
    })
  }
  const sizeOf = (path: string) =>
    files.stat(path).pipe(
      Effect.map(({ size }) => Number(size)),
      Effect.orElseSucceed(() => 0)
    )
  const catalog: LakeCatalog = {
    address: file,
    attached: file,
    isPostgres: false,
    dataPath,
    check: async () => {},
    bytes: Effect.zipWith(sizeOf(file), sizeOf(`${file}.wal`), (file, log) => file + log)
  }
  return catalog
})
