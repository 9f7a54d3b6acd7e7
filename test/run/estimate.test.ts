/** What a dry run says, against what a read then does. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeSeries } from "../../src/prometheus/mock/MockSeries.ts"
import type { SyncMode } from "../../src/run/Destination.ts"
import { estimate, windowsOf } from "../../src/run/estimate.ts"
import { namesToRead } from "../../src/run/run.ts"
import { choices } from "../choices.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import {
  incremental,
  rangeRequests,
  readAll,
  type Setting,
  samplesOf,
  setUp,
  windows
} from "../sync/readMock.ts"

const estimateOf = Effect.fnUntraced(function* (
  setting: Setting,
  mode: SyncMode = "incremental_append_deduped"
) {
  const { mock, services } = yield* setUp(setting)
  const dryRun = yield* namesToRead.pipe(
    Effect.flatMap((names) => estimate(names, { mode, source: "a mock", destination: "jsonl:x" })),
    Effect.provide(services)
  )
  return { dryRun, mock }
})

describe("estimate", () => {
  it.effect("counts what is there all the time exactly", () =>
    Effect.gen(function* () {
      const setting = { series: [...gauge("a", 5000, 3), ...gauge("b", 5000)], points: 5000 }
      const { dryRun, mock } = yield* estimateOf(setting)
      assert.deepStrictEqual(dryRun, {
        source: "a mock",
        destination: "jsonl:x",
        stepSeconds: 60,
        span: [start, start + 4999 * minute],
        streams: [
          {
            name: "a",
            series: 3,
            points: 5000,
            windows: dryRun.streams[0]!.windows,
            samples: 15_000,
            bytes: 375_000
          },
          {
            name: "b",
            series: 1,
            points: 5000,
            windows: dryRun.streams[1]!.windows,
            samples: 5000,
            bytes: 125_000
          }
        ]
      })
      assert.lengthOf(rangeRequests(mock), 2)
      const { events, mock: read } = yield* readAll(incremental("a"), setting)
      assert.strictEqual(samplesOf(events).size, 15_000)
      assert.strictEqual(dryRun.streams[0]!.windows, windows(read).length)
    })
  )

  it.effect("comes close where series come and go", () =>
    Effect.gen(function* () {
      const half = Array.from({ length: 1000 }, (_, i) => [start + (i + 500) * minute, i] as const)
      const series = [...gauge("a", 2000), makeSeries({ __name__: "a", late: "x" }, half)]
      const { dryRun } = yield* estimateOf({ series, points: 2000 })
      const [stream] = dryRun.streams
      assert.strictEqual(stream!.series, 2)
      assert.approximately(stream!.samples, 3000, 3000 / 20)
    })
  )

  it.effect("goes on from the state, and a refresh from the start", () =>
    Effect.gen(function* () {
      const state = { time: iso(start + 89 * minute), step: 60, version: 1 }
      const setting = { series: gauge("a", 100, 2), points: 100, states: { a: state } }
      const { dryRun } = yield* estimateOf(setting)
      assert.deepStrictEqual(dryRun.streams[0], {
        name: "a",
        series: 2,
        points: 10,
        windows: 1,
        samples: 20,
        bytes: 500
      })
      assert.deepStrictEqual(dryRun.span, [start + 90 * minute, start + 99 * minute])
      const refresh = yield* estimateOf(setting, "full_refresh_overwrite")
      assert.deepStrictEqual(refresh.dryRun.span, [start, start + 99 * minute])
      assert.strictEqual(refresh.dryRun.streams[0]!.samples, 200)
    })
  )

  it.effect("asks nothing of streams that have nothing new", () =>
    Effect.gen(function* () {
      const state = { time: iso(start + 99 * minute), step: 60, version: 1 }
      const { dryRun, mock } = yield* estimateOf({
        series: gauge("a", 100),
        points: 100,
        states: { a: state }
      })
      assert.deepStrictEqual(dryRun.streams, [
        { name: "a", series: 0, points: 0, windows: 0, samples: 0, bytes: 0 }
      ])
      assert.lengthOf(rangeRequests(mock), 0)
    })
  )

  it.effect("fails where there is nothing to read", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(estimateOf({ series: [], points: 10 }))
      assert.match(error.message, /^No metric/)
    })
  )
})

describe("windowsOf", () => {
  it.prop("is at least what points and samples need, and not many more", [choices], ([choices]) => {
    const points = choices.between(1, 10 ** choices.between(1, 7))
    const perPoint = choices.below(10 ** choices.between(0, 5))
    const windows = windowsOf(points, perPoint)
    const most = Math.min(11_000, Math.max(1, Math.floor(250_000 / Math.max(1, perPoint))))
    // The first one asks for 32 points, whatever they hold.
    assert.isAtLeast(windows, Math.ceil(Math.max(0, points - 32) / most))
    // The first ones are small.
    assert.isAtMost(windows, Math.ceil(points / most) + 6)
  })
})
