/** Metrics with a step or a selector of their own, and queries, from a mock. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeSeries } from "../../src/mock/MockSeries.ts"
import { discover } from "../../src/sync/Discovery.ts"
import { iso, minute, start } from "../support/gauge.ts"
import { provide } from "./discoverMock.ts"
import { incremental, rangeRequests, readAll, samplesOf, textsOf } from "./readMock.ts"

/** A sample per minute. */
const gauge = (labels: Readonly<Record<string, string>>, minutes = 60) =>
  makeSeries(
    labels,
    Array.from({ length: minutes }, (_, i) => [start + i * minute, i] as const)
  )

const series = [
  gauge({ __name__: "up", env: "prod", job: "api" }),
  gauge({ __name__: "up", env: "test", job: "api" }),
  gauge({ __name__: "kube_pods", cluster: "a" }),
  gauge({ __name__: "kube_nodes", cluster: "b", pool: "x" }),
  gauge({ __name__: "cpu", env: "prod", core: "0" })
]

const config = {
  selector: '{env="prod"}',
  overrides: [
    { metrics: "kube_*", selector: '{cluster=~"a|b"}', step: "10m" },
    { metrics: "*", step: "2m" }
  ]
}

describe("overrides", () => {
  it.effect("discover metrics and labels by the selector of each metric", () =>
    Effect.gen(function* () {
      const { result } = yield* provide(discover, { series, config })
      assert.deepStrictEqual(
        result.map(({ labels, name }) => [name, ...labels]),
        [
          ["cpu", "core", "env"],
          ["kube_nodes", "cluster", "pool"],
          ["kube_pods", "cluster"],
          ["up", "env", "job"]
        ]
      )
      const narrowed = yield* provide(discover, {
        series,
        config: { ...config, overrides: [{ metrics: "up", selector: '{env="none"}' }] }
      })
      assert.deepStrictEqual(
        narrowed.result.map(({ name }) => name),
        ["cpu"]
      )
    })
  )

  it.effect("do not select the metrics of a group", () =>
    Effect.gen(function* () {
      const setting = {
        series: [
          ...series,
          gauge({ __name__: "kube_secrets", env: "prod" }),
          gauge({ __name__: "kube_events", env: "test" })
        ],
        config: { ...config, groups: [{ name: "kube", metrics: { include: ["kube_*"] } }] }
      }
      const { result } = yield* provide(discover, setting)
      assert.deepStrictEqual(
        result.map(({ group, name }) => [name, group?.metrics]),
        [
          ["cpu", undefined],
          ["up", undefined],
          ["kube", 1]
        ]
      )
      const { events } = yield* readAll(incremental("kube"), { ...setting, points: 60 })
      const names = [...samplesOf(events).keys()].map((key) =>
        new Map((JSON.parse(key) as [ReadonlyArray<[string, string]>, number])[0]).get("__name__")
      )
      assert.deepStrictEqual([...new Set(names)], ["kube_secrets"])
    })
  )

  it.effect("read each metric on the grid of its step, and resume after a state of another step", () =>
    Effect.gen(function* () {
      const setting = { series, points: 60, config }
      const { events, mock } = yield* readAll(incremental("up", "kube_pods"), setting)
      const counts = (name: string) =>
        events.flatMap((event) =>
          event._tag === "Samples" && event.stream === name
            ? event.blocks.flatMap((block) => textsOf(block).map((text) => [block.times[0], text]))
            : []
        ).length
      assert.deepStrictEqual([counts("up"), counts("kube_pods")], [30, 6])
      assert.strictEqual(samplesOf(events).size, 36)
      const queries = new Set(rangeRequests(mock).map(({ params }) => params.get("query")))
      assert.isTrue(queries.has('{__name__="kube_pods",cluster=~"a|b"}'), [...queries].join(" "))
      assert.isTrue(queries.has('{__name__="up",env="prod"}'))

      // As after a change of the general step.
      const states = { up: { time: iso(start + 31 * minute), step: 60, version: 1 } }
      const later = yield* readAll(incremental("up"), { ...setting, states })
      const times = [...samplesOf(later.events).keys()].map(
        (key) => (JSON.parse(key) as [unknown, number])[1]
      )
      assert.deepStrictEqual(
        times.sort((a, b) => a - b),
        Array.from({ length: 14 }, (_, i) => start + (32 + 2 * i) * minute)
      )
      const last = later.events.findLast((event) => event._tag === "Checkpoint")
      assert.deepInclude(last?._tag === "Checkpoint" ? last.state : {}, { step: 120 })
    })
  )
})

describe("queries", () => {
  it.effect(
    "are discovered with the labels of their results, without the lists of metrics if all are excluded",
    () =>
      Effect.gen(function* () {
        const logs: Array<string> = []
        const { mock, result } = yield* provide(discover, {
          series,
          logs,
          config: {
            metrics: { exclude: ["*"] },
            exclude_labels: ["job"],
            queries: [
              { name: "pods", expression: '{__name__=~"kube_.*"}' },
              { name: "up_now", expression: 'up{env="test"}', step: 300 },
              { name: "none", expression: "up{env='none'}" }
            ]
          }
        })
        assert.deepStrictEqual(
          result.map(({ expression, labels, name }) => [name, expression, labels]),
          [
            ["pods", '{__name__=~"kube_.*"}', ["__name__", "cluster", "pool"]],
            ["up_now", 'up{env="test"}', ["__name__", "env"]],
            ["none", "up{env='none'}", ["__name__"]]
          ]
        )
        assert.isFalse(mock.requests.some(({ path }) => path.includes("__name__")))
        assert.match(logs.join("\n"), /The query none has no result at any of \d+ points/)
      })
  )

  it.effect("say that the mock evaluates selectors only", () =>
    Effect.gen(function* () {
      const queries = [{ name: "sums", expression: "sum by (job) (up)" }]
      const error = yield* Effect.flip(provide(discover, { series, config: { queries } }))
      assert.match(
        error.message,
        /^The expression of the query sums is not valid: .*the mock evaluates selectors, .*Correct the expression/
      )
    })
  )
})
