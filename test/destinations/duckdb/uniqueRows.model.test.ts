/** Rows of the same series and time: which modes repeat them, which row is kept, and that no key is needed. */
import { DuckDBConnection } from "@duckdb/node-api"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Destination, type SyncMode, syncModes } from "../../../src/destinations/Destination.ts"
import type { SampleBlock } from "../../../src/samples/Sample.ts"
import {
  floats,
  histogramOf,
  histogramsOf,
  loadedTime,
  putBlocks,
  seriesOf,
  start,
  stateAt
} from "../drive.ts"
import { change, databasePath, query } from "./steps.ts"
import { use } from "./use.ts"

const one = seriesOf("up", { job: "a" })
const other = seriesOf("up", { job: "b", zone: "c" })

const block = (series: typeof one, ...points: ReadonlyArray<readonly [number, string]>) =>
  floats(
    series,
    points.map(([point, value]) => [start + point * 60_000, value] as const)
  )

const put = (mode: SyncMode, point: number, ...blocks: ReadonlyArray<SampleBlock>) =>
  putBlocks("up", mode, blocks, point)

const rows = (path: string) =>
  Effect.map(
    query(
      path,
      `SELECT job, ((epoch_ms(time) - ${start}) / 60000)::INTEGER AS point, coalesce(value::VARCHAR, special_value) AS value,
         histogram.count::INTEGER AS count FROM up ORDER BY ALL`
    ),
    (found) =>
      found.map(
        ({ count, job, point, value }) =>
          `${job}${point}=${value === null ? `h${count}` : `${value}`.replace(/\.0$/, "")}`
      )
  )

/** The README's query for repeated rows. */
const repeated = (path: string) =>
  query(path, "SELECT series_id, time, count(*) AS count FROM up GROUP BY ALL HAVING count(*) > 1")

const uniqueModes = ["incremental_append_deduped", "full_refresh_overwrite"] as const

/** Fails all calls of DuckDB from a COMMIT of the body on. */
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
    return use(path, watched).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          DuckDBConnection.prototype.run = run
        })
      ),
      Effect.flip,
      Effect.map((error) => assert.match(String((error as Error).message), /gone/))
    )
  })

