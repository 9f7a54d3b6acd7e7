/** Submits the parts of one sync, as one process at a time. */
import { Cause, Deferred, Duration, Effect, Exit, type FileSystem, Layer, Schedule, Semaphore } from "effect"
import { EntityAddress, EntityId, EntityType, MessageStorage, Sharding } from "effect/cluster"
import type { SyncPart } from "../sync/parts.ts"
import { pluralize } from "../text/pluralize.ts"
import { asClusterErrors, layerDatabase } from "./clusterDatabase.ts"
import { layerEngine } from "./clusterLayer.ts"
import { layerUntilReachable, outage } from "./outage.ts"
import {
  ClusterError,
  type ClusterOptions,
  type PartDone,
  PartFailed,
  PartQueue,
  type Watching,
  type Workers
} from "./PartQueue.ts"
import { PartWorkflow } from "./partWorkflow.ts"
import { SyncRegistry } from "./SyncRegistry.ts"
import { SHARD_GROUP } from "./shards.ts"
import { differencesText, groupOf } from "./syncSettings.ts"
import { ALIVE_SECONDS, HEARTBEAT, LAST_STATEMENT, PATIENCE } from "./timings.ts"

/** Submitted parts for each one that a worker executes at a time: workers ask for new ones only once a second. */
const PER_SLOT = 16

/** How often a part is submitted if it fails for passing reasons. */
const MAX_ATTEMPTS = 5

const backoff = (attempt: number): Duration.Duration => Duration.seconds(Math.min(60, 2 ** attempt))

const make = Effect.fnUntraced(function* ({ settings }: ClusterOptions) {
  const registry = yield* SyncRegistry
  const sharding = yield* Sharding.Sharding
  const storage = yield* MessageStorage.MessageStorage
  const services = yield* Effect.context<Effect.Services<ReturnType<typeof PartWorkflow.execute>>>()
  const syncId = yield* claim(registry, settings)
  const lost = yield* Deferred.make<never, ClusterError>()
  const permits = yield* Semaphore.make(PER_SLOT)
  const available = yield* outage
  let workers: Workers = { count: 0, slots: 0 }
  let hasEnded = false

  /** Deletes what is stored of an execution. Otherwise the same part would get the same result again. */
  const forget = Effect.fnUntraced(function* (executionId: string) {
    const entityId = EntityId.make(executionId)
    const shardId = sharding.getShardId(entityId, SHARD_GROUP)
    const entityType = EntityType.make(`Workflow/${PartWorkflow._tag}`)
    yield* available(storage.clearAddress(EntityAddress.make({ entityId, entityType, shardId })))
  })

  const execute = Effect.fnUntraced(function* (part: SyncPart, attempt: number) {
    const payload = { syncId, attempt, ...part }
    const exit = yield* available(
      PartWorkflow.execute(payload).pipe(
        Effect.exit,
        Effect.flatMap((exit) => {
          const defect = Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isDieReason)?.defect : undefined
          return isOfCluster(defect) ? Effect.fail(defect) : Effect.succeed(exit)
        })
      )
    )
    yield* forget(yield* PartWorkflow.executionId(payload))
    return yield* Effect.catchDefect(
      exit,
      (defect) =>
        new PartFailed({
          message: `A worker has a bug: ${String(defect)}`,
          isTransient: false,
          isFatal: false
        })
    )
  }, Effect.provideContext(services))

  const submit = Effect.fnUntraced(function* (
    part: SyncPart,
    { isWanted = () => true, onRetry = () => Effect.void, onStart = Effect.void }: Watching = {}
  ): Effect.fn.Return<PartDone | undefined, PartFailed> {
    for (let attempt = 1; ; attempt++) {
      const start = attempt === 1 ? onStart : Effect.void
      const executed = Effect.suspend(() =>
        isWanted() ? Effect.andThen(start, execute(part, attempt)) : Effect.undefined
      )
      const result = yield* Effect.result(permits.withPermit(executed))
      if (result._tag === "Success") return result.success
      const { failure } = result
      if (!failure.isTransient || attempt >= MAX_ATTEMPTS) return yield* failure
      const delay = backoff(attempt)
      yield* onRetry(failure, delay)
      yield* Effect.sleep(delay)
    }
  })

  const known = new Set<string>()
  const beat = Effect.gen(function* () {
    if (!(yield* registry.keep)) {
      yield* Deferred.fail(
        lost,
        new ClusterError({
          message:
            "Another process submits this sync now, because this one did not respond for a while. It continues there."
        })
      )
      return
    }
    const before = workers.count
    workers = yield* registry.workers
    yield* permits.resize(Math.max(1, workers.slots) * PER_SLOT)
    if (workers.count !== before) yield* Effect.logInfo(`${pluralize(workers.count, "worker")} connected.`)
    const strangers = (yield* registry.strangers("workers")).filter(({ id }) => !known.has(id))
    for (const { id } of strangers) known.add(id)
    const texts = Array.from(new Set(strangers.map((other) => differencesText(other.settings, settings))))
    yield* Effect.forEach(texts, (text) =>
      Effect.logWarning(
        `There are workers for ${settings.destination} that cannot take these parts: ${text}. Start them with the same flags as this run.`
      )
    )
  })

  yield* beat
  if (workers.count === 0) {
    yield* Effect.logInfo(
      "No worker is connected yet. Start some with: source-prometheus worker, and the flags of this run."
    )
  }
  yield* Effect.forkScoped(Effect.repeat(Effect.delay(available(beat), HEARTBEAT), Schedule.forever))
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => (hasEnded ? Effect.void : registry.leave)).pipe(
      Effect.timeout(LAST_STATEMENT),
      Effect.ignore
    )
  )

  return PartQueue.of({
    submit,
    workers: Effect.sync(() => workers),
    lost: Deferred.await(lost),
    end: available(registry.end).pipe(Effect.andThen(Effect.sync(() => (hasEnded = true))), Effect.asVoid)
  })
})

