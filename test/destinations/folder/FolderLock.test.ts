/** The owner of a folder. A process in another container or on another host cannot be looked up, so it renews its lock. */
import { existsSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, FileSystem, Layer, Logger, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Destination } from "../../../src/destinations/Destination.ts"
import { lockFolder } from "../../../src/destinations/folder/FolderLock.ts"
import * as JsonLinesFolder from "../../../src/destinations/jsonl/JsonLinesFolder.ts"
import * as ParquetFolder from "../../../src/destinations/parquet/ParquetFolder.ts"
import { StreamState } from "../../../src/sync/StreamState.ts"
import { formatTime } from "../../../src/text/formatTime.ts"
import { floats, loadedTime, seriesOf, start, temporaryFolder } from "../drive.ts"

/** The file system as a process of another PID namespace sees it, or a process after a restart of the machine. */
const elsewhere = ({ boot, namespace }: { readonly boot?: string; readonly namespace?: string }) =>
  Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (files) =>
      FileSystem.FileSystem.of({
        ...files,
        readFileString: (path, ...rest) =>
          boot !== undefined && path === "/proc/sys/kernel/random/boot_id"
            ? Effect.succeed(`${boot}\n`)
            : files.readFileString(path, ...rest),
        readLink: (path) =>
          namespace !== undefined && path === "/proc/self/ns/pid"
            ? Effect.succeed(`pid:[${namespace}]`)
            : files.readLink(path)
      })
    )
  ).pipe(Layer.provideMerge(NodeServices.layer))

const here = elsewhere({})
const container = elsewhere({ namespace: "1" })
const otherContainer = elsewhere({ namespace: "2" })
const otherHost = elsewhere({ boot: "e7f1c0de-0000-4000-8000-000000000000" })

const lock = (folder: string) => lockFolder(folder, join(folder, "_lock"))

const locksIn = (folder: string) => readdirSync(folder).filter((name) => name.startsWith("_lock"))

/** Makes a lock look as if it was last renewed that many seconds ago. */
const age = (path: string, seconds: number) => {
  const time = Date.now() / 1000 - seconds
  utimesSync(path, time, time)
}

/** Replaces the owner of a lock by a process that does not exist. */
const bury = (path: string) =>
  writeFileSync(
    path,
    `${JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), process: 4_194_305 })}\n`
  )

const refusal = (folder: string, who: typeof here) =>
  Effect.map(Effect.flip(Effect.scoped(Effect.provide(lock(folder), who))), ({ message }) => message)

