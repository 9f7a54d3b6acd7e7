/**
 * A DuckLake as a destination: a table per stream, in Parquet files on a disk or in an object store. Its catalog, a DuckDB file or
 * a database of PostgreSQL, says which files have which rows.
 *
 * Samples are staged in temporary tables of DuckDB. A commit is one transaction of DuckLake for the rows and the stream's
 * manifest.
 */
import { Effect, Exit, type FileSystem, Layer, Schedule, Scope } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { Destination, type DestinationError } from "../Destination.ts"
import type { DestinationKind, OpenOptions } from "../DestinationKind.ts"
import { asSaved } from "../manifest.ts"
import { SharedDestination } from "../SharedDestination.ts"
import { destinationOf } from "../tables/destinationOf.ts"
import { DEFAULT_MEMORY_MEGABYTES } from "../tables/startDuckDB.ts"
import { tableOf } from "../tables/streamTables.ts"
import { catalogOf, remoteCatalog } from "./catalogPlace.ts"
import { openLake } from "./openLake.ts"
import { openShared } from "./openShared.ts"
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

/** Opens the DuckLake for parts. Only PostgreSQL lets several processes use a catalog. */
export const sharedLayer = (
  options: OpenOptions
): Layer.Layer<SharedDestination, ConfigError | DestinationError, FileSystem.FileSystem> =>
  Layer.effect(
    SharedDestination,
    Effect.gen(function* () {
      const { path } = options
      if (catalogOf(path).kind === "file") {
        return yield* new ConfigError({
          message: `${path} is a catalog in a file, which DuckDB locks for one process, so several processes cannot write parts to it. Use a catalog in PostgreSQL: --to "ducklake:postgres:dbname=DATABASE host=HOST".`
        })
      }
      const open = Effect.retry(openShared(options), {
        times: OPEN_ATTEMPTS,
        schedule: pause,
        while: isInUse
      })
      const outer = yield* Effect.scope
      const first = yield* Scope.fork(outer)
      const { repeated, service } = yield* Scope.provide(open, first)
      if (repeated.length === 0) return service
      yield* Scope.close(first, Exit.void)
      // An exclusive run makes rows unique that other modes have appended. Another process that starts may be doing it.
      const makeUnique = Effect.flatMap(Destination, (destination) =>
        Effect.forEach(
          repeated,
          ({ stream }) => Effect.scoped(destination.open(stream, "incremental_append_deduped", true)),
          { discard: true }
        )
      ).pipe(Effect.provide(layer(asSaved(options, repeated))))
      yield* Effect.retry(makeUnique, { times: UNIQUE_ATTEMPTS, schedule: pause, while: isInUse })
      return (yield* open).service
    })
  )

/** How long processes that start wait for each other: a moment, or for one that makes rows unique. */
const OPEN_ATTEMPTS = 10
const UNIQUE_ATTEMPTS = 120
const pause = Schedule.jittered(Schedule.spaced("500 millis"))

/** Whether another process holds the catalog, which may end soon. */
const isInUse = ({ message }: { readonly message: string }): boolean => message.includes(" is in use by ")

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
  layer,
  sharedLayer
}
