/** Requests that are too large are split by time and by series. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result, Stream } from "effect"
import { parseSelector, select } from "../../src/mock/evaluate.ts"
import type { Fault, MockRequest } from "../../src/mock/http.ts"
import { type MockSeries, makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import { PrometheusError } from "../../src/prometheus/PrometheusError.ts"
import { BlockSource } from "../../src/sync/BlockSource.ts"
import { gridBounds } from "../../src/sync/WindowSize.ts"
import { choices } from "../choices.ts"
import { gauge, minute, start } from "../support/gauge.ts"
import { runs } from "../support/runs.ts"
import {
  checkpoints,
  failuresOf,
  incremental,
  minutesOf,
  numbers,
  of,
  onRange,
  readAll,
  readFrom,
  refusal,
  samplesOf,
  story,
  windows
} from "./readMock.ts"

const SERIES_LIMIT = "expanding series: exceeded series limit"

/** Refuses range queries of more series than a limit. */
const manySeries =
  (series: ReadonlyArray<MockSeries>, limit: () => number) =>
  ({ params, path }: Pick<MockRequest, "params" | "path">): Fault | undefined => {
    const query = params.get("query") ?? ""
    // A stream without samples asks where the metric has some.
    if (path !== "/api/v1/query_range" || query.startsWith("count by")) return undefined
    const selector = Result.getOrThrow(parseSelector(query, true))
    return select(makeDatabase(series), selector).length > limit() ? refusal(422, SERIES_LIMIT) : undefined
  }

