/**
 * A DuckDB database as a destination: a table per stream, in one file that other tools can open.
 *
 * Samples are staged in temporary tables. A commit inserts them into the stream's table, in the transaction that saves the
 * stream's manifest. A refresh that replaces rows has a separate table, which replaces the stream's table once it is complete.
 */
import { Effect, FileSystem, Layer } from "effect"
import type { ConfigError } from "../../config/ConnectorConfig.ts"
import { pathArgument, shellQuote } from "../../text/shellQuote.ts"
import { Destination, type DestinationError } from "../Destination.ts"
import type { DestinationKind, OpenOptions } from "../DestinationKind.ts"
import { destinationOf } from "../tables/destinationOf.ts"
import { quoteName } from "../tables/quoteSql.ts"
import { DEFAULT_MEMORY_MEGABYTES } from "../tables/startDuckDB.ts"
import { tableOf } from "../tables/streamTables.ts"
import { openDatabase } from "./Database.ts"

/** Opens the database for one run, with its states. */
export const layer = (
  options: OpenOptions
): Layer.Layer<Destination, ConfigError | DestinationError, FileSystem.FileSystem> =>
  Layer.effect(
    Destination,
    Effect.gen(function* () {
      const { path, readOnly = false } = options
      const files = yield* FileSystem.FileSystem
      const { checkpoint, database, file } = yield* openDatabase(options)
      const sizeOf = (file: string) =>
        files.stat(file).pipe(
          Effect.map(({ size }) => Number(size)),
          Effect.orElseSucceed(() => 0)
        )
      return destinationOf(database, {
        readOnly,
        bytes: Effect.andThen(
          readOnly ? Effect.void : checkpoint,
          Effect.zipWith(sizeOf(file), sizeOf(`${file}.wal`), (file, log) => file + log)
        ),
        previewCommand: (stream) =>
          `duckdb -readonly ${pathArgument(path)} -c ${shellQuote(previewSql(tableOf(database, stream)))}`
      })
    })
  )

/** A query that shows the latest rows of a table. */
const previewSql = (table: string): string => `SELECT * FROM ${quoteName(table)} ORDER BY time DESC LIMIT 10`

/** `duckdb:FILE`. */
export const duckdb: DestinationKind = {
  scheme: "duckdb",
  place: "FILE",
  takesGzip: false,
  memoryMegabytes: DEFAULT_MEMORY_MEGABYTES,
  suggestion: (text) => (/\.(duckdb|db)$/i.test(text) ? `, such as duckdb:${text}` : undefined),
  replacesRows: true,
  owns: (place, path) => [place, `${place}.wal`, `${place}.tmp`].includes(path),
  layer
}
