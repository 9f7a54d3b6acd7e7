/** The progress of a run, with and without a terminal. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { stderrLogger } from "../../src/cli/stderrLogger.ts"
import * as ScreenProgress from "../../src/report/screenProgress.ts"
import { Progress } from "../../src/run/Progress.ts"
import type { Appearance } from "../../src/terminal/Appearance.ts"
import { Screen } from "../../src/terminal/Screen.ts"
import { FakeTerminal } from "../terminal/FakeTerminal.ts"
import { failedStream, streamOf } from "./summaries.ts"

const unavailable = "http://h/**** returned HTTP 503."

const begun = ["up", "slow", "gone"]

/** Runs a program with progress on a fake terminal. */
const shown = <A, E>(
  appearance: Appearance,
  program: (terminal: FakeTerminal) => Effect.Effect<A, E, Progress | Screen>
) =>
  Effect.suspend(() => {
    const terminal = new FakeTerminal({ columns: 80, rows: 24 })
    return program(terminal).pipe(
      Effect.provide(ScreenProgress.layer.pipe(Layer.provideMerge(Screen.layerOf(terminal, appearance)))),
      Effect.as(terminal)
    )
  })

const terminal: Appearance = { isLive: true, hasColours: false }
const log: Appearance = { isLive: false, hasColours: false }

describe("progress on a terminal", () => {
  it.effect("draws active streams, and prints a line for each stream that has ended", () =>
    Effect.gen(function* () {
      const after = yield* shown(terminal, (terminal) =>
        Effect.gen(function* () {
          const progress = yield* Progress
          const screen = yield* Screen
          yield* progress.begin(begun)
          yield* progress.started("up", 100)
          yield* progress.started("slow", 100)
          yield* progress.wrote("up", 5000)
          yield* progress.committed("up", 50)
          yield* progress.retrying("slow", unavailable, Duration.seconds(8))
          yield* TestClock.adjust("2 seconds")
          assert.deepStrictEqual(terminal.text, [
            "up              ━━━━━━━━━━─────────   50 %  5,000 samples",
            "slow            ───────────────────    0 %  waiting 6 s: returned HTTP 503.",
            "0 of 3 streams  ━━━────────────────   16 %  10 s left  2.50 k samples/s"
          ])
          yield* progress.ended(streamOf("up"))
          yield* Effect.provide(Effect.logWarning("A warning."), stderrLogger([], screen.printAbove))
          yield* progress.ended(failedStream("slow", "It said ****."))
          assert.deepStrictEqual(terminal.text.slice(0, 3), [
            "✓ up        2 series       2,880 rows  1.3 s",
            "A warning.",
            "✗ slow  FAILED: It said ****."
          ])
          assert.isFalse(terminal.isCursorVisible)
          yield* TestClock.adjust("100 millis")
          assert.include(terminal.text[3], "2 of 3 streams, 1 fai")
        })
      )
      assert.isTrue(after.isCursorVisible)
      assert.lengthOf(after.text, 3)
    })
  )

  it.effect("draws at most ten times a second, for any number of events", () =>
    Effect.gen(function* () {
      yield* shown(terminal, (terminal) =>
        Effect.gen(function* () {
          const progress = yield* Progress
          yield* progress.begin(begun)
          yield* progress.started("up", 100)
          yield* TestClock.adjust("1 second")
          const before = terminal.written.length
          for (let i = 0; i < 1000; i++) yield* progress.wrote("up", 1)
          yield* TestClock.adjust("99 millis")
          assert.strictEqual(terminal.written.length, before)
          yield* TestClock.adjust("1 millis")
          assert.isAbove(terminal.written.length, before)
          assert.include(terminal.text[0], "1,000 samples")
        })
      )
    })
  )

  it.effect("draws nothing after the run", () =>
    Effect.gen(function* () {
      const after = yield* shown(terminal, () =>
        Effect.gen(function* () {
          const progress = yield* Progress
          yield* progress.begin(begun)
          yield* progress.started("up", 100)
          yield* TestClock.adjust("1 second")
        })
      )
      const { written } = after
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(after.written, written)
      assert.deepStrictEqual(after.text, [])
    })
  )

  it.effect("erases the picture when it is interrupted", () =>
    Effect.gen(function* () {
      let left: FakeTerminal | undefined
      yield* Effect.exit(
        shown(terminal, (terminal) =>
          Effect.gen(function* () {
            left = terminal
            const progress = yield* Progress
            yield* progress.begin(begun)
            yield* progress.started("up", 100)
            yield* TestClock.adjust("1 second")
            assert.isNotEmpty(terminal.text)
            return yield* Effect.interrupt
          })
        )
      )
      assert.deepStrictEqual(left?.text, [])
      assert.isTrue(left?.isCursorVisible)
    })
  )
})

describe("progress in a log", () => {
  it.effect("is a line for each stream, and a total every ten seconds", () =>
    Effect.gen(function* () {
      const after = yield* shown(log, () =>
        Effect.gen(function* () {
          const progress = yield* Progress
          yield* progress.begin(begun)
          yield* progress.started("up", 100)
          yield* progress.started("slow", 100)
          yield* progress.retrying("slow", unavailable, Duration.seconds(4))
          yield* progress.wrote("up", 5000)
          yield* progress.committed("up", 50)
          yield* TestClock.adjust("9999 millis")
          yield* progress.ended(streamOf("up"))
          yield* TestClock.adjust("1 millis")
          yield* progress.ended(failedStream("slow", "It said ****."))
        })
      )
      yield* TestClock.adjust("1 minute")
      const { written } = after
      // The log has the retries.
      assert.strictEqual(
        written,
        `✓ up        2 series       2,880 rows  1.3 s
1 of 3 streams (33 %), 5,000 samples, 500 samples/s, 20 s left
✗ slow  FAILED: It said ****.
`
      )
      assert.notMatch(written.replaceAll("\n", ""), /\p{Cc}/u)
    })
  )
})
