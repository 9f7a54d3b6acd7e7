/** Tests a program that reads from Prometheus, without a Prometheus. Run it with `vitest`. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { ConnectorConfig, samples } from "source-prometheus"
import {
  firstTries,
  layerMock,
  type MockOptions,
  MockPrometheus,
  makeDatabase,
  makeSeries,
  onMetric,
  refusal
} from "source-prometheus/testing"

/** The code under test: the largest number of waiting jobs. */
const longestQueue = samples("queue_depth").pipe(
  Stream.runFold(
    () => 0,
    (most, { value }) => Math.max(most, value)
  )
)

const noon = Date.UTC(2026, 0, 1, 12)

const database = makeDatabase([
  makeSeries({ __name__: "queue_depth", queue: "email" }, [
    [noon, 3],
    [noon + 60_000, 9],
    [noon + 120_000, 4]
  ])
])

/** A mock in place of the server. It responds at any configured address. */
const mocked = (options: MockOptions = {}) => {
  const config = {
    base_url: "http://prometheus.example",
    start_date: "2026-01-01",
    end_date: "2026-01-02",
    step: 60,
    max_retries: 1
  }
  return layerMock(new MockPrometheus(database, options)).pipe(
    Layer.provideMerge(ConnectorConfig.layer(config))
  )
}

it.live("finds the longest queue", () =>
  Effect.gen(function* () {
    assert.strictEqual(yield* longestQueue, 9)
  }).pipe(Effect.provide(mocked()))
)

const busy = onMetric("queue_depth", refusal(503, "the server is starting"))

it.live("finds it although the server is busy at first", () =>
  Effect.gen(function* () {
    assert.strictEqual(yield* longestQueue, 9)
  }).pipe(Effect.provide(mocked({ faults: firstTries(1, busy) })))
)

it.live("fails if the server stays busy", () =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(longestQueue)
    assert.strictEqual(error._tag === "PrometheusError" && error.reason, "Unavailable")
  }).pipe(Effect.provide(mocked({ faults: busy })))
)
