import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { preciseMillis } from "../../../src/prometheus/load/preciseMillis.ts"
import { serverTimeout, uncounted } from "../../../src/prometheus/load/serverTimeout.ts"

/** Runs an effect on the test clock. Returns its result, and after how many seconds it ended. */
const timed = <A>(effect: Effect.Effect<A>) =>
  Effect.gen(function* () {
    const begun = yield* preciseMillis
    const ended = Effect.map(preciseMillis, (now) => (now - begun) / 1000)
    const fiber = yield* Effect.forkChild(Effect.all([effect, ended]))
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(fiber)
  })

const within = serverTimeout("10 seconds", () => Effect.succeed("too slow"))

const server = (seconds: number) => Effect.as(Effect.sleep(seconds * 1000), "a response")
const budget = (seconds: number) => uncounted(Effect.sleep(seconds * 1000))

describe("serverTimeout", () => {
  it.effect("is the time that a server may take", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* timed(within(server(9))), ["a response", 9])
      assert.deepStrictEqual(yield* timed(within(server(11))), ["too slow", 10])
    })
  )

  it.effect("does not count the time in which requests wait for the load budget", () =>
    Effect.gen(function* () {
      const slow = Effect.andThen(budget(100), server(9))
      assert.deepStrictEqual(yield* timed(within(slow)), ["a response", 109])
      assert.deepStrictEqual(yield* timed(within(Effect.andThen(slow, slow))), ["too slow", 210])
      assert.deepStrictEqual(yield* timed(within(Effect.andThen(server(5), within(slow)))), ["too slow", 110])
    })
  )

  it.effect("counts several that wait at the same time once", () =>
    Effect.gen(function* () {
      const both = Effect.all([budget(20), budget(30)], { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* timed(within(Effect.andThen(both, server(9)))), ["a response", 39])
      assert.deepStrictEqual(yield* timed(within(Effect.andThen(both, server(11)))), ["too slow", 40])
    })
  )

  it.effect("passes interrupts and failures on", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Effect.flip(within(Effect.fail("refused"))), "refused")
      let wasInterrupted = false
      const never = Effect.onInterrupt(Effect.never, () =>
        Effect.sync(() => {
          wasInterrupted = true
        })
      )
      const fiber = yield* Effect.forkChild(within(never))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      assert.isTrue(wasInterrupted)
    })
  )
})
