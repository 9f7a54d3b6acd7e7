/** The primary key of tables: where there is one, what becomes of it, and what of rows that have the same. */
import { join } from "node:path"
import { DuckDBConnection } from "@duckdb/node-api"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Destination, type SyncMode, syncModes } from "../../../src/destinations/Destination.ts"
import type { SampleBlock } from "../../../src/samples/Sample.ts"
import { StreamState } from "../../../src/sync/StreamState.ts"
import { formatTime } from "../../../src/text/formatTime.ts"
import {
  floats,
  histogramOf,
  loadedTime,
  openToResume,
  seriesOf,
  start,
  temporaryFolder
} from "../folder/drive.ts"
import { ask } from "./ask.ts"
import { use } from "./use.ts"

const one = seriesOf("up", { job: "a" })
const other = seriesOf("up", { job: "b", zone: "c" })

const stateAt = (point: number, isRefresh = false) =>
  new StreamState({
    time: formatTime(start + point * 60_000),
    step: 60,
    version: 1,
    ...(isRefresh ? { full_refresh: true as const } : {})
  })

const block = (series: typeof one, ...points: ReadonlyArray<readonly [number, string]>) =>
  floats(
    series,
    points.map(([point, value]) => [start + point * 60_000, value] as const)
  )

/** Writes and commits blocks up to a point; whole, unless it is not to be. */
const put = (
  mode: SyncMode,
  point: number,
  blocks: ReadonlyArray<SampleBlock>,
  isWhole: "whole" | "not whole" = "whole"
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const writer = yield* openToResume("up", mode)
      yield* writer.write(blocks)
      yield* writer.commit(stateAt(point, mode.startsWith("full")))
      if (isWhole === "whole") yield* writer.complete
    })
  )

/** The same, and nothing that is wanted of DuckDB is done any more from a commit of the body on. */
const stopBefore = (number: number, path: string, body: Effect.Effect<unknown, unknown, Destination>) =>
  Effect.suspend(() => {
    const { run } = DuckDBConnection.prototype
    let commits = 0
    let isGone = false
    const watched = Effect.suspend(() => {
      DuckDBConnection.prototype.run = function (...args) {
        if (args[0] === "COMMIT" && ++commits === number) isGone = true
        return isGone ? Promise.reject(new Error("gone")) : run.apply(this, args)
      }
      return body
    })
    return use(path, watched, { rowsAtOnce: 2 }).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          DuckDBConnection.prototype.run = run
        })
      ),
      Effect.flip,
      Effect.map((error) => assert.match(String((error as Error).message), /gone/))
    )
  })

const rows = (path: string) =>
  Effect.promise(() =>
    ask(
      path,
      `SELECT job, ((epoch_ms(time) - ${start}) / 60000)::INTEGER AS point, value, histogram->>'count' AS count
       FROM up ORDER BY ALL`
    )
  ).pipe(
    Effect.map((found) =>
      found.map(({ count, job, point, value }) => `${job}${point}=${value ?? `h${count}`}`)
    )
  )

const keyOf = (path: string, table = "up") =>
  Effect.map(
    Effect.promise(() =>
      ask(
        path,
        `SELECT constraint_column_names AS columns FROM duckdb_constraints()
         WHERE table_name = '${table}' AND constraint_type = 'PRIMARY KEY'`
      )
    ),
    (found) => found.map(({ columns }) => columns)
  )

const tables = (path: string) =>
  Effect.map(
    Effect.promise(() => ask(path, "FROM duckdb_tables() SELECT table_name WHERE schema_name = 'main'")),
    (found) => found.map(({ table_name }) => table_name)
  )

const loaded = (path: string, mode?: SyncMode) => use(path, loadedTime(mode))

const databasePath = Effect.map(temporaryFolder, (folder) => join(folder, "data.duckdb"))

const key: ReadonlyArray<unknown> = [["series_id", "time"]]

