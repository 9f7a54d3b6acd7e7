/** A schema of PostgreSQL as the destination of parts, which several processes write at the same time. */
import { Effect, Exit, type FileSystem, Layer, Scope } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { decodeState } from "../../sync/StateStore.ts"
import { Destination, type DestinationError } from "../Destination.ts"
import type { OpenOptions } from "../DestinationKind.ts"
import { asSaved, refusalOfKind, sharedStreams } from "../manifest.ts"
import { SharedDestination } from "../SharedDestination.ts"
import type { Manifest } from "../tables/manifests.ts"
import { makeAgreement } from "./agreement.ts"
import { openPart } from "./openPart.ts"
import { type OpenSchema, openSchema } from "./openSchema.ts"

/** What the exclusive destination adds. */
export interface SharedOpening {
  readonly options: OpenOptions
  /** Opens the same schema for one run. */
  readonly exclusive: (
    options: OpenOptions
  ) => Layer.Layer<Destination, ConfigError | DestinationError, FileSystem.FileSystem>
  readonly previewCommand: (opened: OpenSchema, stream: string) => string
}

/** The mode of parts. */
const MODE = "incremental_append_deduped"

/** How often several processes that start try to repair what another run has left. Each waits for the lock. */
const RECOVERY_ATTEMPTS = 10

/** Whether samples may have repeated rows, or a stopped refresh has left a table. Only a run that is alone changes that. */
const isUnfit = ({ hasTable, isUnique, kind, orphan }: Manifest): boolean =>
  kind !== "table" && ((hasTable && !isUnique) || orphan !== undefined)

/** Opens these streams for a run, which repairs them. */
const recover = ({ exclusive, options }: SharedOpening, unfit: ReadonlyArray<Manifest>) =>
  Effect.scoped(
    Effect.flatMap(Destination, ({ open }) =>
      Effect.forEach(unfit, ({ stream }) => Effect.scoped(open(stream, MODE, true)), {
        discard: true
      })
    )
  ).pipe(Effect.provide(exclusive(asSaved(options, unfit))))

/** Opens the schema beside other processes, with nothing left to repair, until the scope closes. */
const openFit = Effect.fnUntraced(function* (opening: SharedOpening) {
  const scope = yield* Effect.scope
  for (let left = RECOVERY_ATTEMPTS; ; left--) {
    const attempt = yield* Scope.fork(scope)
    const opened = yield* Scope.provide(openSchema(opening.options, "shared"), attempt)
    const unfit = Array.from(opened.database.manifests.values()).filter(isUnfit)
    if (unfit.length === 0) return opened
    yield* Scope.close(attempt, Exit.void)
    const repair = recover(opening, unfit)
    // Another process that starts may be doing it, which would make this one wait for the lock in vain.
    yield* left > 0 ? Effect.ignore(repair) : repair
  }
})

/** Opens the schema for parts, beside other processes. */
export const makeSharedLayer = (
  opening: SharedOpening
): Layer.Layer<SharedDestination, ConfigError | DestinationError, FileSystem.FileSystem> =>
  Layer.effect(
    SharedDestination,
    Effect.gen(function* () {
      const opened = yield* openFit(opening)
      const connection = yield* opened.database.connect
      const agreement = makeAgreement(opened, connection)
      const { kindOf, path } = opened.database
      const manifests = Effect.map(agreement.alone(agreement.all), ({ manifests }) => [...manifests.values()])
      return SharedDestination.of({
        openPart: (stream) => openPart(opened, agreement, stream),
        states: {
          load: (stream) =>
            agreement.alone(agreement.latest(stream)).pipe(
              Effect.mapError(({ message }) => new ConfigError({ message })),
              Effect.flatMap((found) => {
                const refusal = found && refusalOfKind(path, found.manifest, kindOf(stream), MODE)
                return refusal === undefined
                  ? decodeState(stream, found?.manifest.state)
                  : Effect.fail(new ConfigError({ message: refusal }))
              })
            )
        },
        streams: Effect.map(manifests, sharedStreams),
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
