/** Parts of several processes in Parquet files, in a folder or a bucket: what the model does not look at. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import type { Destination } from "../../../src/destinations/Destination.ts"
import type { OpenOptions } from "../../../src/destinations/DestinationKind.ts"
import type { ParquetManifest } from "../../../src/destinations/parquet/manifest.ts"
import { layer, sharedLayer } from "../../../src/destinations/parquet/ParquetFolder.ts"
import { SharedDestination } from "../../../src/destinations/SharedDestination.ts"
import type { SampleBlock } from "../../../src/samples/Sample.ts"
import type { PartResult } from "../../../src/sync/partState.ts"
import { formatTime } from "../../../src/text/formatTime.ts"
import { floats, loadedTime, put, seriesOf, start, temporaryFolder } from "../drive.ts"
import { refuseParts } from "../scenarios.ts"
import { buryProcess, processesIn, rowsIn } from "./sharedWorld.ts"

const MINUTE = 60_000

/** A place for parts. */
export interface Place {
  /** Its destination. */
  readonly path: string
  /** The folder of its files. */
  readonly files: string
}

const options = ({ path }: Place) => ({ path, source: "http://mock", labelColumns: true })

/** The part with the points from one to another. */
export const partOf = (first: number, last: number, isReread = false): PartResult => ({
  grid: { firstMillis: start, lastMillis: start + 10_000 * MINUTE, stepMillis: MINUTE },
  covered: [{ firstMillis: start + first * MINUTE, lastMillis: start + last * MINUTE }],
  isReread,
  details: { selector: "", excluded_labels: "" }
})

/** Writes blocks as a part. */
export const write = (part: PartResult, blocks: ReadonlyArray<SampleBlock>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const writer = yield* Effect.flatMap(SharedDestination, ({ openPart }) => openPart("up"))
      yield* writer.write(blocks)
      return yield* writer.commit(part)
    })
  )

/** A row per point. */
export const points = (labels: Readonly<Record<string, string>>, first: number, last: number, value = "1") =>
  floats(
    seriesOf("up", labels),
    Array.from({ length: last - first + 1 }, (_, n) => [start + (first + n) * MINUTE, value] as const)
  )

/** Opens the place for parts. */
export const share = <A, E>(
  place: Place,
  body: Effect.Effect<A, E, SharedDestination>,
  source = "http://mock",
  more: Partial<OpenOptions> = {}
) =>
  body.pipe(
    Effect.provide(sharedLayer({ ...options(place), source, ...more })),
    Effect.provide(NodeServices.layer)
  )

/** Opens the place for a run alone. */
export const alone = <A, E>(place: Place, body: Effect.Effect<A, E, Destination>) =>
  body.pipe(Effect.provide(layer(options(place))), Effect.provide(NodeServices.layer))

export const manifestIn = ({ files }: Place): ParquetManifest =>
  JSON.parse(readFileSync(join(files, "_state/up.json"), "utf8"))

/** The new files that are left. */
export const remainsIn = ({ files }: Place): ReadonlyArray<string> =>
  existsSync(join(files, "_state/_new")) ? readdirSync(join(files, "_state/_new")) : []

/** Where parts are written. */
export interface TestPlace {
  /** The destination for a folder. */
  readonly path: (folder: string) => string
  /** Its files. */
  readonly filesOf: (folder: string) => string
}

