/** Remote read from real servers: every sample is the one that is stored, and is written as the query API writes it. */
import { setTimeout as sleep } from "node:timers/promises"
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger, Stream } from "effect"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import { PrometheusClient } from "../../src/prometheus/PrometheusClient.ts"
import type { ResponseForm } from "../../src/prometheus/RangeQuery.ts"
import { FrameReader } from "../../src/prometheus/remoteRead/FrameReader.ts"
import { ProtobufReader } from "../../src/prometheus/remoteRead/ProtobufReader.ts"
import { readRequest } from "../../src/prometheus/remoteRead/readRequest.ts"
import { hasLabel } from "../../src/promql/Matcher.ts"
import { type Histogram, textAt } from "../../src/samples/Sample.ts"
import { Choices } from "../choices.ts"
import type { PrometheusRelease } from "../support/binaries.ts"
import { minute, start } from "../support/gauge.ts"
import type { RealServer } from "../support/RealServer.ts"
import { anySeries } from "../support/randomSeries.ts"
import { CUSTOM_BUCKETS, type NativeHistogram, type RemoteSeriesInput } from "../support/remoteWrite.ts"
import { describeEachConcurrently, prometheusServers } from "../support/servers.ts"
import { numberOf, tsdbDump } from "../support/tsdbDump.ts"

/** Samples as text by series and time. */
type Samples = ReadonlyMap<string, string | Histogram>

const keyOf = (labels: Iterable<readonly [string, string]>, time: number): string =>
  `${JSON.stringify([...labels].toSorted(([a], [b]) => (a < b ? -1 : 1)))} ${time}`

/** All samples of a range by remote read. None may be repeated, and all of a series are in the order of time. */
const remoteRead = Effect.fnUntraced(function* (
  server: RealServer,
  startMillis: number,
  endMillis: number,
  accepted?: ReadonlyArray<ResponseForm>
) {
  const samples = new Map<string, string | Histogram>()
  const latest = new Map<string, number>()
  const config = { base_url: server.baseUrl, start_date: "2026-01-01", max_retries: 0 }
  const layer = Layer.provide(PrometheusClient.layer, ConnectorConfig.layerFrom(config))
  yield* Effect.gen(function* () {
    const client = yield* PrometheusClient
    const blocks = yield* client.remoteRead({
      matchers: [hasLabel("__name__")],
      startMillis,
      endMillis,
      ...(accepted === undefined ? {} : { accepted })
    })
    yield* Stream.runForEach(blocks, (block) =>
      Effect.sync(() => {
        for (let i = 0; i < block.length; i++) {
          const time = block.times[i]!
          assert.isAbove(time, latest.get(block.series.id) ?? Number.NEGATIVE_INFINITY)
          latest.set(block.series.id, time)
          samples.set(
            keyOf(block.series.labels, time),
            block._tag === "HistogramBlock" ? block.histograms[i]! : textAt(block, i)
          )
        }
      })
    )
  }).pipe(Effect.provide(layer), Effect.provide(Logger.layer([])), Effect.scoped)
  return samples as Samples
})

interface ApiSeries {
  readonly metric: Readonly<Record<string, string>>
  readonly values?: ReadonlyArray<readonly [number, string]>
  readonly histograms?: ReadonlyArray<
    readonly [
      number,
      {
        readonly count: string
        readonly sum: string
        readonly buckets?: ReadonlyArray<readonly [number, string, string, string]>
      }
    ]
  >
}

type ApiHistogram = Exclude<ApiSeries["histograms"], undefined>[number][1]

const asWritten = ({ buckets = [], count, sum }: ApiHistogram): Histogram => ({
  count,
  sum,
  buckets: buckets.map(([boundaries, lower, upper, count]) => ({ boundaries, lower, upper, count }))
})

