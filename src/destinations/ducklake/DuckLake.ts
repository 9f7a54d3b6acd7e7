/**
 * A DuckLake as a destination: a table per stream, in Parquet files on a disk or in an object store. Its catalog, a DuckDB file or
 * a database of PostgreSQL, says which files have which rows.
 *
 * Samples are staged in temporary tables of DuckDB. A commit is one transaction of DuckLake for the rows and the stream's
 * manifest.
 */
import { Effect, type FileSystem, Layer } from "effect"
import type { ConfigError } from "../../config/ConnectorConfig.ts"
import { Destination, type DestinationError } from "../Destination.ts"
import type { DestinationKind, OpenOptions } from "../DestinationKind.ts"
import { destinationOf } from "../tables/destinationOf.ts"
import { DEFAULT_MEMORY_MEGABYTES } from "../tables/startDuckDB.ts"
import { tableOf } from "../tables/streamTables.ts"
import { catalogOf, remoteCatalog } from "./catalogPlace.ts"
import { openLake } from "./openLake.ts"
import { previewCommand } from "./previewCommand.ts"

/** Opens the DuckLake for one run, with its states. */
export const layer = (
  options: OpenOptions
): Layer.Layer<Destination, ConfigError | DestinationError, FileSystem.FileSystem> =>
  Layer.effect(
    Destination,
    Effect.gen(function* () {
      const { access, bytes, catalog, database } = yield* openLake(options)
      return destinationOf(database, {
        readOnly: options.readOnly ?? false,
        bytes,
        previewCommand: (stream) => previewCommand({ access, catalog }, tableOf(database, stream))
      })
    })
  )

/** `ducklake:CATALOG`. */
export const ducklake: DestinationKind = {
  scheme: "ducklake",
  place: "CATALOG",
  contents: "a file, or postgres:dbname=… host=…",
  takesGzip: false,
  takesDataPath: true,
  memoryMegabytes: DEFAULT_MEMORY_MEGABYTES,
  remotePlace: remoteCatalog,
  suggestion: (text) => (/\.ducklake$/i.test(text) ? `, such as ducklake:${text}` : undefined),
  replacesRows: true,
  owns: (place, path) =>
    catalogOf(place).kind === "file" &&
    ([place, `${place}.wal`, `${place}.tmp`].includes(path) || path.startsWith(`${place}.files/`)),
  layer
}
