/** The fakes themselves: each changes what it says it does, and nothing else. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import {
  day,
  end,
  every,
  expectedFrom,
  hour,
  LongSource,
  longEnd,
  minute,
  Source,
  start
} from "../support/fakes/basic.ts"
import { azure, google } from "../support/fakes/clouds.ts"
import { fake, isRange, metricOf, selectorsOf, withMatcher } from "../support/fakes/fake.ts"
import { cutAt, damaged } from "../support/fakes/faults.ts"
import { clampLists, lookback } from "../support/fakes/mimir.ts"
import { downsampledBefore, resultCache, stores } from "../support/fakes/thanos.ts"
import * as RealPrometheus from "../support/RealPrometheus.ts"

/** The status and the JSON of a request. */
const get = (baseUrl: string, path: string, params: Readonly<Record<string, string>> = {}) =>
  Effect.promise(async () => {
    const response = await fetch(`${baseUrl}/api/v1/${path}?${new URLSearchParams(params)}`)
    const json = (await response.json()) as { readonly data?: unknown; readonly error?: unknown }
    return { data: json.data, error: json.error, status: response.status }
  })

const range = (query: string, from: number, to: number, step = "60") => ({
  query,
  start: `${from / 1000}`,
  end: `${to / 1000}`,
  step
})

/** The times of all points of a range, in milliseconds. */
const timesOf = (data: unknown): ReadonlyArray<number> => {
  const { result } = data as {
    readonly result: ReadonlyArray<{ readonly values: ReadonlyArray<[number, string]> }>
  }
  return [
    ...new Set(result.flatMap(({ values }) => values.map(([time]) => Math.round(time * 1000))))
  ].toSorted((a, b) => a - b)
}

describe("selectors of requests", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    const ask = (query: string) => ({
      method: "GET",
      path: "/api/v1/query_range",
      params: new URLSearchParams({ query }),
      headers: {},
      target: "",
      body: Buffer.alloc(0)
    })

    it.effect("are found in expressions, and narrowed there", () =>
      Effect.sync(() => {
        const wrapped = ask('default_rollup({__name__="a}b",text="\\"{"}[5m])')
        assert.deepStrictEqual(selectorsOf(wrapped), ['{__name__="a}b",text="\\"{"}'])
        assert.strictEqual(metricOf(wrapped), "a}b")
        assert.strictEqual(metricOf(ask('up{job="x"}')), "up")
        assert.strictEqual(
          withMatcher(wrapped, 'store!="b"').params.get("query"),
          'default_rollup({store!="b",__name__="a}b",text="\\"{"}[5m])'
        )
      })
    )
  })
})