describe("the lock of a folder", () => {
  it.live("is held against processes of the same machine while its owner runs", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { check } = yield* lock(folder)
          yield* check
          age(join(folder, "_lock.1"), 100_000)
          assert.match(
            yield* refusal(folder, here),
            new RegExp(
              `^${folder} is being written by another run \\(process ${process.pid} on \\S+, since \\d{4}-\\S+Z\\)\\. Wait for its end, or choose another folder\\.$`
            )
          )
        })
      )
      yield* Effect.scoped(lock(folder))
      assert.deepStrictEqual(locksIn(folder), ["_lock.2"])
      bury(join(folder, "_lock.2"))
      writeFileSync(
        join(folder, "_lock.2"),
        readFileSync(join(folder, "_lock.2"), "utf8").replace('"isReleased":true', '"isReleased":false')
      )
      yield* Effect.scoped(lock(folder))
      assert.deepStrictEqual(locksIn(folder), ["_lock.3"])
    }).pipe(Effect.scoped, Effect.provide(here))
  )

  it.live(
    "is not taken from an owner elsewhere, dead or alive, unless it was not renewed for two minutes",
    () =>
      Effect.gen(function* () {
        for (const who of [container, otherContainer, otherHost]) {
          const folder = yield* temporaryFolder
          const path = join(folder, "_lock.1")
          yield* Effect.scoped(
            Effect.gen(function* () {
              const { check } = yield* lock(folder)
              assert.match(
                yield* refusal(folder, who),
                /is being written by another run in another container or on another machine \(process \d+ on \S+, since \S+\)\. Wait .* this place is free in \d+ seconds, or once \S+_lock\.1 is deleted\./
              )
              bury(path)
              age(path, 100)
              assert.match(yield* refusal(folder, who), /free in (1\d|20|21) seconds/)
              yield* check
              age(path, 130)
              yield* Effect.scoped(Effect.provide(lock(folder), who))
              const error = yield* Effect.flip(check)
              assert.strictEqual((error.reason.cause as NodeJS.ErrnoException).code, "ELOCKLOST")
            })
          )
          assert.deepStrictEqual(locksIn(folder), ["_lock.2"])
          // The loser did not touch the lock of the other, so the folder is free.
          yield* Effect.scoped(lock(folder))
        }
      }).pipe(Effect.scoped, Effect.provide(here))
  )

  it.live("is free at once if its owner released it, wherever that was", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      for (const who of [here, container, otherHost, here]) {
        yield* Effect.scoped(Effect.provide(lock(folder), who))
      }
      assert.deepStrictEqual(locksIn(folder), ["_lock.4"])
    }).pipe(Effect.scoped, Effect.provide(here))
  )

  it.live("that is empty belongs to an owner that writes it now, or was killed ten seconds ago", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const path = join(folder, "_lock.7")
      yield* Effect.scoped(Effect.provide(lock(folder), container))
      const text = readFileSync(join(folder, "_lock.1"), "utf8").replace("true} ", "false}")
      writeFileSync(path, "")
      const refused = yield* Effect.forkScoped(refusal(folder, here))
      yield* Effect.sleep("500 millis")
      writeFileSync(path, text)
      assert.match(yield* Fiber.join(refused), /by another run in another container .* \(process \d+ on/)
      writeFileSync(path, "")
      age(path, 9)
      yield* Effect.scoped(lock(folder))
      assert.deepStrictEqual(locksIn(folder), ["_lock.8"])
    }).pipe(Effect.scoped, Effect.provide(here))
  )

  it.live("that is invalid is held until it is two minutes old", () =>
    Effect.gen(function* () {
      for (const text of ['{"process":', "\0".repeat(512), "x".repeat(100_000), "{}"]) {
        const folder = yield* temporaryFolder
        writeFileSync(join(folder, "_lock.7"), text)
        assert.match(yield* refusal(folder, here), /is being written by another run/)
        age(join(folder, "_lock.7"), 130)
        yield* Effect.scoped(lock(folder))
        assert.deepStrictEqual(locksIn(folder), ["_lock.8"])
      }
    }).pipe(Effect.scoped, Effect.provide(here))
  )

  it.effect("is renewed while its owner runs", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const path = join(folder, "_lock.1")
      yield* lock(folder)
      age(path, 130)
      const before = statSync(path).mtimeMs
      yield* TestClock.adjust("10 seconds")
      // Node writes files on other threads.
      yield* Effect.promise(async () => {
        while (statSync(path).mtimeMs === before) await new Promise((resolve) => setTimeout(resolve, 5))
      })
      assert.match(yield* refusal(folder, container), /free in (119|120) seconds/)
    }).pipe(Effect.scoped, Effect.provide(here))
  )

  it.live(
    "is taken by one of many who try at the same moment",
    () =>
      Effect.gen(function* () {
        for (let round = 0; round < 20; round++) {
          const folder = yield* temporaryFolder
          if (round % 2 === 0) {
            yield* Effect.scoped(Effect.provide(lock(folder), container))
            const path = join(folder, "_lock.1")
            writeFileSync(path, readFileSync(path, "utf8").replace("true", "false"))
            age(path, 130)
          }
          const hold = yield* Deferred.make<void>()
          let owners = 0
          let most = 0
          const contenders = yield* Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8], (namespace) =>
            Effect.gen(function* () {
              const { check } = yield* lock(folder)
              owners++
              most = Math.max(most, owners)
              yield* Deferred.await(hold)
              yield* check
            }).pipe(
              Effect.scoped,
              Effect.provide(elsewhere({ namespace: `${namespace}` })),
              Effect.exit,
              Effect.forkChild
            )
          )
          while (contenders.filter((fiber) => fiber.pollUnsafe() !== undefined).length < 7) {
            yield* Effect.sleep("5 millis")
          }
          yield* Deferred.succeed(hold, undefined)
          const exits = yield* Effect.forEach(contenders, Fiber.join)
          assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
          assert.strictEqual(most, 1)
        }
      }).pipe(Effect.scoped, Effect.provide(here)),
    60_000
  )
})

