/**
 * The lease of a prefix in an object store: who writes to it. A store has no locks, so the lease only makes a second run fail
 * early, with a sentence. What protects the data is that manifests are compared and swapped.
 *
 * Its owner renews it, as that of a lock in a folder. Times are those of the store.
 */
import { Duration, Effect, Option, Schedule } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { DestinationError } from "../Destination.ts"
import { randomName } from "../folder/durably.ts"
import { ownerIn, ownerText, silenceText, thisOwner } from "../folder/Owner.ts"
import type { ObjectStore } from "./ObjectStore.ts"

const KEY = "_state/_lease.json"

/** How often the lease is renewed. It counts as lost after two minutes. */
const BEAT_SECONDS = 20

/** The number of attempts while other runs take the lease. */
const ATTEMPTS = 5

/** Takes the lease until the scope closes. */
export const takeLease = Effect.fnUntraced(function* (objects: ObjectStore) {
  const owner = yield* thisOwner
  const run = randomName()
  const path = `${objects.url}/${KEY}`
  const write = (change: { readonly beat: number; readonly isReleased: boolean }, version?: string) =>
    objects.put(KEY, Buffer.from(`${JSON.stringify({ ...owner, ...change, run })}\n`), { version })

  const take = Effect.gen(function* () {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const last = Option.getOrUndefined(yield* objects.get(KEY))
      if (last !== undefined) {
        const text = Buffer.from(last.bytes).toString("utf8")
        const found = yield* ownerIn(text, owner, secondsSince(objects, last.modifiedMillis))
        if (found._tag === "Alive") {
          return yield* new ConfigError({
            message: `${objects.url} is being written by another run${ownerText(found)}. Wait for its end, or choose another place.${silenceText(path, found)}`
          })
        }
      }
      const taken = yield* write({ beat: 0, isReleased: false }, last?.version)
      if (Option.isSome(taken)) return taken.value
    }
    return yield* new ConfigError({
      message: `${objects.url} is being opened by other runs at the same time. Try again, or choose another place.`
    })
  })

  let version = yield* take
  let beat = 0
  let isLost = false
  let isRemoved = false
  yield* Effect.addFinalizer(() =>
    isLost || isRemoved ? Effect.void : Effect.ignore(write({ beat, isReleased: true }, version))
  )
  // Another text, because a put whose text is there counts as done.
  const other = { beat: -1, isReleased: false }
  yield* refuseBlind(objects, path, () => write(other, '"00000000000000000000000000000000"'))
  yield* refuseBlind(objects, path, () => write(other))
  yield* Effect.suspend(() => write({ beat: ++beat, isReleased: false }, version)).pipe(
    Effect.tap((saved) =>
      Effect.sync(() => {
        if (Option.isSome(saved)) version = saved.value
        else isLost = true
      })
    ),
    // The next change of the store reports errors.
    Effect.ignore,
    Effect.delay(Duration.seconds(BEAT_SECONDS)),
    Effect.repeat(Schedule.forever),
    Effect.forkScoped
  )
  return {
    /** Fails once another run has taken the lease. */
    check: Effect.suspend(() => (isLost ? lost(objects) : Effect.void)),
    /** Removes the lease, if nothing else was written. */
    remove: Effect.suspend(() => {
      isRemoved = true
      return Effect.ignore(objects.remove(KEY))
    })
  }
})

/** Fails if a run has the lease. The lease of a run that was silent for minutes is taken from it, since that run may wake up. */
export const refuseLeased = Effect.fnUntraced(function* (objects: ObjectStore) {
  const me = yield* thisOwner
  const path = `${objects.url}/${KEY}`
  for (;;) {
    const last = Option.getOrUndefined(yield* objects.get(KEY))
    if (last === undefined) return
    const text = Buffer.from(last.bytes).toString("utf8")
    const found = yield* ownerIn(text, me, secondsSince(objects, last.modifiedMillis))
    if (found._tag === "Released") return
    if (found._tag === "Alive") {
      return yield* new ConfigError({
        message: `${objects.url} is being written by another run${ownerText(found)}. Wait for its end, or choose another place.${silenceText(path, found)}`
      })
    }
    const released = `${JSON.stringify({ ...me, isReleased: true, run: randomName() })}\n`
    yield* objects.put(KEY, Buffer.from(released), { version: last.version })
  }
})

/** The error of a run that another one has overtaken. */
export const lost = (objects: ObjectStore): DestinationError =>
  new DestinationError({
    message: `${objects.url} is being written by another run, which has taken it over because this one was silent for minutes, or started at the same moment. This run writes nothing more; what was committed is kept.`,
    isFatal: true
  })

/** Fails if a store ignores the condition of a put, which then cannot hold. */
export const refuseBlind = Effect.fnUntraced(function* (
  objects: ObjectStore,
  path: string,
  put: () => ReturnType<ObjectStore["put"]>
) {
  if (Option.isNone(yield* put())) return
  return yield* new ConfigError({
    message: `${path} was replaced although a condition did not hold: the store of ${objects.url} ignores conditions of a put (If-Match, If-None-Match), without which two runs could lose data. Choose another store, or a newer release of it.`
  })
})

/** The seconds since a time, by the clock of the store. */
export const secondsSince = Effect.fnUntraced(function* (objects: ObjectStore, millis: number) {
  const key = `_state/_clock.${randomName()}`
  return yield* Effect.gen(function* () {
    yield* objects.put(key, Buffer.from("\n"), { version: undefined })
    const now = Option.getOrUndefined(yield* objects.get(key))
    return ((now?.modifiedMillis ?? millis) - millis) / 1000
  }).pipe(Effect.ensuring(Effect.ignore(objects.remove(key))))
})
