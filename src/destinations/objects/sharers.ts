/**
 * The processes that write parts to a prefix of an object store at the same time. Each has an object `_shared.<id>`, which it
 * renews. It commits only while that object exists: it looks after it has loaded a manifest, and before it replaces that one. So
 * who removes the object of a silent process, and then replaces a manifest, knows that the process commits nothing more to it.
 */
import { Duration, Effect, Option, Schedule } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { randomName } from "../folder/durably.ts"
import { ownerIn, ownerText, silenceText, thisOwner } from "../folder/Owner.ts"
import { lost, refuseBlind, refuseLeased, secondsSince } from "./lease.ts"
import type { ObjectStore } from "./ObjectStore.ts"

const BEGINNING = "_state/_shared."
const keyOf = (id: string): string => `${BEGINNING}${id}`

/** How often a process renews its object. It counts as silent after two minutes. */
const BEAT_SECONDS = 20

/** The ids of all processes. */
const idsOf = (objects: ObjectStore) =>
  Effect.map(objects.list(BEGINNING), (list) =>
    list.flatMap(({ key }) => /^[0-9a-f]{18}$/.exec(key.slice(BEGINNING.length))?.[0] ?? [])
  )

/** What the objects of processes say. */
const sharersOf = Effect.fnUntraced(function* (objects: ObjectStore, ids: Iterable<string>) {
  const me = yield* thisOwner
  return yield* Effect.forEach(
    ids,
    Effect.fnUntraced(function* (id) {
      const stored = Option.getOrUndefined(yield* objects.get(keyOf(id)))
      if (stored === undefined) return { id, found: { _tag: "None" as const } }
      const text = Buffer.from(stored.bytes).toString("utf8")
      return { id, found: yield* ownerIn(text, me, secondsSince(objects, stored.modifiedMillis)) }
    }),
    { concurrency: 8 }
  )
})

/** Joins the processes that write parts, until the scope closes. Fails if a run has the prefix for itself. */
export const joinBucket = Effect.fnUntraced(function* (objects: ObjectStore) {
  const id = randomName()
  const owner = yield* thisOwner
  let version: string | undefined
  let beat = 0
  const write = Effect.suspend(() =>
    objects.put(keyOf(id), Buffer.from(`${JSON.stringify({ ...owner, beat: beat++ })}\n`), { version })
  ).pipe(
    Effect.tap((saved) =>
      Effect.sync(() => {
        version = Option.getOrUndefined(saved) ?? version
      })
    )
  )
  yield* write
  yield* Effect.addFinalizer(() => Effect.ignore(objects.remove(keyOf(id))))
  // Another text, because a put whose text is there counts as done.
  const other = Buffer.from(`${JSON.stringify({ ...owner, beat: -1 })}\n`)
  for (const version of ['"00000000000000000000000000000000"', undefined]) {
    yield* refuseBlind(objects, `${objects.url}/${keyOf(id)}`, () =>
      objects.put(keyOf(id), other, { version })
    )
  }
  // An object that others have removed is not made again, since its version is another one.
  yield* write.pipe(
    Effect.ignore,
    Effect.delay(Duration.seconds(BEAT_SECONDS)),
    Effect.repeat(Schedule.forever),
    Effect.forkScoped
  )
  yield* refuseLeased(objects)
  return {
    id,
    /** Fails once others have shut out this process. */
    check: Effect.flatMap(objects.get(keyOf(id)), (found) =>
      Option.isSome(found) ? Effect.void : Effect.fail(lost(objects))
    ),
    /** Shuts out a process that is silent. */
    shutOut: (id: string) => objects.remove(keyOf(id)),
    /** Those of some processes that are there and not silent. */
    alive: (ids: ReadonlySet<string>) =>
      Effect.map(
        sharersOf(objects, ids),
        (sharers) => new Set(sharers.flatMap(({ found, id }) => (found._tag === "Alive" ? id : [])))
      )
  }
})

/** Fails if processes write parts to a prefix whose lease is taken now, and shuts out those that are silent. */
export const refuseSharers = Effect.fnUntraced(function* (objects: ObjectStore) {
  for (const { found, id } of yield* sharersOf(objects, yield* idsOf(objects))) {
    if (found._tag === "Alive") {
      return yield* new ConfigError({
        message: `${objects.url} is being written in parts by another process${ownerText(found)}. Wait for its end, or choose another place.${silenceText(`${objects.url}/${keyOf(id)}`, found)}`
      })
    }
    yield* objects.remove(keyOf(id))
  }
})
