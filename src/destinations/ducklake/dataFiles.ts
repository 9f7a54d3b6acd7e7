/**
 * Parquet files of rows in the folder of a table, which a part has before it is committed. A file that no table lists is never
 * visible. A killed process may leave one.
 */
import { randomUUID } from "node:crypto"
import { dirname } from "node:path"
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect, FileSystem } from "effect"
import { cannot, makeFolder, syncFile, syncFolder } from "../folder/durably.ts"
import { isS3Url } from "../objects/S3Url.ts"
import { DATABASE } from "../tables/names.ts"
import { quoteName, quoteText } from "../tables/quoteSql.ts"
import type { StagedSamples } from "../tables/staging/StagedSamples.ts"
import { labelNames, stagedRows, stagedSeries } from "../tables/staging/stagedRows.ts"
import type { SharedLake } from "./SharedLake.ts"

export type DataFiles = Effect.Success<ReturnType<typeof openDataFiles>>

export const openDataFiles = Effect.fnUntraced(function* ({
  access,
  attempt,
  dataPath = "",
  shared
}: SharedLake) {
  const files = yield* FileSystem.FileSystem
  const onDisk = Effect.provideService(FileSystem.FileSystem, files)
  /** The folders of tables, with a slash at the end. */
  const folders = new Map<string, string>()
  const folderOf = Effect.fnUntraced(function* (table: string) {
    const known = folders.get(table)
    if (known !== undefined) return known
    const { isRelative, path } = yield* attempt(() => shared.folderOf(table))
    const folder = `${isRelative ? dataPath : ""}${path.replace(/\/*$/, "/")}`
    if (!isS3Url(folder)) yield* onDisk(makeFolder(folder))
    folders.set(table, folder)
    return folder
  })
  return {
    /** Writes the staged rows with a condition on `r.time` to a file for a table. Undefined if there are none. */
    write: Effect.fnUntraced(function* (
      own: DuckDBConnection,
      table: string,
      staged: StagedSamples,
      where: string
    ) {
      const path = `${yield* folderOf(table)}source-prometheus-${randomUUID()}.parquet`
      const sql = `COPY (${rowsOf(staged, where)}) TO ${quoteText(path)} (FORMAT parquet, COMPRESSION zstd)`
      const write = Effect.gen(function* () {
        yield* access?.renew ?? Effect.void
        const { rowsChanged } = yield* attempt(() => own.run(sql))
        if (rowsChanged > 0 && !isS3Url(path)) {
          yield* onDisk(syncFile(path))
          yield* onDisk(syncFolder(dirname(path)))
        }
        return rowsChanged
      })
      const rows = yield* Effect.tapError(write, () => Effect.ignore(remove(path)))
      if (rows > 0) return path
      yield* remove(path)
      return undefined
    }),
    remove: (path: string) => remove(path)
  }

  function remove(path: string) {
    return access !== undefined && isS3Url(path)
      ? access.remove(path)
      : files.remove(path, { force: true }).pipe(Effect.mapError(cannot("removed", path)))
  }
})

/** A query for staged rows with the columns of their table. */
const rowsOf = (staged: StagedSamples, where: string): string => {
  const { labels, rest } = staged
  const named = labelNames(staged).map((label, index) => `, ${label} AS ${quoteName(labels!.names[index]!)}`)
  return `SELECT time, value, special_value, series_id, histogram, rest AS ${rest}${named.join("")}
    FROM (${stagedRows(staged, "marked", stagedSeries(staged, "rest::JSON"), where)})`
}

/** A statement that adds a file to a table, whose columns have the same names. Columns that it does not have are null. */
export const addFile = (table: string, path: string): string =>
  `CALL ducklake_add_data_files('${DATABASE}', ${quoteText(table)}, ${quoteText(path)}, schema => 'main', allow_missing => true, hive_partitioning => false)`
