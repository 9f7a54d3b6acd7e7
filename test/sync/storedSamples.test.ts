/** Reads of stored samples: every one with its own time, once, whatever fails and wherever a read resumes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import type { Faults } from "../../src/mock/faults.ts"
import type { Fault, MockRequest } from "../../src/mock/http.ts"
import type { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { type MockSeries, type MockValue, makeSeries } from "../../src/mock/MockSeries.ts"
import { isRead, parseReadRequest } from "../../src/mock/readRequest.ts"
import { crc32c } from "../../src/prometheus/remoteRead/crc32c.ts"
import { integer, message, varint } from "../../src/prometheus/remoteRead/protobufWriter.ts"
import { formatFloat64 } from "../../src/samples/formatFloat64.ts"
import type { Histogram } from "../../src/samples/Sample.ts"
import type { ReadEvent } from "../../src/sync/ReadEvent.ts"
import { rawBounds } from "../../src/sync/WindowSize.ts"
import { type Choices, choices } from "../choices.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { runs } from "../support/runs.ts"
import {
  checkpoints,
  failuresOf,
  fullRefresh,
  incremental,
  readAll,
  refusal,
  type Setting,
  samplesOf,
  story
} from "./readMock.ts"

const hour = 60 * minute
const day = 24 * hour

const raw = { sampling: "raw" }

/** The ranges of the remote reads that a mock received, in milliseconds from the start. */
const reads = (mock: MockPrometheus): ReadonlyArray<readonly [from: number, to: number]> =>
  mock.requests.filter(isRead).map(({ body }) => {
    const { endMillis, startMillis } = parseReadRequest(body).queries[0]!
    return [startMillis - start, endMillis - start]
  })

/** The range of an instant query for stored samples, which begins a millisecond earlier. */
const queriedRange = ({ params, path }: MockRequest) => {
  const [, length] = /\[(\d+)ms\]$/.exec(params.get("query") ?? "") ?? []
  if (path !== "/api/v1/query" || length === undefined) return undefined
  const endMillis = Math.round(Number(params.get("time")) * 1000)
  return { startMillis: endMillis - Number(length), endMillis }
}

/** A fault of requests for stored samples only, by their range. */
const onRead =
  (fault: (from: number, to: number, attempt: number) => Fault | undefined): Faults =>
  (request, attempt) => {
    const range = isRead(request) ? parseReadRequest(request.body).queries[0]! : queriedRange(request)
    return range === undefined
      ? undefined
      : fault(range.startMillis - start, range.endMillis - start, attempt)
  }

const keyOf = ({ labels }: MockSeries, time: number): string => `[${JSON.stringify(labels)},${time}]`

const textOf = (value: number | Histogram): string =>
  typeof value === "number" ? formatFloat64(value) : JSON.stringify(value)

/** The stored samples of a closed range, as `samplesOf` shows those that are read. */
const stored = (
  series: ReadonlyArray<MockSeries>,
  from: number,
  to: number
): ReadonlyArray<readonly [string, string]> =>
  series.flatMap((one) =>
    one.values.flatMap((value, i) => {
      const time = one.times[i]!
      return value === "stale" || time < from || time > to ? [] : [[keyOf(one, time), textOf(value)] as const]
    })
  )

const sorted = (samples: Iterable<readonly [string, string]>) =>
  [...samples].toSorted(([a], [b]) => (a < b ? -1 : 1))

/** Every checkpoint comes after all samples up to its time, and before all later ones. */
const assertCheckpoints = (events: ReadonlyArray<ReadEvent>, from: number): void => {
  let time = from
  let latest = from
  for (const event of events) {
    if (event._tag === "Samples") {
      for (const { times } of event.blocks) {
        for (const sample of times) {
          assert.isAbove(sample, time)
          latest = Math.max(latest, sample)
        }
      }
    } else if (event._tag === "Checkpoint") {
      assert.isAtLeast(event.state.timeMillis, Math.max(time, latest))
      time = event.state.timeMillis
      assert.strictEqual(event.state.sampling, "raw")
      assert.isUndefined(event.state.step)
    }
  }
}

