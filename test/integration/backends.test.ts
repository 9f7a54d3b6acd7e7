/** The built connector against mocks of Mimir, Thanos and VictoriaMetrics, where they differ from Prometheus. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Fault, MockRequest } from "../../src/mock/http.ts"
import { makeDatabase } from "../../src/mock/MockSeries.ts"
import { MimirMock, mimir, onRangeQueries, ThanosMock, thanos, victoriaMetrics } from "../support/backends.ts"
import * as connector from "../support/connector.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { onMetric, pointsOf, serve, serveMock } from "../support/mockServer.ts"

const read = Effect.fnUntraced(function* (config: object, ...streams: ReadonlyArray<string>) {
  const files = yield* connector.workspace
  return yield* connector.read(files, config, connector.catalogOf(...streams))
})

/** Asserts that the read succeeded, and that each of so many samples was read once. */
const assertWhole = (output: connector.Output, samples: number): void => {
  assert.deepStrictEqual(output.errors, [])
  assert.strictEqual(output.code, 0)
  assert.strictEqual(connector.byKey(output.records).size, samples)
}

const retries = (output: connector.Output): number =>
  output.logs.filter((line) => /Retrying in/.test(line)).length

const tenant = [{ name: "X-Scope-OrgID", value: "team-a" }]

const options = { lookbackMillis: 1000, version: "3.0.0" }

describe("transient responses", () => {
  const passing: ReadonlyArray<readonly [string, Fault]> = [
    ["Mimir's full queue", mimir.queueFull],
    ["Mimir without its store-gateways", mimir.storeGatewaysMissing],
    ["Thanos without a querier", thanos.unavailable],
    ["Thanos without one of its stores", thanos.storeMissing],
    ["VictoriaMetrics' full queue", victoriaMetrics.queueFull]
  ]
  for (const [name, fault] of passing) {
    it.live(`are retried: ${name}`, () =>
      Effect.gen(function* () {
        const faults = onRangeQueries(fault, (_, attempt) => attempt === 1)
        const { config } = yield* serve(gauge("m", 30, 3), 30, { faults }, { max_retries: 1 })
        const output = yield* read(config, "m")
        assertWhole(output, 90)
        assert.isAbove(retries(output), 0)
      })
    )
  }

  it.live("are retried no earlier than Retry-After says", () =>
    Effect.gen(function* () {
      const faults = onRangeQueries(mimir.queueFullFor(2), (_, attempt) => attempt === 1)
      const { config, mock } = yield* serve(gauge("m", 30), 30, { faults }, { max_retries: 1 })
      assertWhole(yield* read(config, "m"), 30)
      const [first, second] = mock.requests.filter((request) => pointsOf(request) > 0)
      // Timers and clocks may differ slightly.
      assert.isAtLeast(second!.nowMillis - first!.nowMillis, 1990)
    })
  )

  it.live("fail their stream once retries are exhausted, but not the others", () =>
    Effect.gen(function* () {
      const faults = onMetric("b", mimir.queueFull)
      const { config } = yield* serve(
        ["a", "b"].flatMap((name) => gauge(name, 30)),
        30,
        { faults },
        { max_retries: 1 }
      )
      const output = yield* read(config, "a", "b")
      assert.strictEqual(output.code, 1)
      assert.deepStrictEqual([...new Set(output.records.map(({ stream }) => stream))], ["a"])
      const error = output.errors.at(-1)
      assert.strictEqual(error?.failure_type, "transient_error")
      assert.match(
        error?.message ?? "",
        /1 of 2 streams failed: b\..*HTTP 429: too many outstanding requests/
      )
      assert.match(error?.message ?? "", /concurrency/)
    })
  )
})

