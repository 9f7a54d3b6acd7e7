/** Requests of a read that fail: retries, and what they end. On the test clock. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Option, Stream } from "effect"
import { HttpClient, HttpClientError } from "effect/http"
import { TestClock } from "effect/testing"
import type { Fault } from "../../src/mock/http.ts"
import * as MockHttpClient from "../../src/mock/MockHttpClient.ts"
import { PrometheusClient } from "../../src/prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../../src/prometheus/PrometheusError.ts"
import { read } from "../../src/sync/Read.ts"
import type { ReadEvent } from "../../src/sync/ReadEvent.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import {
  checkpoints,
  DELAY,
  drive,
  incremental,
  launch,
  minutesOf,
  numbers,
  of,
  onRange,
  rangeRequests,
  readAll,
  refusal,
  type Setting,
  setUp,
  story,
  windows
} from "./readMock.ts"

/** How many range queries have been sent after each of the given times from now, in milliseconds. */
const requestsAfter = Effect.fnUntraced(function* (
  fault: Fault,
  config: object,
  times: ReadonlyArray<number>
) {
  const { mock, services } = yield* setUp({
    series: gauge("m", 5),
    points: 5,
    config,
    mock: { faults: onRange(() => fault) }
  })
  const fiber = yield* launch(Effect.provide(Stream.runDrain(read(incremental("m"))), services))
  const counts: Array<number> = []
  let elapsed = 0
  for (const time of times) {
    yield* TestClock.adjust(time - elapsed)
    elapsed = time
    counts.push(rangeRequests(mock).length)
  }
  yield* Fiber.interrupt(fiber)
  return counts
})

describe("retries", () => {
  it.effect("wait exactly as long as Retry-After says", () =>
    Effect.gen(function* () {
      const fault = refusal(429, "slow down", { "retry-after": "7" })
      assert.deepStrictEqual(
        yield* requestsAfter(fault, {}, [0, 6999, 7000, 13_999, 14_000]),
        [1, 1, 2, 2, 3]
      )
    })
  )

  it.effect("accept a date in Retry-After", () =>
    Effect.gen(function* () {
      const now = start + 4 * minute + DELAY
      const fault = refusal(503, "later", { "retry-after": new Date(now + 42_000).toUTCString() })
      assert.deepStrictEqual(yield* requestsAfter(fault, {}, [41_999, 42_000]), [1, 2])
    })
  )

  it.effect("measure that date by the server's clock, not by ours", () =>
    Effect.gen(function* () {
      for (const hours of [-6, 6]) {
        const sent = start + hours * 60 * minute
        const fault = refusal(503, "later", {
          date: new Date(sent).toUTCString(),
          "retry-after": new Date(sent + 42_000).toUTCString()
        })
        assert.deepStrictEqual(yield* requestsAfter(fault, {}, [41_999, 42_000]), [1, 2])
      }
    })
  )

  it.effect("wait five minutes at most", () =>
    Effect.gen(function* () {
      const fault = refusal(429, "slow down", { "retry-after": "86400" })
      assert.deepStrictEqual(yield* requestsAfter(fault, {}, [299_999, 300_000]), [1, 2])
    })
  )

  it.effect("begin after about half a second, which doubles", () =>
    Effect.gen(function* () {
      const counts = yield* requestsAfter(refusal(503, "not ready"), {}, [399, 601, 1199, 1801])
      assert.deepStrictEqual(counts, [1, 2, 2, 3])
    })
  )

  for (const max_retries of [0, 1, 4]) {
    it.effect(`are limited to ${max_retries} by max_retries`, () =>
      Effect.gen(function* () {
        const { events, mock } = yield* readAll(incremental("m"), {
          series: gauge("m", 5),
          points: 5,
          config: { max_retries },
          mock: { faults: onRange(() => refusal(503, "not ready")) }
        })
        // Five points, then three, two and one, without a retry of more than one.
        const sizes = windows(mock).map(([first, last]) => Math.floor(last - first) + 1)
        assert.deepStrictEqual(sizes.slice(0, 3 + max_retries), [...Array(1 + max_retries).fill(5), 3, 2])
        assert.strictEqual(
          sizes.filter((points, i) => points === 1 && i < 4 + 2 * max_retries).length,
          1 + max_retries
        )
        assert.strictEqual(story(events), "Started Failed")
      })
    )
  }

  it.effect("do not follow an error that no retry can resolve", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll(incremental("m"), {
        series: [],
        points: 5,
        mock: { faults: onRange(() => refusal(400, "something else")) }
      })
      assert.strictEqual(story(events), "Started Failed")
      // Five points, then three, two and one; none of the later ones is answered either.
      assert.deepStrictEqual(
        windows(mock).map(([first, last]) => [first, Math.floor(last)]),
        [
          [0, 4],
          [0, 2],
          [0, 1],
          [0, 0],
          [1, 1],
          [2, 2],
          [4, 4]
        ]
      )
    })
  )

  it.effect("of a response that stalls start after request_timeout", () =>
    Effect.gen(function* () {
      const counts = yield* requestsAfter(
        { stallAfterBytes: 60 },
        { request_timeout: 10, max_retries: 1 },
        [9999, 11_000]
      )
      assert.deepStrictEqual(counts, [1, 2])
    })
  )

  it.effect("of a request without a response start after request_timeout", () =>
    Effect.gen(function* () {
      const counts = yield* requestsAfter(
        { delayMillis: Number.POSITIVE_INFINITY },
        { request_timeout: 10, max_retries: 1 },
        [9999, 11_000]
      )
      assert.deepStrictEqual(counts, [1, 2])
    })
  )
})