const stateAt = (point: number) =>
  new StreamState({ time: formatTime(start + point * 60_000), step: 60, version: 1 })

const series = seriesOf("up", { job: "a" })

for (const [kind, layer] of [
  [
    "jsonl",
    (folder: string) => JsonLinesFolder.layer({ path: folder, source: "x", labelColumns: true, gzip: false })
  ],
  ["parquet", (folder: string) => ParquetFolder.layer({ path: folder, source: "x", labelColumns: true })]
] as const) {
  describe(kind, () => {
    it.live("is no longer written by a run that was suspended while another one took over", () => {
      const logs: Array<string> = []
      return Effect.gen(function* () {
        const folder = join(yield* temporaryFolder, "data")
        const openIn = Effect.fnUntraced(function* (who: typeof here, scope: Scope.Scope) {
          const context = yield* Layer.buildWithScope(Layer.provide(layer(folder), who), scope)
          const destination = yield* Effect.provide(Destination, context)
          return yield* Scope.provide(destination.open("up", "incremental_append"), scope)
        })
        const sleeping = yield* Scope.make()
        const writer = yield* openIn(here, sleeping)
        yield* writer.write([floats(series, [[start, "0"]])])
        yield* writer.commit(stateAt(0))
        yield* writer.complete
        // It has more rows in memory and in its file, and is suspended here.
        yield* writer.write([
          floats(
            series,
            Array.from({ length: 30_000 }, (_, point) => [start + (point + 1) * 60_000, "7"] as const)
          )
        ])
        const lockPath = join(folder, "_state", "_lock.1")
        age(lockPath, 130)
        const awake = yield* Scope.make()
        const other = yield* openIn(container, awake)
        yield* other.write([floats(series, [[start + 60_000, "1"]])])
        yield* other.commit(stateAt(1))
        yield* other.complete
        const error = yield* Effect.flip(Effect.andThen(writer.commit(stateAt(30_000)), writer.complete))
        assert.match(error.message, /another run has taken over the folder.*writes nothing more/)
        assert.isTrue(error.isFatal)
        yield* Scope.close(sleeping, Exit.void)
        yield* other.write([floats(series, [[start + 120_000, "2"]])])
        yield* other.commit(stateAt(2))
        yield* other.complete
        yield* Scope.close(awake, Exit.void)
        const [time, contents] = yield* Effect.all([
          loadedTime(),
          Effect.flatMap(Destination, ({ contents }) => contents("up", "current"))
        ]).pipe(Effect.provide(Layer.provide(layer(folder), here)))
        assert.strictEqual(time, stateAt(2).time)
        assert.strictEqual(contents.rows, 3)
        assert.isFalse(existsSync(lockPath))
        if (kind === "jsonl") {
          const lines = readFileSync(join(folder, "up.jsonl"), "utf8").split("\n").slice(0, -1)
          assert.deepStrictEqual(
            lines.map((line) => (JSON.parse(line) as { data: { value: number } }).data.value),
            [0, 1, 2]
          )
        } else {
          assert.lengthOf(readdirSync(join(folder, "up", "day=2026-01-01")), 1)
        }
        // The error already reported what the suspended run did not save.
        assert.deepStrictEqual(logs, [])
      }).pipe(
        Effect.scoped,
        Effect.provide(Logger.layer([Logger.make(({ message }) => void logs.push(String(message)))]))
      )
    })
  })
}
