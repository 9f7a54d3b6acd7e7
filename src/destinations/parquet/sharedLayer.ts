/** Parquet files as the destination of parts, which several processes write at the same time. */
import { Effect, type FileSystem, Layer, Option, Schedule, type Scope } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { shellQuote } from "../../text/shellQuote.ts"
import { Destination, type DestinationError } from "../Destination.ts"
import type { OpenOptions } from "../DestinationKind.ts"
import { asSaved, refuseKind, sharedStreams } from "../manifest.ts"
import { SharedDestination } from "../SharedDestination.ts"
import { DEFAULT_MEMORY_MEGABYTES } from "../tables/startDuckDB.ts"
import { openEngine } from "./engine.ts"
import type { ParquetManifest } from "./manifest.ts"
import { openPart, stateOf } from "./openPart.ts"
import type { SharedPlace } from "./SharedPlace.ts"

/** What a kind of place adds. */
export interface SharedOpening {
  readonly options: OpenOptions
  readonly place: Effect.Effect<
    SharedPlace,
    ConfigError | DestinationError,
    FileSystem.FileSystem | Scope.Scope
  >
  /** Opens the same place for one run. */
  readonly exclusive: (
    options: OpenOptions
  ) => Layer.Layer<Destination, ConfigError | DestinationError, FileSystem.FileSystem>
  readonly previewSql: (stream: string, place: SharedPlace) => string
}

/** The mode of parts. */
const MODE = "incremental_append_deduped"

/** How long several processes that start wait for the one that completes what a killed run has left. */
const RECOVERY_ATTEMPTS = 60

/** Completes what killed runs have left, and removes repeated rows that other modes have appended. */
const recover = ({ exclusive, options }: SharedOpening, unfit: ReadonlyArray<ParquetManifest>) =>
  Effect.scoped(
    Effect.flatMap(Destination, ({ open }) =>
      Effect.forEach(unfit, ({ stream }) => Effect.scoped(open(stream, MODE, true)), { discard: true })
    )
  ).pipe(Effect.provide(exclusive(asSaved(options, unfit))))

/** Opens a place for parts. */
export const makeSharedLayer = (
  opening: SharedOpening
): Layer.Layer<SharedDestination, ConfigError | DestinationError, FileSystem.FileSystem> =>
  Layer.effect(
    SharedDestination,
    Effect.gen(function* () {
      const { options, previewSql } = opening
      const unfit = (place: SharedPlace) =>
        Effect.flatMap(place.manifests, (manifests) =>
          // Tables have no parts.
          Effect.filter(
            manifests.filter(({ kind }) => kind !== "table"),
            (manifest) => (manifest.isUnique ? place.needsRecovery(manifest) : Effect.succeed(true))
          )
        )
      const found = yield* Effect.scoped(Effect.flatMap(opening.place, unfit))
      if (found.length > 0) {
        yield* recover(opening, found).pipe(
          Effect.catchTag("ConfigError", (error) =>
            // Another process that starts may be doing it.
            Effect.flatMap(Effect.scoped(Effect.flatMap(opening.place, unfit)), (found) =>
              found.length === 0 ? Effect.void : Effect.fail(error)
            )
          ),
          Effect.retry({
            times: RECOVERY_ATTEMPTS,
            schedule: Schedule.jittered(Schedule.spaced("500 millis")),
            while: ({ _tag }) => _tag === "ConfigError"
          })
        )
      }

      const place = yield* opening.place
      // Errors of DuckDB are about local files.
      const folder = place.within.startsWith(`${place.folder}/`) ? place.folder : place.within
      const engine = yield* openEngine(
        place,
        { folder, within: place.within },
        options.memoryMegabytes ?? DEFAULT_MEMORY_MEGABYTES
      )
      let files = 0
      const nextId = (): string => `${place.id}-${++files}`

      const agree = Effect.fnUntraced(function* (stream: string, proposed: number) {
        for (;;) {
          const { manifest, version } = yield* place.latest(stream)
          if (manifest.partMillis !== undefined) return manifest.partMillis
          yield* place.replace({ ...manifest, partMillis: proposed }, version)
        }
      })

      return SharedDestination.of({
        openPart: (stream) => openPart(place, engine, stream, nextId),
        states: {
          load: (stream) =>
            Effect.gen(function* () {
              const { manifest } = yield* place.latest(stream)
              yield* refuseKind(place.folder, manifest, place.kindOf(stream), MODE)
              // What a killed process has committed becomes visible.
              yield* place.settle(manifest)
              return Option.fromUndefinedOr(stateOf(manifest))
            }).pipe(Effect.mapError(({ message }) => new ConfigError({ message })))
        },
        streams: Effect.map(place.manifests, sharedStreams),
        partLengths: Effect.fnUntraced(function* (proposed) {
          const agreed = yield* Effect.forEach(
            proposed,
            ([stream, millis]) => Effect.map(agree(stream, millis), (length) => [stream, length] as const),
            { concurrency: 8 }
          )
          const saved = (yield* place.manifests).flatMap(({ partMillis, stream }) =>
            partMillis === undefined ? [] : [[stream, partMillis] as const]
          )
          return new Map([...saved, ...agreed])
        }),
        bytes: Effect.map(place.manifests, (manifests) =>
          manifests.flatMap(({ files }) => files).reduce((sum, { bytes }) => sum + bytes, 0)
        ),
        previewCommand: (stream) => `duckdb -c ${shellQuote(previewSql(stream, place))}`
      })
    })
  )