describe("a failure", () => {
  it.effect("of one stream does not affect the others, and no checkpoint follows it", () =>
    Effect.gen(function* () {
      const names = ["a", "b", "c"]
      const { events } = yield* readAll(incremental(...names), {
        series: names.flatMap((name) => gauge(name, 200)),
        points: 200,
        mock: {
          faults: onRange(({ from, metric }) =>
            metric === "b" && from > 0 ? refusal(422, "division by potatoes") : undefined
          )
        }
      })
      for (const name of ["a", "c"]) {
        assert.deepStrictEqual(minutesOf(of(events, name)), numbers(0, 199))
        assert.strictEqual(of(events, name).at(-1)?._tag, "Completed")
      }
      const failed = of(events, "b")
      assert.strictEqual(story(failed), "Started Running Samples Checkpoint Failed")
      const last = failed.at(-1)
      assert.include(last?._tag === "Failed" ? last.error.message : "", "division by potatoes")
      const samples = minutesOf(failed)
      assert.strictEqual(checkpoints(failed).at(-1)?.time, iso(start + samples.at(-1)! * minute))
    })
  )

  it.effect("within a window is not followed by its checkpoint", () =>
    Effect.gen(function* () {
      const { events } = yield* readAll(incremental("m"), {
        series: gauge("m", 30, 4),
        points: 30,
        config: { max_retries: 2 },
        mock: { faults: onRange(() => ({ cutAfterBytes: 1500 })), chunkBytes: 300 }
      })
      assert.strictEqual(story(events), "Started Running Samples Failed")
    })
  )

  it.effect("for unrequested samples ends the stream once a single point has some", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll(incremental("m"), {
        series: [],
        points: 5,
        mock: {
          faults: onRange(() => ({
            headers: { "content-type": "application/json" },
            body: JSON.stringify({
              status: "success",
              data: {
                resultType: "matrix",
                result: [{ metric: { __name__: "m" }, values: [[start / 1000 + 1, "1"]] }]
              }
            })
          }))
        }
      })
      assert.strictEqual(story(events), "Started Running Failed")
      const last = events.at(-1)
      assert.strictEqual(last?._tag === "Failed" && last.error.reason, "UnexpectedSample")
      assert.deepStrictEqual(
        windows(mock).map(([, last]) => Math.floor(last)),
        [4, 2, 1, 0]
      )
    })
  )

  const failure = Effect.fnUntraced(function* (setting: Setting) {
    const { mock, services } = yield* setUp(setting)
    const seen: Array<ReadEvent> = []
    const reading = Stream.runForEach(read(incremental("a", "b")), (event) =>
      Effect.sync(() => void seen.push(event))
    )
    const exit = yield* drive(Effect.exit(Effect.provide(reading, services)))
    const error = Option.getOrUndefined(Exit.findErrorOption(exit)) as PrometheusError | undefined
    return { error, mock, seen }
  })

  it.effect("of the credentials ends the read of all streams", () =>
    Effect.gen(function* () {
      const { error, seen } = yield* failure({
        series: [...gauge("a", 200), ...gauge("b", 200)],
        points: 200,
        mock: { faults: onRange(({ from }) => (from > 0 ? refusal(401, "token expired") : undefined)) }
      })
      assert.strictEqual(error?.reason, "Unauthorized")
      assert.notInclude(
        seen.map(({ _tag }) => _tag),
        "Failed"
      )
      assert.notInclude(
        seen.map(({ _tag }) => _tag),
        "Completed"
      )
    })
  )

  it.effect("to reach the server ends the read once retries are exhausted", () =>
    Effect.gen(function* () {
      const { base, mock } = yield* setUp({
        series: gauge("a", 5),
        points: 5,
        config: { max_retries: 2, concurrency: 1 }
      })
      let attempts = 0
      // The server stops after it has told the time.
      const http = HttpClient.make((request, url) => {
        if (!url.pathname.endsWith("/query_range")) {
          return MockHttpClient.make(mock).execute(request)
        }
        attempts++
        const cause = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" })
        return Effect.fail(
          new HttpClientError.HttpClientError({
            reason: new HttpClientError.TransportError({ request, cause })
          })
        )
      })
      const client = PrometheusClient.layerNoDeps.pipe(
        Layer.provide(Layer.succeed(HttpClient.HttpClient, http)),
        Layer.provideMerge(base)
      )
      const reading = Stream.runDrain(read(incremental("a", "b")))
      const error = yield* drive(Effect.flip(Effect.provide(reading, client)))
      assert.strictEqual(error._tag === "PrometheusError" && error.policy.onExhausted, "sync")
      assert.strictEqual(attempts, 3)
    })
  )

  it.effect("of a connection ends its stream once retries are exhausted", () =>
    Effect.gen(function* () {
      const { error, seen } = yield* failure({
        series: [...gauge("a", 5), ...gauge("b", 5)],
        points: 5,
        config: { max_retries: 2, concurrency: 1 },
        mock: { faults: onRange(({ metric }) => (metric === "a" ? { reset: true } : undefined)) }
      })
      assert.isUndefined(error)
      assert.strictEqual(story(of(seen, "a")), "Started Failed")
      assert.strictEqual(of(seen, "b").at(-1)?._tag, "Completed")
    })
  )

  it.effect("to decode a saved state comes before the first request", () =>
    Effect.gen(function* () {
      const { error, mock, seen } = yield* failure({
        series: gauge("a", 5),
        points: 5,
        states: { b: { time: "soon", step: 60, version: 1 } }
      })
      assert.strictEqual(error?._tag, "ConfigError")
      assert.deepStrictEqual([mock.requests.length, seen.length], [0, 0])
    })
  )
})