/** The encodings of the chunks that a server sends. */
const encodingsOf = Effect.fnUntraced(function* (server: RealServer, startMillis: number, endMillis: number) {
  const request = readRequest([{ matchers: [hasLabel("__name__")], startMillis, endMillis }], ["chunks"])
  const bytes = yield* Effect.promise(async () => {
    const response = await fetch(`${server.baseUrl}/api/v1/read`, { method: "POST", body: request })
    return response.bytes()
  })
  const encodings = new Set<number>()
  /** Reads the messages in a field, and the encoding of a chunk. */
  const visit = (message: ProtobufReader, [inner, ...rest]: ReadonlyArray<number>): void => {
    for (let field = message.next(); field !== 0; field = message.next()) {
      if (field === inner) visit(message.message(), rest)
      else if (inner === undefined && field === 3) encodings.add(message.int64())
      else message.skip()
    }
  }
  for (const frame of new FrameReader().push(bytes)) visit(new ProtobufReader(frame), [1, 2])
  return [...encodings].sort()
})

/** The histograms of a grid of minutes: version 2 mixes those of several series up in the response to a range of samples. */
const histogramsAt = Effect.fnUntraced(function* (
  server: RealServer,
  startMillis: number,
  endMillis: number
) {
  const series = yield* server.queryRange('{kind!=""}', startMillis / 1000, endMillis / 1000, 60)
  return new Map(
    (series as ReadonlyArray<ApiSeries>).flatMap(({ histograms = [], metric }) =>
      histograms.map(
        ([seconds, histogram]) =>
          [keyOf(Object.entries(metric), seconds * 1000), asWritten(histogram)] as const
      )
    )
  )
})

/** The same by the query API. */
const queried = Effect.fnUntraced(function* (server: RealServer, startMillis: number, endMillis: number) {
  const samples = new Map<string, string | Histogram>()
  const response = yield* server.get("/api/v1/query", {
    // The left end is open in version 3, and closed in version 2: there is no sample at it.
    query: `{__name__!=""}[${endMillis - startMillis + 1}ms]`,
    time: `${endMillis / 1000}`
  })
  for (const series of (response as { data: { result: ReadonlyArray<ApiSeries> } }).data.result) {
    const key = (seconds: number) => keyOf(Object.entries(series.metric), Math.round(seconds * 1000))
    for (const [seconds, value] of series.values ?? []) samples.set(key(seconds), value)
    for (const [seconds, histogram] of series.histograms ?? [])
      samples.set(key(seconds), asWritten(histogram))
  }
  return samples as Samples
})

/** What promtool finds in the files of a server. */
const dumped = (server: RealServer, release: PrometheusRelease) =>
  Effect.map(
    tsdbDump(server.folder, release),
    (samples) =>
      new Map<string, unknown>(samples.map(({ labels, time, value }) => [keyOf(labels, time), value]))
  )

const asNumbers = (samples: Samples) =>
  new Map(
    Array.from(samples, ([key, value]) => [
      key,
      typeof value === "string"
        ? numberOf(value)
        : {
            count: numberOf(value.count),
            sum: numberOf(value.sum),
            buckets: value.buckets.map(({ count }) => numberOf(count))
          }
    ])
  )

const sorted = <A>(samples: ReadonlyMap<string, A>) =>
  [...samples].toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))

const hostile = [
  0,
  -0,
  1,
  -1,
  0.1,
  1 / 3,
  1e-6,
  9.9e-7,
  1e-7,
  1e20,
  1e21,
  1e-300,
  5e-324,
  1.7976931348623157e308,
  2 ** 53,
  2 ** 53 + 2,
  123456789.125,
  Number.NaN,
  Infinity,
  -Infinity,
  4.000000000000001,
  0.30000000000000004
]

/** Random walks, counters, unchanged and hostile values, at regular and irregular times. */
const stored = (choices: Choices) => [
  ...["walk", "counter", "constant", "hostile"].map((kind) => ({
    labels: { __name__: `stored_${kind}`, text: 'quoted "é\\\n' },
    samples: Array.from({ length: 1000 }, (_, i) => {
      const value = {
        walk: choices.below(1e9) / 1e6,
        counter: 3 * i,
        constant: 7,
        hostile: hostile[i % hostile.length]!
      }
      return [
        start + 15_000 * i + (i % 40 === 0 ? choices.below(900) : 0),
        value[kind as keyof typeof value]
      ] as const
    })
  })),
  { labels: { __name__: "stored_once" }, samples: [[start + 1, 42.5] as const] }
]

const end = start + 1000 * 15_000