const floats = [0, -0, 0.1, 1e-7, 1e21, 5e-324, Number.NaN, Infinity, -Infinity, 123456.75, 1 / 3]

const valueOf = (choices: Choices, isHistogram: boolean): MockValue => {
  if (choices.oneIn(20)) return "stale"
  if (!isHistogram) return choices.oneIn(3) ? choices.pick(floats) : choices.below(1e9) / 1e3
  return {
    count: `${choices.below(9) + 1}`,
    sum: "1.5",
    buckets: [{ boundaries: 0, lower: "1", upper: "2", count: `${choices.below(9) + 1}` }]
  }
}

/** Series with samples at any times: close together, in the same millisecond, rare, and with long gaps. */
const anyStored = (choices: Choices, minutes: number): ReadonlyArray<MockSeries> =>
  Array.from({ length: choices.between(1, 4) }, (_, n) => {
    const samples = new Map<number, MockValue>()
    const kinds = choices.below(3)
    let time = start + choices.below(choices.pick([1, minute, day]))
    for (let left = choices.between(1, 400); left > 0 && time <= start + minutes * minute; left--) {
      samples.set(time, valueOf(choices, kinds === 2 && choices.oneIn(2)))
      time += choices.pick([1, 15_000, 15_000, 15_003, 60_000, choices.oneIn(20) ? 30 * hour : 999])
    }
    return makeSeries({ __name__: "m", n: `${n}` }, samples)
  })

const anyFault = (choices: Choices): Fault =>
  choices.pick<Fault>([
    { cutAfterBytes: choices.below(400) },
    { cutAfterBytes: choices.below(5000) },
    { reset: true },
    refusal(503, "not ready"),
    { status: 502, body: "<html>Bad gateway</html>" }
  ])

/** A frame with a series, one chunk, and an encoding of the future. */
const unknownChunk = (() => {
  const label = (name: string, value: string) =>
    message(1, Buffer.concat([message(1, Buffer.from(name)), message(2, Buffer.from(value))]))
  const chunk = Buffer.concat([
    integer(1, start),
    integer(2, start),
    integer(3, 99),
    message(4, Buffer.of(0, 0))
  ])
  const content = message(1, Buffer.concat([label("__name__", "m"), label("n", "0"), message(2, chunk)]))
  const checksum = Buffer.alloc(4)
  checksum.writeUInt32BE(crc32c(content))
  return Buffer.concat([varint(content.length), checksum, content])
})()

const logInto = (lines: Array<string>) =>
  Logger.make(({ message }) => {
    lines.push(String(message))
  })

