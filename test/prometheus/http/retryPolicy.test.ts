import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger, Random, Ref } from "effect"
import { TestClock } from "effect/testing"
import { retryPolicy } from "../../../src/prometheus/http/retryPolicy.ts"
import { PrometheusError, type Reason } from "../../../src/prometheus/PrometheusError.ts"

const failure = (reason: Reason, retryAfterMillis?: number): PrometheusError =>
  new PrometheusError({
    reason,
    summary: "It failed.",
    ...(retryAfterMillis === undefined ? {} : { retryAfterMillis })
  })

/** Randomness that always returns the same number: 0 is the shortest jitter, almost 1 the longest. */
const fixedRandom = (value: number) =>
  Effect.provideService(Random.Random, { nextIntUnsafe: () => 0, nextDoubleUnsafe: () => value })

/** Requests that fail with these errors in turn; the last one repeats. */
const failing = Effect.fnUntraced(function* (
  failures: ReadonlyArray<PrometheusError>,
  maxRetries: number,
  random = 0.5
) {
  const attempts = yield* Ref.make(0)
  const logs: Array<string> = []
  const logger = Logger.make(({ message }) => {
    logs.push(String(message))
  })
  const request = Effect.gen(function* () {
    const attempt = yield* Ref.getAndUpdate(attempts, (n) => n + 1)
    return yield* failures[Math.min(attempt, failures.length - 1)]!
  })
  const fiber = yield* request.pipe(
    Effect.retry(retryPolicy(maxRetries)),
    Effect.flip,
    fixedRandom(random),
    Effect.provide(Logger.layer([logger])),
    Effect.forkChild({ startImmediately: true })
  )
  /** The next request starts after this time, and not a millisecond earlier. */
  const waits = Effect.fnUntraced(function* (millis: number) {
    const before = yield* Ref.get(attempts)
    yield* TestClock.adjust(millis - 1)
    assert.strictEqual(yield* Ref.get(attempts), before, `before ${millis} ms`)
    yield* TestClock.adjust(1)
    assert.strictEqual(yield* Ref.get(attempts), before + 1, `after ${millis} ms`)
  })
  /** No more requests are sent, and the failure is returned. */
  const ends = Effect.fnUntraced(function* (count: number) {
    yield* TestClock.adjust("1 hour")
    assert.strictEqual(yield* Ref.get(attempts), count)
    assert.isDefined(fiber.pollUnsafe())
    return yield* Fiber.join(fiber)
  })
  return { ends, logs, waits }
})