/** Tests of parts in a place. */
export const testShared = ({ filesOf, path }: TestPlace): void => {
  const newPlace = Effect.map(temporaryFolder, (folder): Place => {
    const name = join(folder, "data")
    return { path: path(name), files: filesOf(name) }
  })

  it.live("have a length per stream, which the first process that proposes one decides", () =>
    Effect.gen(function* () {
      const place = yield* newPlace
      const lengthsFor = (proposed: Readonly<Record<string, number>>) =>
        share(
          place,
          Effect.flatMap(SharedDestination, ({ partLengths }) =>
            Effect.map(partLengths(new Map(Object.entries(proposed))), (lengths) =>
              Object.fromEntries(lengths)
            )
          )
        )
      assert.deepStrictEqual(yield* lengthsFor({}), {})
      assert.deepStrictEqual(yield* lengthsFor({ up: 1000 }), { up: 1000 })
      assert.deepStrictEqual(yield* lengthsFor({ up: 2000, cpu: 3000 }), { up: 1000, cpu: 3000 })
      assert.deepStrictEqual(yield* lengthsFor({ memory: 4000 }), { up: 1000, cpu: 3000, memory: 4000 })
      assert.deepStrictEqual(yield* lengthsFor({}), { up: 1000, cpu: 3000, memory: 4000 })
    }).pipe(Effect.scoped)
  )

  it.live("have columns that all processes agree on, although each may see a label first", () =>
    Effect.gen(function* () {
      const place = yield* newPlace
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
      ).pipe((body) => share(place, body))
      const { queryDatabase } = yield* Effect.promise(() => import("../duckdb/queryDatabase.ts"))
      const rows = yield* Effect.promise(() =>
        queryDatabase(
          ":memory:",
          `SELECT "Case", label_time, "é", other_labels, count(*)::INTEGER AS rows
           FROM read_parquet('${place.files}/up/*/*.parquet', union_by_name = true) GROUP BY ALL ORDER BY rows`
        )
      )
      assert.deepStrictEqual(
        rows.map((row) => ({ ...row })),
        [
          { Case: null, label_time: "night", é: null, other_labels: '{"CASE":"3","case":"2"}', rows: 10 },
          { Case: "1", label_time: "noon", é: "x", other_labels: null, rows: 20 }
        ]
      )
      assert.deepStrictEqual(manifestIn(place).columns.toSorted(), ["Case", "label_time", "é"])
    })
  )

  it.live("of a group have the metric in a column, and all labels in one object", () =>
    Effect.gen(function* () {
      const place = yield* newPlace
      yield* Effect.gen(function* () {
        assert.isTrue(yield* write(partOf(0, 9), []))
        assert.isTrue(yield* write(partOf(10, 19), [points({ job: "a" }, 10, 19), points({}, 10, 19)]))
        assert.isTrue(yield* write(partOf(10, 29, true), [points({ job: "a" }, 10, 29, "7")]))
      }).pipe((body) => share(place, body, "http://mock", { kindOf: () => "group" }))
      yield* share(place, refuseParts)
      const { queryDatabase } = yield* Effect.promise(() => import("../duckdb/queryDatabase.ts"))
      const rows = yield* Effect.promise(() =>
        queryDatabase(
          ":memory:",
          `SELECT metric, labels, value, count(*)::INTEGER AS rows
           FROM read_parquet('${place.files}/up/*/*.parquet', union_by_name = true) GROUP BY ALL ORDER BY rows`
        )
      )
      assert.deepStrictEqual(
        rows.map((row) => ({ ...row })),
        [
          { metric: "up", labels: "{}", value: 1, rows: 10 },
          { metric: "up", labels: '{"job":"a"}', value: 7, rows: 20 }
        ]
      )
    })
  )

  it.live("do not leave a file each, and leave one per day that is complete", () =>
    Effect.gen(function* () {
      const place = yield* newPlace
      const partsOf = (day: string) => readdirSync(join(place.files, "up", `day=${day}`)).length
      yield* share(
        place,
        Effect.gen(function* () {
          for (let hour = 0; hour < 23; hour++) {
            yield* write(partOf(hour * 60, hour * 60 + 59), [points({ job: "a" }, hour * 60, hour * 60 + 59)])
          }
          assert.isAtMost(partsOf("2026-01-01"), 9)
          yield* write(partOf(23 * 60, 25 * 60 - 1), [points({ job: "a" }, 23 * 60, 25 * 60 - 1)])
        })
      )
      assert.strictEqual(partsOf("2026-01-01"), 1)
      assert.strictEqual(partsOf("2026-01-02"), 1)
      assert.lengthOf(yield* Effect.promise(() => rowsIn(place.files, "up")), 25 * 60)
    })
  )

  it.live("replace the rows that are read again, and are not written again otherwise", () =>
    Effect.gen(function* () {
      const place = yield* newPlace
      yield* share(
        place,
        Effect.gen(function* () {
          assert.isTrue(yield* write(partOf(0, 9), [points({ job: "a" }, 0, 9)]))
          assert.isFalse(yield* write(partOf(0, 9), [points({ job: "a" }, 0, 9, "7")]))
          assert.isTrue(yield* write(partOf(5, 14, true), [points({ job: "a" }, 7, 14, "2")]))
          const { bytes, previewCommand, states, streams } = yield* SharedDestination
          assert.deepStrictEqual([...(yield* streams).keys()], ["up"])
          assert.isAbove(yield* bytes, 0)
          assert.match(previewCommand("up"), /^duckdb -c .*up\/\*\/\*\.parquet/)
          const state = Option.getOrThrow(yield* states.load("up"))
          assert.strictEqual(state.time, formatTime(start + 14 * MINUTE))
        })
      )
      const rows = yield* Effect.promise(() => rowsIn(place.files, "up"))
      const values = rows.toSorted((a, b) => (a.key < b.key ? -1 : 1)).map(({ value }) => value)
      assert.strictEqual(values.join(""), "1111111".padEnd(15, "2"))
    })
  )

  it.live("come before and after runs that have the place for themselves, in any mode", () =>
    Effect.gen(function* () {
      const place = yield* newPlace
      yield* share(place, write(partOf(0, 9), [points({ job: "a" }, 0, 9)]))
      yield* alone(
        place,
        Effect.gen(function* () {
          assert.strictEqual(yield* loadedTime("incremental_append_deduped"), formatTime(start + 9 * MINUTE))
          yield* put("up", "incremental_append_deduped", 9, 10)
          // Rows are repeated now.
          yield* put("up", "incremental_append", 10, 11)
        })
      )
      assert.lengthOf(yield* Effect.promise(() => rowsIn(place.files, "up")), 13)
      // That run did not list what it has read.
      yield* share(
        place,
        Effect.gen(function* () {
          assert.lengthOf(yield* Effect.promise(() => rowsIn(place.files, "up")), 12)
          assert.isTrue(yield* write(partOf(12, 19), [points({ job: "a" }, 12, 19)]))
        })
      )
      assert.lengthOf(yield* Effect.promise(() => rowsIn(place.files, "up")), 20)
      yield* alone(place, put("up", "full_refresh_overwrite", 1, 2))
      yield* share(place, write(partOf(3, 4), [points({ job: "a" }, 3, 4)]))
      assert.lengthOf(yield* Effect.promise(() => rowsIn(place.files, "up")), 4)
    })
  )

  it.live("refuse a run at the same time, and data of another source", () =>
    Effect.gen(function* () {
      const place = yield* newPlace
      yield* share(
        place,
        Effect.gen(function* () {
          const refused = yield* Effect.flip(alone(place, Effect.void))
          assert.match(refused.message, /is being written in parts by another process \(process \d+/)
          yield* write(partOf(0, 9), [points({ job: "a" }, 0, 9)])
        })
      )
      const other = yield* Effect.flip(share(place, Effect.void, "http://else"))
      assert.match(other.message, /holds data of http:\/\/mock, and this is http:\/\/else/)
      const during = yield* alone(place, Effect.flip(share(place, Effect.void)))
      assert.match(during.message, /is being written by another run \(process \d+/)
    })
  )

  it.live("are lost to a process that others have shut out, which says so", () =>
    Effect.gen(function* () {
      const place = yield* newPlace
      yield* share(
        place,
        Effect.gen(function* () {
          yield* write(partOf(0, 9), [points({ job: "a" }, 0, 9)])
          for (const id of processesIn(place.files)) buryProcess(place.files, id)
          yield* alone(place, Effect.void)
          const error = yield* Effect.flip(write(partOf(10, 19), [points({ job: "a" }, 10, 19)]))
          assert.match(error.message, /data (cannot be written: .*|is being written by )another run/)
          assert.isTrue(error.isFatal)
        })
      )
      assert.lengthOf(yield* Effect.promise(() => rowsIn(place.files, "up")), 10)
      assert.deepStrictEqual(remainsIn(place), [])
    })
  )
}