describe("the rows of a table", () => {
  it.live("are unique in the modes that guarantee it, without a declared key", () =>
    Effect.gen(function* () {
      for (const mode of syncModes) {
        const isUnique = uniqueModes.some((unique) => unique === mode)
        const path = yield* databasePath
        yield* use(path, put(mode, 1, block(one, [0, "1"], [1, "2"]), block(one, [1, "3"])))
        assert.deepStrictEqual(yield* rows(path), isUnique ? ["a0=1", "a1=3"] : ["a0=1", "a1=2", "a1=3"])
        assert.strictEqual((yield* repeated(path)).length, isUnique ? 0 : 1)
        assert.deepStrictEqual(yield* query(path, "FROM duckdb_constraints() WHERE table_name = 'up'"), [])
      }
    })
  )

  it.live("are repeated by modes that append, and made unique by deduped mode", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      const run = (mode: SyncMode, point: number, ...blocks: ReadonlyArray<SampleBlock>) =>
        use(path, put(mode, point, ...blocks))
      yield* run("incremental_append", 1, block(one, [0, "1"], [1, "2"]), block(other, [0, "3"]))
      yield* run("incremental_append", 2, block(one, [1, "4"], [2, "5"]), histogramOf(other, start, "6"))
      assert.deepStrictEqual(yield* rows(path), ["a0=1", "a1=2", "a1=4", "a2=5", "b0=3", "b0=h6"])
      yield* run("incremental_append_deduped", 3, block(one, [2, "7"], [3, "8"]))
      assert.deepStrictEqual(yield* rows(path), ["a0=1", "a1=4", "a2=7", "a3=8", "b0=h6"])
      yield* run("full_refresh_append", 3, block(one, [3, "9"]))
      assert.deepStrictEqual(yield* rows(path), ["a0=1", "a1=4", "a2=7", "a3=8", "a3=9", "b0=h6"])
      yield* run("incremental_append_deduped", 3)
      assert.deepStrictEqual(yield* rows(path), ["a0=1", "a1=4", "a2=7", "a3=9", "b0=h6"])
    })
  )

  it.live("are compared once after a mode that may have repeated some, and never otherwise", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      const isUnique = Effect.map(
        query(path, "SELECT entry->>'isUnique' AS flag FROM _source_prometheus.streams"),
        ([row]) => row?.flag
      )
      const modes: ReadonlyArray<readonly [SyncMode, number, string]> = [
        ["incremental_append", 0, "true"],
        ["incremental_append", 1, "true"],
        ["incremental_append", 1, "false"],
        ["incremental_append", 2, "false"],
        ["incremental_append_deduped", 2, "true"],
        ["full_refresh_append", 2, "false"],
        ["full_refresh_overwrite", 0, "true"]
      ]
      for (const [mode, point, expected] of modes) {
        yield* use(path, put(mode, point, block(one, [point, "1"])))
        assert.strictEqual(yield* isUnique, expected, mode)
      }
    })
  )

  it.live("are the last of repeated samples in a commit, also of histograms", () =>
    Effect.gen(function* () {
      for (const mode of uniqueModes) {
        const path = yield* databasePath
        yield* use(
          path,
          put(
            mode,
            3,
            block(one, [0, "1"], [1, "2"], [2, "3"]),
            histogramOf(other, start, "4"),
            block(one, [1, "5"]),
            block(other, [0, "6"]),
            histogramOf(one, start, "7"),
            block(one, [1, "8"], [3, "9"])
          )
        )
        assert.deepStrictEqual(yield* rows(path), ["a0=h7", "a1=8", "a2=3", "a3=9", "b0=6"])
        const path2 = yield* databasePath
        const histograms = [0, 1, 2, 3, 4].map((point) =>
          histogramOf(one, start + point * 60_000, `${point}`)
        )
        yield* use(path2, put(mode, 4, ...histograms, histogramOf(one, start, "5")))
        assert.deepStrictEqual(yield* rows(path2), ["a0=h5", "a1=h1", "a2=h2", "a3=h3", "a4=h4"])
      }
    })
  )

  it.live("are replaced by those of the same series and time, and no others", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      const run = (point: number, ...blocks: ReadonlyArray<SampleBlock>) =>
        use(path, put("incremental_append_deduped", point, ...blocks))
      yield* run(
        4,
        block(one, [1, "1"], [2, "-0"], [3, "NaN"], [4, "2"]),
        block(other, [2, "3"]),
        histogramOf(other, start + 3 * 60_000, "4")
      )
      // One is before all others, some are new between them, and some are no longer returned.
      yield* run(
        5,
        block(one, [0, "5"], [2, "0"], [3, "+Inf"], [5, "6"]),
        block(other, [1, "7"], [3, "8"], [5, "9"])
      )
      const expected = [
        ...["a0=5", "a1=1", "a2=0", "a3=+Inf", "a4=2", "a5=6"],
        ...["b1=7", "b2=3", "b3=8", "b5=9"]
      ]
      assert.deepStrictEqual(yield* rows(path), expected)
      yield* run(5, block(one, [2, "-0"]), histogramOf(one, start + 4 * 60_000, "2"))
      assert.deepStrictEqual(
        yield* rows(path),
        expected.map((row) => (row === "a2=0" ? "a2=-0" : row === "a4=2" ? "a4=h2" : row))
      )
    })
  )

  it.live("take no space when they are read again unchanged", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      const points = Array.from({ length: 1000 }, (_, point) => point)
      const run = (change: (point: number) => string) =>
        use(
          path,
          put("incremental_append_deduped", 999, block(one, ...points.map((at) => [at, change(at)] as const)))
        )
      const value = (point: number) => (point % 2 === 0 ? `${point}` : "NaN")
      for (let time = 0; time < 4; time++) yield* run(value)
      const found = query(
        path,
        `SELECT count(*)::INTEGER AS rows, sum(value)::INTEGER AS sum, max(rowid)::INTEGER AS last,
           count(*) FILTER (value IS NULL AND special_value = 'NaN')::INTEGER AS special FROM up`
      )
      assert.deepStrictEqual(yield* found, [{ rows: 1000, sum: 499 * 500, last: 999, special: 500 }])
      yield* run((point) => (point < 10 ? `${point + 1}` : value(point)))
      assert.deepStrictEqual(yield* found, [
        { rows: 1000, sum: 499 * 500 - 20 + 55, last: 1009, special: 495 }
      ])
    })
  )

  it.live("of histograms take no space when they are read again unchanged, down to the sign of zero", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      const buckets = (count: string) => [
        { boundaries: 3, lower: "-0.001", upper: "0.001", count },
        { boundaries: 0, lower: "8", upper: "+Inf", count: "2" }
      ]
      const run = (...sums: ReadonlyArray<readonly [sum: string, count: string]>) =>
        use(
          path,
          put(
            "incremental_append_deduped",
            9,
            histogramsOf(
              one,
              start,
              sums.map(([sum, count]) => ({ count: "NaN", sum, buckets: count === "" ? [] : buckets(count) }))
            )
          )
        )
      const found = Effect.map(
        query(
          path,
          "SELECT rowid::INTEGER AS id, histogram.sum::VARCHAR AS sum, histogram.buckets[1].count AS count FROM up ORDER BY time"
        ),
        (rows) => ({ ids: rows.map(({ id }) => id), values: rows.map(({ count, sum }) => [sum, count]) })
      )
      const values = [
        ["0.0", 1],
        ["nan", 1e-7],
        ["-inf", null]
      ]
      yield* run(["0", "1"], ["NaN", "1e-07"], ["-Inf", ""])
      const { ids } = yield* found
      for (let time = 0; time < 2; time++) {
        yield* run(["0", "1"], ["NaN", "1e-07"], ["-Inf", ""])
        assert.deepStrictEqual(yield* found, { ids, values })
      }
      yield* run(["-0", "1"], ["NaN", "1e-07"], ["-Inf", "3"])
      const changed = yield* found
      assert.deepStrictEqual(changed.values, [
        ["-0.0", 1],
        ["nan", 1e-7],
        ["-inf", 3]
      ])
      assert.deepStrictEqual(
        changed.ids.map((id) => ids.includes(id)),
        [false, true, false]
      )
      yield* use(path, put("incremental_append_deduped", 9, block(one, [0, "NaN"])))
      assert.deepStrictEqual(yield* query(path, "SELECT special_value FROM up WHERE histogram IS NULL"), [
        { special_value: "NaN" }
      ])
    })
  )

  it.live(
    "of histograms are replaced in little memory",
    () =>
      Effect.gen(function* () {
        const path = yield* databasePath
        const run = (offset: number) =>
          use(
            path,
            put(
              "incremental_append_deduped",
              1999,
              ...Array.from({ length: 40 }, (_, n) =>
                histogramsOf(
                  seriesOf("up", { job: `${n}` }),
                  start,
                  Array.from({ length: 2000 }, (_, point) => ({
                    count: `${point * n + offset}`,
                    sum: `${(point + n) / 7}`,
                    buckets: Array.from({ length: 20 }, (_, bucket) => ({
                      boundaries: 0,
                      lower: `${2 ** (bucket / 8)}`,
                      upper: `${2 ** ((bucket + 1) / 8)}`,
                      count: `${point * n * bucket + offset}`
                    }))
                  }))
                )
              )
            ),
            { memoryMegabytes: 64 }
          )
        for (const offset of [1, 1, 2]) {
          yield* run(offset)
          assert.deepStrictEqual(
            yield* query(
              path,
              "SELECT count(*)::INTEGER AS rows, count(DISTINCT (series_id, time))::INTEGER AS keys, min(histogram.count)::INTEGER AS least FROM up"
            ),
            [{ rows: 80_000, keys: 80_000, least: offset }]
          )
        }
      }),
    120_000
  )

  it.live(
    "are made unique, and replaced, in little memory",
    () =>
      Effect.gen(function* () {
        const path = yield* databasePath
        const blocks = (offset: number) =>
          Array.from({ length: 100 }, (_, n) =>
            block(
              seriesOf("up", { job: `${n}` }),
              ...Array.from({ length: 5000 }, (_, point) => [point, `${point + offset}`] as const)
            )
          )
        const run = (mode: SyncMode, ...blocks: ReadonlyArray<SampleBlock>) =>
          use(path, put(mode, 4999, ...blocks), { memoryMegabytes: 64 })
        const counts = query(
          path,
          "SELECT count(*)::INTEGER AS rows, count(DISTINCT (series_id, time))::INTEGER AS keys, sum(value)::DOUBLE AS sum FROM up"
        )
        const sum = (offset: number) => 100 * (2500 * 4999 + 5000 * offset)
        yield* run("incremental_append", ...blocks(0))
        yield* run("incremental_append", ...blocks(1))
        assert.deepStrictEqual(yield* counts, [{ rows: 1_000_000, keys: 500_000, sum: sum(0) + sum(1) }])
        yield* run("incremental_append_deduped")
        assert.deepStrictEqual(yield* counts, [{ rows: 500_000, keys: 500_000, sum: sum(1) }])
        yield* run("incremental_append_deduped", ...blocks(2))
        assert.deepStrictEqual(yield* counts, [{ rows: 500_000, keys: 500_000, sum: sum(2) }])
        yield* run("incremental_append_deduped", ...blocks(3), ...blocks(4))
        assert.deepStrictEqual(yield* counts, [{ rows: 500_000, keys: 500_000, sum: sum(4) }])
      }),
    120_000
  )

  it.live("of many columns are replaced in little memory", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      const labels = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`label_${n}`, `value ${n}`]))
      for (const offset of [0, 1]) {
        const points = Array.from({ length: 1000 }, (_, point) => [point, `${point + offset}`] as const)
        const blocks = Array.from({ length: 200 }, (_, n) =>
          block(seriesOf("up", { ...labels, n: `${n}` }), ...points)
        )
        yield* use(path, put("incremental_append_deduped", 999, ...blocks), { memoryMegabytes: 96 })
      }
      // Each label has the column of its name, however many there are.
      const columns = Object.keys(labels).map((name) => `"${name}" = 'value ${name.slice(6)}'`)
      assert.deepStrictEqual(
        yield* query(
          path,
          `SELECT count(*)::INTEGER AS rows, count(DISTINCT n)::INTEGER AS series, sum(value)::INTEGER / 200 AS sum,
             bool_and(${columns.join(" AND ")} AND other_labels IS NULL) AS "hasLabels" FROM up`
        ),
        [{ rows: 200_000, series: 200, sum: 500_500, hasLabels: true }]
      )
    })
  )
})

