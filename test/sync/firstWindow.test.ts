/** Groups of many metrics: the server is asked once how many series they have, and may return anything. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Faults } from "../../src/mock/faults.ts"
import type { Fault, MockRequest } from "../../src/mock/http.ts"
import type { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { type MockSeries, makeSeries } from "../../src/mock/MockSeries.ts"
import { choices } from "../choices.ts"
import { gauge, minute, start } from "../support/gauge.ts"
import { runs } from "../support/runs.ts"
import {
  failuresOf,
  incremental,
  rangeRequests,
  readAll,
  refusal,
  type Setting,
  samplesOf
} from "./readMock.ts"

const METRICS = 120

const nameOf = (n: number): string => `app_${n}`

const config = { groups: [{ name: "apps", metrics: { include: ["app_*"] } }] }

const apps = (minutes: number): ReadonlyArray<MockSeries> =>
  Array.from({ length: METRICS }, (_, n) => gauge(nameOf(n), minutes, 1 + (n % 2))).flat()

const isCount = ({ path, params }: Pick<MockRequest, "path" | "params">): boolean =>
  path === "/api/v1/query_range" && params.get("query")!.startsWith("count by")

/** The requests for samples: the first and last minute, and the number of names. */
const sampleRequests = (mock: MockPrometheus) =>
  rangeRequests(mock)
    .filter((request) => !isCount(request))
    .map(({ params }) => [
      (Number(params.get("start")) * 1000 - start) / minute,
      (Number(params.get("end")) * 1000 - start) / minute,
      params.get("query")!.split("|").length
    ])

const countRequests = (mock: MockPrometheus) => mock.requests.filter(isCount)

/** A response to a count: the number of series of each metric. */
const counted = ({ params }: MockRequest, countOf: (name: string) => number | string): Fault => {
  const names = params.get("query")!.match(/app_\d+/g) ?? []
  const result = names.map((name) => ({
    metric: { __name__: name },
    values: [[Number(params.get("start")), `${countOf(name)}`]]
  }))
  return {
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ status: "success", data: { resultType: "matrix", result } })
  }
}

/** The samples of all series at all points. */
const expectedOf = (series: ReadonlyArray<MockSeries>, points: number) =>
  new Map(
    series.flatMap(({ labels, times, values }) =>
      Array.from(times, (time, i) => [`[${JSON.stringify(labels)},${time}]`, `${values[i]}`] as const).filter(
        (_, i) => times[i]! <= start + (points - 1) * minute
      )
    )
  )

const readGroup = Effect.fnUntraced(function* (
  series: ReadonlyArray<MockSeries>,
  points: number,
  faults?: Faults,
  more: object = {}
) {
  const setting: Setting = {
    series,
    points,
    config: { ...config, ...more },
    mock: faults === undefined ? {} : { faults }
  }
  const { events, mock } = yield* readAll(incremental("apps"), setting)
  assert.strictEqual(failuresOf(events), "")
  assert.deepStrictEqual(samplesOf(events), expectedOf(series, points))
  return mock
})

