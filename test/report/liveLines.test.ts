import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { endedLine, liveLines, nameWidthOf, progressLine } from "../../src/report/liveLines.ts"
import type { ActiveStream, RunState } from "../../src/report/RunState.ts"
import { coloured, plain } from "../../src/terminal/Appearance.ts"
import { textWidth } from "../../src/terminal/textWidth.ts"
import { failedStream, streamOf } from "./summaries.ts"

const idle: RunState = {
  startedAt: 0,
  streams: 0,
  ended: 0,
  failed: 0,
  samples: 0,
  isLimited: false,
  active: new Map()
}

const count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000 }))
const millis = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100_000_000 }))
const stream = Schema.Struct({
  name: Schema.String,
  points: count,
  committed: count,
  samples: count,
  waiting: Schema.UndefinedOr(Schema.Struct({ reason: Schema.String, until: millis }))
})
const run = Schema.Struct({
  active: Schema.Array(stream),
  ended: count,
  failed: count,
  isLimited: Schema.Boolean,
  samples: count,
  startedAt: millis
})
const size = Schema.Struct({
  columns: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 200 })),
  rows: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 }))
})

const stateOf = (given: typeof run.Type): RunState => ({
  ...given,
  streams: given.ended + given.active.length,
  active: new Map(
    given.active.map((stream, index) => [
      `${index}`,
      { ...stream, committed: Math.min(stream.committed, stream.points) }
    ])
  )
})

const active = (name: string, given: Partial<ActiveStream> = {}): ActiveStream => ({
  name,
  points: 100,
  committed: 50,
  samples: 1234,
  waiting: undefined,
  ...given
})

const withActive = (...streams: ReadonlyArray<ActiveStream>): RunState => ({
  ...idle,
  streams: 10,
  ended: 3,
  samples: 20_000,
  active: new Map(streams.map((stream) => [stream.name, stream]))
})

const lines = (state: RunState, columns: number, rows: number, now = 10_000) =>
  liveLines(state, now, 1500, { columns, rows }, plain)

describe("liveLines", () => {
  it.prop("fits any terminal size, with any names", [run, size, millis], ([given, size, now]) => {
    const drawn = liveLines(stateOf(given), now, 1e6, size, plain)
    assert.isAtMost(drawn.length, Math.max(0, size.rows - 1))
    for (const line of drawn) {
      // There is space for the ^C that a terminal writes.
      assert.isAtMost(textWidth(line), size.columns - 3)
      assert.notMatch(line, /\p{Cc}/u)
    }
    // Colours do not change the text.
    const bright = liveLines(stateOf(given), now, 1e6, size, coloured)
    assert.deepStrictEqual(
      bright.map((line) => line.replaceAll(/\u001b\[\d+m/g, "")),
      drawn
    )
  })

  it("has a bar for each stream and a total, with speed and remaining time", () => {
    const state = withActive(
      active("up"),
      active("温度", { committed: 0, samples: 0 }),
      active("slow", { waiting: { reason: "http://h returned\nHTTP 503.", until: 13_100 } })
    )
    assert.deepStrictEqual(lines(state, 100, 24), [
      "up               ━━━━━━━━━━━━────────────   50 %  1,234 samples",
      "温度             ────────────────────────    0 %  querying",
      "slow             ━━━━━━━━━━━━────────────   50 %  waiting 4 s: http://h returned HTTP 503.",
      "3 of 10 streams  ━━━━━━━━━━──────────────   40 %  15 s left  1.50 k samples/s  20,000 samples"
    ])
  })

  it("says that requests wait for the load budget", () => {
    const state = { ...withActive(active("up")), isLimited: true }
    assert.strictEqual(
      lines(state, 120, 24).at(-1),
      "3 of 10 streams  ━━━━━━━━━━───────────────────   35 %  19 s left  limited by the load budget  1.50 k samples/s"
    )
    assert.match(progressLine(state, 10_000), /, 19 s left, limited by the load budget$/)
  })

  it("counts the streams that do not fit", () => {
    const state = withActive(...Array.from({ length: 9 }, (_, i) => active(`s${i}`)))
    const drawn = lines(state, 80, 6)
    assert.deepStrictEqual(
      drawn.map((line) => line.split(" ").slice(0, 3).join(" ").trim()),
      ["s0", "s1", "s2", "… and 6", "3 of 10"]
    )
    assert.lengthOf(lines(state, 80, 2), 1)
    assert.deepStrictEqual(lines(state, 80, 1), [])
  })

  it("has no bars on a narrow terminal, and truncates long lines", () => {
    const [first, last] = lines(withActive(active("http_requests_total")), 32, 10)
    assert.strictEqual(first, "http_reques…   50 %  1,234 s…")
    assert.notInclude(last, "━")
  })

  it("shows no remaining time before it can be estimated", () => {
    assert.notInclude(lines(withActive(active("up")), 100, 10, 500).join("\n"), "left")
    assert.notInclude(lines({ ...idle, streams: 5 }, 100, 10).join("\n"), "left")
  })

  it("shows no remaining time while only the destination is closing", () => {
    const last = lines({ ...idle, streams: 10, ended: 10 }, 100, 10).join("\n")
    assert.include(last, "10 of 10 streams")
    assert.notInclude(last, "left")
  })

  it("shows no negative wait", () => {
    const state = withActive(active("up", { waiting: { reason: "busy", until: 10_000 } }))
    assert.include(lines(state, 100, 10, 9_999)[0], "waiting 1 s: busy")
    assert.notInclude(lines(state, 100, 10, 10_000)[0], "waiting")
  })
})

describe("the lines of a run without a live picture", () => {
  it("show progress", () => {
    assert.strictEqual(
      progressLine({ ...withActive(active("up")), failed: 1 }, 10_000),
      "3 of 10 streams, 1 failed (35 %), 20,000 samples, 2.00 k samples/s, 19 s left"
    )
  })

  it("show the result of a stream", () => {
    assert.strictEqual(
      endedLine(streamOf("up", { retries: 2 }), 6, plain),
      "✓ up          2 series       2,880 rows  1.3 s  2 retries"
    )
    assert.strictEqual(
      endedLine(streamOf("up", { rows: 0, series: 0, span: undefined }), 2, plain),
      "✓ up  nothing new  1.3 s"
    )
    assert.strictEqual(
      endedLine(streamOf("up", { rows: 0, notice: "It has\nnone." }), 2, plain),
      "! up  no rows: It has none."
    )
    assert.strictEqual(
      endedLine(failedStream("a\u001bb", "It is\ngone."), 8, plain),
      "✗ a\\u001bb  FAILED: It is gone."
    )
    assert.strictEqual(
      endedLine({ ...failedStream("up", "It is gone."), rows: 1 }, 2, plain),
      "✗ up  FAILED: It is gone. 1 row before that is saved."
    )
    // On a terminal they fit, and a server's text never begins a line.
    const said = failedStream("up", `${"It is gone. ".repeat(10)}`)
    const lines = endedLine(said, 2, plain, 40).split("\n")
    assert.strictEqual(lines[0], "✗ up  FAILED: It is gone. It is")
    for (const line of lines.slice(1)) assert.match(line, /^ {4}\S/)
    for (const line of lines) assert.isBelow(textWidth(line), 40)
    const wide = endedLine(streamOf("x".repeat(200)), 48, plain, 100)
    assert.isBelow(textWidth(wide), 100)
    assert.strictEqual(nameWidthOf(["a", "温度", "b".repeat(100)]), 48)
    assert.strictEqual(nameWidthOf([]), 0)
  })
})
