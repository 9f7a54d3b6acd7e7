/** The read program against the mock, on the test clock. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import type { Fault } from "../../src/mock/http.ts"
import * as MockHttpClient from "../../src/mock/MockHttpClient.ts"
import type { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { type MockSeries, makeSeries } from "../../src/mock/MockSeries.ts"
import { PrometheusClient } from "../../src/prometheus/PrometheusClient.ts"
import { read } from "../../src/sync/Read.ts"
import { type Choices, choices } from "../choices.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { runs } from "../support/runs.ts"
import {
  checkpoints,
  collect,
  drive,
  failuresOf,
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
  samplesOf,
  setUp,
  story,
  windows
} from "./readMock.ts"

describe("the events of a stream", () => {
  it.effect("come in order, with a checkpoint after each window", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll(incremental("m"), { series: gauge("m", 300, 2), points: 300 })
      const tags = events.map(({ _tag }) => _tag)
      assert.deepStrictEqual(tags.slice(0, 2), ["Started", "Running"])
      assert.strictEqual(tags.filter((tag) => tag === "Running").length, 1)
      assert.strictEqual(tags.at(-1), "Completed")
      assert.strictEqual(
        story(events),
        `Started Running${" Samples Checkpoint".repeat(windows(mock).length)} Completed`
      )
      assert.deepStrictEqual(events[0], {
        _tag: "Started",
        stream: "m",
        isResumed: false,
        range: { firstMillis: start, lastMillis: start + 299 * minute, stepMillis: minute },
        points: 300
      })
      assert.deepStrictEqual(
        checkpoints(events).map(({ time }) => time),
        windows(mock).map(([, last]) => iso(start + last * minute))
      )
      assert.strictEqual(samplesOf(events).size, 600)
    })
  )

  it.effect("are the same for a metric without samples", () =>
    Effect.gen(function* () {
      const { events } = yield* readAll(incremental("gone"), { series: gauge("m", 10), points: 10 })
      assert.strictEqual(story(events), "Started Running Checkpoint Completed")
      assert.deepStrictEqual(
        checkpoints(events).map((state) => ({ ...state })),
        [{ time: iso(start + 9 * minute), step: 60, version: 1 }]
      )
    })
  )

  it.effect("come in order for each of many concurrent streams", () =>
    Effect.gen(function* () {
      const names = Array.from({ length: 12 }, (_, i) => `m${i}`)
      const series = names.flatMap((name, i) => (i % 3 === 0 ? [] : gauge(name, 90, i)))
      const { events } = yield* readAll(incremental(...names), { series, points: 90 })
      for (const [i, name] of names.entries()) {
        const own = of(events, name)
        assert.match(
          story(own),
          i % 3 === 0
            ? /^Started Running Checkpoint Completed$/
            : /^Started Running( Samples Checkpoint)+ Completed$/
        )
        assert.strictEqual(samplesOf(own).size, i % 3 === 0 ? 0 : 90 * i)
      }
    })
  )

  it.effect("report Running before the first window is complete", () =>
    Effect.gen(function* () {
      const { services } = yield* setUp({
        series: gauge("m", 10),
        points: 10,
        mock: { faults: onRange(() => ({ stallAfterBytes: 200 })), chunkBytes: 50 }
      })
      const seen: Array<string> = []
      const reading = Stream.runForEach(read(incremental("m")), ({ _tag }) =>
        Effect.sync(() => void seen.push(_tag))
      )
      const fiber = yield* launch(Effect.provide(reading, services))
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(seen.slice(0, 2), ["Started", "Running"])
      assert.notInclude(seen, "Checkpoint")
      yield* Fiber.interrupt(fiber)
    })
  )

  it.effect("do not include Running if the server never responded", () =>
    Effect.gen(function* () {
      const faults = onRange(() => refusal(400, "parse error"))
      const { events } = yield* readAll(incremental("m"), { series: [], points: 5, mock: { faults } })
      assert.strictEqual(story(events), "Started Failed")
    })
  )

  it.effect("are none if there are no streams", () =>
    Effect.gen(function* () {
      const { events } = yield* readAll([], { series: [], points: 5 })
      assert.deepStrictEqual(events, [])
    })
  )
})

describe("windows", () => {
  const assertContiguous = (mock: MockPrometheus, points: number): void => {
    let next = 0
    for (const [first, last] of windows(mock)) {
      assert.strictEqual(first, next)
      assert.isAtLeast(last, first)
      next = last + 1
    }
    assert.strictEqual(next, points)
  }

  const sizes = (mock: MockPrometheus): ReadonlyArray<number> =>
    windows(mock).map(([first, last]) => last - first + 1)

  it.effect("cover the range without gap or overlap and grow up to 11,000 points, never beyond", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll(incremental("m"), { series: gauge("m", 40), points: 50_000 })
      assertContiguous(mock, 50_000)
      assert.isAtMost(sizes(mock)[0]!, 100)
      assert.strictEqual(Math.max(...sizes(mock)), 11_000)
      assert.isBelow(sizes(mock).length, 15)
      assert.deepStrictEqual(minutesOf(events), numbers(0, 39))
    })
  )

  it.effect("stay near a number of samples, for any number of series", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll(incremental("m"), {
        series: gauge("m", 200, 2500),
        points: 200
      })
      assertContiguous(mock, 200)
      // 2500 series times 100 points are 250,000 samples.
      assert.strictEqual(Math.max(...sizes(mock)), 100)
      const counts = events.map((event) =>
        event._tag === "Samples" ? event.blocks.reduce((sum, { length }) => sum + length, 0) : 0
      )
      assert.strictEqual(
        counts.reduce((sum, count) => sum + count),
        200 * 2500
      )
    })
  )

  it.effect("become smaller if the points have more samples", () =>
    Effect.gen(function* () {
      const WIDE = 10_500
      const wide = Array.from({ length: WIDE }, (_, n) =>
        makeSeries({ __name__: "m", n: `${n}` }, [
          [start, 1],
          [start + 64 * minute, 2]
        ])
      )
      const { events, mock } = yield* readAll(incremental("m"), {
        series: wide,
        points: 70,
        mock: { lookbackMillis: 32 * minute }
      })
      assertContiguous(mock, 70)
      assert.isAtMost(Math.min(...sizes(mock)), 25)
      assert.strictEqual(samplesOf(events).size, WIDE * (32 + 6))
    })
  )

  it.effect("are paced, to spare a fast server", () =>
    Effect.gen(function* () {
      const { mock } = yield* readAll(incremental("m"), { series: gauge("m", 5), points: 40_000 })
      const times = rangeRequests(mock).map(({ nowMillis }) => nowMillis)
      assert.isAbove(times.length, 4)
      for (let i = 1; i < times.length; i++) assert.isAtLeast(times[i]! - times[i - 1]!, 10)
    })
  )
})

/** Floats, histograms and gaps, in responses that are cut into random pieces. */
const randomSeries = (choices: Choices, minutes: number): ReadonlyArray<MockSeries> =>
  Array.from({ length: 1 + choices.below(4) }, (_, n) =>
    makeSeries(
      { __name__: "m", n: `${n}`, ...(choices.oneIn(3) ? { text: 'é"\\\n' } : {}) },
      Array.from({ length: minutes }, (_, i) => i).flatMap((i) => {
        if (choices.oneIn(9)) return []
        const value = choices.oneIn(5)
          ? { count: `${i}`, sum: "1.5", buckets: [] }
          : choices.pick([i, i / 7, Number.NaN, Number.POSITIVE_INFINITY, -1e-9])
        return [[start + i * minute, value] as const]
      })
    )
  )

