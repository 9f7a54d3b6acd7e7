/** Compare and swap on a disk, with writers that are paused or killed before any operation. */
import { mkdirSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, FileSystem, Option } from "effect"
import { diskManifests } from "../../../src/destinations/folder/ManifestStore.ts"
import { temporaryFolder } from "../drive.ts"

const placesIn = Effect.map(temporaryFolder, (folder) => {
  const inside = join(folder, "_state")
  for (const name of ["a", "b", "c"]) mkdirSync(join(inside, "_new", name), { recursive: true })
  return { inside, newPath: join(inside, "_new") }
})

/** Stops at operation number `at`, until `wake` is done. */
const pausedFiles = (at: number, isPaused: Deferred.Deferred<void>, wake: Effect.Effect<void>) =>
  Effect.map(FileSystem.FileSystem, (files) => {
    let count = 0
    const pause = <A, E, R>(operation: Effect.Effect<A, E, R>) =>
      Effect.suspend(() =>
        count++ === at
          ? Effect.andThen(Effect.andThen(Deferred.succeed(isPaused, undefined), wake), operation)
          : operation
      )
    return FileSystem.FileSystem.of({
      ...files,
      makeDirectory: (...args) => pause(files.makeDirectory(...args)),
      open: (...args) => pause(files.open(...args)),
      readDirectory: (...args) => pause(files.readDirectory(...args)),
      remove: (...args) => pause(files.remove(...args)),
      rename: (...args) => pause(files.rename(...args))
    })
  })

/** Time that passes quickly, so that no one waits for a paused writer. */
const fastClock = Effect.map(Clock.Clock, (clock) => {
  let nanos = 0n
  return {
    ...clock,
    monotonicTimeNanosUnsafe: () => nanos,
    monotonicTimeNanos: Effect.sync(() => nanos),
    sleep: () =>
      Effect.andThen(
        Effect.sync(() => {
          nanos += 1_000_000_000n
        }),
        Effect.yieldNow
      )
  } as unknown as Clock.Clock
})

describe("compare and swap on a disk", () => {
  it.live("survives a writer that is paused before any of its operations while others take over", () =>
    Effect.gen(function* () {
      let paused = 0
      for (let at = 0; ; at++) {
        const { inside, newPath } = yield* placesIn
        const storeOf = (id: string) => diskManifests(inside, newPath, { own: join(newPath, id), id })
        const [b, c] = [yield* storeOf("b"), yield* storeOf("c")]
        const isPaused = yield* Deferred.make<void>()
        const wake = yield* Deferred.make<void>()
        const files = yield* pausedFiles(at, isPaused, Deferred.await(wake))
        const a = yield* Effect.provideService(storeOf("a"), FileSystem.FileSystem, files)
        const first = Option.getOrThrow(yield* b.replace("up", undefined, "1"))
        const writer = yield* Effect.forkChild(a.replace("up", first, "2 of a"))
        yield* Effect.raceFirst(Deferred.await(isPaused), Effect.exit(Fiber.join(writer)))
        const isStopped = yield* Deferred.isDone(isPaused)
        // Two others replace it, whether the paused one has done it already or not.
        const found = Option.getOrThrow(yield* b.load("up"))
        const second = yield* b.replace("up", found.version, `${found.text}, 3`)
        assert.isTrue(Option.isSome(second))
        yield* Deferred.succeed(wake, undefined)
        const result = yield* Fiber.join(writer)
        const last = Option.getOrThrow(yield* c.load("up"))
        // Its success may be lost, but nothing that another one has saved.
        assert.isTrue(last.text.endsWith(", 3"), last.text)
        if (Option.isSome(result)) assert.strictEqual(last.text, "2 of a, 3")
        assert.isTrue(Option.isSome(yield* c.replace("up", last.version, "4")))
        assert.deepStrictEqual(readdirSync(inside).sort(), ["_new", "up.json"])
        assert.deepStrictEqual(
          readdirSync(newPath, { recursive: true }).sort(),
          ["a", "b", "c"],
          `paused before operation ${at}`
        )
        if (!isStopped) break
        paused++
      }
      assert.isAbove(paused, 5)
    }).pipe(
      (body) => Effect.flatMap(fastClock, (clock) => Effect.provideService(body, Clock.Clock, clock)),
      Effect.scoped,
      Effect.provide(NodeServices.layer)
    )
  )

  it.live("passes over a writer that has died with the lock", () =>
    Effect.gen(function* () {
      const { inside, newPath } = yield* placesIn
      const isPaused = yield* Deferred.make<void>()
      // Its rename of the file, after the folder of the lock.
      const wake = yield* Deferred.make<void>()
      const files = yield* pausedFiles(5, isPaused, Deferred.await(wake))
      const dead = yield* Effect.provideService(
        diskManifests(inside, newPath, { own: join(newPath, "a"), id: "a" }),
        FileSystem.FileSystem,
        files
      )
      const writer = yield* Effect.forkChild(dead.replace("up", undefined, "dead"))
      yield* Deferred.await(isPaused)
      assert.deepStrictEqual(readdirSync(join(newPath, "up.json.swap")).length, 1)
      const store = yield* diskManifests(inside, newPath, { own: join(newPath, "b"), id: "b" })
      const begun = performance.now()
      assert.isTrue(Option.isSome(yield* store.replace("up", undefined, "alive")))
      assert.isBelow(performance.now() - begun, 10_000)
      yield* Deferred.succeed(wake, undefined)
      assert.deepStrictEqual(yield* Fiber.join(writer), Option.none())
      assert.strictEqual(readFileSync(join(inside, "up.json"), "utf8"), "alive")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