describe("a commit", () => {
  it.live("that was stopped has no effect, and can be repeated in any mode", () =>
    Effect.gen(function* () {
      for (const mode of syncModes) {
        const path = yield* databasePath
        yield* use(path, put("incremental_append_deduped", 1, block(one, [0, "1"], [1, "2"])))
        const window = [block(one, [1, "3"], [2, "4"]), block(other, [2, "5"])]
        yield* stopBefore(1, path, put(mode, 2, ...window))
        assert.deepStrictEqual(yield* rows(path), ["a0=1", "a1=2"])
        assert.strictEqual(yield* use(path, loadedTime()), stateAt(1).time)
        yield* use(path, put(mode, 2, ...window))
        const expected: Readonly<Record<SyncMode, ReadonlyArray<string>>> = {
          full_refresh_overwrite: ["a1=3", "a2=4", "b2=5"],
          full_refresh_append: ["a0=1", "a1=2", "a1=3", "a2=4", "b2=5"],
          incremental_append: ["a0=1", "a1=2", "a1=3", "a2=4", "b2=5"],
          incremental_append_deduped: ["a0=1", "a1=3", "a2=4", "b2=5"]
        }
        assert.deepStrictEqual(yield* rows(path), expected[mode], mode)
        assert.strictEqual(yield* use(path, loadedTime()), stateAt(2).time)
      }
    })
  )

  it.live("leaves rows written after it to the next commit", () =>
    Effect.gen(function* () {
      for (const mode of syncModes) {
        const path = yield* databasePath
        yield* use(
          path,
          Effect.scoped(
            Effect.gen(function* () {
              const writer = yield* Effect.flatMap(Destination, ({ open }) => open("up", mode))
              const many = Array.from({ length: 2000 }, (_, index) =>
                block(seriesOf("up", { job: `${index}` }), [0, "1"], [1, "1"])
              )
              const state = (point: number) => stateAt(point, mode.startsWith("full"))
              yield* writer.write([block(one, [0, "1"], [1, "2"])])
              yield* writer.commit(state(1))
              // Enough that the pending commit is persisted before the last rows are taken.
              for (const part of [many.slice(0, 1500), many.slice(1500)]) yield* writer.write(part)
              yield* writer.write([block(one, [2, "3"])])
              yield* writer.commit(state(2))
              yield* writer.complete
            })
          ),
          { memoryMegabytes: 24 }
        )
        const [found] = yield* query(
          path,
          "SELECT count(*)::INTEGER AS rows, count(DISTINCT (series_id, time))::INTEGER AS keys FROM up"
        )
        assert.deepStrictEqual(found, { rows: 4003, keys: 4003 }, mode)
      }
    })
  )
})

