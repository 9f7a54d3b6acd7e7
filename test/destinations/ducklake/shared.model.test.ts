/** Parts of several processes in a DuckLake whose catalog is in PostgreSQL. */
import { readdirSync } from "node:fs"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { Destination } from "../../../src/destinations/Destination.ts"
import { sharedLayer } from "../../../src/destinations/ducklake/DuckLake.ts"
import { SharedDestination } from "../../../src/destinations/SharedDestination.ts"
import { formatTime } from "../../../src/text/formatTime.ts"
import { choices } from "../../choices.ts"
import { runs } from "../../support/runs.ts"
import { environmentOf } from "../../support/s3.ts"
import { S3_DATA, S3_ENDPOINT } from "../../support/s3Setup.ts"
import { loadedTime, put, start, temporaryFolder } from "../drive.ts"
import { postgresLake } from "../lakes.ts"
import { refuseParts } from "../scenarios.ts"
import {
  alone,
  filesIn,
  MINUTE,
  newLake,
  optionsOf,
  partOf,
  points,
  rowsIn,
  share,
  write
} from "./sharedLakes.ts"
import { sharedRuns } from "./sharedRuns.ts"

describe("parts in a DuckLake", () => {
  it.live("have columns that all processes agree on, in any order of new labels", () =>
    Effect.gen(function* () {
      const folder = yield* newLake
      const one = { Case: "1", time: "noon", é: "x" }
      const two = { case: "2", CASE: "3", time: "night" }
      // Both begin when the stream has no columns.
      yield* share(
        folder,
        Effect.scoped(
          Effect.gen(function* () {
            const { openPart } = yield* SharedDestination
            const [a, b] = [yield* openPart("up"), yield* openPart("up")]
            yield* b.write([points(two, 10, 19), points(one, 10, 19)])
            yield* a.write([points(one, 0, 9)])
            assert.isTrue(yield* a.commit(partOf(0, 9)))
            assert.isTrue(yield* b.commit(partOf(10, 19)))
          })
        )
      )
      const rows = yield* Effect.promise(() =>
        postgresLake.query(folder, [
          `SELECT "Case", label_time, "é", other_labels::VARCHAR, count(*)::INTEGER AS rows FROM lake.main.up GROUP BY ALL ORDER BY rows`
        ])
      )
      assert.deepStrictEqual<unknown>(rows, [
        [null, "night", null, '{"CASE":"3","case":"2"}', 10],
        ["1", "noon", "x", null, 20]
      ])
    })
  )

  it.live("of a group have the metric in a column, and all labels in one object", () =>
    Effect.gen(function* () {
      const folder = yield* newLake
      yield* share(
        folder,
        Effect.gen(function* () {
          // A part without samples creates the table.
          assert.isTrue(yield* write(partOf(0, 9), []))
          assert.isTrue(yield* write(partOf(10, 19), [points({ job: "a" }, 10, 19), points({}, 10, 19)]))
          assert.isTrue(yield* write(partOf(10, 29, true), [points({ job: "a" }, 10, 29, "7")]))
        }),
        { kindOf: () => "group" }
      )
      yield* share(folder, refuseParts)
      const rows = yield* Effect.promise(() =>
        postgresLake.query(folder, [
          "SELECT metric, labels::VARCHAR, value, count(*)::INTEGER AS rows FROM lake.main.up GROUP BY ALL ORDER BY rows"
        ])
      )
      assert.deepStrictEqual<unknown>(rows, [
        ["up", "{}", 1, 10],
        ["up", '{"job":"a"}', 7, 20]
      ])
    })
  )

  it.live("replace the rows that are read again, and are not written again otherwise", () =>
    Effect.gen(function* () {
      const folder = yield* newLake
      yield* share(
        folder,
        Effect.gen(function* () {
          assert.isTrue(yield* write(partOf(0, 19), [points({ job: "a" }, 0, 19)]))
          assert.isFalse(yield* write(partOf(0, 19), [points({ job: "a" }, 0, 19, "7")]))
          // The first rows are the same, and the last ones are new.
          const again = [
            points({ job: "a" }, 10, 12),
            points({ job: "a" }, 13, 29, "2"),
            points({ job: "b" }, 15, 19, "3")
          ]
          assert.isTrue(yield* write(partOf(10, 29, true), again))
          const { bytes, previewCommand, states, streams } = yield* SharedDestination
          assert.deepStrictEqual([...(yield* streams).keys()], ["up"])
          assert.isAbove(yield* bytes, 0)
          assert.match(previewCommand("up"), /^duckdb -c .*ducklake:postgres:dbname=.*FROM lake\."?up"?/)
          const state = Option.getOrThrow(yield* states.load("up"))
          assert.strictEqual(state.time, formatTime(start + 29 * MINUTE))
        })
      )
      const rows = yield* rowsIn(folder)
      const valuesOf = (id: string) =>
        rows
          .filter(([key]) => key.startsWith(id))
          .map(([, value]) => value)
          .join("")
      const [first] = rows[0]![0].split(" ")
      const ids = [...new Set(rows.map(([key]) => key.split(" ")[0]!))]
      assert.lengthOf(ids, 2)
      const values = ids.map(valuesOf).sort()
      assert.deepStrictEqual(values, ["1".repeat(13) + "2".repeat(17), "33333"], first)
      const { listed, onDisk } = yield* filesIn(folder)
      assert.deepStrictEqual(onDisk, listed)
      assert.lengthOf(listed, 2)
    })
  )

  it.live("come before and after runs that have the DuckLake for themselves, in any mode", () =>
    Effect.gen(function* () {
      const folder = yield* newLake
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
      assert.lengthOf(yield* rowsIn(folder), 13)
      // That run did not list what it has read.
      yield* share(
        folder,
        Effect.gen(function* () {
          assert.lengthOf(yield* rowsIn(folder), 12)
          assert.isTrue(yield* write(partOf(12, 19), [points({ job: "a" }, 12, 19)]))
        })
      )
      assert.lengthOf(yield* rowsIn(folder), 20)
      yield* alone(folder, put("up", "full_refresh_overwrite", 1, 2))
      yield* share(folder, write(partOf(3, 4), [points({ job: "a" }, 3, 4)]))
      assert.lengthOf(yield* rowsIn(folder), 4)
    })
  )

  it.live("are written once, and to one DuckLake, by processes that start at the same time", () =>
    Effect.gen(function* () {
      const folder = yield* newLake
      // Creates the database, but nothing in it.
      yield* optionsOf(folder)
      const committed = yield* Effect.forEach(
        [1, 2, 3, 4],
        (number) =>
          share(
            folder,
            Effect.gen(function* () {
              const { partLengths } = yield* SharedDestination
              const lengths = yield* partLengths(new Map([["up", number * 1000]]))
              const isCommitted = yield* write(partOf(0, 19), [
                points({ job: "a", [`only${number}`]: "x" }, 0, 19)
              ])
              return { isCommitted, length: lengths.get("up") }
            })
          ),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(
        committed.filter(({ isCommitted }) => isCommitted),
        1
      )
      assert.strictEqual(new Set(committed.map(({ length }) => length)).size, 1)
      assert.lengthOf(yield* rowsIn(folder), 20)
      const { listed, onDisk } = yield* filesIn(folder)
      assert.deepStrictEqual(onDisk, listed)
      assert.lengthOf(listed, 1)
    })
  )

  it.live.prop(
    "have the rows and the state of all committed parts, with kills before any statement",
    [choices],
    ([choices]) => sharedRuns(choices),
    { arbitrary: { runs: runs(1, 3) }, timeout: 240_000 }
  )

  it.live("have their files in a bucket, without those of parts that had nothing left to do", () =>
    Effect.gen(function* () {
      Object.assign(process.env, environmentOf(process.env[S3_ENDPOINT] ?? ""))
      const folder = yield* newLake
      const more = { dataPath: `s3://metrics${folder}/lake` }
      const twice = yield* share(
        folder,
        Effect.all(
          [1, 2].map(() => write(partOf(0, 19), [points({ job: "a" }, 0, 19)])),
          { concurrency: "unbounded" }
        ),
        more
      )
      assert.deepStrictEqual(twice.toSorted(), [false, true])
      const objects = readdirSync(join(process.env[S3_DATA] ?? "", "metrics", folder, "lake", "main", "up"))
      assert.lengthOf(
        objects.filter((name) => name.endsWith(".parquet")),
        1
      )
      yield* share(folder, write(partOf(10, 29, true), [points({ job: "a" }, 10, 29, "2")]), more)
      const contents = yield* alone(
        folder,
        Effect.flatMap(Destination, ({ contents }) => contents("up", "current")),
        more
      )
      assert.deepStrictEqual(contents, {
        rows: 30,
        firstMillis: start,
        lastMillis: start + 29 * MINUTE
      })
    })
  )

  it.live("refuse a run at the same time, data of another source, and a catalog in a file", () =>
    Effect.gen(function* () {
      const folder = yield* newLake
      yield* share(
        folder,
        Effect.gen(function* () {
          const refused = yield* Effect.flip(alone(folder, Effect.void))
          assert.match(refused.message, /is in use by process \d+/)
          yield* write(partOf(0, 9), [points({ job: "a" }, 0, 9)])
        })
      )
      const other = yield* Effect.flip(share(folder, Effect.void, { source: "http://else" }))
      assert.match(other.message, /holds data of http:\/\/mock, and this is http:\/\/else/)
      const during = yield* alone(folder, Effect.flip(share(folder, Effect.void)))
      assert.match(during.message, /is in use by process \d+/)
      const path = `${yield* temporaryFolder}/metrics.ducklake`
      const file = yield* Effect.flip(
        Effect.void.pipe(
          Effect.provide(sharedLayer({ path, source: "http://mock", labelColumns: true })),
          Effect.provide(NodeServices.layer)
        )
      )
      assert.strictEqual(
        file.message,
        `${path} is a catalog in a file, which DuckDB locks for one process, so several processes cannot write parts to it. Use a catalog in PostgreSQL: --to "ducklake:postgres:dbname=DATABASE host=HOST".`
      )
    })
  )
})