describe("exactly once", () => {
  it.effect.prop(
    "is guaranteed with responses that break off anywhere, any number of times",
    { choices },
    ({ choices }) =>
      Effect.gen(function* () {
        const points = 20 + choices.below(100)
        const series = randomSeries(choices, points)
        const chunkBytes = choices.pick([7, 40, 333, 65_536])
        const expected = samplesOf((yield* readAll(incremental("m"), { series, points })).events)
        const faults = onRange(({ attempt, points }): Fault | undefined => {
          if (attempt > 8 || choices.oneIn(4)) return undefined
          if (choices.oneIn(6)) return refusal(503, "not ready")
          if (points > 1 && choices.oneIn(6))
            return refusal(422, "query processing would load too many samples into memory")
          return { cutAfterBytes: choices.below(6000) }
        })
        const { events } = yield* readAll(incremental("m"), {
          series,
          points,
          config: { max_retries: 20 },
          mock: { faults, chunkBytes }
        })
        assert.strictEqual(failuresOf(events), "")
        assert.deepStrictEqual([...samplesOf(events)].sort(), [...expected].sort())
        assert.strictEqual(events.at(-1)?._tag, "Completed")
        // At a checkpoint, everything up to it has been emitted, and nothing beyond it.
        let until = Number.NEGATIVE_INFINITY
        let latest = Number.NEGATIVE_INFINITY
        for (const event of events) {
          if (event._tag === "Checkpoint") {
            assert.isAbove(event.state.timeMillis, until)
            until = event.state.timeMillis
            assert.isAtMost(latest, until)
          } else if (event._tag === "Samples") {
            for (const { times } of event.blocks) {
              assert.isAbove(Math.min(...times), until)
              latest = Math.max(latest, ...times)
            }
          }
        }
      }),
    { arbitrary: { runs: runs(3, 40) }, timeout: 60_000 }
  )

  it.effect("is guaranteed if the same long series breaks off repeatedly", () =>
    Effect.gen(function* () {
      const cuts = [9000, 3000, 15_000, 500, 21_000]
      const setting: Setting = { series: gauge("m", 5000), points: 5000 }
      const expected = samplesOf((yield* readAll(incremental("m"), setting)).events)
      const { events } = yield* readAll(incremental("m"), {
        ...setting,
        mock: {
          chunkBytes: 1000,
          faults: onRange(({ attempt, points }) => {
            const cutAfterBytes = points < 2000 ? undefined : cuts[attempt - 1]
            return cutAfterBytes === undefined ? undefined : { cutAfterBytes }
          })
        }
      })
      assert.strictEqual(failuresOf(events), "")
      assert.deepStrictEqual(samplesOf(events), expected)
    })
  )

  it.effect("is guaranteed if the order of the series changes between two responses", () =>
    Effect.gen(function* () {
      const body = (order: ReadonlyArray<string>) =>
        JSON.stringify({
          status: "success",
          data: {
            resultType: "matrix",
            result: order.map((n) => ({
              metric: { __name__: "m", n },
              values: numbers(0, 4).map((i) => [start / 1000 + i * 60, `${n}${i}`])
            }))
          }
        })
      const { events } = yield* readAll(incremental("m"), {
        series: [],
        points: 5,
        mock: {
          faults: onRange(({ attempt }) => ({
            headers: { "content-type": "application/json" },
            body: body(attempt === 1 ? ["1", "2", "3"] : ["3", "2", "1"]),
            ...(attempt === 1 ? { cutAfterBytes: 330 } : {})
          }))
        }
      })
      assert.deepStrictEqual(
        [...samplesOf(events).values()].sort(),
        ["1", "2", "3"].flatMap((n) => numbers(0, 4).map((i) => `${n}${i}`))
      )
    })
  )
})

