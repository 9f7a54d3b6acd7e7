/** Parts of several processes in a folder of Parquet files: what the model does not look at. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import type { Destination } from "../../../src/destinations/Destination.ts"
import { hasOwnNames, type ParquetManifest } from "../../../src/destinations/parquet/manifest.ts"
import { layer, sharedLayer } from "../../../src/destinations/parquet/ParquetFolder.ts"
import { SharedDestination } from "../../../src/destinations/SharedDestination.ts"
import type { SampleBlock } from "../../../src/samples/Sample.ts"
import type { PartResult } from "../../../src/sync/partState.ts"
import { formatTime } from "../../../src/text/formatTime.ts"
import { floats, loadedTime, put, seriesOf, start, temporaryFolder } from "../drive.ts"
import { rowsIn } from "./sharedWorld.ts"

const MINUTE = 60_000
const options = (folder: string) => ({ path: folder, source: "http://mock", labelColumns: true })
const newFolder = Effect.map(temporaryFolder, (folder) => join(folder, "data"))

const partOf = (first: number, last: number, isReread = false): PartResult => ({
  grid: { firstMillis: start, lastMillis: start + 10_000 * MINUTE, stepMillis: MINUTE },
  covered: [{ firstMillis: start + first * MINUTE, lastMillis: start + last * MINUTE }],
  isReread,
  details: { selector: "", excluded_labels: "" }
})

/** Writes blocks as a part. */
const write = (part: PartResult, blocks: ReadonlyArray<SampleBlock>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const writer = yield* Effect.flatMap(SharedDestination, ({ openPart }) => openPart("up"))
      yield* writer.write(blocks)
      return yield* writer.commit(part)
    })
  )

const points = (labels: Readonly<Record<string, string>>, first: number, last: number, value = "1") =>
  floats(
    seriesOf("up", labels),
    Array.from({ length: last - first + 1 }, (_, n) => [start + (first + n) * MINUTE, value] as const)
  )

const share = <A, E>(folder: string, body: Effect.Effect<A, E, SharedDestination>, source = "http://mock") =>
  body.pipe(Effect.provide(sharedLayer({ ...options(folder), source })), Effect.provide(NodeServices.layer))

const alone = <A, E>(folder: string, body: Effect.Effect<A, E, Destination>) =>
  body.pipe(Effect.provide(layer(options(folder))), Effect.provide(NodeServices.layer))

const manifestIn = (folder: string): ParquetManifest =>
  JSON.parse(readFileSync(join(folder, "_state/up.json"), "utf8"))

