/** Parts of several processes in a bucket: also what only happens there, since a store cannot rename. */
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Option } from "effect"
import { OpenS3Client } from "../../../src/destinations/objects/OpenS3Client.ts"
import { openS3Store } from "../../../src/destinations/objects/S3Store.ts"
import { openClient } from "../../../src/destinations/objects/s3Library.ts"
import { dayOf } from "../../../src/destinations/parquet/manifest.ts"
import { sharedLayer } from "../../../src/destinations/parquet/ParquetFolder.ts"
import { SharedDestination } from "../../../src/destinations/SharedDestination.ts"
import { environmentOf } from "../../support/s3.ts"
import { S3_DATA, S3_ENDPOINT } from "../../support/s3Setup.ts"
import { start, temporaryFolder } from "../drive.ts"
import { killBeforeChangeOfStore } from "../stopRequests.ts"
import { buryProcess, processesIn, rowsIn } from "./sharedWorld.ts"
import { alone, type Place, partOf, points, remainsIn, share, testShared, write } from "./testShared.ts"

const bucket = {
  path: (folder: string) => {
    Object.assign(process.env, environmentOf(process.env[S3_ENDPOINT]!))
    return `s3://metrics${folder}`
  },
  filesOf: (folder: string) => join(process.env[S3_DATA]!, "metrics", folder)
}

const newPlace = Effect.map(temporaryFolder, (folder): Place => {
  const name = join(folder, "data")
  return { path: bucket.path(name), files: bucket.filesOf(name) }
})

/** A process whose requests all wait for a function. */
const shareGated = <A, E>(
  place: Place,
  before: (operation: string, key: string) => Promise<void>,
  body: Effect.Effect<A, E, SharedDestination>
) =>
  body.pipe(
    Effect.provide(
      Layer.provide(
        sharedLayer({ path: place.path, source: "http://mock", labelColumns: true }),
        Layer.succeed(OpenS3Client, async () => {
          const client = await openClient(process.env)
          return {
            ...client,
            send: async (operation, input, signal) => {
              await before(operation, "Key" in input ? (input.Key ?? "") : "")
              return client.send(operation, input, signal)
            }
          }
        })
      )
    ),
    Effect.provide(NodeServices.layer)
  )

const valuesIn = (place: Place) =>
  Effect.map(
    Effect.promise(() => rowsIn(place.files, "up")),
    (rows) =>
      rows
        .toSorted((a, b) => (a.key < b.key ? -1 : 1))
        .map(({ value }) => value)
        .join("")
  )

/** A promise, and what resolves it. */
const signal = () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { promise, resolve }
}

const MINUTE = 60_000

/** Its points. */
const DAY = 1440

const DAYS = 6