/** Becomes the submitter of a sync. Waits for the earlier one if that has just been killed. */
const claim = Effect.fnUntraced(function* (
  registry: SyncRegistry["Service"],
  { destination }: ClusterOptions["settings"]
) {
  for (let seconds = 0; ; seconds++) {
    const syncId = yield* registry.claim
    if (syncId !== undefined) return syncId
    if (seconds === 2) {
      yield* Effect.logInfo(
        `Another run submits this sync, or was killed in the last ${ALIVE_SECONDS} seconds. Waiting.`
      )
    }
    if (seconds > ALIVE_SECONDS + 5) {
      return yield* new ClusterError({
        message: `Another run submits the same sync into ${destination}. Wait until it ends, or stop it: this run then continues it.`
      })
    }
    yield* Effect.sleep("1 second")
  }
})

/** Errors of the cluster's storage arrive as defects of the workflow. They pass. */
const isOfCluster = (defect: unknown): defect is { readonly _tag: string } =>
  typeof defect === "object" &&
  defect !== null &&
  "_tag" in defect &&
  ["PersistenceError", "MailboxFull", "AlreadyProcessingMessage", "EntityNotAssignedToRunner"].includes(
    String(defect._tag)
  )

/** The queue of a sync. Fails if another process is its submitter. */
export const layerPartQueue = (
  options: ClusterOptions
): Layer.Layer<PartQueue, ClusterError, FileSystem.FileSystem> =>
  Layer.effect(PartQueue, asClusterErrors(options.address)(make(options))).pipe(
    Layer.provide([
      SyncRegistry.layer(options),
      layerEngine(options.address, groupOf(options.settings), "submitter")
    ]),
    Layer.provide(layerDatabase(options.address)),
    layerUntilReachable(PATIENCE)
  )