describe("a database of an earlier build", () => {
  it.live("is refused, and not changed, if its tables have primary keys", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      const entry = `{"version":1,"stream":"up","table":"up","lastMillis":${start},"hasKey":true,"hasTable":true,"state":{"time":"2026-01-01T00:00:00Z","step":60,"version":1}}`
      yield* change(
        path,
        `CREATE SCHEMA _source_prometheus;
         CREATE TABLE _source_prometheus.about (version INTEGER, source VARCHAR, label_columns BOOLEAN);
         CREATE TABLE _source_prometheus.streams (stream VARCHAR, entry VARCHAR);
         INSERT INTO _source_prometheus.about VALUES (1, 'http://mock', true);
         INSERT INTO _source_prometheus.streams VALUES ('up', '${entry}');
         CREATE TABLE up (time TIMESTAMPTZ, value DOUBLE, special_value VARCHAR, series_id VARCHAR, histogram JSON,
           other_labels JSON, job VARCHAR, PRIMARY KEY (series_id, time));
         INSERT INTO up VALUES (make_timestamptz(${start * 1000}::BIGINT), 1, NULL, '${one.id}', NULL, NULL, 'a')`
      )
      const error = yield* Effect.flip(use(path, put("incremental_append_deduped", 1, block(one, [1, "2"]))))
      assert.match(
        (error as Error).message,
        /data\.duckdb was written by an earlier build of this program, whose tables have primary keys\. Choose another file, and read the streams again into it\./
      )
      assert.deepStrictEqual(yield* rows(path), ["a0=1"])
    })
  )

  it.live("is refused, and not changed, if its histograms are text", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      yield* use(path, put("incremental_append_deduped", 1, block(one, [0, "1"])))
      yield* change(path, "UPDATE _source_prometheus.about SET version = 2")
      const error = yield* Effect.flip(use(path, put("incremental_append_deduped", 1, block(one, [1, "2"]))))
      assert.match(
        (error as Error).message,
        /data\.duckdb was written by an earlier build of this program, whose histograms are text\. Choose another file, and read the streams again into it\./
      )
      assert.deepStrictEqual(yield* rows(path), ["a0=1"])
    })
  )
})