describe("stopping", () => {
  /** A client for a mock that never ends its responses, and the signals that abort them. */
  const observed = Effect.fnUntraced(function* (setting: Setting) {
    const { base, mock } = yield* setUp(setting)
    const signals: Array<AbortSignal> = []
    const inner = MockHttpClient.make(mock)
    const http = HttpClient.make((request, _url, signal) => {
      signals.push(signal)
      return inner.execute(request)
    })
    const client = PrometheusClient.layerNoDeps.pipe(
      Layer.provide(Layer.succeed(HttpClient.HttpClient, http))
    )
    return { services: Layer.provideMerge(client, base), signals }
  })

  const stalling: Setting = {
    series: [...gauge("a", 200), ...gauge("b", 200)],
    points: 200,
    mock: { faults: onRange(() => ({ stallAfterBytes: 300 })), chunkBytes: 100 }
  }

  it.effect("by interruption closes open responses", () =>
    Effect.gen(function* () {
      const { services, signals } = yield* observed(stalling)
      const fiber = yield* launch(Effect.provide(Stream.runDrain(read(incremental("a", "b"))), services))
      yield* TestClock.adjust(1000)
      assert.isAtLeast(signals.filter(({ aborted }) => !aborted).length, 2)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(
        signals.filter(({ aborted }) => !aborted),
        []
      )
    })
  )

  it.effect("after some events closes them too", () =>
    Effect.gen(function* () {
      const { services, signals } = yield* observed(stalling)
      const taken = Stream.runCollect(Stream.take(read(incremental("a", "b")), 4))
      const events = yield* drive(Effect.provide(taken, services))
      assert.strictEqual(events.length, 4)
      assert.isAbove(signals.length, 1)
      assert.deepStrictEqual(
        signals.filter(({ aborted }) => !aborted),
        []
      )
    })
  )

  it.effect("early never hangs", () =>
    Effect.gen(function* () {
      for (const concurrency of [1, 4]) {
        const names = ["a", "b", "c"]
        const { services } = yield* setUp({
          series: names.flatMap((name) => gauge(name, 100)),
          points: 100,
          config: { concurrency }
        })
        const all = yield* Effect.provide(collect(incremental(...names)), services)
        for (let count = 0; count <= all.length; count++) {
          const taken = Stream.runCollect(Stream.take(read(incremental(...names)), count))
          assert.strictEqual((yield* drive(Effect.provide(taken, services))).length, count)
        }
      }
    })
  )
})
