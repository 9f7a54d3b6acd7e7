/** Overrides on real servers: some metrics with a step or a selector of their own, and the others as configured. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { queryDatabase } from "../destinations/duckdb/queryDatabase.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { start } from "../support/dataset.ts"
import type { SeriesInput } from "../support/openMetrics.ts"
import { describeEach, servers } from "../support/servers.ts"

const minute = 60_000
const iso = (millis: number): string => new Date(millis).toISOString().replace(".000Z", "Z")

const MINUTES = 60

const series: ReadonlyArray<SeriesInput> = ["app_requests", "app_errors", "other"].flatMap((name, n) =>
  ["a", "b"].map((job) => ({
    labels: { __name__: name, job },
    samples: Array.from({ length: MINUTES + 1 }, (_, i) => [start + i * minute, i * (n + 1)] as const)
  }))
)

/** Each minute, all series; the last hour. */
const plain = {
  start_date: iso(start),
  end_date: iso(start + MINUTES * minute),
  step: 60
}

/** The first override that matches counts: errors keep their step. */
const overrides = [
  { metrics: "app_errors", selector: '{job="b"}' },
  { metrics: "app_*", step: 600 }
]

const names = ["app_errors", "app_requests", "other"]

type Records = Effect.Success<ReturnType<typeof connector.read>>["records"]

const ofStream = (records: Records, name: string) =>
  records
    .filter(({ stream }) => stream === name)
    .map(({ data, valueText }) => JSON.stringify([data.series_id, data.time, valueText]))
    .sort()

describeEach(servers, "overrides on a real $name", ({ make }) => {
  it.effect("give a metric the records of a configuration with that step or selector", () =>
    Effect.gen(function* () {
      const { baseUrl } = yield* make({ series })
      const files = yield* connector.workspace
      const read = (config: object, states: ReadonlyArray<unknown> = []) =>
        connector.read(files, { base_url: baseUrl, ...plain, ...config }, connector.catalogOf(...names), [
          ...states
        ])
      const overridden = yield* read({ overrides })
      assert.deepStrictEqual([overridden.errors, overridden.code], [[], 0])
      const every = yield* read({})
      const selected = yield* read({ selector: '{job="b"}' })
      const slow = yield* read({ step: 600 })
      for (const [name, same, rows] of [
        ["other", every, 2 * (MINUTES + 1)],
        ["app_errors", selected, MINUTES + 1],
        ["app_requests", slow, 2 * (MINUTES / 10 + 1)]
      ] as const) {
        assert.lengthOf(ofStream(overridden.records, name), rows)
        assert.deepStrictEqual(ofStream(overridden.records, name), ofStream(same.records, name), name)
      }

      // A state of another step resumes after its time.
      const half = { end_date: iso(start + 30 * minute) }
      const before = yield* read(half)
      const states = names.map((name) =>
        before.states.findLast(({ stream }) => stream.stream_descriptor.name === name)
      )
      const after = yield* read({ overrides }, states)
      assert.deepStrictEqual(
        ofStream(after.records, "app_requests"),
        ofStream(
          slow.records.filter(({ data }) => Date.parse(String(data.time)) > start + 30 * minute),
          "app_requests"
        )
      )
    })
  )

  it.effect("are read by run, whose next run has nothing new", () =>
    Effect.gen(function* () {
      const { baseUrl } = yield* make({ series })
      const files = yield* connector.workspace
      const database = files.path("data.duckdb")
      const config = files.write("config.json", { base_url: baseUrl, ...plain, overrides })
      const run = Effect.map(
        child.run(["run", "--config", config, "--to", `duckdb:${database}`]),
        (result) => {
          assert.strictEqual(result.code, 0, result.stderr)
          return result
        }
      )
      const counts = Effect.promise(() =>
        queryDatabase(
          database,
          names
            .map((name) => `SELECT '${name}' AS name, count(*)::INTEGER AS rows FROM ${name}`)
            .join(" UNION ALL ")
            .concat(" ORDER BY name")
        )
      )
      const expected = [
        { name: "app_errors", rows: MINUTES + 1 },
        { name: "app_requests", rows: 2 * (MINUTES / 10 + 1) },
        { name: "other", rows: 2 * (MINUTES + 1) }
      ]
      yield* run
      assert.deepStrictEqual(yield* counts, expected)
      const { stderr } = yield* run
      assert.notMatch(stderr, /[1-9]\d* new rows?/)
      assert.deepStrictEqual(yield* counts, expected)
    })
  )
})
