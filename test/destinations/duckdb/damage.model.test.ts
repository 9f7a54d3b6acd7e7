/** A stream whose table or manifest others have changed: it fails with advice, and no other stream fails. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { type SyncMode, syncModes } from "../../../src/destinations/Destination.ts"
import { floats, loadedTime, logsOf, put, putBlocks, putStopped, seriesOf, start, stateAt } from "../drive.ts"
import { change, databasePath, query, values } from "./steps.ts"
import { use } from "./use.ts"

const STREAMS = "_source_prometheus.streams"

/** Changes of a written table `up`, and the errors that follow. */
const damages: ReadonlyArray<readonly [name: string, sql: string, expected: RegExp, isForeign?: "foreign"]> =
  [
    ["dropped", "DROP TABLE up", /has no table "up", but .* records are missing\. Restore/],
    ["renamed", "ALTER TABLE up RENAME TO gone", /has no table "up", but/],
    [
      "without a column",
      "CREATE TABLE up_ AS SELECT * EXCLUDE (value) FROM up; DROP TABLE up; ALTER TABLE up_ RENAME TO up",
      /that was changed: its column value is missing/
    ],
    [
      "with columns of other types",
      "CREATE TABLE up_ AS SELECT * REPLACE (value::VARCHAR AS value, time::DATE AS time) FROM up; DROP TABLE up; ALTER TABLE up_ RENAME TO up",
      /that was changed: its columns time and value are missing or of another type/
    ],
    [
      "with a damaged manifest",
      `UPDATE ${STREAMS} SET entry = '{"version":1,"table":7}' WHERE stream = 'up'`,
      /is damaged: _source_prometheus\.streams has an entry of up that/
    ],
    [
      "with the manifest of another stream",
      `UPDATE ${STREAMS} SET entry = (SELECT entry FROM ${STREAMS} WHERE stream = 'other') WHERE stream = 'up'`,
      /is damaged: _source_prometheus\.streams has an entry of up that/
    ],
    [
      "with two manifests",
      `INSERT INTO ${STREAMS} FROM ${STREAMS} WHERE stream = 'up'`,
      /is damaged: _source_prometheus\.streams has an entry of up that/
    ],
    [
      "replaced by a foreign table",
      "DROP TABLE up; CREATE TABLE up AS SELECT 1 AS time, 2 AS value",
      /has a table "up" that was not created by source-prometheus\. Rename it, and read the stream again with --full-refresh --select up, or/,
      "foreign"
    ],
    [
      "replaced by a view",
      "ALTER TABLE up RENAME TO gone; CREATE VIEW up AS FROM gone",
      /has a view "up" that was not created by source-prometheus\. Rename it/,
      "foreign"
    ]
  ]

/** Returns the error of a stream, and checks that the same run then writes another stream. */
const failing = (path: string, mode: SyncMode, stream = "up") =>
  use(
    path,
    Effect.gen(function* () {
      const error = yield* Effect.flip(put(stream, mode, 5))
      yield* put("other", mode, 6)
      return error
    })
  )

const prepared = Effect.gen(function* () {
  const path = yield* databasePath
  yield* use(
    path,
    Effect.andThen(put("up", "incremental_append_deduped", 0, 1), put("other", "incremental_append", 0))
  )
  return path
})

