/** A schema of PostgreSQL as the destination of parts, which several processes write at the same time. */
import { Effect, type FileSystem, Layer } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { decodeState } from "../../sync/StateStore.ts"
import { Destination, type DestinationError } from "../Destination.ts"
import type { OpenOptions } from "../DestinationKind.ts"
import { SharedDestination } from "../SharedDestination.ts"
import type { Manifest } from "../tables/manifests.ts"
import { makeAgreement } from "./agreement.ts"
import { openPart } from "./openPart.ts"
import { type OpenSchema, openSchema } from "./openSchema.ts"

/** What the exclusive destination adds. */
export interface SharedOpening {
  readonly options: OpenOptions
  /** Opens the same schema for one run. */
  readonly exclusive: Layer.Layer<Destination, ConfigError | DestinationError, FileSystem.FileSystem>
  readonly previewCommand: (opened: OpenSchema, stream: string) => string
}

/** How often several processes that start try to repair what another run has left. Each waits for the lock. */
const RECOVERY_ATTEMPTS = 10

/** Whether a table may have repeated rows, or a stopped refresh has left one. Only a run that is alone changes that. */
const isUnfit = ({ hasTable, isUnique, orphan }: Manifest): boolean =>
  (hasTable && !isUnique) || orphan !== undefined

const unfitStreams = (options: OpenOptions) =>
  Effect.scoped(
    Effect.map(openSchema(options, "shared"), ({ database }) =>
      Array.from(database.manifests.values())
        .filter(isUnfit)
        .map(({ stream }) => stream)
    )
  )

/** Opens these streams for a run, which repairs them. */
const recover = ({ exclusive }: SharedOpening, streams: ReadonlyArray<string>) =>
  Effect.scoped(
    Effect.flatMap(Destination, ({ open }) =>
      Effect.forEach(streams, (stream) => Effect.scoped(open(stream, "incremental_append_deduped", true)), {
        discard: true
      })
    )
  ).pipe(Effect.provide(exclusive))

const makeFit = Effect.fnUntraced(function* (opening: SharedOpening) {
  for (let left = RECOVERY_ATTEMPTS; ; left--) {
    const streams = yield* unfitStreams(opening.options)
    if (streams.length === 0) return
    // Another process that starts may be doing it.
    const failed = yield* Effect.flip(Effect.asVoid(recover(opening, streams))).pipe(Effect.option)
    if (failed._tag === "None") return
    if (left === 0) return yield* failed.value
  }
})

/** Opens the schema for parts, beside other processes. */
export const makeSharedLayer = (
  opening: SharedOpening
): Layer.Layer<SharedDestination, ConfigError | DestinationError, FileSystem.FileSystem> =>
  Layer.effect(
    SharedDestination,
    Effect.gen(function* () {
      yield* makeFit(opening)
      const opened = yield* openSchema(opening.options, "shared")
      const connection = yield* opened.database.connect
      const agreement = makeAgreement(opened, connection)
      const manifests = Effect.map(agreement.alone(agreement.all), ({ manifests }) => [...manifests.values()])
      return SharedDestination.of({
        openPart: (stream) => openPart(opened, agreement, stream),
        states: {
          load: (stream) =>
            agreement.alone(agreement.latest(stream)).pipe(
              Effect.mapError(({ message }) => new ConfigError({ message })),
              Effect.flatMap((found) => decodeState(stream, found?.manifest.state))
            )
        },
        streams: Effect.map(manifests, (all) => all.map(({ stream }) => stream)),
        partLengths: (proposed) =>
          proposed.size > 0
            ? Effect.map(agreement.enter(proposed), (lengths) => new Map([...proposed, ...lengths]))
            : Effect.map(
                manifests,
                (all) =>
                  new Map(
                    all.flatMap(({ partMillis, stream }) =>
                      partMillis === undefined ? [] : [[stream, partMillis] as const]
                    )
                  )
              ),
        bytes: opened.bytes,
        previewCommand: (stream) => opening.previewCommand(opened, stream)
      })
    })
  )
