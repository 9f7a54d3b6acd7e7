import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, References } from "effect"
import { TestClock } from "effect/testing"
import { repeatedly } from "../../src/cli/repeatedly.ts"
import { ConfigError } from "../../src/config/ConnectorConfig.ts"

const wrong = new ConfigError({ message: "that is wrong" })

/** Repeats runs that take these times in milliseconds. Returns the start of each run, and the logs. */
const runs = Effect.fnUntraced(function* (
  everyMillis: number,
  forMillis: number,
  durations: ReadonlyArray<number>,
  failing: ReadonlyArray<number> = []
) {
  const begun: Array<number> = []
  const logged: Array<string> = []
  const logger = Logger.make(({ message }) => void logged.push(String(message)))
  const once = Effect.gen(function* () {
    const index = begun.push(yield* Effect.clockWith((clock) => clock.currentTimeMillis)) - 1
    yield* Effect.sleep(durations[index] ?? 0)
    if (failing.includes(index)) return yield* wrong
  })
  const fiber = yield* repeatedly(everyMillis, once, once).pipe(
    Effect.provide(Logger.layer([logger])),
    Effect.provideService(References.MinimumLogLevel, "Info"),
    Effect.forkChild
  )
  yield* TestClock.adjust(forMillis)
  const exit = fiber.pollUnsafe()
  yield* Fiber.interrupt(fiber)
  return { begun, logged, exit }
})

describe("repeatedly", () => {
  it.effect("keeps to multiples of the interval since the first start", () =>
    Effect.gen(function* () {
      const { begun, exit, logged } = yield* runs(60_000, 200_000, [5000, 20_000, 0])
      assert.deepStrictEqual(begun, [0, 60_000, 120_000, 180_000])
      assert.isUndefined(exit)
      assert.deepStrictEqual(logged[0], "Next run at 1970-01-01T00:01:00Z; press Ctrl-C to stop.")
      assert.strictEqual(logged.at(-1), "Stopped between runs. All data is saved.")
    })
  )

  it.effect("skips runs whose time passes during a long one", () =>
    Effect.gen(function* () {
      const { begun } = yield* runs(60_000, 400_000, [150_000, 0, 60_000])
      assert.deepStrictEqual(begun, [0, 180_000, 240_000, 360_000])
    })
  )

  it.effect("ends if the first run fails", () =>
    Effect.gen(function* () {
      const { begun, exit } = yield* runs(1000, 10_000, [], [0])
      assert.deepStrictEqual(begun, [0])
      assert.deepStrictEqual(exit, Exit.fail(wrong))
    })
  )

  it.effect("reports a later failure, and continues", () =>
    Effect.gen(function* () {
      const { begun, exit, logged } = yield* runs(1000, 3500, [], [1, 2])
      assert.deepStrictEqual(begun, [0, 1000, 2000, 3000])
      assert.isUndefined(exit)
      assert.strictEqual(logged.filter((line) => line === wrong.message).length, 2)
    })
  )
})
