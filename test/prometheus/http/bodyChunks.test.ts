/**
 * Bodies from Node: which chunks come together, what comes before the end or a failure, and what remains after the reader
 * stops.
 */
import { Readable } from "node:stream"
import { setImmediate } from "node:timers/promises"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { bodyChunks } from "../../../src/prometheus/http/bodyChunks.ts"
import { PrometheusError } from "../../../src/prometheus/PrometheusError.ts"
import { choices } from "../../choices.ts"

const failure = (reason: "BrokenResponse" | "Timeout", summary: string) =>
  new PrometheusError({ reason, summary })

const read = (body: Readable) =>
  bodyChunks(() => body, {
    onError: (error) => failure("BrokenResponse", (error as Error).message),
    timeoutMillis: 60_000,
    onSilence: () => failure("Timeout", "nothing came"),
    onDrip: () => failure("Timeout", "too little came")
  })

/** A body whose chunks the test pushes. */
const silent = (highWaterMark?: number): Readable => new Readable({ read: () => {}, highWaterMark })

const turn = Effect.promise(() => setImmediate())

/** Lets fibers run as far as they can without the clock. */
const settle = Effect.andThen(turn, Effect.repeat(Effect.yieldNow, { times: 50 }))

describe("bodyChunks", () => {
  it.live.prop(
    "emits all bytes in order, then the end or the failure, however fast each side is",
    { choices },
    ({ choices }) =>
      Effect.gen(function* () {
        const body = silent()
        const sent: Array<number> = []
        const isBroken = choices.oneIn(3)
        const sending = Effect.gen(function* () {
          for (let i = choices.below(30); i > 0; i--) {
            const chunk = Buffer.alloc(1 + choices.below(9), i)
            sent.push(...chunk)
            body.push(chunk)
            if (choices.oneIn(3)) yield* turn
          }
          if (isBroken) yield* turn
          if (isBroken) body.destroy(new Error("cut"))
          else body.push(null)
        })
        const seen: Array<number> = []
        const reading = Stream.runForEach(read(body), (chunk) => {
          seen.push(...chunk)
          return choices.oneIn(4) ? turn : Effect.void
        })
        const [exit] = yield* Effect.all([Effect.exit(reading), sending], { concurrency: 2 })
        assert.deepStrictEqual(exit, isBroken ? Exit.fail(failure("BrokenResponse", "cut")) : Exit.void)
        // Bytes that Node had not delivered when the body broke are lost, as on a socket.
        assert.deepStrictEqual(seen, isBroken ? sent.slice(0, seen.length) : sent)
      })
  )

  it.live("takes chunks that arrived together in one step", () =>
    Effect.gen(function* () {
      const body = silent()
      const sizes: Array<number> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(Stream.chunks(read(body)), (chunks) =>
          Effect.sync(() => void sizes.push(chunks.length))
        )
      )
      yield* turn
      for (let i = 0; i < 5; i++) body.push(Buffer.alloc(10))
      yield* turn
      yield* turn
      body.push(Buffer.alloc(10))
      body.push(null)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(sizes, [5, 1])
    })
  )

  it.live("buffers at most half a megabyte ahead of its reader", () =>
    Effect.gen(function* () {
      let made = 0
      const body = new Readable({
        highWaterMark: 1,
        read() {
          made++
          this.push(Buffer.alloc(64 * 1024))
        }
      })
      const fiber = yield* Effect.forkChild(Stream.runForEach(read(body), () => Effect.never))
      for (let i = 0; i < 50; i++) yield* turn
      // The reader has one step, another waits for it, and Node buffers a chunk or two.
      assert.isAtMost(made, 2 * 8 + 3)
      yield* Fiber.interrupt(fiber)
      assert.isTrue(body.destroyed)
    })
  )

  it.effect("fails if nothing arrives for too long since the last chunk", () =>
    Effect.gen(function* () {
      const body = silent()
      let seen = 0
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(read(body), () => Effect.sync(() => void seen++))
      )
      for (let i = 1; i <= 3; i++) {
        yield* settle
        yield* TestClock.adjust("59 seconds")
        assert.isUndefined(fiber.pollUnsafe())
        body.push(Buffer.alloc(6000))
        yield* settle
        yield* settle
        assert.strictEqual(seen, i)
      }
      yield* TestClock.adjust(59_999)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.fail(failure("Timeout", "nothing came")))
      assert.isTrue(body.destroyed)
    })
  )

  it.effect("fails for a body that is too slow, although it never stops for long", () =>
    Effect.gen(function* () {
      const body = silent()
      const fiber = yield* Effect.forkChild(Stream.runDrain(read(body)))
      let seconds = 0
      for (; seconds < 1000 && fiber.pollUnsafe() === undefined; seconds++) {
        yield* settle
        yield* TestClock.adjust("1 second")
        body.push(Buffer.of(32))
        yield* settle
        yield* settle
      }
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.fail(failure("Timeout", "too little came")))
      assert.strictEqual(seconds, 60)
      assert.isTrue(body.destroyed)
    })
  )

  it.effect("reads a slow body to its end, if it is above the minimum rate", () =>
    Effect.gen(function* () {
      const body = silent()
      let seen = 0
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(read(body), ({ length }) =>
          Effect.sync(() => {
            seen += length
          })
        )
      )
      for (let seconds = 0; seconds < 600; seconds += 10) {
        yield* settle
        yield* TestClock.adjust("10 seconds")
        body.push(Buffer.alloc(1001))
        yield* settle
        yield* settle
      }
      body.push(null)
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.void)
      assert.strictEqual(seen, 60 * 1001)
    })
  )

  it.effect("does not count the time that its reader takes", () =>
    Effect.gen(function* () {
      const body = silent()
      let seen = 0
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(read(body), () => {
          seen++
          return Effect.sleep("10 minutes")
        })
      )
      for (let i = 1; i <= 10; i++) {
        yield* settle
        body.push(Buffer.of(i))
        yield* settle
        yield* settle
        assert.strictEqual(seen, i)
        yield* TestClock.adjust("10 minutes")
      }
      body.push(null)
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.void)
    })
  )

  it.live("fails for a body that broke before it was read", () =>
    Effect.gen(function* () {
      const body = silent()
      body.on("error", () => {})
      body.destroy(new Error("gone"))
      yield* turn
      assert.deepStrictEqual(
        yield* Effect.exit(Stream.runDrain(read(body))),
        Exit.fail(failure("BrokenResponse", "gone"))
      )
    })
  )
})
