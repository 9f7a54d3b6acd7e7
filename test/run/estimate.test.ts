/** The estimates of a dry run, compared with the read. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { SyncMode } from "../../src/destinations/Destination.ts"
import { makeSeries } from "../../src/mock/MockSeries.ts"
import { type DryRun, estimate, type PartsToEstimate, windowsOf } from "../../src/run/estimate.ts"
import { namesToRead } from "../../src/run/run.ts"
import { ownerOf } from "../../src/sync/parts.ts"
import { pointCount } from "../../src/sync/TimeGrid.ts"
import { choices } from "../choices.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import {
  incremental,
  onRange,
  rangeRequests,
  readAll,
  refusal,
  type Setting,
  samplesOf,
  settle,
  setUp,
  windows
} from "../sync/readMock.ts"

const estimateOf = Effect.fnUntraced(function* (
  setting: Setting,
  mode: SyncMode = "incremental_append_deduped",
  parts?: PartsToEstimate
) {
  const { mock, services } = yield* setUp(setting)
  const dryRun = yield* namesToRead.pipe(
    Effect.flatMap((names) => estimate(names, { mode, source: "a mock", destination: "jsonl:x" }, parts)),
    Effect.provide(services)
  )
  return { dryRun, mock }
})

describe("estimate", () => {
  it.effect("counts a query up to the point at which its expression fails", () =>
    Effect.gen(function* () {
      const { dryRun } = yield* estimateOf({
        series: gauge("m", 48, 3),
        points: 48,
        config: { metrics: { exclude: ["*"] }, queries: [{ name: "q", expression: "m" }] },
        mock: {
          faults: onRange(({ from, points }) =>
            from <= 20 && 20 < from + points ? refusal(422, "multiple matches for labels: x") : undefined
          )
        }
      })
      assert.deepStrictEqual(
        dryRun.streams.map(({ name, samples, series }) => [name, series, samples]),
        [["q", 3, 60]]
      )
    })
  )

  it.effect("lists the metrics of all groups once", () =>
    Effect.gen(function* () {
      const names = ["a_up", "b_up", "c_up"]
      const listsOf = Effect.fnUntraced(function* (groups: number) {
        const { dryRun, mock } = yield* estimateOf(
          {
            series: names.flatMap((name) => gauge(name, 60)),
            points: 60,
            config: {
              metrics: { include: names.slice(0, groups).map((name) => name.replace("up", "*")) },
              groups: names
                .slice(0, groups)
                .map((name) => ({ name, metrics: { include: [name.replace("up", "*")] } }))
            }
          },
          "incremental_append_deduped",
          { known: new Map() }
        )
        assert.deepStrictEqual(
          dryRun.streams.map(({ name, series }) => [name, series]),
          names.slice(0, groups).map((name) => [name, 1])
        )
        return mock.requests.filter(({ path }) => path.endsWith("/label/__name__/values")).length
      })
      assert.strictEqual(yield* listsOf(3), yield* listsOf(1))
    })
  )

  it.effect("finds the samples of an hour after ten empty years", () =>
    Effect.gen(function* () {
      const from = start - 10 * 365 * 86_400_000
      const config = { start_date: iso(from), step: 15 }
      const setting = { series: [...gauge("a", 60, 3), ...gauge("b", 60)], points: 60, config }
      const { dryRun, mock } = yield* estimateOf({ ...setting, mock: { lookbackMillis: minute - 1 } })
      const estimates = dryRun.streams.map(({ points, samples, series }) => ({ points, samples, series }))
      const points = (start + 59 * minute - from) / 15_000 + 1
      for (const [i, series] of [3, 1].entries()) {
        assert.deepStrictEqual({ ...estimates[i]!, samples: 0 }, { points, samples: 0, series })
        const right = series * (59 * 4 + 1)
        assert.isAtLeast(estimates[i]!.samples, right * 0.9)
        assert.isAtMost(estimates[i]!.samples, right * 1.1)
      }
      assert.isBelow(mock.requests.length, 100)
    })
  )

  it.effect("counts permanent series exactly", () =>
    Effect.gen(function* () {
      const setting = { series: [...gauge("a", 5000, 3), ...gauge("b", 5000)], points: 5000 }
      const { dryRun, mock } = yield* estimateOf({ ...setting, config: { api: "auto" } })
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
        ],
        // The samples are stored once a minute. A run tries remote read with a window of 20,000 samples of one stream.
        remoteRead: { samples: 20_000, bytes: 80_000, isLikely: false }
      })
      assert.lengthOf(rangeRequests(mock), 2)
      const { events, mock: read } = yield* readAll(incremental("a"), setting)
      assert.strictEqual(samplesOf(events).size, 15_000)
      assert.strictEqual(dryRun.streams[0]!.windows, windows(read).length)
    })
  )

  it.effect(
    "counts the series of all metrics of a group, at fewer metrics at once if the server refuses",
    () =>
      Effect.gen(function* () {
        const config = { groups: [{ name: "apps", metrics: { include: ["app_*"] } }] }
        const setting = {
          series: [
            ...gauge("app_a", 100, 3),
            ...gauge("app_b", 100, 2),
            ...gauge("app_c", 50),
            ...gauge("up", 100)
          ],
          points: 100,
          config
        }
        const sizes = ({ dryRun }: Effect.Success<ReturnType<typeof estimateOf>>) =>
          dryRun.streams.map(({ name, samples, series }) => ({ name, samples, series }))
        const expected = [
          { name: "up", samples: 100, series: 1 },
          { name: "apps", samples: 550, series: 6 }
        ]
        assert.deepStrictEqual(sizes(yield* estimateOf(setting)), expected)
        const limited = yield* estimateOf({ ...setting, mock: { maxSamples: 160 } })
        assert.deepStrictEqual(sizes(limited), expected)
        assert.isAbove(rangeRequests(limited.mock).length, 3)
      })
  )

  it.effect("is close if series come and go", () =>
    Effect.gen(function* () {
      const half = Array.from({ length: 1000 }, (_, i) => [start + (i + 500) * minute, i] as const)
      const series = [...gauge("a", 2000), makeSeries({ __name__: "a", late: "x" }, half)]
      const { dryRun } = yield* estimateOf({ series, points: 2000 })
      const [stream] = dryRun.streams
      assert.strictEqual(stream!.series, 2)
      assert.approximately(stream!.samples, 3000, 3000 / 20)
    })
  )

  it.effect("resumes from the state, and a refresh from the start", () =>
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

  it.effect("requests nothing of streams without new points", () =>
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

  it.effect("fails if there is nothing to read", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(estimateOf({ series: [], points: 10 }))
      assert.match(error.message, /^No metric/)
    })
  )
})

describe("the parts of an estimate", () => {
  const shown = ({ parts = [] }: DryRun) =>
    parts.map(({ owner, part, samples }) => [
      part.stream,
      part.reason,
      (part.range.firstMillis - start) / minute,
      pointCount(part.range),
      samples,
      owner
    ])

  it.effect("have the samples and the owners that they will have", () =>
    Effect.gen(function* () {
      const late = Array.from({ length: 60 }, (_, i) => [start + (i + 40) * minute, i] as const)
      const setting = {
        series: [...gauge("a", 100, 3), makeSeries({ __name__: "a", late: "x" }, late)],
        points: 100
      }
      const { dryRun } = yield* estimateOf(setting, "incremental_append_deduped", {
        known: new Map([["a", 20 * minute]]),
        lengthMillis: 60 * minute,
        processes: 3
      })
      const owner = (slot: number) => ownerOf({ stream: "a", slot: start / (20 * minute) + slot }, 3)
      assert.deepStrictEqual(shown(dryRun), [
        ["a", "start", 0, 20, 60, owner(0)],
        ["a", "start", 20, 20, 60, owner(1)],
        ["a", "start", 40, 20, 80, owner(2)],
        ["a", "start", 60, 20, 80, owner(3)],
        ["a", "start", 80, 20, 80, owner(4)]
      ])
    })
  )

  it.effect("are those of a resumed stream, with the length that is given or measured for new streams", () =>
    Effect.gen(function* () {
      const read = [[iso(start + 30 * minute), iso(start + 79 * minute)]]
      const state = {
        time: iso(start + 79 * minute),
        step: 60,
        version: 1,
        read,
        selector: "",
        excluded_labels: ""
      }
      const setting = { series: gauge("a", 100, 2), points: 100, states: { a: state } }
      const mode = "incremental_append_deduped"
      const given = yield* estimateOf(setting, mode, { known: new Map(), lengthMillis: 60 * minute })
      assert.deepStrictEqual(shown(given.dryRun), [
        ["a", "gap", 0, 30, 60, undefined],
        ["a", "resume", 80, 20, 40, undefined]
      ])
      const measured = yield* estimateOf(setting, mode, { known: new Map() })
      assert.lengthOf(measured.dryRun.parts ?? [], 2)
      assert.notProperty((yield* estimateOf(setting)).dryRun, "parts")
    })
  )

  it.effect("have about as many samples as the streams, however they are cut", () =>
    Effect.gen(function* () {
      const half = Array.from({ length: 500 }, (_, i) => [start + (i + 250) * minute, i] as const)
      const series = [...gauge("a", 1000), makeSeries({ __name__: "a", late: "x" }, half)]
      for (const length of [7, 60, 333]) {
        const { dryRun } = yield* estimateOf({ series, points: 1000 }, "incremental_append_deduped", {
          known: new Map(),
          lengthMillis: length * minute
        })
        const sum = (dryRun.parts ?? []).reduce((sum, { samples }) => sum + samples, 0)
        assert.approximately(sum, dryRun.streams[0]!.samples, 50)
      }
    })
  )
})

describe("an estimate by a server that cannot count", () => {
  const at = (count: string, time = start): string => `[${time / 1000},"${count}"]`
  const result = (values: string): string =>
    `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[${values}]}]}}`

  for (const [what, values, message] of [
    ["NaN", at("NaN"), /returned NaN for their number/],
    ["infinity", at("+Inf"), /returned \+Inf for/],
    ["a negative number", at("-3"), /returned -3 for/],
    ["a fraction", at("0.5"), /returned 0\.5 for/],
    ["an impossibly large number", at("1e300"), /returned 1e300 for/],
    ["an infinite decimal", at("1e999"), /returned 1e999 for/],
    [
      "more numbers than requested",
      Array.from({ length: 100 }, (_, i) => at("1", start + i * minute)).join(","),
      /returned more than the 48 requested numbers/
    ]
  ] as const) {
    it.effect(`fails with a readable error for ${what}`, () =>
      Effect.gen(function* () {
        const setting = {
          series: gauge("a", 480),
          points: 480,
          mock: { faults: onRange(() => ({ body: result(values) })) }
        }
        const error = yield* Effect.flip(estimateOf(setting))
        assert.match(error.message, /^The series of a cannot be counted: the server /)
        assert.match(error.message, message)
      })
    )
  }

  it.effect("accepts zero and large numbers of series", () =>
    Effect.gen(function* () {
      const faults = onRange(() => ({ body: result(at("1e6")) }))
      const { dryRun } = yield* estimateOf({ series: gauge("a", 1), points: 1, mock: { faults } })
      assert.deepInclude(dryRun.streams[0], { series: 1_000_000, points: 1, windows: 1, samples: 1_000_000 })
    })
  )

  it.effect("does not wait forever for a count that never ends", () =>
    Effect.gen(function* () {
      const faults = onRange(() => ({ body: result(at("1")), stallAfterBytes: 90 }))
      const setting = { series: gauge("a", 1), points: 1, config: { max_retries: 0 }, mock: { faults } }
      const fiber = yield* Effect.forkChild(Effect.flip(estimateOf(setting)))
      for (let i = 0; i < 20 && fiber.pollUnsafe() === undefined; i++) {
        yield* settle
        yield* TestClock.adjust("1 minute")
      }
      assert.match((yield* Fiber.join(fiber)).message, /within 120 s/)
    })
  )
})

describe("windowsOf", () => {
  it.prop("is at least what points and samples need, and not many more", [choices], ([choices]) => {
    const points = choices.between(1, 10 ** choices.between(1, 7))
    const perPoint = choices.below(10 ** choices.between(0, 5))
    const windows = windowsOf(points, perPoint)
    const most = Math.min(11_000, Math.max(1, Math.floor(250_000 / Math.max(1, perPoint))))
    // The first one requests 32 points in any case.
    assert.isAtLeast(windows, Math.ceil(Math.max(0, points - 32) / most))
    // The first ones are small.
    assert.isAtMost(windows, Math.ceil(points / most) + 6)
  })
})