describe("a fake", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    it.effect("without layers responds as the real server", () =>
      Effect.gen(function* () {
        const server = yield* Source
        const { baseUrl, requests } = yield* fake(server.baseUrl)
        assert.deepStrictEqual(yield* expectedFrom({ baseUrl }), yield* expectedFrom(server))
        assert.strictEqual((yield* expectedFrom(server)).size, 3 * 363)
        assert.lengthOf(requests.filter(isRange), 3)
      })
    )

    it.effect("of Thanos leaves out the series of a store that is away, without a warning", () =>
      Effect.gen(function* () {
        const server = yield* Source
        const { baseUrl } = yield* fake(
          server.baseUrl,
          stores({ name: "second", lastError: () => "refused" })
        )
        assert.deepStrictEqual(
          yield* expectedFrom({ baseUrl }),
          yield* expectedFrom(server, { matchers: 'store="first"' })
        )
        assert.deepStrictEqual((yield* get(baseUrl, "label/store/values")).data, ["first"])
      })
    )

    it.effect("of Thanos has older data only at a coarser resolution", () =>
      Effect.gen(function* () {
        const server = yield* Source
        const { baseUrl } = yield* fake(server.baseUrl, downsampledBefore(start + hour))
        const query = range("basic_total", start, end)
        assert.strictEqual(timesOf((yield* get(baseUrl, "query_range", query)).data)[0], start + hour)
        const coarse = { ...query, max_source_resolution: "1h" }
        assert.strictEqual(timesOf((yield* get(baseUrl, "query_range", coarse)).data)[0], start)
      })
    )

    it.effect("of a look-back moves the start of a range off the grid", () =>
      Effect.gen(function* () {
        const server = yield* Source
        const { baseUrl } = yield* fake(server.baseUrl, lookback(start + 10 * minute + 123))
        const inside = yield* get(baseUrl, "query_range", range("basic_total", start, start + 12 * minute))
        assert.deepStrictEqual(timesOf(inside.data), [start + 10 * minute + 123, start + 11 * minute + 123])
        const before = yield* get(baseUrl, "query_range", range("basic_total", start, start + 10 * minute))
        assert.deepStrictEqual(before.data, { resultType: "matrix", result: [] })
      })
    )

    it.effect("of damage refuses what touches it, of its series only", () =>
      Effect.gen(function* () {
        const server = yield* Source
        const place = { from: start + 30 * minute, to: start + 40 * minute, labels: { instance: "b" } }
        const { baseUrl } = yield* fake(server.baseUrl, damaged(place))
        const statusOf = (query: string, from: number, to: number) =>
          Effect.map(
            get(baseUrl, "query_range", range(query, start + from * minute, start + to * minute)),
            ({ status }) => status
          )
        assert.strictEqual(yield* statusOf("basic_total", 0, 29), 200)
        assert.strictEqual(yield* statusOf("basic_total", 0, 30), 422)
        assert.strictEqual(yield* statusOf('basic_total{instance!="b"}', 0, 120), 200)
        assert.strictEqual(yield* statusOf('{instance=~"a|b"}', 45, 120), 422)
        assert.strictEqual(yield* statusOf("basic_total", 46, 120), 200)
      })
    )

    it.effect("of a proxy announces a length and sends less", () =>
      Effect.gen(function* () {
        const { baseUrl } = yield* fake((yield* Source).baseUrl, cutAt(50))
        const query = new URLSearchParams(range("basic_total", start, end))
        const failure = yield* Effect.promise(() =>
          fetch(`${baseUrl}/api/v1/query_range?${query}`)
            .then((response) => response.text())
            .then(() => "nothing")
            .catch((error: Error) => error.message)
        )
        assert.match(failure, /terminated|aborted|closed/)
      })
    )

    it.effect("of Google refuses parameters and patterns, and of Azure two names", () =>
      Effect.gen(function* () {
        const server = yield* Source
        const ofGoogle = yield* fake(server.baseUrl, google)
        const query = range('{__name__="basic_total"}', start, end)
        assert.strictEqual((yield* get(ofGoogle.baseUrl, "query_range", query)).status, 200)
        const refused = yield* get(ofGoogle.baseUrl, "query_range", { ...query, nocache: "1" })
        assert.strictEqual(refused.status, 400)
        assert.property(refused.error, "message")
        const pattern = range('{__name__=~"basic.*"}', start, end)
        assert.strictEqual((yield* get(ofGoogle.baseUrl, "query_range", pattern)).status, 400)
        const ofAzure = yield* fake(server.baseUrl, azure)
        assert.strictEqual((yield* get(ofAzure.baseUrl, "query_range", query)).status, 200)
        assert.strictEqual((yield* get(ofAzure.baseUrl, "query_range", pattern)).status, 422)
      })
    )
  })

  layer(LongSource.layer, { timeout: 120_000 })((it) => {
    it.effect("of a clamp lists the names of the last part of a range", () =>
      Effect.gen(function* () {
        const { baseUrl } = yield* fake((yield* LongSource).baseUrl, clampLists(day))
        const list = (from: number, to: number) =>
          Effect.map(
            get(baseUrl, "label/__name__/values", { start: `${from / 1000}`, end: `${to / 1000}` }),
            ({ data }) => data
          )
        assert.deepStrictEqual(yield* list(start, longEnd), ["long_all", "long_late"])
        assert.deepStrictEqual(yield* list(start, start + 5 * day), ["long_all", "long_early"])
      })
    )
  })

  layer(Source.layer, { timeout: 120_000 })((it) => {
    it.effect("of a cache keeps its first answers, unless the request forbids that", () =>
      Effect.gen(function* () {
        const server = yield* RealPrometheus.make({ remoteWriteReceiver: true, outOfOrderWindow: "3h" })
        const labels = { __name__: "m" }
        yield* server.remoteWrite([{ labels, samples: every(minute, start + hour, end) }])
        const { baseUrl } = yield* fake(server.baseUrl, resultCache())
        const early = yield* expectedFrom({ baseUrl }, { metrics: ["m"] })
        yield* server.remoteWrite([{ labels, samples: every(minute, start, start + hour - minute) }])
        assert.deepStrictEqual(yield* expectedFrom({ baseUrl }, { metrics: ["m"] }), early)
        const late = yield* expectedFrom(server, { metrics: ["m"] })
        assert.strictEqual(late.size, early.size + 60)
        const fresh = yield* Effect.promise(async () => {
          const query = new URLSearchParams(range("m", start, end))
          const response = await fetch(`${baseUrl}/api/v1/query_range?${query}`, {
            headers: { "cache-control": "no-store" }
          })
          return (await response.json()) as { readonly data: unknown }
        })
        assert.strictEqual(timesOf(fresh.data).length, late.size)
      })
    )
  })
})