describe("a group of many metrics", () => {
  it.effect("is counted by one query, and begins with as many points as one metric", () =>
    Effect.gen(function* () {
      const mock = yield* readGroup(apps(50), 50)
      assert.lengthOf(countRequests(mock), 1)
      assert.strictEqual(Number(countRequests(mock)[0]!.params.get("end")) * 1000, start + 31 * minute)
      assert.deepStrictEqual(sampleRequests(mock), [
        [0, 31, METRICS],
        [32, 49, METRICS]
      ])
    })
  )

  it.effect("is counted at its end if it has no series at the beginning", () =>
    Effect.gen(function* () {
      const late = apps(50).map(({ labels }) =>
        makeSeries(Object.fromEntries(labels), [[start + 49 * minute, 1]])
      )
      const mock = yield* readGroup(late, 50)
      assert.deepStrictEqual(
        countRequests(mock).map(({ params }) => (Number(params.get("start")) * 1000 - start) / minute),
        [31, 49]
      )
      assert.deepStrictEqual(sampleRequests(mock)[0], [0, 31, METRICS])
    })
  )

  it.effect("is requested in parts near the target number of samples", () =>
    Effect.gen(function* () {
      const mock = yield* readGroup(apps(50), 50, (request) =>
        isCount(request) ? counted(request, () => 1000) : undefined
      )
      // 7 × 1,000 series × 32 points are less than 250,000 samples, and 8 × 1,000 more.
      const first = sampleRequests(mock).filter(([from]) => from === 0)
      assert.lengthOf(first, Math.ceil(METRICS / 7))
      for (const [, last, names] of first) {
        assert.strictEqual(last, 31)
        assert.isAtMost(names!, 7)
      }
    })
  )

  it.effect("begins with fewer points if one metric has very many series", () =>
    Effect.gen(function* () {
      const mock = yield* readGroup(apps(50), 50, (request) =>
        isCount(request) ? counted(request, (name) => (name === nameOf(7) ? 125_000 : 1)) : undefined
      )
      assert.strictEqual(sampleRequests(mock)[0]![1], 1)
    })
  )

  it.effect("is not counted if its first window would be no larger", () =>
    Effect.gen(function* () {
      const few = apps(50).slice(0, 100)
      assert.lengthOf(countRequests(yield* readGroup(few, 50)), 0)
      assert.lengthOf(countRequests(yield* readGroup(apps(20), 20)), 0)
      // A service that accepts one name.
      const azure = { base_url: "https://name.westeurope.prometheus.monitor.azure.com" }
      const mock = yield* readGroup(apps(40), 40, undefined, azure)
      assert.lengthOf(countRequests(mock), 0)
      assert.deepStrictEqual(sampleRequests(mock)[0], [0, 31, 1])
    })
  )

  it.effect("is read with a small first window if the server does not count", () =>
    Effect.gen(function* () {
      const failures: ReadonlyArray<Fault> = [
        refusal(422, "query processing would load too many samples into memory in query execution"),
        refusal(503, "Service Unavailable"),
        { delayMillis: 3_600_000 },
        { body: "no JSON" }
      ]
      for (const failure of failures) {
        const mock = yield* readGroup(apps(50), 50, (request) => (isCount(request) ? failure : undefined))
        assert.lengthOf(countRequests(mock), 1)
        assert.deepStrictEqual(sampleRequests(mock), [
          [0, 25, METRICS],
          [26, 49, METRICS]
        ])
      }
    })
  )

  it.effect.prop(
    "is complete, each sample once, whatever the counts are",
    { choices },
    ({ choices }) =>
      Effect.gen(function* () {
        const points = choices.between(33, 50)
        // Series come and go.
        const series = Array.from({ length: METRICS }, (_, n) =>
          gauge(nameOf(n), points, choices.below(3)).flatMap(({ labels, times, values }) => {
            const from = choices.below(points)
            const until = choices.between(from, points)
            const samples = Array.from(times, (time, i) => [time, values[i]!] as const)
            return from === until ? [] : [makeSeries(Object.fromEntries(labels), samples.slice(from, until))]
          })
        ).flat()
        const maxSamples = choices.between(40, 2000)
        const anyCount = () =>
          choices.pick([0, 1, 7, 3000, 300_000, 1e12, 0.3, -1, "NaN", "+Inf", 5000, 20_000])
        const kind = choices.pick(["random", "random", "refused", "other names"])
        const faults: Faults = (request) => {
          if (!isCount(request)) return undefined
          if (kind === "refused") return refusal(choices.pick([400, 413, 422, 500]), "no")
          return kind === "random"
            ? counted(request, anyCount)
            : counted({ ...request, params: new URLSearchParams([["query", "app_1 app_999"]]) }, () => 1e9)
        }
        const { events, mock } = yield* readAll(incremental("apps"), {
          series,
          points,
          config,
          mock: { faults, maxSamples }
        })
        assert.strictEqual(failuresOf(events), "")
        assert.deepStrictEqual(samplesOf(events), expectedOf(series, points))
        assert.isAtMost(countRequests(mock).length, 2)
      }),
    { arbitrary: { runs: runs(5, 30) }, timeout: 120_000 }
  )
})
