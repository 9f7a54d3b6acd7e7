/** Standard output without a process: order, complete lines, and readers that are slow or close early. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Output, OutputClosed } from "../../src/airbyte/Output.ts"
import type { AirbyteMessage } from "../../src/airbyte/Protocol.ts"
import { choices } from "../choices.ts"
import { runs } from "../support/runs.ts"
import { type Collector, makeCollector } from "./collector.ts"

const log = (message: string): AirbyteMessage => ({ type: "LOG", log: { level: "INFO", message } })

const logged = (collector: Collector): ReadonlyArray<string> =>
  collector.messages().map(({ log }) => (log as { readonly message: string }).message)

/** A line that is large enough for a separate write. */
const large = (letter: string): string => letter.repeat(1_200_000)

const settle = Effect.repeat(Effect.yieldNow, { times: 100 })

const launch = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.tap(Effect.forkChild(effect), settle)

describe("Output", () => {
  it.effect("writes lines in the order in which they were appended", () => {
    const collector = makeCollector()
    return Effect.gen(function* () {
      const output = yield* Output
      output.message(log("1"))
      output.buffer().append(Buffer.from('{"type":"RECORD"}\n'))
      output.message(log("2"))
      assert.strictEqual(collector.text(), "")
      yield* output.flush
      output.message(log("3"))
      yield* output.flush
      yield* output.flush
      assert.deepStrictEqual(
        collector.messages().map(({ type }) => type),
        ["LOG", "RECORD", "LOG", "LOG"]
      )
    }).pipe(Effect.provide(collector.layer))
  })

  it.effect.prop(
    "keeps lines complete and in order for any reader and any pattern of flushes",
    { choices },
    ({ choices }) =>
      Effect.gen(function* () {
        let writers = 0
        const collector = makeCollector(
          Effect.gen(function* () {
            assert.strictEqual(++writers, 1)
            yield* Effect.sleep(choices.pick([0, 1, 50, 1000]))
            writers--
          })
        )
        const expected: Array<string> = []
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(collector.layer, scope)
        const work = Effect.gen(function* () {
          const output = yield* Output
          for (let i = 0; i < 40; i++) {
            const text = `${i}${choices.oneIn(4) ? "x".repeat(choices.below(300_000)) : ""}`
            output.message(log(text))
            expected.push(text)
            if (choices.oneIn(3)) yield* output.flushIfFull
            if (choices.oneIn(9)) yield* output.flush
            if (choices.oneIn(9)) yield* Effect.forkChild(output.flush)
            if (choices.oneIn(9)) yield* Effect.sleep(choices.below(500))
          }
        })
        const fiber = yield* launch(Effect.provide(work, context))
        yield* TestClock.adjust("3 minutes")
        yield* Fiber.join(fiber)
        const closing = yield* launch(Scope.close(scope, Exit.void))
        yield* TestClock.adjust("3 minutes")
        yield* Fiber.join(closing)
        assert.deepStrictEqual(logged(collector), expected)
      }),
    { arbitrary: { runs: runs(5, 15) }, timeout: 20_000 }
  )

  it.effect("writes pending lines after a short delay", () => {
    const collector = makeCollector()
    return Effect.gen(function* () {
      const output = yield* Output
      yield* settle
      output.message(log("1"))
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(logged(collector), ["1"])
    }).pipe(Effect.provide(collector.layer))
  })

  it.effect("writes pending lines when its scope closes, even on interruption", () =>
    Effect.gen(function* () {
      const collector = makeCollector()
      yield* Effect.provide(
        Effect.map(Output, (output) => output.message(log("1"))),
        collector.layer
      )
      assert.deepStrictEqual(logged(collector), ["1"])
      const fiber = yield* launch(
        Effect.gen(function* () {
          const output = yield* Output
          output.message(log("2"))
          return yield* Effect.never
        }).pipe(Effect.provide(collector.layer))
      )
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(logged(collector), ["1", "2"])
    })
  )

  it.effect("encodes the next lines during a write, and no more than one buffer", () =>
    Effect.gen(function* () {
      const taken = yield* Deferred.make<void>()
      const collector = makeCollector(Deferred.await(taken))
      yield* Effect.gen(function* () {
        const output = yield* Output
        const steps: Array<string> = []
        const fiber = yield* launch(
          Effect.gen(function* () {
            for (const letter of ["a", "b", "c"]) {
              output.message(log(large(letter)))
              yield* output.flushIfFull
              steps.push(letter)
            }
            yield* output.flush
          })
        )
        assert.deepStrictEqual(steps, ["a"])
        assert.strictEqual(collector.text(), "")
        yield* Deferred.succeed(taken, undefined)
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(logged(collector), [large("a"), large("b"), large("c")])
      }).pipe(Effect.provide(collector.layer))
    })
  )

  it.effect("does not start a write for a few lines", () => {
    const collector = makeCollector()
    return Effect.gen(function* () {
      const output = yield* Output
      yield* settle
      output.message(log("1"))
      yield* output.flushIfFull
      yield* settle
      assert.strictEqual(collector.text(), "")
    }).pipe(Effect.provide(collector.layer))
  })

  it.effect("completes a started write before an interruption", () =>
    Effect.gen(function* () {
      const taken = yield* Deferred.make<void>()
      const collector = makeCollector(Deferred.await(taken))
      const fiber = yield* launch(
        Effect.gen(function* () {
          const output = yield* Output
          output.message(log("1"))
          yield* output.flush
          output.message(log("never"))
        }).pipe(Effect.provide(collector.layer))
      )
      const interruption = yield* launch(Fiber.interrupt(fiber))
      assert.isUndefined(interruption.pollUnsafe())
      yield* Deferred.succeed(taken, undefined)
      yield* Fiber.join(interruption)
      assert.deepStrictEqual(logged(collector), ["1"])
    })
  )

  const closed = Effect.fail(new OutputClosed({ code: "EPIPE" }))

  it.effect("fails when its reader has closed", () =>
    Effect.gen(function* () {
      const output = yield* Output
      output.message(log("1"))
      const error = yield* Effect.flip(output.flush)
      assert.deepStrictEqual([error._tag, error.code], ["OutputClosed", "EPIPE"])
    }).pipe(Effect.provide(makeCollector(closed).layer))
  )

  it.effect("keeps failing after lines were lost, however they were written", () =>
    Effect.gen(function* () {
      const output = yield* Output
      yield* settle
      output.message(log("1"))
      yield* TestClock.adjust(1000)
      const error = yield* Effect.flip(output.flush)
      assert.strictEqual(error._tag, "OutputClosed")
    }).pipe(Effect.provide(makeCollector(closed).layer))
  )

  it.effect("fails at the next line after its reader has closed, even if little is written", () =>
    Effect.gen(function* () {
      const output = yield* Output
      yield* settle
      output.message(log("1"))
      yield* TestClock.adjust(1000)
      output.message(log("2"))
      const error = Exit.findErrorOption(yield* Effect.exit(output.flushIfFull))
      assert.strictEqual(Option.getOrUndefined(error)?._tag, "OutputClosed")
    }).pipe(Effect.provide(makeCollector(closed).layer))
  )

  it.effect("masks only free text, because a secret may be a word of the protocol", () => {
    const collector = makeCollector()
    return Effect.gen(function* () {
      const output = yield* Output
      output.maskSecrets("config", "error", "ERROR", "TRACE")
      output.message({
        type: "TRACE",
        trace: {
          type: "ERROR",
          emitted_at: 0,
          error: { message: "config and error", failure_type: "config_error" }
        }
      })
      yield* output.flush
      assert.deepStrictEqual(collector.messages()[0], {
        type: "TRACE",
        trace: {
          type: "ERROR",
          emitted_at: 0,
          error: { message: "**** and ****", failure_type: "config_error" }
        }
      })
    }).pipe(Effect.provide(collector.layer))
  })

  it.effect("masks secrets in text for users, and leaves data unchanged", () => {
    const collector = makeCollector()
    return Effect.gen(function* () {
      const output = yield* Output
      output.maskSecrets("s3cret", "TRACE")
      output.message(log("a s3cret b"))
      output.message({
        type: "TRACE",
        trace: {
          type: "ERROR",
          emitted_at: 1,
          error: {
            message: "s3cret!",
            internal_message: "at s3cret",
            failure_type: "system_error",
            stream_descriptor: { name: "s3cret" }
          }
        }
      })
      output.message({
        type: "CONNECTION_STATUS",
        connectionStatus: { status: "FAILED", message: "not s3cret" }
      })
      output.message({
        type: "STATE",
        state: {
          type: "STREAM",
          stream: { stream_descriptor: { name: "m" }, stream_state: { time: "s3cret" } },
          sourceStats: { recordCount: 0 }
        }
      })
      yield* output.flush
      assert.deepStrictEqual(collector.messages(), [
        { type: "LOG", log: { level: "INFO", message: "a **** b" } },
        {
          type: "TRACE",
          trace: {
            type: "ERROR",
            emitted_at: 1,
            error: {
              message: "****!",
              internal_message: "at ****",
              failure_type: "system_error",
              stream_descriptor: { name: "s3cret" }
            }
          }
        },
        { type: "CONNECTION_STATUS", connectionStatus: { status: "FAILED", message: "not ****" } },
        {
          type: "STATE",
          state: {
            type: "STREAM",
            stream: { stream_descriptor: { name: "m" }, stream_state: { time: "s3cret" } },
            sourceStats: { recordCount: 0 }
          }
        }
      ])
    }).pipe(Effect.provide(collector.layer))
  })
})
