/** Streams other than metrics with PyAirbyte: a query, a group and tables, read twice into DuckDB. */
import { readFileSync } from "node:fs"
import { assert, describe, inject, it } from "@effect/vitest"
import { Effect } from "effect"
import * as connector from "../support/connector.ts"
import { iso, minute, start } from "../support/gauge.ts"
import * as RealPrometheus from "../support/RealPrometheus.ts"
import { recordKey, referenceRecords } from "../support/referenceRecords.ts"
import { isScraped, ruleGroups, scrape } from "../support/tables.ts"
import { executable, script } from "./fixture.ts"
import { runPython } from "./python.ts"

/** The last minute of the first read and of the second. */
const ends = [29, 59]

const metrics = ["cpu_load", "lone"]

const series = [
  ...["a", "b"].map((n, offset) => ({
    labels: { __name__: "cpu_load", n },
    samples: Array.from({ length: 61 }, (_, i) => [start + i * minute, offset * 1000 + i / 4] as const)
  })),
  {
    labels: { __name__: "lone" },
    samples: Array.from({ length: 61 }, (_, i) => [start + i * minute, 100 - i] as const)
  }
]

type Row = Readonly<Record<string, unknown>>

interface Sync {
  readonly records: number
  readonly tables: Readonly<Record<string, ReadonlyArray<Row>>>
}

/** The values of a group's rows by labels and time. */
const byKey = (rows: ReadonlyArray<Row>): ReadonlyMap<string, number> => {
  const values = new Map<string, number>()
  for (const { labels, metric, time, value } of rows) {
    const parsed = (typeof labels === "string" ? JSON.parse(labels) : labels) as Readonly<
      Record<string, string>
    >
    const key = recordKey({ ...parsed, __name__: String(metric) }, Number(time))
    assert.isFalse(values.has(key), `${key} twice`)
    values.set(key, Number(value))
  }
  return values
}

const python = inject("python") ?? ""

describe.runIf(python !== "")("PyAirbyte", () => {
  it.live("stores a query, a group and tables in DuckDB", () =>
    Effect.gen(function* () {
      const server = yield* RealPrometheus.make({
        series,
        scrape,
        ruleGroups,
        flags: ["--enable-feature=exemplar-storage"]
      })
      yield* Effect.promise(() => isScraped(server.baseUrl))
      const files = yield* connector.workspace
      const task = files.write("task.json", {
        executable,
        config: {
          base_url: server.baseUrl,
          start_date: iso(start),
          step: 60,
          metrics: { include: metrics },
          queries: [{ name: "total_load", expression: "sum(cpu_load)" }],
          groups: [{ name: "machine", metrics: { include: metrics } }],
          tables: ["targets", "metadata"]
        },
        ends: ends.map((end) => iso(start + end * minute))
      })
      const { code, stderr, stdout } = yield* runPython(python, files.path(""), [
        script("pyairbyte_streams.py"),
        task
      ])
      assert.strictEqual(code, 0, `${stdout}\n${stderr}`)
      const syncs = JSON.parse(readFileSync(files.path("streams.json"), "utf8")) as ReadonlyArray<Sync>
      for (const [i, end] of ends.entries()) {
        const { tables } = syncs[i]!
        assert.sameMembers(Object.keys(tables), [
          "machine",
          "prometheus_metadata",
          "prometheus_targets",
          "total_load"
        ])
        const expected = yield* Effect.promise(() =>
          Promise.all(
            metrics.map((metric) =>
              referenceRecords({
                baseUrl: server.baseUrl,
                metric,
                start: start / 1000,
                end: (start + end * minute) / 1000,
                step: 60
              })
            )
          )
        )
        const all = expected.flatMap((values) =>
          [...values].map(([key, value]) => [key, Number(value)] as const)
        )
        assert.deepStrictEqual(
          [...byKey(tables.machine!)].sort(([a], [b]) => (a < b ? -1 : 1)),
          all.sort(([a], [b]) => (a < b ? -1 : 1))
        )
        assert.deepStrictEqual(
          tables
            .total_load!.map(({ time, value }) => [Number(time), Number(value)])
            .sort(([a], [b]) => a! - b!),
          Array.from({ length: end + 1 }, (_, i) => [start + i * minute, 1000 + i / 2])
        )
        // Each read replaces the snapshots, or adds to them under the key of record and time.
        const targets = tables.prometheus_targets!
        const keys = targets.map(({ record_id, time }) => `${String(record_id)} ${String(time)}`)
        assert.isAbove(keys.length, 0)
        assert.strictEqual(new Set(keys).size, keys.length)
        assert.isAbove(tables.prometheus_metadata!.length, 0)
      }
      // The second read of the query and the group begins after the first.
      const [first, second] = syncs as [Sync, Sync]
      const snapshots = second.records - (ends[1]! - ends[0]!) * 4
      assert.strictEqual(first.records - (ends[0]! + 1) * 4, snapshots)
    })
  )
})