describeEachConcurrently(prometheusServers, "remote read of a real $name", ({ make, release }) => {
  it.effect("has every sample of blocks, at the ends of the range too", () =>
    Effect.gen(function* () {
      const series = stored(new Choices(1, 1e9))
      const server = yield* make({ series, blockHours: 2 })
      const samples = yield* remoteRead(server, start, end)
      assert.lengthOf([...samples], 4001)
      assert.deepStrictEqual(sorted(asNumbers(samples)), sorted(yield* dumped(server, release)) as unknown)
      assert.deepStrictEqual(sorted(samples), sorted(yield* queried(server, start, end)))
      // This form loses the sign of a zero.
      const unsigned = new Map(Array.from(samples, ([key, value]) => [key, value === "-0" ? "0" : value]))
      assert.deepStrictEqual(sorted(yield* remoteRead(server, start, end, ["samples"])), sorted(unsigned))
      for (const [from, to] of [
        [start + 150_000, start + 150_000],
        [start + 150_001, start + 3_000_000],
        [start + 7_200_000 - 1, start + 7_200_000],
        [end + minute, end + 2 * minute]
      ] as const) {
        const cut = yield* remoteRead(server, from, to)
        assert.deepStrictEqual(
          sorted(cut),
          sorted(samples).filter(([key]) => {
            const time = Number(key.slice(key.lastIndexOf(" ")))
            return time >= from && time <= to
          })
        )
      }
    })
  )

  it.effect("has late samples in their place, and no stale markers", () =>
    Effect.gen(function* () {
      const now = Math.floor(Date.now() / minute) * minute
      const from = now - 40 * minute
      const server = yield* make({ remoteWriteReceiver: true, outOfOrderWindow: "1h" })
      const series = [
        ...anySeries(new Choices(7, 1e9), "late", from, now - minute, 60_000),
        {
          labels: { __name__: "late", n: "ends often" },
          samples: Array.from(
            { length: 200 },
            (_, i) => [from + i * 10_000, i % 5 === 4 ? "stale" : i] as const
          )
        }
      ]
      const isEarly = (time: number) => (time / 1000) % 7 < 4
      const part = (early: boolean) =>
        series
          .map(({ labels, samples }) => ({
            labels,
            samples: samples.filter(([time]) => isEarly(time) === early)
          }))
          .filter(({ samples }) => samples.length > 0)
      yield* server.remoteWrite(part(true))
      yield* server.remoteWrite(part(false))
      const samples = yield* remoteRead(server, from, now)
      const expected = new Map<string, string>()
      const markers = new Set<string>()
      for (const { labels, samples } of series) {
        for (const [time, value] of samples) {
          const key = keyOf(Object.entries(labels as Record<string, string>), time)
          if (value === "stale") markers.add(key)
          else expected.set(key, `${value}`)
        }
      }
      assert.isAbove(markers.size, 0)
      assert.deepStrictEqual(sorted(samples), sorted(expected))
      const all = yield* dumped(server, release)
      assert.deepStrictEqual(
        sorted(asNumbers(samples)),
        sorted(all).filter(([key]) => !markers.has(key)) as unknown
      )
    })
  )

  const flags = [
    "--enable-feature=native-histograms",
    ...(release === 3 ? ["--enable-feature=st-storage,histograms-st-encoding,xor2-encoding"] : [])
  ]

  it.effect.each(flags)("has native histograms and floats of all kinds with %s", (flag) =>
    Effect.gen(function* () {
      const now = Math.floor(Date.now() / minute) * minute
      const from = now - 50 * minute
      const server = yield* make({
        remoteWriteReceiver: true,
        flags: [flag],
        scrape: {
          text: "# TYPE jobs counter\njobs_total 5\njobs_created 1767225600\n# EOF\n"
        }
      })
      yield* server.remoteWrite(histograms(from, release))
      yield* Effect.promise(() => sleep(2500))
      const to = Date.now() - 1000
      const samples = yield* remoteRead(server, from, to)
      const isNew = flag.includes("xor2")
      assert.deepStrictEqual(yield* encodingsOf(server, from, to), isNew ? [4, 5, 6] : [1, 2, 3])
      const kinds = [...samples.values()].map((value) => typeof value)
      assert.isAbove(kinds.filter((kind) => kind === "object").length, release === 3 ? 280 : 200)
      assert.isAbove(kinds.filter((kind) => kind === "string").length, 20)
      if (release === 2) {
        const points = yield* histogramsAt(server, from, from + 39 * minute)
        for (const key of points.keys()) if (key.includes('"stale"') && !samples.has(key)) points.delete(key)
        assert.deepStrictEqual(
          sorted(samples).filter(([, value]) => typeof value === "object"),
          sorted(points)
        )
      } else assert.deepStrictEqual(sorted(samples), sorted(yield* queried(server, from, to)))
      const inOneMessage = yield* remoteRead(server, from, to, ["samples"])
      assert.deepStrictEqual(
        sorted(inOneMessage),
        // Version 2 leaves histograms out of this form.
        sorted(samples).filter(([, value]) => release === 3 || typeof value === "string")
      )
      if (release === 2) return
      const all = new Map(
        [...(yield* dumped(server, release))].filter(
          ([key]) => samples.has(key) || key.includes('"histogram_')
        )
      )
      for (const key of all.keys()) if (key.includes('"stale"') && !samples.has(key)) all.delete(key)
      assert.deepStrictEqual(sorted(asNumbers(samples)), sorted(all) as unknown)
    })
  )
})