describe("responses that are too large", () => {
  const limits: ReadonlyArray<readonly [string, Fault]> = [
    ["Mimir's chunks", mimir.maxChunks],
    ["Mimir's series", mimir.maxSeries],
    ["Mimir's query length", mimir.maxTotalQueryLength],
    ["Mimir's message size", mimir.tooLarge],
    ["Thanos' series", thanos.maxSeries],
    ["VictoriaMetrics' samples", victoriaMetrics.maxSamplesPerQuery],
    ["VictoriaMetrics' series", victoriaMetrics.maxUniqueTimeseries],
    ["VictoriaMetrics' series of a response", victoriaMetrics.maxResponseSeries],
    ["VictoriaMetrics' points", victoriaMetrics.maxPointsPerTimeseries],
    ["VictoriaMetrics' samples per series", victoriaMetrics.maxSamplesPerSeries],
    ["VictoriaMetrics' memory", victoriaMetrics.memory],
    ["VictoriaMetrics' query duration", victoriaMetrics.maxQueryDuration]
  ]
  for (const [name, fault] of limits) {
    it.live(`are requested in smaller parts: ${name}`, () =>
      Effect.gen(function* () {
        const faults = onRangeQueries(fault, (request) => pointsOf(request) > 7)
        const { config, mock } = yield* serve(gauge("m", 60, 3), 60, { faults })
        const output = yield* read(config, "m")
        assertWhole(output, 180)
        // The refusal is permanent, so there are no retries.
        assert.isTrue(mock.requests.every((request) => pointsOf(request) === 0 || request.attempt === 1))
      })
    )
  }

  it.live("fail their stream with the server's error if a single point is too large", () =>
    Effect.gen(function* () {
      const faults = onMetric("b", mimir.maxSeries)
      const { config } = yield* serve(
        ["a", "b"].flatMap((name) => gauge(name, 30)),
        30,
        { faults }
      )
      const output = yield* read(config, "a", "b")
      assert.strictEqual(output.code, 1)
      assert.deepStrictEqual([...new Set(output.records.map(({ stream }) => stream))], ["a"])
      const error = output.errors.at(-1)
      assert.strictEqual(error?.failure_type, "config_error")
      assert.match(error?.message ?? "", /1 of 2 streams failed: b\..*\(err-mimir-max-series-per-query\)/)
      assert.match(error?.message ?? "", /selector/)
    })
  )
})

describe("Mimir", () => {
  const series = ["a", "b"].flatMap((name) => gauge(name, 60))

  it.live("requires a tenant, and is read with one", () =>
    Effect.gen(function* () {
      const { config } = yield* serveMock(new MimirMock(makeDatabase(series), options), 60)
      const without = yield* read(config, "a")
      assert.strictEqual(without.code, 1)
      assert.strictEqual(without.errors.at(-1)?.failure_type, "config_error")
      assert.match(without.errors.at(-1)?.message ?? "", /HTTP 401: no org id\..*headers/)
      assertWhole(yield* read({ ...config, headers: tenant }, "a", "b"), 120)
    })
  )

  it.live("has no samples older than its query look-back, and does not report that", () =>
    Effect.gen(function* () {
      // The sample at minute 40 is the earliest that the server returns.
      const now = Date.now()
      const lookback = now - (start + 39.5 * minute)
      const mock = new MimirMock(makeDatabase(series), options, lookback)
      // The look-back moves with time. A fixed clock makes the test independent of its own duration.
      const { handle } = mock
      mock.handle = (request: MockRequest) => handle.call(mock, request, now)
      const { config } = yield* serveMock(mock, 60, { headers: tenant })
      const output = yield* read(config, "a", "b")
      assertWhole(output, 2 * 20)
      assert.strictEqual(output.records[0]!.data.time, iso(start + 40 * minute))
      const early = yield* read({ ...config, end_date: iso(start + 20 * minute) }, "a", "b")
      assertWhole(early, 0)
      // An empty response is a valid one: the next sync resumes after it.
      assert.deepStrictEqual(
        early.states.map(({ stream }) => stream.stream_state.time),
        [iso(start + 20 * minute), iso(start + 20 * minute)]
      )
    })
  )
})

describe("Thanos", () => {
  it.live("is read completely, despite its additions to responses", () =>
    Effect.gen(function* () {
      const { config } = yield* serveMock(new ThanosMock(makeDatabase(gauge("m", 60, 3)), options), 60)
      assertWhole(yield* read(config, "m"), 180)
    })
  )

  it.live("is not read while a store is missing, since it would return partial data", () =>
    Effect.gen(function* () {
      const mock = new ThanosMock(makeDatabase(gauge("m", 60, 3)), options, () => true)
      const { config } = yield* serveMock(mock, 60, { max_retries: 0 })
      const partial = yield* Effect.promise(async () => {
        const params = { query: "m", start: `${start / 1000}`, end: `${start / 1000 + 60}`, step: "60" }
        const response = await fetch(`${config.base_url}/api/v1/query_range?${new URLSearchParams(params)}`)
        return (await response.json()) as { readonly status: string; readonly warnings?: unknown }
      })
      assert.strictEqual(partial.status, "success")
      assert.isDefined(partial.warnings)
      const output = yield* read(config, "m")
      assert.strictEqual(output.code, 1)
      assert.strictEqual(output.records.length, 0)
      assert.strictEqual(output.states.length, 0)
      assert.match(output.errors.at(-1)?.message ?? "", /m\..*receive series from Addr: 10\.0\.0\.7:10901/)
    })
  )
})
