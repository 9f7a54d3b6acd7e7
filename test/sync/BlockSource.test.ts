/** Reads from a source of raw samples, because the read program does not depend on how samples are requested. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { PrometheusError } from "../../src/prometheus/PrometheusError.ts"
import type { NumberBlock, Series } from "../../src/samples/Sample.ts"
import { BlockSource } from "../../src/sync/BlockSource.ts"
import type { GridRange } from "../../src/sync/TimeGrid.ts"
import { gridBounds } from "../../src/sync/WindowSize.ts"
import { iso, minute, start } from "../support/gauge.ts"
import { checkpoints, incremental, readFrom, samplesOf, story } from "./readMock.ts"

const series: Series = { id: "0".repeat(32), labels: [["__name__", "m"]] }

/** Samples every 25 s, off the grid. The value of each is its second. */
const times = Array.from({ length: 200 }, (_, i) => start - 59_000 + i * 25_000 + 7)

const blockOf = (from: number, to: number, shift = 0): NumberBlock => {
  const within = times.filter((time) => time > from && time <= to).map((time) => time + shift)
  return {
    _tag: "NumberBlock",
    series,
    length: within.length,
    times: Float64Array.from(within),
    values: Float64Array.from(within, (time) => time / 1000)
  }
}

const cut = new PrometheusError({ reason: "BrokenResponse", summary: "The response is cut off." })

/** A source of raw samples with the given responses. */
const sourceOf = (
  respond: (from: number, to: number, attempt: number) => Stream.Stream<NumberBlock, PrometheusError>
) => {
  const requests: Array<GridRange> = []
  const layer = Layer.succeed(BlockSource, {
    open: ({ name }) => ({
      metrics: new Set([name]),
      bounds: gridBounds,
      expect: ({ firstMillis, lastMillis, stepMillis }) => ({
        firstMillis: firstMillis - stepMillis + 1,
        lastMillis,
        stepMillis: 1
      }),
      request: (range) =>
        Effect.sync(() => {
          requests.push(range)
          return respond(range.firstMillis - range.stepMillis, range.lastMillis, requests.length)
        }),
      missing: Effect.undefined,
      mayMoveStart: Effect.succeed(false),
      closeTo: () => Effect.succeed([]),
      index: () => ({ labelNames: () => Effect.succeed([]), labelValues: () => Effect.succeed([]) })
    })
  })
  return { layer, requests }
}

const points = 80

const readPoints = (source: ReturnType<typeof sourceOf>) => readFrom(source.layer, points, incremental("m"))

const expected = times.filter((time) => time > start - minute && time <= start + (points - 1) * minute)

const timesOf = (events: Parameters<typeof samplesOf>[0]) =>
  [...samplesOf(events).keys()].map((key) => (JSON.parse(key) as [unknown, number])[1])

describe("a source of raw samples", () => {
  it.effect("is read window by window, with the checkpoints of the grid", () =>
    Effect.gen(function* () {
      const source = sourceOf((from, to) => Stream.succeed(blockOf(from, to)))
      const events = yield* readPoints(source)
      assert.match(story(events), /^Started Running( Samples Checkpoint)+ Completed$/)
      assert.deepStrictEqual(timesOf(events), expected)
      assert.isAbove(source.requests.length, 1)
      assert.deepStrictEqual(
        checkpoints(events).map(({ time }) => time),
        source.requests.map(({ lastMillis }) => iso(lastMillis))
      )
    })
  )

  it.effect("is requested again if a response breaks off, and each sample is emitted once", () =>
    Effect.gen(function* () {
      const source = sourceOf((from, to, attempt) =>
        attempt % 2 === 0
          ? Stream.succeed(blockOf(from, to))
          : Stream.concat(Stream.succeed(blockOf(from, from + (to - from) / 2)), Stream.fail(cut))
      )
      const events = yield* readPoints(source)
      assert.strictEqual(events.at(-1)?._tag, "Completed")
      assert.deepStrictEqual(timesOf(events), expected)
    })
  )

  for (const [what, respond] of [
    ["before the range", (from, to) => Stream.succeed(blockOf(from - minute, to))],
    ["after the range", (from, to) => Stream.succeed(blockOf(from, to, minute))],
    ["twice", (from, to) => Stream.make(blockOf(from, to), blockOf(from, to))]
  ] satisfies ReadonlyArray<readonly [string, Parameters<typeof sourceOf>[0]]>) {
    it.effect(`fails the stream for a sample ${what}`, () =>
      Effect.gen(function* () {
        const events = yield* readPoints(sourceOf(respond))
        const last = events.at(-1)
        assert.strictEqual(last?._tag, "Failed")
        assert.strictEqual(last?._tag === "Failed" && last.error.reason, "UnexpectedSample")
      })
    )
  }
})