const total = (counts: ReadonlyArray<number>): number => counts.reduce((sum, count) => sum + count, 0)

/** Histograms of all schemas and kinds, which grow, are reset, and have buckets that come and go. */
const histograms = (from: number, release: PrometheusRelease): ReadonlyArray<RemoteSeriesInput> => {
  const choices = new Choices(3, 1e9)
  const series = (
    kind: string,
    of: (i: number) => Omit<NativeHistogram, "count" | "sum"> | "stale" | number
  ): RemoteSeriesInput => ({
    labels: { __name__: `histogram_${kind}`, kind },
    samples: Array.from({ length: 40 }, (_, i) => {
      const value = of(i)
      if (typeof value !== "object") return [from + i * minute, value] as const
      const { counts, negativeCounts = [], zeroCount } = value
      const count = total([...counts, ...negativeCounts, zeroCount])
      return [from + i * minute, { ...value, count, sum: i * 1.5 - 7 }] as const
    })
  })
  const none = { zeroThreshold: 2 ** -128, zeroCount: 0 }
  const all = [
    ...[-4, -1, 0, 3, 8].map((schema) =>
      series(`integers_${schema}`, (i) => ({
        ...none,
        isInteger: true,
        schema,
        zeroThreshold: choices.oneIn(9) ? 0.3 : 0.001,
        zeroCount: i % 13,
        offset: -3 - (i > 20 ? 2 : 0),
        counts: Array.from({ length: 6 + Math.floor(i / 10) }, (_, b) =>
          b === 2 ? 0 : choices.below(50) + 5 * i
        ),
        negativeOffset: 1,
        negativeCounts: [i, 2 * i, choices.below(9)]
      }))
    ),
    series("floats", (i) => ({
      ...none,
      schema: 2,
      offset: 5,
      zeroCount: i / 4,
      counts: [i / 3, choices.below(1000) / 7, 1.5 * i, 2]
    })),
    series("large", (i) => ({
      ...none,
      isInteger: true,
      schema: 1,
      offset: 0,
      counts: [2 ** 45 * (i + 1), 3 * i]
    })),
    series("stale", (i) => (i % 7 === 6 ? "stale" : { ...none, schema: 0, offset: 0, counts: [i, 1] })),
    series("mixed", (i) => (i % 10 < 5 ? i + 0.5 : { ...none, schema: 0, offset: 0, counts: [i, 1] })),
    {
      labels: { __name__: "histogram_floats_beside" },
      samples: Array.from({ length: 40 }, (_, i) => [from + i * minute + (i % 3), i / 3] as const)
    }
  ]
  if (release === 2) return all
  return [
    ...all,
    ...[true, false].map((isInteger) =>
      series(`custom_${isInteger}`, (i) => ({
        zeroThreshold: 0,
        zeroCount: 0,
        isInteger,
        schema: CUSTOM_BUCKETS,
        customBounds: [-1, 0.005, 0.1 + 0.2, 2.5, 40_000],
        offset: 0,
        counts: [i, 2 * i, 0, 3, choices.below(5), i]
      }))
    )
  ]
}