describe("retryPolicy", () => {
  it.effect.each([
    [0, 0.8],
    [0.25, 0.9],
    [0.5, 1],
    [0.75, 1.1]
  ] as const)("waits twice as long each time, up to 30 s; jitter %s", ([random, factor]) =>
    Effect.gen(function* () {
      const { ends, waits } = yield* failing([failure("Unavailable")], 10, random)
      for (const millis of [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000, 30_000]) {
        yield* waits(millis * factor)
      }
      assert.strictEqual((yield* ends(11)).reason, "Unavailable")
    })
  )

  it.effect.each([
    [0, "0.4"],
    [0.999, "0.6"]
  ] as const)("has jitter of 20 %%: %s", ([random, seconds]) =>
    Effect.gen(function* () {
      const { logs, waits } = yield* failing([failure("Timeout")], 1, random)
      yield* waits(Math.ceil(500 * (0.8 + 0.4 * random)))
      assert.deepStrictEqual(logs, [`It failed. Retrying in ${seconds} s (1 of 1).`])
    })
  )

  it.effect("waits at least as long as Retry-After says", () =>
    Effect.gen(function* () {
      const { ends, waits } = yield* failing(
        [
          failure("RateLimited", 7000),
          failure("RateLimited", 1000),
          failure("RateLimited", 0),
          failure("RateLimited", 4000),
          failure("RateLimited", 4001)
        ],
        4
      )
      yield* waits(7000)
      yield* waits(1000)
      yield* waits(2000)
      yield* waits(4000)
      yield* ends(5)
    })
  )

  it.effect("waits longer than Retry-After if its own wait is longer", () =>
    Effect.gen(function* () {
      const { waits } = yield* failing([failure("RateLimited", 1), failure("RateLimited", 999)], 2)
      yield* waits(500)
      yield* waits(1000)
    })
  )

  it.effect("waits at most five minutes, whatever Retry-After says", () =>
    Effect.gen(function* () {
      const { waits } = yield* failing(
        [
          failure("RateLimited", 300_001),
          failure("RateLimited", 86_400_000),
          failure("RateLimited", 299_999)
        ],
        3
      )
      yield* waits(300_000)
      yield* waits(300_000)
      yield* waits(299_999)
    })
  )

  it.effect("gives up if the next retry would start later than 15 minutes after the first failure", () =>
    Effect.gen(function* () {
      const { ends, logs, waits } = yield* failing([failure("RateLimited", 300_000)], 20)
      yield* waits(300_000)
      yield* waits(300_000)
      yield* waits(300_000)
      yield* ends(4)
      assert.lengthOf(logs, 3)
    })
  )

  it.effect("gives up at once if Retry-After is longer than the time left", () =>
    Effect.gen(function* () {
      const { ends, waits } = yield* failing(
        [
          failure("RateLimited", 300_000),
          failure("RateLimited", 300_000),
          failure("RateLimited", 1),
          failure("RateLimited", 299_000)
        ],
        20
      )
      yield* waits(300_000)
      yield* waits(300_000)
      yield* waits(2000)
      yield* ends(4)
    })
  )

  it.effect.each([0, 1, 3, 20])("retries %i times", (maxRetries) =>
    Effect.gen(function* () {
      const { ends, logs } = yield* failing([failure("Unreachable")], maxRetries)
      assert.strictEqual((yield* ends(maxRetries + 1)).reason, "Unreachable")
      assert.lengthOf(logs, maxRetries)
    })
  )

  it.effect.each([
    "Tls",
    "Unauthorized",
    "WrongPath",
    "NotPrometheus",
    "Redirected",
    "UnexpectedSample",
    "TooLarge",
    "TooManySeries",
    "TooSlow",
    "Refused"
  ] as const)("does not retry %s", (reason) =>
    Effect.gen(function* () {
      const { ends, logs } = yield* failing([failure(reason, 1000)], 5)
      assert.strictEqual((yield* ends(1)).reason, reason)
      assert.deepStrictEqual(logs, [])
    })
  )

  it.effect.each([
    "Unreachable",
    "Timeout",
    "RateLimited",
    "Unavailable",
    "BrokenResponse",
    "PartialResponse"
  ] as const)("retries %s", (reason) =>
    Effect.gen(function* () {
      const { ends, waits } = yield* failing([failure(reason)], 1)
      yield* waits(500)
      yield* ends(2)
    })
  )

  it.effect("stops at the first failure that no retry can fix", () =>
    Effect.gen(function* () {
      const { ends, waits } = yield* failing(
        [failure("Timeout"), failure("Timeout"), failure("Unauthorized")],
        5
      )
      yield* waits(500)
      yield* waits(1000)
      assert.strictEqual((yield* ends(3)).reason, "Unauthorized")
    })
  )

  it.effect("logs what failed, how long it waits and how often it has retried", () =>
    Effect.gen(function* () {
      const { ends, logs } = yield* failing([failure("RateLimited", 90_000), failure("Unavailable")], 3)
      yield* ends(4)
      assert.deepStrictEqual(logs, [
        "It failed. Retrying in 90.0 s (1 of 3).",
        "It failed. Retrying in 1.0 s (2 of 3).",
        "It failed. Retrying in 2.0 s (3 of 3)."
      ])
    })
  )

  it.effect("restarts for each request", () =>
    Effect.gen(function* () {
      const policy = retryPolicy(2)
      for (let request = 0; request < 2; request++) {
        const attempts = yield* Ref.make(0)
        const fiber = yield* Ref.update(attempts, (n) => n + 1).pipe(
          Effect.andThen(failure("Timeout")),
          Effect.retry(policy),
          Effect.flip,
          fixedRandom(0.5),
          Effect.provide(Logger.layer([])),
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust(500)
        assert.strictEqual(yield* Ref.get(attempts), 2)
        yield* TestClock.adjust(1000)
        assert.strictEqual(yield* Ref.get(attempts), 3)
        yield* Fiber.join(fiber)
      }
    })
  )
})