describe("parts in a bucket of Parquet files", () => {
  testShared(bucket)

  it.live("do not come back if they were superseded while a process that was paused copies them", () =>
    Effect.gen(function* () {
      const place = yield* newPlace
      const [copying, awake] = [signal(), signal()]
      const paused = yield* Effect.forkChild(
        shareGated(
          place,
          async (operation) => {
            if (operation !== "CopyObject") return
            copying.resolve()
            await awake.promise
          },
          write(partOf(0, 9), [points({ job: "a" }, 0, 9)])
        )
      )
      yield* Effect.promise(() => copying.promise)
      yield* share(place, write(partOf(5, 14, true), [points({ job: "a" }, 5, 14, "2")]))
      awake.resolve()
      assert.isTrue(yield* Fiber.join(paused))
      assert.strictEqual(yield* valuesIn(place), "11111".padEnd(15, "2"))
      assert.deepStrictEqual(remainsIn(place), [])
    })
  )

  it.live("can be read while another process moves one after another", () =>
    Effect.gen(function* () {
      const place = yield* newPlace
      /** What each copy waits for, by its day. */
      const turns = new Map(
        Array.from({ length: DAYS }, (_, day) => [dayOf(start + day * DAY * MINUTE), signal()] as const)
      )
      const copying = signal()
      const mover = yield* Effect.forkChild(
        shareGated(
          place,
          async (operation, key) => {
            if (operation !== "CopyObject") return
            copying.resolve()
            await turns.get(/day=([^/]*)/.exec(key)![1]!)!.promise
          },
          write(partOf(0, DAYS * DAY - 1), [points({ job: "a" }, 0, DAYS * DAY - 1)])
        )
      )
      yield* Effect.promise(() => copying.promise)
      const [id = ""] = processesIn(place.files)
      let lost = 0
      const reader = shareGated(
        place,
        async (operation, key) => {
          const number = Number(key.split(`=${id}-`)[1])
          if (operation !== "GetObject" || Number.isNaN(number)) return
          // It is moved when it is about to be read.
          turns.get(dayOf(start + (number - 1) * DAY * MINUTE))!.resolve()
          while (remainsIn(place).some((name) => key.endsWith(`/${name}`))) {
            await new Promise((resolve) => setTimeout(resolve, 5))
          }
          lost++
        },
        write(partOf(0, DAYS * DAY - 1, true), [points({ job: "a" }, 0, DAYS * DAY - 1, "2")])
      )
      assert.isTrue(yield* reader)
      assert.isTrue(yield* Fiber.join(mover))
      assert.strictEqual(lost, DAYS)
      assert.strictEqual(yield* valuesIn(place), "2".repeat(DAYS * DAY))
      assert.deepStrictEqual(remainsIn(place), [])
    })
  )

  it.live(
    "are complete or not there at all, whenever a process is killed, for the next one and for a run alone",
    () =>
      Effect.gen(function* () {
        let stops = 0
        // Every other change, from either the first or the second one.
        for (let at = Math.random() < 0.5 ? 0 : 1; ; at += 2) {
          const place = yield* newPlace
          yield* share(place, write(partOf(0, 9), [points({ job: "a" }, 0, 9)]))
          let isStopped = false
          const stop = killBeforeChangeOfStore(place.files, at, () => {
            isStopped = true
          })
          const killed = yield* Effect.exit(
            write(partOf(5, 14, true), [points({ job: "a" }, 5, 14, "2")]).pipe(
              Effect.provide(
                Layer.provide(
                  sharedLayer({ path: place.path, source: "http://mock", labelColumns: true }),
                  stop
                )
              ),
              Effect.provide(NodeServices.layer)
            )
          )
          for (const id of processesIn(place.files)) buryProcess(place.files, id)
          const load = Effect.flatMap(SharedDestination, ({ states }) => states.load("up"))
          // The next process completes it.
          if (at % 4 < 2) yield* alone(place, Effect.void)
          const state = Option.getOrThrow(yield* share(place, load))
          const last = state.covered.at(-1)!.lastMillis
          const isCommitted = last === partOf(0, 14).covered[0]!.lastMillis
          if (Exit.isSuccess(killed)) assert.isTrue(isCommitted)
          assert.strictEqual(
            yield* valuesIn(place),
            isCommitted ? "11111".padEnd(15, "2") : "1111111111",
            `${at}`
          )
          assert.deepStrictEqual(remainsIn(place), [], `${at}`)
          if (!isStopped) break
          stops++
        }
        assert.isAbove(stops, 4)
      }),
    240_000
  )

  it.live("are deleted by several processes at the same moment", () =>
    Effect.gen(function* () {
      const place = yield* newPlace
      const prefix = place.path.slice("s3://metrics/".length)
      const store = yield* openS3Store({ bucket: "metrics", prefix, url: place.path })
      for (let round = 0; round < 20; round++) {
        yield* store.put("part", Buffer.from("x"), { version: undefined })
        yield* Effect.all(
          Array.from({ length: 8 }, () => store.remove("part")),
          { concurrency: "unbounded" }
        )
        assert.isFalse(yield* store.exists("part"))
      }
    }).pipe(Effect.scoped)
  )
})
