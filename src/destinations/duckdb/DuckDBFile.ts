/**
 * A DuckDB database as a destination: a table per stream, in one file that other tools can open.
 *
 * Samples are staged in temporary tables. A commit inserts them into the stream's table, in the transaction that saves the
 * stream's manifest. A refresh that replaces rows has a separate table, which replaces the stream's table once it is complete.
 */
import { Effect, FileSystem, Layer } from "effect"
import type { ConfigError } from "../../config/ConnectorConfig.ts"
import { pathArgument, shellQuote } from "../../text/shellQuote.ts"
import { Destination, DestinationError } from "../Destination.ts"
import type { DestinationKind, OpenOptions } from "../DestinationKind.ts"
import { partLengthsOf, stateReaderOf } from "../manifest.ts"
import { contentsOf } from "./contents.ts"
import { openDatabase } from "./Database.ts"
import { openStream } from "./openStream.ts"
import { quoteName } from "./quoteSql.ts"
import { DEFAULT_MEMORY_MEGABYTES } from "./startDuckDB.ts"
import { tableOf } from "./streamTables.ts"

/** Opens the database for one run, with its states. */
export const layer = (
  options: OpenOptions
): Layer.Layer<Destination, ConfigError | DestinationError, FileSystem.FileSystem> =>
  Layer.effect(
    Destination,
    Effect.gen(function* () {
      const { path, readOnly = false } = options
      const files = yield* FileSystem.FileSystem
      const database = yield* openDatabase(options)
      const sizeOf = (file: string) =>
        files.stat(file).pipe(
          Effect.map(({ size }) => Number(size)),
          Effect.orElseSucceed(() => 0)
        )
      return Destination.of({
        open: (stream, mode, isResumed = false) =>
          readOnly
            ? Effect.fail(new DestinationError({ message: `${path} is open for reading only.` }))
            : openStream(database, stream, mode, isResumed),
        streams: () => [...database.manifests.keys()],
        partLengths: partLengthsOf(database),
        states: stateReaderOf(database),
        contents: (stream, of) => contentsOf(database, stream, of),
        bytes: Effect.andThen(
          readOnly ? Effect.void : database.checkpoint,
          Effect.zipWith(sizeOf(database.file), sizeOf(`${database.file}.wal`), (file, log) => file + log)
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