describe("a stream whose table others have changed", () => {
  for (const [index, [name, sql, expected, isForeign]] of damages.entries()) {
    it.live(`fails alone, and is read again by a full refresh: ${name}`, () =>
      Effect.gen(function* () {
        // Each of the other modes in turn.
        for (const mode of [syncModes[1 + (index % 3)]!, "full_refresh_overwrite"] as const) {
          const path = yield* prepared
          yield* change(path, sql)
          if (mode !== "full_refresh_overwrite" || isForeign === "foreign") {
            const error = yield* failing(path, mode)
            assert.strictEqual(error._tag, "DestinationError")
            assert.match(error.message, expected)
            assert.notProperty(error, "isFatal")
            assert.include(yield* values(path, "other"), 6)
          }
          if (isForeign === "foreign") continue
          // Stopped, it has repaired nothing yet.
          yield* use(path, putStopped("up", "full_refresh_overwrite", 7))
          const again = yield* failing(path, "incremental_append").pipe(Effect.option)
          if (!name.includes("manifest")) assert.match(Option.getOrThrow(again).message, expected)
          yield* use(path, put("up", "full_refresh_overwrite", 7, 8))
          assert.includeMembers([...(yield* values(path))], [7, 8])
          assert.notIncludeMembers([...(yield* values(path))], [0, 1, 5])
          assert.strictEqual(yield* use(path, loadedTime()), stateAt(8).time)
          yield* use(path, put("up", "incremental_append_deduped", 8, 9))
          assert.includeMembers([...(yield* values(path))], [8, 9])
          const kept = yield* query(path, `SELECT count(*)::INTEGER AS n FROM ${STREAMS} WHERE stream = 'up'`)
          assert.deepStrictEqual(kept, [{ n: 1 }])
        }
      })
    )
  }

  it.live("continues a table that others recreated with the same columns", () =>
    Effect.gen(function* () {
      const path = yield* prepared
      yield* change(path, "CREATE TABLE up_ AS FROM up; DROP TABLE up; ALTER TABLE up_ RENAME TO up")
      yield* use(path, put("up", "incremental_append_deduped", 1, 2))
      assert.deepStrictEqual(yield* values(path), [0, 1, 2])
    })
  )

  it.live("restarts a refresh whose table was dropped or changed", () =>
    Effect.gen(function* () {
      for (const sql of [
        'DROP TABLE "up (refresh)"',
        'CREATE TABLE r AS SELECT * EXCLUDE (value) FROM "up (refresh)"; DROP TABLE "up (refresh)"; ALTER TABLE r RENAME TO "up (refresh)"',
        'DROP TABLE "up (refresh)"; CREATE TABLE "up (refresh)" (mine INTEGER)',
        'DROP TABLE "up (refresh)"; CREATE VIEW "up (refresh)" AS SELECT 1 AS mine'
      ]) {
        for (const mode of syncModes) {
          const path = yield* prepared
          yield* use(path, putStopped("up", "full_refresh_overwrite", 7))
          assert.strictEqual(yield* use(path, loadedTime("full_refresh_overwrite")), stateAt(7).time)
          yield* change(path, sql)
          assert.isUndefined(yield* use(path, loadedTime("full_refresh_overwrite")))
          yield* use(path, put("up", mode, 8))
          const expected = mode === "full_refresh_overwrite" ? [8] : [0, 1, 8]
          assert.deepStrictEqual(yield* values(path), expected, `${sql} ${mode}`)
          if (sql.includes("mine")) yield* query(path, 'SELECT mine FROM "up (refresh)"')
        }
      }
      const path = yield* prepared
      yield* use(path, putStopped("up", "full_refresh_append", 7))
      yield* change(path, "DROP TABLE up")
      assert.isUndefined(yield* use(path, loadedTime("full_refresh_append")))
    })
  )

  it.live("is refused if its name is that of a foreign table", () =>
    Effect.gen(function* () {
      for (const sql of ["CREATE TABLE up (a INTEGER)", "CREATE VIEW up AS SELECT 1 AS a"]) {
        for (const mode of syncModes) {
          const path = yield* databasePath
          yield* use(path, put("other", "incremental_append", 0))
          yield* change(path, sql)
          assert.match(
            (yield* failing(path, mode)).message,
            /"up" that was not created by source-prometheus\. Rename it, or/
          )
          assert.include(yield* values(path, "other"), 6)
        }
      }
    })
  )
})

describe("names from a server", () => {
  it.live("are kept, whatever labels and metrics are called", () =>
    Effect.gen(function* () {
      const names = [
        "",
        "\0",
        "a\0b",
        "\ud800",
        "rowid",
        "x".repeat(100_000),
        " ",
        "\n",
        "\u202e",
        "a.b",
        '"',
        "💥"
      ]
      for (const mode of syncModes) {
        const path = yield* databasePath
        for (const name of names) {
          const series = seriesOf(name, { [name]: "value", nul: "a\0b", job: "a" })
          const logs = yield* logsOf(use(path, putBlocks(name, mode, [floats(series, [[start, "1"]])], 0)))
          // SQL cannot express these names.
          const isRenamed = name === "" || name.includes("\0") || !name.isWellFormed()
          assert.strictEqual(logs.length, isRenamed ? 1 : 0, name)
          if (isRenamed) assert.match(logs[0]!, /is in the table ".+": DuckDB does not distinguish its name/s)
        }
        yield* use(
          path,
          putBlocks(
            "all",
            mode,
            names.map((name, at) => floats(seriesOf("all", { [name]: "v" }), [[start, `${at}`]])),
            0
          )
        )
        assert.deepStrictEqual(yield* query(path, 'SELECT count(*)::INTEGER AS rows FROM "all"'), [
          { rows: names.length }
        ])
        const found = yield* query(path, `SELECT other_labels::VARCHAR AS v, nul FROM unnamed`)
        assert.deepStrictEqual(found, [{ v: '{"":"value"}', nul: "a\0b" }], mode)
      }
    })
  )
})
