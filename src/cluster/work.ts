/** A worker: takes the parts that fit its settings, until it is stopped. */
import { Deferred, Effect, type FileSystem, Layer, References, Schedule, Semaphore } from "effect"
import type { SyncPart } from "../sync/parts.ts"
import { asClusterErrors, layerDatabase } from "./clusterDatabase.ts"
import { layerEngine } from "./clusterLayer.ts"
import { watchForLostParts } from "./lostParts.ts"
import { outage, untilReachable } from "./outage.ts"
import { ClusterError, type ClusterOptions, type PartDone, type PartFailed } from "./PartQueue.ts"
import { PartWorkflow } from "./partWorkflow.ts"
import { SyncRegistry } from "./SyncRegistry.ts"
import { differencesText, groupOf } from "./syncSettings.ts"
import { HEARTBEAT, LAST_STATEMENT_OF_WORKER } from "./timings.ts"

/** A worker starts all its parts again when this many checks in a row find that it has lost a part. */
const CHECKS = 4

/** What a worker does with a part. */
export type ExecutePart<R> = (part: SyncPart) => Effect.Effect<PartDone, PartFailed, R>

/** Executes up to `slots` parts at a time, for ever. An interrupt gives unfinished parts back. */
export const work = <R>(
  options: ClusterOptions,
  slots: number,
  execute: ExecutePart<R>
): Effect.Effect<never, ClusterError, R | FileSystem.FileSystem> => {
  const { settings } = options
  const group = groupOf(settings)
  const member = Layer.effectDiscard(asClusterErrors(options.address)(stayMember(settings, slots)))
  let periods = 0
  const onePeriod = Effect.gen(function* () {
    // A worker that is only slow must not start its parts again over and over.
    const checks = CHECKS * 2 ** Math.min(periods++, 5)
    const level = yield* References.MinimumLogLevel
    const permits = yield* Semaphore.make(slots)
    const executing = new Set<string>()
    const isLost = yield* Deferred.make<void>()
    const parts = PartWorkflow.toLayer(({ attempt: _, syncId: __, ...part }, id) =>
      Effect.acquireUseRelease(
        Effect.sync(() => executing.add(id)),
        () => permits.withPermit(execute(part)),
        () => Effect.sync(() => executing.delete(id))
      ).pipe(Effect.provideService(References.MinimumLogLevel, level))
    )
    const watch = Layer.effectDiscard(
      watchForLostParts(group, executing, checks, Deferred.succeed(isLost, undefined))
    )
    // Its messages are for who knows Effect's source.
    const quietly = Layer.succeed(References.MinimumLogLevel, "Fatal" as const)
    const worker = Layer.mergeAll(Layer.provide(parts, quietly), watch).pipe(
      Layer.provide(layerEngine(options.address, group, "worker")),
      // A worker joins after its check, and leaves before its shards do.
      Layer.provideMerge(member),
      Layer.provide(SyncRegistry.layer(options)),
      Layer.provide(layerDatabase(options.address))
    )
    yield* Effect.raceFirst(untilReachable()(Layer.launch(worker)), Deferred.await(isLost))
    yield* Effect.logWarning(
      "Some parts were lost while the cluster's database was down. This worker starts all its parts again."
    )
  })
  return Effect.forever(onePeriod)
}

/** Is among the living workers. Refuses to be one beside a sync that it could not help. */
const stayMember = Effect.fnUntraced(function* (settings: ClusterOptions["settings"], slots: number) {
  const registry = yield* SyncRegistry
  const available = yield* outage
  const known = new Set<string>()
  const mismatches = Effect.map(registry.strangers("syncs"), (syncs) =>
    syncs.flatMap((sync) => {
      if (known.has(sync.id)) return []
      known.add(sync.id)
      return [
        `A run into ${settings.destination} has other settings than this worker: ${differencesText(sync.settings, settings)}. Start the worker with the same flags as the run.`
      ]
    })
  )
  const [mismatch] = yield* mismatches
  if (mismatch !== undefined) return yield* new ClusterError({ message: mismatch })
  const beat = Effect.gen(function* () {
    yield* registry.work(slots)
    yield* Effect.forEach(yield* mismatches, (text) => Effect.logError(text))
  })
  yield* registry.work(slots)
  yield* Effect.logInfo(`Waiting for parts of syncs into ${settings.destination}. Press Ctrl-C to stop.`)
  yield* Effect.forkScoped(Effect.repeat(Effect.delay(available(beat), HEARTBEAT), Schedule.forever))
  yield* Effect.addFinalizer(() => Effect.ignore(Effect.timeout(registry.rest, LAST_STATEMENT_OF_WORKER)))
})
