/** The processes that write parts to a folder at the same time, and a run that needs it for itself. */
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option, Scope } from "effect"
import { lockFolder } from "../../../src/destinations/folder/FolderLock.ts"
import { diskManifests } from "../../../src/destinations/folder/ManifestStore.ts"
import { joinFolder, refuseSharers, removeRemains } from "../../../src/destinations/folder/sharers.ts"
import { temporaryFolder } from "../drive.ts"

const newPlaces = Effect.map(temporaryFolder, (folder) => {
  const inside = join(folder, "_state")
  const newPath = join(inside, "_new")
  mkdirSync(newPath, { recursive: true })
  return { folder, inside, newPath }
})

type Places = Effect.Success<typeof newPlaces>

const lockOf = ({ folder, inside }: Places) => lockFolder(folder, join(inside, "_lock"))

/** A run that has the folder for itself. */
const exclusively = (places: Places) => Effect.andThen(lockOf(places), refuseSharers(places))

/** Changes what a file says of its owner. */
const setOwner = (path: string, change: Readonly<Record<string, unknown>>) =>
  writeFileSync(path, `${JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), ...change })}\n`)

const presenceOf = ({ inside }: Places, id: string): string => join(inside, `_shared.${id}`)

/** Turns a process into one that has ended. */
const bury = (places: Places, id: string) => setOwner(presenceOf(places, id), { process: 4_194_305 })

/** Turns a process into one of another machine that was silent for so long. */
const silence = (places: Places, id: string, seconds: number) => {
  const path = presenceOf(places, id)
  setOwner(path, { place: "elsewhere" })
  const then = Date.now() / 1000 - seconds
  utimesSync(path, then, then)
}

const test = <A, E>(body: Effect.Effect<A, E, Scope.Scope | NodeServices.NodeServices>) =>
  body.pipe(Effect.scoped, Effect.provide(NodeServices.layer))

describe("the processes that share a folder", () => {
  it.live("are many at once, keep a run out, and are kept out by one", () =>
    test(
      Effect.gen(function* () {
        const places = yield* newPlaces
        const scope = yield* Scope.make()
        const first = yield* Scope.provide(joinFolder(places), scope)
        const second = yield* Scope.provide(joinFolder(places), scope)
        assert.notStrictEqual(first.id, second.id)
        const refused = yield* Effect.flip(Effect.scoped(exclusively(places)))
        assert.match(
          refused.message,
          new RegExp(
            `is being written in parts by another process \\(process ${process.pid} on .*\\)\\. Wait for its end, or choose another folder\\.$`
          )
        )
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(readdirSync(places.newPath), [])
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* exclusively(places)
            const refused = yield* Effect.flip(Effect.scoped(joinFolder(places)))
            assert.match(refused.message, /is being written by another run \(process \d+/)
          })
        )
        yield* Effect.scoped(joinFolder(places))
        assert.deepStrictEqual(
          readdirSync(places.inside).filter((name) => name.startsWith("_shared")),
          []
        )
      })
    )
  )

  it.live("take a folder from a run that is silent, which notices that when it wakes up", () =>
    test(
      Effect.gen(function* () {
        const places = yield* newPlaces
        const lock = yield* lockOf(places)
        setOwner(join(places.inside, "_lock.1"), { place: "elsewhere" })
        const refused = yield* Effect.flip(Effect.scoped(joinFolder(places)))
        assert.match(refused.message, /on another machine .* this place is free in \d+ seconds/)
        yield* lock.check
        const then = Date.now() / 1000 - 130
        utimesSync(join(places.inside, "_lock.1"), then, then)
        yield* joinFolder(places)
        assert.strictEqual((yield* Effect.flip(lock.check)).reason._tag, "Unknown")
      })
    )
  )

  it.live("do not keep a run out once they are dead or silent, and cannot commit any more after that", () =>
    test(
      Effect.gen(function* () {
        for (const leave of [bury, (places: Places, id: string) => silence(places, id, 130)]) {
          const places = yield* newPlaces
          const process = yield* joinFolder(places)
          const store = yield* diskManifests(places.inside, places.newPath, process)
          const version = Option.getOrThrow(yield* store.replace("up", undefined, "1"))
          // It is stopped while it has the lock of a manifest.
          mkdirSync(join(places.newPath, "up.json.swap"))
          const half = join(places.newPath, "up.json.swap", `${process.id}-1`)
          writeFileSync(half, "2")
          leave(places, process.id)
          yield* Effect.scoped(exclusively(places))
          assert.isFalse(existsSync(half))
          const failed = yield* Effect.flip(store.replace("up", version, "2"))
          assert.match(failed.message, /up\.json cannot be written/)
          assert.strictEqual(Option.getOrThrow(yield* store.load("up")).text, "1")
        }
      })
    )
  )

  it.live("remove what the dead have left and no manifest names, and nothing of those that may wake up", () =>
    test(
      Effect.gen(function* () {
        const places = yield* newPlaces
        const ids: Array<string> = []
        for (const _ of ["alive", "dead", "silent", "silent for days", "gone"]) {
          const { id } = yield* joinFolder(places)
          ids.push(id)
          for (const name of [`up=${id}-1`, `wanted=${id}-2`]) writeFileSync(join(places.newPath, name), "")
        }
        writeFileSync(join(places.newPath, "up=3"), "")
        const [, dead = "", silent = "", days = "", gone = ""] = ids
        bury(places, dead)
        silence(places, silent, 1000)
        silence(places, days, 100_000)
        yield* Effect.scoped(removeRemains(places, () => Effect.succeed(true)))
        assert.isTrue(existsSync(presenceOf(places, silent)))
        assert.isFalse(existsSync(presenceOf(places, days)))
        setOwner(presenceOf(places, gone), { process: 4_194_305 })
        yield* removeRemains(places, (stream) => Effect.succeed(stream === "wanted"))
        const left = readdirSync(places.newPath).filter((name) => !name.startsWith("."))
        assert.deepStrictEqual(
          left.sort(),
          [...ids.map((id) => `wanted=${id}-2`), ...[ids[0], silent].map((id) => `up=${id}-1`), "up=3"].sort()
        )
      })
    )
  )
})
