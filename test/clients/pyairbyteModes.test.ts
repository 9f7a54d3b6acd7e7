/** The sync modes as far as PyAirbyte supports them, each read twice into DuckDB. */
import { readFileSync } from "node:fs"
import { assert, describe, inject, it } from "@effect/vitest"
import { Effect } from "effect"
import * as connector from "../support/connector.ts"
import { iso, minute, start } from "../support/gauge.ts"
import * as RealPrometheus from "../support/RealPrometheus.ts"
import { referenceRecords } from "../support/referenceRecords.ts"
import { executable, script } from "./fixture.ts"
import { runPython } from "./python.ts"

/** The last minute of the first read and of the second. */
const ends = [29, 59]

/** A metric with three series (one ends early), and one with a single series. */
const series = [
  ...["a", "b", "c"].map((n, offset) => ({
    labels: { __name__: "cpu_load", n },
    samples: Array.from(
      { length: n === "c" ? 20 : 61 },
      (_, i) => [start + i * minute, offset * 1000 + i / 4] as const
    )
  })),
  {
    labels: { __name__: "lone" },
    samples: Array.from({ length: 61 }, (_, i) => [start + i * minute, -i] as const)
  }
]

/** A row: the series, the time in milliseconds and the value. */
type Row = readonly [seriesId: string, time: number, value: string]

interface Sync {
  readonly records: number
  readonly tables: Readonly<Record<string, ReadonlyArray<Row>>>
}

/** How often each row is present after the second read, for rows of the first part and of the second. */
const modes = {
  full_refresh_replace: { first: 1, second: 1, readsAgain: true },
  full_refresh_append: { first: 2, second: 1, readsAgain: true },
  incremental_append: { first: 1, second: 1, readsAgain: false },
  incremental_merge: { first: 1, second: 1, readsAgain: false }
} as const

const python = inject("python") ?? ""

describe.runIf(python !== "")("PyAirbyte's modes", () => {
  it.live("store each sample in DuckDB as often as the mode requires", () =>
    Effect.gen(function* () {
      const server = yield* RealPrometheus.make({ series })
      const files = yield* connector.workspace
      const task = files.write("task.json", {
        executable,
        config: { base_url: server.baseUrl, start_date: iso(start), step: 60 },
        ends: ends.map((end) => iso(start + end * minute))
      })
      const { code, stderr, stdout } = yield* runPython(python, files.path(""), [
        script("pyairbyte_modes.py"),
        task
      ])
      assert.strictEqual(code, 0, `${stdout}\n${stderr}`)
      const report = JSON.parse(readFileSync(files.path("modes.json"), "utf8")) as Record<
        string,
        ReadonlyArray<Sync>
      >
      for (const stream of ["cpu_load", "lone"]) {
        const responses = yield* Effect.promise(() =>
          Promise.all(ends.map((end) => reference(server.baseUrl, stream, end)))
        )
        const [first, complete] = responses as [ReadonlyArray<string>, ReadonlyArray<string>]
        const second = complete.filter((sample) => !first.includes(sample))
        assert.isAbove(second.length, 0)
        for (const [mode, { first: firstTimes, second: secondTimes }] of Object.entries(modes)) {
          const [once, twice] = report[mode]!.map(({ tables }) => tables[stream]!)
          assert.deepStrictEqual(samplesOf(once!), first.toSorted(), `${mode}, ${stream}: the first read`)
          const expected = [...repeat(first, firstTimes), ...repeat(second, secondTimes)]
          assert.deepStrictEqual(samplesOf(twice!), expected.toSorted(), `${mode}, ${stream}: both reads`)
          const keys = new Set(twice!.map(([id, time]) => `${id} ${time}`))
          assert.strictEqual(keys.size, complete.length, "a series has the same id in both reads")
        }
      }
      for (const [mode, { readsAgain }] of Object.entries(modes)) {
        const [first, second] = report[mode]!
        const rows = ({ tables }: Sync) => Object.values(tables).flat().length
        const before = rows(report.incremental_append![0]!)
        const all = rows(report.incremental_append![1]!)
        assert.deepStrictEqual(
          [first!.records, second!.records],
          [before, readsAgain ? all : all - before],
          `${mode}: records that were sent`
        )
      }
    })
  )
})

const repeat = (samples: ReadonlyArray<string>, times: number): ReadonlyArray<string> =>
  Array.from({ length: times }, () => samples).flat()

/** Times and values. The values also identify the series. */
const samplesOf = (rows: ReadonlyArray<Row>): ReadonlyArray<string> =>
  rows.map(([, time, value]) => `${time} ${Number(value)}`).toSorted()

/** The server's own samples, up to a minute. */
const reference = async (baseUrl: string, metric: string, end: number): Promise<ReadonlyArray<string>> => {
  const query = { baseUrl, metric, start: start / 1000, end: (start + end * minute) / 1000, step: 60 }
  const records = await referenceRecords(query)
  return [...records].map(([key, value]) => {
    const [, time] = JSON.parse(key) as [unknown, number]
    return `${time} ${Number(value)}`
  })
}