describe("a read of stored samples", () => {
  it.effect.prop(
    "emits each of them once, whatever fails, and resumes from any checkpoint",
    [choices],
    ([choices]) =>
      Effect.gen(function* () {
        const points = choices.between(2, choices.oneIn(2) ? 100 : 6000)
        const series = anyStored(choices, points)
        const now = start + (points - 1) * minute
        const failing = new Set(Array.from({ length: choices.below(5) }, () => choices.below(12)))
        const fault = anyFault(choices)
        const most = choices.oneIn(2) ? choices.between(1, 40) * 600_000 : Number.POSITIVE_INFINITY
        let requests = 0
        const setting: Setting = {
          series,
          points,
          config: raw,
          mock: {
            remoteRead: choices.oneIn(2),
            externalLabels: choices.pick([{}, { region: "eu" }, { n: "0" }]),
            faults: onRead((from, to, attempt) => {
              if (to - from >= most)
                return refusal(422, "query processing would load too many samples into memory")
              return attempt <= 2 && failing.has(requests++) ? fault : undefined
            })
          }
        }
        const { events } = yield* readAll(incremental("m"), setting)
        assert.deepStrictEqual(sorted(samplesOf(events)), sorted(stored(series, start, now)))
        assertCheckpoints(events, start - 1)
        const states = checkpoints(events)
        assert.strictEqual(states.at(-1)!.timeMillis, now)

        const state = choices.pick(states)
        const lookback = choices.pick([0, 1, 3600])
        const mode = choices.oneIn(2) ? incremental("m") : fullRefresh("m")
        const isIncremental = mode[0]!.mode === "incremental"
        const { events: later } = yield* readAll(mode, {
          ...setting,
          config: { ...raw, lookback_window: lookback },
          states: { m: { ...state, ...(isIncremental ? {} : { full_refresh: true }) } }
        })
        const from = state.timeMillis - (isIncremental ? lookback * 1000 : 0) + 1
        assert.deepStrictEqual(sorted(samplesOf(later)), sorted(stored(series, Math.max(start, from), now)))
      }),
    { arbitrary: { runs: runs(10, 60) } }
  )

  it.effect("requests two hours first, then as long as a response has few samples", () =>
    Effect.gen(function* () {
      const points = 200 * 24 * 60
      const { events, mock } = yield* readAll(incremental("m"), {
        series: gauge("m", 3000),
        points,
        config: raw
      })
      assert.strictEqual(samplesOf(events).size, 3000)
      assert.strictEqual(
        story(events),
        "Started Running Samples Checkpoint Samples Checkpoint Samples Checkpoint Completed"
      )
      const windows = reads(mock)
      assert.deepStrictEqual(windows[0], [0, 2 * hour - 1])
      assert.deepStrictEqual(windows[1], [2 * hour, 18 * hour - 1])
      for (const [i, [from]] of windows.entries()) if (i > 0) assert.strictEqual(from, windows[i - 1]![1] + 1)
      assert.strictEqual(windows.at(-1)![1], (points - 1) * minute)
      assert.isBelow(windows.length, 12)
      for (const [from, to] of windows) assert.isAtMost(to - from + 1, rawBounds.mostPoints)
    })
  )

  it.effect("adds the selector of the settings and of overrides", () =>
    Effect.gen(function* () {
      const series = ["m", "o"].flatMap((name) => gauge(name, 10, 3))
      const { events } = yield* readAll(incremental("m", "o"), {
        series,
        points: 10,
        config: { ...raw, selector: '{n="1"}', overrides: [{ metrics: "o", selector: '{n=~"0|2"}' }] }
      })
      const expected = series.filter(({ labels }) => {
        const [, [, n] = ["", ""]] = labels
        return labels[0]![1] === "m" ? n === "1" : n !== "1"
      })
      assert.deepStrictEqual(sorted(samplesOf(events)), sorted(stored(expected, start, start + 9 * minute)))
    })
  )

  it.effect("reads points for metrics whose override says step", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll(incremental("m", "o"), {
        series: ["m", "o"].flatMap((name) => gauge(name, 10)),
        points: 10,
        config: { ...raw, overrides: [{ metrics: "o", sampling: "step", step: 120 }] }
      })
      assert.strictEqual(samplesOf(events.filter(({ stream }) => stream === "m")).size, 10)
      assert.strictEqual(samplesOf(events.filter(({ stream }) => stream === "o")).size, 5)
      assert.deepStrictEqual(
        checkpoints(events)
          .map(({ sampling, step }) => sampling ?? step)
          .toSorted(),
        [120, "raw"]
      )
      assert.lengthOf(reads(mock), 1)
    })
  )

  it.effect("reads all metrics of a group, in requests of several", () =>
    Effect.gen(function* () {
      const series = ["node_a", "node_b", "other"].flatMap((name) => gauge(name, 10, 2))
      const { events, mock } = yield* readAll(incremental("node"), {
        series,
        points: 10,
        config: { ...raw, groups: [{ name: "node", metrics: { include: ["node_*"] } }] }
      })
      assert.deepStrictEqual(
        sorted(samplesOf(events)),
        sorted(stored(series.slice(0, 4), start, start + 9 * minute))
      )
      assert.lengthOf(reads(mock), 1)
    })
  )

  it.effect(
    "continues after the time of a state of points, and a read of points after one of stored samples",
    () =>
      Effect.gen(function* () {
        const series = gauge("m", 20)
        const time = start + 9 * minute + 30_001
        const { events } = yield* readAll(incremental("m"), {
          series,
          points: 20,
          config: raw,
          states: { m: { time: iso(start + 9 * minute), step: 60, version: 1 } }
        })
        assert.deepStrictEqual(
          sorted(samplesOf(events)),
          sorted(stored(series, start + 9 * minute + 1, start + 19 * minute))
        )
        const { events: back } = yield* readAll(incremental("m"), {
          series,
          points: 20,
          states: { m: { time: iso(time), sampling: "raw", version: 1 } }
        })
        assert.deepStrictEqual(sorted(samplesOf(back)), sorted(stored(series, time, start + 19 * minute)))
        assert.deepInclude(checkpoints(back).at(-1), { step: 60 })
        assert.isUndefined(checkpoints(back).at(-1)!.sampling)
      })
  )

  it.effect("reads everything again if a refresh of points was stopped", () =>
    Effect.gen(function* () {
      const series = gauge("m", 20)
      const { events } = yield* readAll(fullRefresh("m"), {
        series,
        points: 20,
        config: raw,
        states: { m: { time: iso(start + 9 * minute), step: 60, version: 1, full_refresh: true } }
      })
      assert.strictEqual(samplesOf(events).size, 20)
    })
  )

  it.effect("uses queries where there is no remote read, and says so once", () =>
    Effect.gen(function* () {
      const series = ["m", "o"].flatMap((name) => gauge(name, 600, 2))
      const lines: Array<string> = []
      const { events, mock } = yield* readAll(incremental("m", "o"), {
        series,
        points: 600,
        config: { ...raw, concurrency: 1 },
        mock: { remoteRead: false }
      }).pipe(Effect.provide(Logger.layer([logInto(lines)])))
      assert.deepStrictEqual(sorted(samplesOf(events)), sorted(stored(series, start, start + 599 * minute)))
      assert.lengthOf(reads(mock), 1)
      assert.lengthOf(
        lines.filter((line) => line.includes("Stored samples are read by queries")),
        1
      )
    })
  )

  it.effect("uses queries where a series has the label and value that the server adds", () =>
    Effect.gen(function* () {
      const series = gauge("m", 10, 2)
      for (const [externalLabels, requests] of [
        [{ n: "1" }, 0],
        [{ region: "eu" }, 1]
      ] as const) {
        const { events, mock } = yield* readAll(incremental("m"), {
          series,
          points: 10,
          config: raw,
          mock: { externalLabels }
        })
        assert.deepStrictEqual(sorted(samplesOf(events)), sorted(stored(series, start, start + 9 * minute)))
        assert.lengthOf(reads(mock), requests)
      }
    })
  )

  it.effect("uses queries after chunks in an unknown encoding", () =>
    Effect.gen(function* () {
      const series = ["m", "o"].flatMap((name) => gauge(name, 300, 2))
      const { events, mock } = yield* readAll(incremental("m", "o"), {
        series,
        points: 300,
        config: { ...raw, concurrency: 1 },
        mock: {
          faults: (request) => {
            if (!isRead(request)) return undefined
            const headers = {
              "content-type": "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
            }
            return { status: 200, headers, body: unknownChunk }
          }
        }
      })
      assert.strictEqual(failuresOf(events), "")
      assert.deepStrictEqual(sorted(samplesOf(events)), sorted(stored(series, start, start + 299 * minute)))
      // Windows that were requested ahead are refused too.
      assert.isBelow(reads(mock).length, 8)
    })
  )

  it.effect(
    "uses queries where the server reads from others, which a remote read may lack without a word",
    () =>
      Effect.gen(function* () {
        const series = gauge("m", 10, 2)
        const yaml =
          "global:\n  scrape_interval: 15s\nremote_read:\n- url: http://other.example/api/v1/read\n"
        const lines: Array<string> = []
        const { events, mock } = yield* readAll(incremental("m"), {
          series,
          points: 10,
          config: raw,
          mock: {
            faults: ({ path }) =>
              path === "/api/v1/status/config"
                ? { status: 200, body: JSON.stringify({ status: "success", data: { yaml } }) }
                : undefined
          }
        }).pipe(Effect.provide(Logger.layer([logInto(lines)])))
        assert.deepStrictEqual(sorted(samplesOf(events)), sorted(stored(series, start, start + 9 * minute)))
        assert.isEmpty(reads(mock))
        assert.lengthOf(
          lines.filter((line) => line.includes("The server also reads from other servers")),
          1
        )
      })
  )

  it.effect("splits by series what the server refuses even for a second", () =>
    Effect.gen(function* () {
      const series = gauge("m", 2, 4)
      const { events, mock } = yield* readAll(incremental("m"), {
        series,
        points: 2,
        config: { ...raw, end_date: iso(start + 10_000) },
        mock: {
          faults: (request) => {
            if (!isRead(request)) return undefined
            const { matchers } = parseReadRequest(request.body).queries[0]!
            return matchers.length < 3 ? refusal(422, "exceeded sample limit (3)") : undefined
          }
        }
      })
      assert.strictEqual(failuresOf(events), "")
      assert.deepStrictEqual(sorted(samplesOf(events)), sorted(stored(series, start, start)))
      const shortest = Math.min(...reads(mock).map(([from, to]) => to - from + 1))
      assert.isAtLeast(shortest, rawBounds.leastPoints / 2)
    })
  )

  it.effect(
    "reads around samples that the server cannot return, and does not save the state after them",
    () =>
      Effect.gen(function* () {
        const series = gauge("m", 300)
        const [from, to] = [100 * minute - 5000, 110 * minute + 5000]
        const setting: Setting = {
          series,
          points: 300,
          config: { ...raw, max_retries: 1 },
          mock: {
            faults: onRead((first, last) =>
              first <= to && last >= from
                ? refusal(500, "cannot populate chunk 8: segment index 0 out of range")
                : undefined
            )
          }
        }
        const { events, mock } = yield* readAll(incremental("m"), setting)
        const lost = new Set(Array.from({ length: 11 }, (_, i) => start + (100 + i) * minute))
        const expected = stored(series, start, start + 299 * minute)
        assert.deepStrictEqual(
          sorted(samplesOf(events)),
          sorted(expected.filter(([key]) => !lost.has((JSON.parse(key) as [unknown, number])[1])))
        )
        assert.match(
          failuresOf(events),
          /The rest of m was read, but not the samples from 2026-01-01T01:39:5\d.*Z to 2026-01-01T01:50:0.*Z\. /
        )
        assert.isBelow(checkpoints(events).at(-1)!.timeMillis, start + from)
        assert.isBelow(reads(mock).length, 600)
      })
  )

  it.effect("says what is read and nothing of points", () =>
    Effect.gen(function* () {
      const { events } = yield* readAll(incremental("m"), {
        series: gauge("m", 3),
        points: 3,
        config: { ...raw, max_retries: 0 },
        mock: { faults: onRead(() => refusal(422, "exceeded sample limit (3)")) }
      })
      assert.match(
        failuresOf(events),
        /It does so even for one second of one series, 2026-01-01T00:00:00Z to /
      )
      assert.notInclude(failuresOf(events), "point")
    })
  )
})