describe("the primary key of a table", () => {
  it.live("is declared in the modes that have a row once, and not in those that append", () =>
    Effect.gen(function* () {
      for (const mode of syncModes) {
        const expected = mode === "incremental_append_deduped" || mode === "full_refresh_overwrite" ? key : []
        const path = yield* databasePath
        yield* use(path, put(mode, 1, [block(one, [0, "1"], [1, "2"])]))
        assert.deepStrictEqual(yield* keyOf(path), [...expected], mode)
        // It does what it says, also for others.
        const again = Effect.promise(async () => {
          const connection = await DuckDBConnection.create(
            await (await import("@duckdb/node-api")).DuckDBInstance.create(path)
          )
          try {
            await connection.run("INSERT INTO up FROM up LIMIT 1")
            return "inserted"
          } catch (error) {
            return String(error)
          } finally {
            connection.closeSync()
          }
        })
        assert.match(yield* again, expected.length === 0 ? /inserted/ : /Duplicate key/)
      }
    })
  )

  it.live("comes and goes with the mode, and takes no row with it", () =>
    Effect.gen(function* () {
      for (const rowsAtOnce of [1, 2, 100]) {
        const path = yield* databasePath
        const options = { rowsAtOnce }
        const run = (mode: SyncMode, point: number, ...blocks: ReadonlyArray<SampleBlock>) =>
          use(path, put(mode, point, blocks), options)
        yield* run("incremental_append", 1, block(one, [0, "1"], [1, "2"]), block(other, [0, "3"]))
        yield* run("incremental_append", 2, block(one, [1, "4"], [2, "5"]), histogramOf(other, start, "6"))
        assert.deepStrictEqual(yield* rows(path), ["a0=1", "a1=2", "a1=4", "a2=5", "b0=3", "b0=h6"])
        yield* run("incremental_append_deduped", 3, block(one, [2, "7"], [3, "8"]))
        assert.deepStrictEqual(yield* rows(path), ["a0=1", "a1=4", "a2=7", "a3=8", "b0=h6"])
        assert.deepStrictEqual(yield* keyOf(path), [...key])
        yield* run("full_refresh_append", 3, block(one, [3, "9"]))
        assert.deepStrictEqual(yield* rows(path), ["a0=1", "a1=4", "a2=7", "a3=8", "a3=9", "b0=h6"])
        assert.deepStrictEqual(yield* keyOf(path), [])
        yield* run("incremental_append_deduped", 3)
        assert.deepStrictEqual(yield* rows(path), ["a0=1", "a1=4", "a2=7", "a3=9", "b0=h6"])
        assert.deepStrictEqual(yield* keyOf(path), [...key])
        // A refresh that was stopped while it appended restarts as one that replaces.
        yield* use(
          path,
          put("full_refresh_append", 0, [block(one, [0, "10"]), block(one, [0, "11"])], "not whole"),
          options
        )
        yield* run("full_refresh_overwrite", 2, block(one, [1, "12"]))
        assert.deepStrictEqual(yield* rows(path), ["a1=12"])
        assert.deepStrictEqual(yield* keyOf(path), [...key])
        assert.deepStrictEqual(yield* tables(path), ["up"])
      }
    })
  )

  it.live(
    "comes and goes in little memory, also where the table is large",
    () =>
      Effect.gen(function* () {
        const path = yield* databasePath
        const points = Array.from({ length: 5000 }, (_, point) => [point, `${point}`] as const)
        const blocks = Array.from({ length: 200 }, (_, n) =>
          block(seriesOf("up", { job: `${n}` }), ...points)
        )
        const options = { memoryMegabytes: 64 }
        const counts = Effect.promise(() =>
          ask(
            path,
            "SELECT count(*)::INTEGER AS rows, count(DISTINCT (series_id, time))::INTEGER AS keys FROM up"
          )
        )
        yield* use(path, put("incremental_append", 4999, blocks), options)
        yield* use(path, put("incremental_append_deduped", 4999, []), options)
        assert.deepStrictEqual(yield* keyOf(path), [...key])
        assert.deepStrictEqual(yield* counts, [{ rows: 1_000_000, keys: 1_000_000 }])
        yield* use(path, put("incremental_append", 4999, blocks.slice(0, 1)), options)
        assert.deepStrictEqual(yield* keyOf(path), [])
        assert.deepStrictEqual(yield* counts, [{ rows: 1_005_000, keys: 1_000_000 }])
      }),
    60_000
  )

  it.live("leaves the last of what comes more than once, however many transactions a commit takes", () =>
    Effect.gen(function* () {
      for (const mode of ["incremental_append_deduped", "full_refresh_overwrite"] as const) {
        for (const rowsAtOnce of [1, 2, 3, 4, 100]) {
          const path = yield* databasePath
          yield* use(
            path,
            put(mode, 3, [
              block(one, [0, "1"], [1, "2"], [2, "3"]),
              histogramOf(other, start, "4"),
              block(one, [1, "5"]),
              block(other, [0, "6"]),
              histogramOf(one, start, "7"),
              block(one, [1, "8"], [3, "9"])
            ]),
            { rowsAtOnce }
          )
          assert.deepStrictEqual(
            yield* rows(path),
            ["a0=h7", "a1=8", "a2=3", "a3=9", "b0=6"],
            `${rowsAtOnce}`
          )
        }
        const mixed = yield* databasePath
        const once = [block(one, [0, "1"], [1, "2"]), histogramOf(other, start, "3"), block(one, [2, "4"])]
        yield* use(mixed, put(mode, 2, once), { rowsAtOnce: 2 })
        assert.deepStrictEqual(yield* rows(mixed), ["a0=1", "a1=2", "a2=4", "b0=h3"])
        const path = yield* databasePath
        const histograms = [0, 1, 2, 3, 4].map((point) =>
          histogramOf(one, start + point * 60_000, `${point}`)
        )
        yield* use(path, put(mode, 4, [...histograms, histogramOf(one, start, "5")]), { rowsAtOnce: 2 })
        assert.deepStrictEqual(yield* rows(path), ["a0=h5", "a1=h1", "a2=h2", "a3=h3", "a4=h4"])
      }
    })
  )

  it.live("takes new values into their place, and leaves nothing behind", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      const points = Array.from({ length: 1000 }, (_, point) => point)
      for (let run = 0; run < 4; run++) {
        const blocks = [
          block(
            one,
            ...points.map((point) => [point, (point + run) % 2 === 1 ? `${point + run}` : "NaN"] as const)
          )
        ]
        yield* use(path, put("incremental_append_deduped", 999, blocks))
      }
      const [found] = yield* Effect.promise(() =>
        ask(
          path,
          `SELECT count(*)::INTEGER AS rows, sum(value)::INTEGER AS sum, max(rowid)::INTEGER AS last,
             count(*) FILTER (value IS NULL AND special_value = 'NaN')::INTEGER AS special FROM up`
        )
      )
      assert.deepStrictEqual(found, { rows: 1000, sum: 499 * 500 + 3 * 500, last: 999, special: 500 })
    })
  )

  it.live("lets a commit that was stopped between its transactions be done again, in any mode", () =>
    Effect.gen(function* () {
      const window = [block(one, [1, "3"], [2, "4"], [3, "5"]), block(other, [1, "6"], [2, "7"], [3, "8"])]
      const expected: ReadonlyArray<readonly [SyncMode, ReadonlyArray<string>]> = [
        ["incremental_append_deduped", ["a0=1", "a1=3", "a2=9", "b0=2", "b1=6"]],
        ["incremental_append", ["a0=1", "a1=3", "a1=3", "a2=9", "b0=2", "b1=6"]],
        ["full_refresh_append", ["a0=1", "a1=3", "a1=3", "a2=9", "b0=2", "b1=6"]]
      ]
      for (const [mode, all] of expected) {
        for (const stop of [2, 3]) {
          const path = yield* databasePath
          yield* use(
            path,
            put("incremental_append_deduped", 1, [
              block(one, [0, "1"], [1, "0"]),
              block(other, [0, "2"], [1, "6"])
            ])
          )
          yield* stopBefore(stop, path, put("incremental_append_deduped", 3, window))
          assert.strictEqual(yield* loaded(path), stateAt(1).time)
          // Of what is there, what was seen is seen: new values, and rows that are read again.
          assert.include(yield* rows(path), "a1=3")
          const again = mode === "incremental_append_deduped" ? [] : [[1, "3"] as const]
          yield* use(path, put(mode, 3, [block(one, ...again, [2, "9"])]))
          assert.deepStrictEqual(yield* rows(path), all, `${mode} ${stop}`)
        }
      }
    })
  )

  it.live("merges rows of many columns in little memory", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      const labels = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`label_${n}`, `value ${n}`]))
      const points = Array.from({ length: 1000 }, (_, point) => [point, `${point}`] as const)
      const blocks = Array.from({ length: 200 }, (_, n) =>
        block(seriesOf("up", { ...labels, n: `${n}` }), ...points)
      )
      for (let run = 0; run < 2; run++) {
        yield* use(path, put("incremental_append_deduped", 999, blocks), { memoryMegabytes: 96 })
      }
      const [found] = yield* Effect.promise(() => ask(path, "SELECT count(*)::INTEGER AS count FROM up"))
      assert.deepStrictEqual(found, { count: 200_000 })
    })
  )

  it.live("goes on where a whole refresh could not take its place, and says so", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      yield* use(path, put("incremental_append_deduped", 0, [block(one, [0, "1"])]))
      // Of the refresh, and not of what puts it into its place.
      yield* stopBefore(2, path, put("full_refresh_overwrite", 1, [block(one, [0, "2"], [1, "3"])]))
      assert.deepStrictEqual(yield* rows(path), ["a0=1"])
      assert.strictEqual(yield* loaded(path, "full_refresh_overwrite"), stateAt(1).time)
      yield* use(
        path,
        Effect.scoped(
          Effect.gen(function* () {
            const writer = yield* Effect.flatMap(Destination, ({ open }) =>
              open("up", "full_refresh_overwrite", true)
            )
            yield* writer.complete
          })
        )
      )
      assert.deepStrictEqual(yield* rows(path), ["a0=2", "a1=3"])
    })
  )
})