describe("a response that is too large", () => {
  it.effect("is requested in ever smaller parts, down to single points", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll(incremental("m"), {
        series: gauge("m", 50, 10),
        points: 50,
        mock: { maxSamples: 10 }
      })
      assert.strictEqual(samplesOf(events).size, 500)
      assert.strictEqual(events.at(-1)?._tag, "Completed")
      const times = checkpoints(events).map(({ timeMillis }) => timeMillis)
      assert.deepStrictEqual(times, [...new Set(times)].sort())
      assert.strictEqual(times.at(-1), start + 49 * minute)
      // The size learned is kept for the second window.
      assert.isBelow(windows(mock).length, 50 + 2 * 32 + 8)
    })
  )

  it.effect("is split by series if a single point is too large", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll(incremental("m"), {
        series: [...gauge("m", 40, 10), makeSeries({ __name__: "m" }, [[start, 1]])],
        points: 40,
        mock: { maxSamples: 4 }
      })
      assert.strictEqual(failuresOf(events), "")
      assert.strictEqual(samplesOf(events).size, 401)
      const times = checkpoints(events).map(({ timeMillis }) => (timeMillis - start) / minute)
      assert.deepStrictEqual(
        times,
        [...new Set(times)].sort((a, b) => a - b)
      )
      assert.strictEqual(times.at(-1), 39)
      // The splits are kept: each later window is requested in about four parts immediately.
      assert.isBelow(windows(mock).filter(([first]) => first > 32).length, 7 * 5 + 3)
    })
  )

  it.effect("is split by labels whose names are not plain, if the server takes them", () =>
    Effect.gen(function* () {
      const names = ["k8s.pod.name", "a/b", "..", "é", "line\nfeed"]
      const named = names.flatMap((name, n) =>
        Array.from({ length: 6 }, (_, i) =>
          makeSeries(
            [
              ["__name__", "m"],
              [name, `${i}`]
            ],
            [[start, n * 10 + i]]
          )
        )
      )
      const { events } = yield* readAll(incremental("m"), {
        series: named,
        points: 1,
        mock: { maxSamples: 1 }
      })
      assert.strictEqual(failuresOf(events), "")
      assert.strictEqual(samplesOf(events).size, 30)
      // Version 2 stores them, but does not accept them in selectors.
      const old = yield* readAll(incremental("m"), {
        series: [...gauge("m", 1, 9), ...named.slice(0, 1)],
        points: 1,
        mock: { maxSamples: 1, version: "2.42.0" }
      })
      assert.strictEqual(failuresOf(old.events), "")
      assert.strictEqual(samplesOf(old.events).size, 10)
      const stuck = yield* readAll(incremental("m"), {
        series: named,
        points: 1,
        mock: { maxSamples: 1, version: "2.42.0" }
      })
      assert.match(failuresOf(stuck.events), /query processing would load too many samples/)
    })
  )

  it.effect("fails the stream without a retry if a single point of a single series is too large", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll(incremental("m"), {
        series: gauge("m", 32, 10),
        points: 32,
        mock: {
          faults: onRange(() => refusal(422, "query processing would load too many samples into memory"))
        }
      })
      assert.strictEqual(story(events), "Started Failed")
      const failed = events.at(-1)
      assert.strictEqual(failed?._tag === "Failed" && failed.error.reason, "TooLarge")
      assert.match(
        failuresOf(events),
        /too many samples into memory\. It does so even for one point of one series, at 2026-01-01T00:00:00Z of \{n=~"\(\?s\)0\.\*\|.*"\}\. Use selector/
      )
      // Halved five times by time, then once per series.
      assert.isAtMost(windows(mock).length, 6 + 4)
    })
  )

  it.effect("keeps the checkpoints of the parts that could be read", () =>
    Effect.gen(function* () {
      // From minute 20 on, every size is refused.
      const { events } = yield* readAll(incremental("m"), {
        series: gauge("m", 40),
        points: 40,
        mock: {
          faults: onRange(({ from, points }) =>
            from + points > 20 ? refusal(422, "query processing would load too many samples") : undefined
          )
        }
      })
      assert.strictEqual(events.at(-1)?._tag, "Failed")
      assert.deepStrictEqual(minutesOf(events), numbers(0, 19))
      assert.strictEqual(checkpoints(events).at(-1)?.timeMillis, start + 19 * minute)
    })
  )

  it.effect(
    "is split by series immediately if the server limits series, and by time for a single series",
    () =>
      Effect.gen(function* () {
        const series = gauge("m", 100, 8)
        const { events, mock } = yield* readAll(incremental("m"), {
          series,
          points: 100,
          mock: { faults: manySeries(series, () => 3) }
        })
        assert.strictEqual(failuresOf(events), "")
        assert.strictEqual(samplesOf(events).size, 800)
        // Eight, four and four, two and two each; then those four parts for the second and third window.
        assert.isAtMost(windows(mock).length, 7 + 3 * 4)
        const one = yield* readAll(incremental("m"), {
          series: gauge("m", 32),
          points: 32,
          mock: { faults: onRange(({ points }) => (points > 8 ? refusal(422, SERIES_LIMIT) : undefined)) }
        })
        assert.deepStrictEqual(minutesOf(one.events), numbers(0, 31))
        assert.strictEqual(windows(one.mock).filter(([first, last]) => last - first === 7).length, 4)
      })
  )

  it.effect("is split although the server refuses to list the labels of a part", () =>
    Effect.gen(function* () {
      const series = [...gauge("m", 5, 8), ...gauge("other", 5, 20)]
      const { events } = yield* readAll(incremental("m"), {
        series,
        points: 5,
        mock: {
          faults: (request) =>
            request.path.startsWith("/api/v1/label") && request.params.has("match[]")
              ? refusal(422, SERIES_LIMIT)
              : manySeries(series, () => 2)(request)
        }
      })
      assert.strictEqual(failuresOf(events), "")
      assert.strictEqual(samplesOf(events).size, 40)
    })
  )

  it.effect("says why it could not be split by series", () =>
    Effect.gen(function* () {
      const series = gauge("m", 1, 3)
      const { events } = yield* readAll(incremental("m"), {
        series,
        points: 1,
        mock: {
          faults: (request) =>
            request.path.startsWith("/api/v1/label")
              ? refusal(400, "not today")
              : manySeries(series, () => 2)(request)
        }
      })
      assert.match(
        failuresOf(events),
        /exceeded series limit\. Its series could not be requested in parts, since the server did not list them: .*\/api\/v1\/labels returned HTTP 400: not today\. Use selector/
      )
    })
  )

  it.effect.prop(
    "is read completely, each sample once, for any labels and limits",
    { choices },
    ({ choices }) =>
      Effect.gen(function* () {
        const points = 1 + choices.below(20)
        const all = new Map<string, MockSeries>()
        for (const one of choices.list(12, () =>
          makeSeries(
            {
              __name__: "m",
              ...(choices.oneIn(4) ? {} : { instance: `10.0.0.${choices.below(30)}:9100` }),
              ...(choices.oneIn(3) ? { mode: choices.pick(["a", "b\nc", "(d|e)"]) } : {})
            },
            numbers(0, points - 1).map((i) => [start + i * minute, choices.below(1000)])
          )
        ))
          all.set(JSON.stringify(one.labels), one)
        const setting = { series: [...all.values()], points }
        const expected = samplesOf((yield* readAll(incremental("m"), setting)).events)
        const limit = () => 1 + choices.below(4)
        const limitSeries = manySeries(setting.series, limit)
        const { events } = yield* readAll(incremental("m"), {
          ...setting,
          config: { max_retries: 20 },
          mock: {
            maxSamples: 1 + choices.below(20),
            chunkBytes: choices.pick([7, 40, 65_536]),
            faults: (request, attempt) =>
              (choices.oneIn(2) ? limitSeries(request) : undefined) ??
              (attempt < 9 && choices.oneIn(3) && request.path.endsWith("query_range")
                ? { cutAfterBytes: choices.below(500) }
                : undefined)
          }
        })
        assert.strictEqual(failuresOf(events), "")
        assert.deepStrictEqual([...samplesOf(events)].sort(), [...expected].sort())
        let until = Number.NEGATIVE_INFINITY
        for (const event of events) {
          if (event._tag === "Checkpoint") until = event.state.timeMillis
          if (event._tag !== "Samples") continue
          for (const { times } of event.blocks) assert.isAbove(Math.min(...times), until)
        }
        assert.strictEqual(until, start + (points - 1) * minute)
      }),
    { arbitrary: { runs: runs(9, 125) }, timeout: 120_000 }
  )

  it.effect.prop(
    "is read completely from a server that is too slow for some requests, now for these and now for others",
    { choices },
    ({ choices }) =>
      Effect.gen(function* () {
        const points = 40 + choices.below(400)
        const setting = { series: gauge("m", points, 2 + choices.below(6)), points }
        const expected = samplesOf((yield* readAll(incremental("m"), setting)).events)
        const oneIn = 2 + choices.below(6)
        const slow = refusal(503, "query timed out in expression evaluation")
        const { events } = yield* readAll(incremental("m"), {
          ...setting,
          config: { max_retries: 1, concurrency: 1 + choices.below(4) },
          mock: {
            faults: ({ params, path }) => {
              const query = params.get("query") ?? ""
              if (!path.endsWith("query_range") || query.startsWith("count by")) return undefined
              // Never for one point of a part of the series, which cannot be split further.
              const isSmall = /[=!]~/.test(query) && params.get("start") === params.get("end")
              return !isSmall && choices.oneIn(oneIn) ? slow : undefined
            }
          }
        })
        assert.strictEqual(failuresOf(events), "")
        assert.deepStrictEqual([...samplesOf(events)].sort(), [...expected].sort())
      }),
    { arbitrary: { runs: runs(20, 200) }, timeout: 120_000 }
  )

  it.effect("may never arrive: smaller ones are requested once retries are exhausted", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll(incremental("m"), {
        series: gauge("m", 300),
        points: 300,
        config: { max_retries: 2 },
        mock: {
          faults: onRange(({ points }) =>
            points > 40 ? { delayMillis: Number.POSITIVE_INFINITY } : undefined
          )
        }
      })
      assert.strictEqual(failuresOf(events), "")
      assert.deepStrictEqual(minutesOf(events), numbers(0, 299))
      // 32 points; 256 three times, then half of that and a quarter once each; what comes after that is small.
      assert.deepStrictEqual(
        windows(mock)
          .filter(([first]) => first < 33)
          .map(([first, last]) => last - first + 1),
        [32, 256, 256, 256, 128, 64, 32]
      )
    })
  )

  it.effect("is assumed down to a single point if the server has never responded", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll(incremental("m"), {
        series: gauge("m", 300),
        points: 300,
        config: { max_retries: 2 },
        mock: { faults: onRange(() => ({ status: 504, body: "<title>Gateway Time-out</title>" })) }
      })
      assert.match(
        failuresOf(events),
        /HTTP 504: a web page titled "Gateway Time-out"\. It does so even for one point of one series, at 2026-01-01T00:00:00Z\. If the server is only slow/
      )
      // The first window three times, smaller ones once, a single point three times; and two windows that were requested ahead.
      assert.deepStrictEqual(
        windows(mock).map(([first, last]) => Math.floor(last) - first + 1),
        [32, 32, 32, 16, 8, 4, 2, 1, 16, 1, 1, 1]
      )
    })
  )

  it.effect("is recognised by its text despite another code", () =>
    Effect.gen(function* () {
      let asked = 0
      const { events, mock } = yield* readAll(incremental("m"), {
        series: gauge("m", 20),
        points: 20,
        mock: {
          faults: onRange(({ from }) => {
            if (from > 0 || asked++ > 0) return undefined
            return refusal(503, "query timed out in expression evaluation")
          })
        }
      })
      assert.deepStrictEqual(minutesOf(events), numbers(0, 19))
      assert.deepStrictEqual(
        windows(mock).map(([first, last]) => last - first + 1),
        [20, 10, 10]
      )
    })
  )

  describe("and has new labels each time", () => {
    const tooMany = new PrometheusError({ reason: "TooManySeries", summary: SERIES_LIMIT })

    /** A source that refuses parts of `m` until they were split that often, and lists other labels for each part. */
    const endlessLabels = (splits: number) => {
      let requests = 0
      const list = (prefix: string, length: number) =>
        Effect.sync(() => {
          requests++
          return Array.from({ length }, (_, i) => `${prefix}${requests}_${i}`)
        })
      const layer = Layer.succeed(BlockSource, {
        open: ({ name }) => ({
          metrics: new Set([name]),
          bounds: gridBounds,
          expect: (range) => range,
          request: (_, matchers) =>
            Effect.suspend(() => {
              requests++
              return name === "m" && matchers.length < splits ? tooMany : Effect.succeed(Stream.empty)
            }),
          missing: Effect.undefined,
          mayMoveStart: Effect.succeed(false),
          closeTo: () => Effect.succeed([]),
          index: () => ({ labelNames: () => list("label", 1), labelValues: () => list("value", 16) })
        })
      })
      return { layer, requests: () => requests }
    }

    it.effect("fails its stream after a number of nested splits", () =>
      Effect.gen(function* () {
        const source = endlessLabels(Infinity)
        const events = yield* readFrom(source.layer, 10, incremental("m", "n"))
        assert.match(
          failuresOf(events),
          /exceeded series limit.* were split 256 times, one part from another, and that is the limit\. /
        )
        assert.strictEqual(of(events, "n").at(-1)?._tag, "Completed")
        assert.isBelow(source.requests(), 2000)
      })
    )

    it.effect("fails its stream after a number of splits in total", () =>
      Effect.gen(function* () {
        const source = endlessLabels(20)
        const events = yield* readFrom(source.layer, 10, incremental("m"))
        assert.match(failuresOf(events), / were split 2,000 times, and that is the limit\. /)
        assert.isBelow(source.requests(), 15_000)
      })
    )
  })
})
