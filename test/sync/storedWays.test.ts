/** Reads of stored samples from servers without remote read, or whose remote read would have other labels. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { anyOf, type Faults, onPath } from "../../src/mock/faults.ts"
import type { Fault, MockRequest } from "../../src/mock/http.ts"
import type { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { type MockSeries, type MockValue, makeSeries } from "../../src/mock/MockSeries.ts"
import { isRead } from "../../src/mock/readRequest.ts"
import { formatFloat64 } from "../../src/samples/formatFloat64.ts"
import { type Choices, choices } from "../choices.ts"
import { gauge, minute, start } from "../support/gauge.ts"
import { runs } from "../support/runs.ts"
import { failuresOf, incremental, readAll, refusal, type Setting, samplesOf } from "./readMock.ts"

const raw = { sampling: "raw" }

const isInstantRange = ({ params, path }: MockRequest): boolean =>
  path.endsWith("/api/v1/query") && (params.get("query") ?? "").endsWith("ms]")

const readsOf = ({ requests }: MockPrometheus) => requests.filter(isRead).length
const queriesOf = ({ requests }: MockPrometheus) => requests.filter(isInstantRange).length

const stored = (series: ReadonlyArray<MockSeries>, to: number) =>
  series
    .flatMap(({ labels, times, values }) =>
      values.flatMap((value, i): ReadonlyArray<readonly [string, string]> => {
        const time = times[i]!
        if (value === "stale" || time < start || time > to) return []
        const text = typeof value === "number" ? formatFloat64(value) : JSON.stringify(value)
        return [[`[${JSON.stringify(labels)},${time}]`, text]]
      })
    )
    .toSorted(([a], [b]) => (a < b ? -1 : 1))

const sorted = (samples: Iterable<readonly [string, string]>) =>
  [...samples].toSorted(([a], [b]) => (a < b ? -1 : 1))

const anyValue = (choices: Choices, hasHistograms: boolean): MockValue => {
  if (choices.oneIn(15)) return "stale"
  if (hasHistograms && choices.oneIn(3)) return { count: `${choices.below(9)}`, sum: "1.5", buckets: [] }
  return choices.oneIn(4) ? choices.pick([Number.NaN, Infinity, -0, 1e-7]) : choices.below(1e6) / 1000
}

const anyStored = (choices: Choices, lastMillis: number, isDense: boolean): ReadonlyArray<MockSeries> => {
  const hasHistograms = choices.oneIn(2)
  return Array.from({ length: choices.between(1, 4) }, (_, n) => {
    const samples = new Map<number, MockValue>()
    let time = start + choices.below(minute)
    for (let left = choices.between(1, 200); left > 0 && time <= lastMillis; left--) {
      samples.set(time, anyValue(choices, hasHistograms))
      time += choices.pick([isDense ? 1 : 1001, 999, 15_000, 15_003, 600_000])
    }
    return makeSeries({ __name__: "m", n: `${n}` }, samples)
  })
}

describe("stored samples of a server without remote read", () => {
  it.effect.prop(
    "are all read, each once, whatever fails",
    [choices],
    ([choices]) =>
      Effect.gen(function* () {
        const points = choices.between(2, 300)
        const now = start + (points - 1) * minute
        // A second of one series is not split.
        const isLimited = choices.oneIn(2)
        const series = anyStored(choices, now, !isLimited)
        const failing = new Set(Array.from({ length: choices.below(4) }, () => choices.below(10)))
        const fault = choices.pick<Fault>([{ cutAfterBytes: choices.below(3000) }, { reset: true }])
        let requests = 0
        const faults: Faults = (request, attempt) =>
          isInstantRange(request) && attempt <= 2 && failing.has(requests++) ? fault : undefined
        const setting: Setting = {
          series,
          points,
          config: raw,
          mock: {
            remoteRead: false,
            version: choices.pick(["2.42.0", "3.1.0"]),
            ...(isLimited ? { maxSamples: choices.between(100, 300) } : {}),
            faults
          }
        }
        const { events, mock } = yield* readAll(incremental("m"), setting)
        assert.strictEqual(failuresOf(events), "")
        assert.deepStrictEqual(sorted(samplesOf(events)), stored(series, now))
        assert.strictEqual(readsOf(mock), 1)
      }),
    { arbitrary: { runs: runs(6, 25) }, timeout: 60_000 }
  )

  it.effect("are not asked for by remote read again", () =>
    Effect.gen(function* () {
      const names = ["m", "n", "o", "p"]
      const { events, mock } = yield* readAll(incremental(...names), {
        series: names.flatMap((name) => gauge(name, 100)),
        points: 100,
        config: { ...raw, concurrency: 1 },
        mock: { remoteRead: false }
      })
      assert.strictEqual(samplesOf(events).size, 400)
      assert.deepStrictEqual([readsOf(mock), queriesOf(mock)], [1, 4])
    })
  )
})

describe("stored samples of a server with external labels", () => {
  const series = [
    makeSeries({ __name__: "m", n: "1" }, [[start, 1]]),
    makeSeries({ __name__: "m", zone: "own" }, [[start, 2]]),
    makeSeries({ __name__: "same" }, [[start, 3]]),
    makeSeries({ __name__: "same", zone: "external" }, [[start, 4]])
  ]
  const external = { externalLabels: { zone: "external", region: "eu" } }

  const read = (mock: Setting["mock"], config: object = {}) =>
    readAll(incremental("m", "same"), {
      series,
      points: 2,
      config: { ...raw, ...config },
      mock: { ...external, ...mock }
    })

  it.effect("have the labels of queries, by remote read where that is certain", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* read({})
      assert.deepStrictEqual(sorted(samplesOf(events)), stored(series, start))
      assert.deepStrictEqual([readsOf(mock), queriesOf(mock)], [1, 1])
    })
  )

  it.effect("have them where the labels cannot be found out, and with a selector of one", () =>
    Effect.gen(function* () {
      const hidden = yield* read({ faults: anyOf(onPath("/status/config", { status: 403 })) })
      assert.deepStrictEqual(sorted(samplesOf(hidden.events)), stored(series, start))
      assert.deepStrictEqual([readsOf(hidden.mock), queriesOf(hidden.mock)], [0, 2])

      const selected = yield* read({}, { selector: '{zone="external"}' })
      assert.deepStrictEqual(sorted(samplesOf(selected.events)), stored(series.slice(3), start))
      assert.strictEqual(readsOf(selected.mock), 0)
    })
  )

  it.effect("fail with the refusal of the query, if that is refused too", () =>
    Effect.gen(function* () {
      const faults: Faults = (request) =>
        isInstantRange(request) ? refusal(403, "forbidden by the proxy") : undefined
      const { events } = yield* readAll(incremental("m"), {
        series,
        points: 2,
        config: { ...raw, max_retries: 0 },
        mock: { remoteRead: false, faults }
      })
      assert.match(failuresOf(events), /api\/v1\/query.*403/)
    })
  )
})