describe("parts in a folder of Parquet files", () => {
  it.live("have columns that all processes agree on, whoever saw a label first", () =>
    Effect.gen(function* () {
      const folder = yield* newFolder
      const one = { Case: "1", time: "noon", é: "x" }
      const two = { case: "2", CASE: "3", time: "night" }
      // Both begin when the stream has no columns.
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { openPart } = yield* SharedDestination
          const [a, b] = [yield* openPart("up"), yield* openPart("up")]
          yield* a.write([points(one, 0, 9)])
          yield* b.write([points(two, 10, 19), points(one, 10, 19)])
          assert.isTrue(yield* a.commit(partOf(0, 9)))
          assert.isTrue(yield* b.commit(partOf(10, 19)))
        })
      ).pipe((body) => share(folder, body))
      const { queryDatabase } = yield* Effect.promise(() => import("../duckdb/queryDatabase.ts"))
      const rows = yield* Effect.promise(() =>
        queryDatabase(
          ":memory:",
          `SELECT "Case", label_time, "é", other_labels, count(*)::INTEGER AS rows
           FROM read_parquet('${folder}/up/*/*.parquet', union_by_name = true) GROUP BY ALL ORDER BY rows`
        )
      )
      assert.deepStrictEqual(
        rows.map((row) => ({ ...row })),
        [
          { Case: null, label_time: "night", é: null, other_labels: '{"CASE":"3","case":"2"}', rows: 10 },
          { Case: "1", label_time: "noon", é: "x", other_labels: null, rows: 20 }
        ]
      )
      assert.deepStrictEqual(manifestIn(folder).columns.toSorted(), ["Case", "label_time", "é"])
    })
  )

  it.live("do not leave a file each, and leave one per day that is complete", () =>
    Effect.gen(function* () {
      const folder = yield* newFolder
      const filesOf = (day: string) => readdirSync(join(folder, "up", `day=${day}`)).length
      yield* share(
        folder,
        Effect.gen(function* () {
          for (let hour = 0; hour < 23; hour++) {
            yield* write(partOf(hour * 60, hour * 60 + 59), [points({ job: "a" }, hour * 60, hour * 60 + 59)])
          }
          assert.isAtMost(filesOf("2026-01-01"), 9)
          yield* write(partOf(23 * 60, 25 * 60 - 1), [points({ job: "a" }, 23 * 60, 25 * 60 - 1)])
        })
      )
      assert.strictEqual(filesOf("2026-01-01"), 1)
      assert.strictEqual(filesOf("2026-01-02"), 1)
      assert.lengthOf(yield* Effect.promise(() => rowsIn(folder, "up")), 25 * 60)
    })
  )

  it.live("replace the rows that are read again, and are not written again otherwise", () =>
    Effect.gen(function* () {
      const folder = yield* newFolder
      yield* share(
        folder,
        Effect.gen(function* () {
          assert.isTrue(yield* write(partOf(0, 9), [points({ job: "a" }, 0, 9)]))
          assert.isFalse(yield* write(partOf(0, 9), [points({ job: "a" }, 0, 9, "7")]))
          assert.isTrue(yield* write(partOf(5, 14, true), [points({ job: "a" }, 7, 14, "2")]))
          const { bytes, previewCommand, states, streams } = yield* SharedDestination
          assert.deepStrictEqual(yield* streams, ["up"])
          assert.isAbove(yield* bytes, 0)
          assert.match(previewCommand("up"), /^duckdb -c .*up\/\*\/\*\.parquet/)
          const state = Option.getOrThrow(yield* states.load("up"))
          assert.strictEqual(state.time, formatTime(start + 14 * MINUTE))
        })
      )
      const rows = yield* Effect.promise(() => rowsIn(folder, "up"))
      const values = rows.toSorted((a, b) => (a.key < b.key ? -1 : 1)).map(({ value }) => value)
      assert.strictEqual(values.join(""), "1111111".padEnd(15, "2"))
    })
  )

  it.live("come before and after runs that have the folder for themselves, in any mode", () =>
    Effect.gen(function* () {
      const folder = yield* newFolder
      yield* share(folder, write(partOf(0, 9), [points({ job: "a" }, 0, 9)]))
      yield* alone(
        folder,
        Effect.gen(function* () {
          assert.strictEqual(yield* loadedTime("incremental_append_deduped"), formatTime(start + 9 * MINUTE))
          yield* put("up", "incremental_append_deduped", 9, 10)
          // Rows are repeated now.
          yield* put("up", "incremental_append", 10, 11)
        })
      )
      assert.lengthOf(yield* Effect.promise(() => rowsIn(folder, "up")), 13)
      // That run did not list what it has read.
      yield* share(
        folder,
        Effect.gen(function* () {
          assert.lengthOf(yield* Effect.promise(() => rowsIn(folder, "up")), 12)
          assert.isTrue(yield* write(partOf(12, 19), [points({ job: "a" }, 12, 19)]))
        })
      )
      assert.lengthOf(yield* Effect.promise(() => rowsIn(folder, "up")), 20)
      yield* alone(folder, put("up", "full_refresh_overwrite", 1, 2))
      yield* share(folder, write(partOf(3, 4), [points({ job: "a" }, 3, 4)]))
      assert.lengthOf(yield* Effect.promise(() => rowsIn(folder, "up")), 4)
    })
  )

  it.live("refuse a run at the same time, and data of another source", () =>
    Effect.gen(function* () {
      const folder = yield* newFolder
      yield* share(
        folder,
        Effect.gen(function* () {
          const refused = yield* Effect.flip(alone(folder, Effect.void))
          assert.match(refused.message, /is being written in parts by another process \(process \d+/)
          yield* write(partOf(0, 9), [points({ job: "a" }, 0, 9)])
        })
      )
      const other = yield* Effect.flip(share(folder, Effect.void, "http://else"))
      assert.match(other.message, /holds data of http:\/\/mock, and this is http:\/\/else/)
      const during = yield* alone(folder, Effect.flip(share(folder, Effect.void)))
      assert.match(during.message, /is being written by another run \(process \d+/)
    })
  )

  it.live("are lost to a process that others have shut out, which says so", () =>
    Effect.gen(function* () {
      const folder = yield* newFolder
      yield* share(
        folder,
        Effect.gen(function* () {
          yield* write(partOf(0, 9), [points({ job: "a" }, 0, 9)])
          const name = readdirSync(join(folder, "_state")).find((name) => name.startsWith("_shared."))!
          const path = join(folder, "_state", name)
          const owner = JSON.parse(readFileSync(path, "utf8"))
          writeFileSync(path, JSON.stringify({ ...owner, process: 4_194_305 }))
          yield* alone(folder, Effect.void)
          const error = yield* Effect.flip(write(partOf(10, 19), [points({ job: "a" }, 10, 19)]))
          assert.match(error.message, /data cannot be written: .*another run/)
          assert.isTrue(error.isFatal)
        })
      )
      assert.lengthOf(yield* Effect.promise(() => rowsIn(folder, "up")), 10)
      assert.deepStrictEqual(readdirSync(join(folder, "_state/_new")), [])
    })
  )

  it("have names in manifests that no one can forge", () => {
    const file = { day: "2026-01-01", part: 1, bytes: 1, rows: 1, firstMillis: 0, lastMillis: 0 }
    const isOurs = (more: object) =>
      hasOwnNames({
        version: 2,
        stream: "up",
        files: [{ ...file, ...more }],
        nextPart: 2,
        columns: [],
        isUnique: true
      })
    const id = "0123456789abcdef01-7"
    assert.isTrue(isOurs({ id, from: `_state/_new/up=${id}` }))
    assert.isTrue(isOurs({ id }))
    assert.isFalse(isOurs({ id: "../../x-1" }))
    assert.isFalse(isOurs({ from: `_state/_new/up=${id}` }))
    assert.isFalse(isOurs({ id, from: `_state/_new/down=${id}` }))
    assert.isFalse(isOurs({ id, from: "_state/_new/../../x" }))
  })
})
