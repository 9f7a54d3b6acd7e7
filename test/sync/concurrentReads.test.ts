/** Reads of several streams at once. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { read } from "../../src/sync/Read.ts"
import { gauge } from "../support/gauge.ts"
import {
  incremental,
  launch,
  minutesOf,
  numbers,
  of,
  onRange,
  rangeRequests,
  readAll,
  refusal,
  samplesOf,
  settle,
  setUp,
  windows
} from "./readMock.ts"

describe("concurrency", () => {
  /** The maximum number of concurrent range queries, if each takes a second. */
  const mostInFlight = (mock: MockPrometheus): number => {
    const times = rangeRequests(mock).map(({ nowMillis }) => nowMillis)
    return Math.max(...times.map((time) => times.filter((t) => t <= time && t > time - 1000).length))
  }

  for (const concurrency of [1, 2, 3, 7]) {
    it.effect(`makes ${concurrency} queries at the same time, never more`, () =>
      Effect.gen(function* () {
        const names = Array.from({ length: 9 }, (_, i) => `m${i}`)
        const { events, mock } = yield* readAll(incremental(...names), {
          series: names.flatMap((name) => gauge(name, 150)),
          points: 150,
          config: { concurrency },
          mock: { faults: onRange(() => ({ delayMillis: 1000 })) }
        })
        assert.strictEqual(samplesOf(events).size, 9 * 150)
        assert.strictEqual(mostInFlight(mock), concurrency)
      })
    )
  }

  it.effect("does not deadlock a retry that waits for its own permit", () =>
    Effect.gen(function* () {
      for (const concurrency of [1, 2]) {
        const names = ["a", "b", "c", "d", "e"]
        const { events, mock } = yield* readAll(incremental(...names), {
          series: names.flatMap((name) => gauge(name, 300)),
          points: 300,
          config: { concurrency },
          mock: {
            faults: onRange(({ attempt }) =>
              attempt === 1
                ? refusal(503, "not ready")
                : attempt === 2
                  ? { cutAfterBytes: 300, delayMillis: 1000 }
                  : { delayMillis: 1000 }
            )
          }
        })
        for (const name of names) assert.deepStrictEqual(minutesOf(of(events, name)), numbers(0, 299))
        const waiting = rangeRequests(mock).filter(({ attempt }) => attempt > 1)
        const most = Math.max(
          ...waiting.map(
            ({ nowMillis }) =>
              waiting.filter((other) => other.nowMillis <= nowMillis && other.nowMillis > nowMillis - 1000)
                .length
          )
        )
        assert.isAtMost(most, concurrency)
      }
    })
  )

  it.effect("requests the next window while one is consumed, but not many more", () =>
    Effect.gen(function* () {
      const { mock, services } = yield* setUp({
        series: gauge("m", 1500, 1000),
        points: 1500,
        mock: { chunkBytes: 100_000 }
      })
      const resumeFirst = yield* Deferred.make<void>()
      let completed = 0
      const reading = Stream.runForEach(read(incremental("m")), (event) => {
        if (event._tag === "Checkpoint") completed++
        if (event._tag !== "Samples") return Effect.void
        return completed === 0 ? Deferred.await(resumeFirst) : completed === 1 ? Effect.void : Effect.never
      })
      const fiber = yield* launch(Effect.provide(reading, services))
      yield* TestClock.adjust("10 seconds")
      // The size of the second window is not known yet. The third one has the target size of 250 points.
      assert.lengthOf(rangeRequests(mock), 1)
      yield* Deferred.succeed(resumeFirst, undefined)
      yield* settle
      yield* TestClock.adjust("10 seconds")
      assert.isAtLeast(rangeRequests(mock).length, 4)
      assert.isAtMost(rangeRequests(mock).length, 5)
      assert.deepStrictEqual(
        windows(mock)
          .slice(0, 4)
          .map(([first, last]) => last - first + 1),
        [32, 250, 250, 250]
      )
      yield* Fiber.interrupt(fiber)
    })
  )

  it.effect(
    "lets small streams overtake a huge one, and limits its concurrent requests like those of others",
    () =>
      Effect.gen(function* () {
        const small = ["a", "b"]
        const { events, mock } = yield* readAll(incremental("huge", ...small), {
          series: [...gauge("huge", 700, 1500), ...small.flatMap((name) => gauge(name, 700))],
          points: 700,
          config: { concurrency: 2 }
        })
        const completed = events.flatMap((event) => (event._tag === "Completed" ? [event.stream] : []))
        assert.deepStrictEqual(completed, [...small, "huge"])
        const sizes = events.flatMap((event) =>
          event._tag === "Samples" ? [event.blocks.reduce((sum, { length }) => sum + length, 0)] : []
        )
        assert.isAbove(rangeRequests(mock).length, 2 * 3 + 4)
        assert.isBelow(Math.max(...sizes), 100_000)
      })
  )

  it.effect("waits while nothing is consumed, for any number of streams", () =>
    Effect.gen(function* () {
      const names = Array.from({ length: 20 }, (_, i) => `m${i}`)
      const { mock, services } = yield* setUp({
        series: names.flatMap((name) => gauge(name, 500)),
        points: 500,
        config: { concurrency: 4 },
        mock: { chunkBytes: 50 }
      })
      const reading = Stream.runForEach(read(incremental(...names)), (event) =>
        event._tag === "Samples" ? Effect.never : Effect.void
      )
      const fiber = yield* launch(Effect.provide(reading, services))
      yield* TestClock.adjust("100 seconds")
      // One window of each concurrent stream. There is one more stream than concurrent queries.
      assert.isAtMost(rangeRequests(mock).length, 5)
      yield* Fiber.interrupt(fiber)
    })
  )
})
