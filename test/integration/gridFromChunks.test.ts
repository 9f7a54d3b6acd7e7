/** The points of a grid by remote read from real servers: the records are those of `query_range`. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger, Stream } from "effect"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import { PrometheusClient } from "../../src/prometheus/PrometheusClient.ts"
import { read } from "../../src/sync/Read.ts"
import type { ReadEvent } from "../../src/sync/ReadEvent.ts"
import { StateStore } from "../../src/sync/StateStore.ts"
import { Choices } from "../choices.ts"
import { iso, minute, start } from "../support/gauge.ts"
import type { RealServer } from "../support/RealServer.ts"
import { anySeries, lookbackMillis } from "../support/randomSeries.ts"
import type { NativeHistogram, RemoteSeriesInput, RemoteValue } from "../support/remoteWrite.ts"
import { runs } from "../support/runs.ts"
import { describeEachConcurrently, prometheusServers } from "../support/servers.ts"
import { failuresOf, fullRefresh, textsOf } from "../sync/readMock.ts"

interface Reading {
  /** The records by series and time. */
  readonly samples: ReadonlyMap<string, string>
  /** The log, from info on. */
  readonly logs: ReadonlyArray<string>
}

/** The records by series and time. None may come twice. */
const samplesOf = (events: ReadonlyArray<ReadEvent>): ReadonlyMap<string, string> => {
  const samples = new Map<string, string>()
  for (const event of events) {
    for (const block of event._tag === "Samples" ? event.blocks : []) {
      const labels = JSON.stringify(block.series.labels)
      for (const [i, text] of textsOf(block).entries()) {
        const key = `${block.series.id} ${block.times[i]}`
        assert.isFalse(samples.has(key), `${labels} ${key}`)
        samples.set(key, `${labels} ${text}`)
      }
    }
  }
  return samples
}

/** Reads a stream. */
const readBy = Effect.fnUntraced(function* (
  { baseUrl }: RealServer,
  api: "auto" | "query_range" | "remote_read",
  config: object,
  stream = "m"
) {
  const logs: Array<string> = []
  const logger = Logger.make(({ message }) => logs.push(String(message)))
  const settings = ConnectorConfig.layerFrom({ base_url: baseUrl, api, start_date: iso(start), ...config })
  const services = Layer.mergeAll(
    Layer.provideMerge(PrometheusClient.layer, settings),
    StateStore.layerMemory([]),
    Logger.layer([logger])
  )
  const events: ReadonlyArray<ReadEvent> = yield* Stream.runCollect(read(fullRefresh(stream))).pipe(
    Effect.provide(services)
  )
  assert.strictEqual(failuresOf(events), "")
  return { samples: samplesOf(events), logs } satisfies Reading
})

/** The first records that only one of two readings has. */
const differences = (some: Reading["samples"], others: Reading["samples"]): ReadonlyArray<unknown> =>
  [
    ...[...some].filter(([key, value]) => others.get(key) !== value),
    ...[...others].filter(([key]) => !some.has(key))
  ].slice(0, 5)

/** Reads a stream in both ways. Returns the number of records. */
const assertSame = Effect.fnUntraced(function* (server: RealServer, config: object, stream = "m") {
  const [query, stored] = yield* Effect.all(
    [readBy(server, "query_range", config, stream), readBy(server, "remote_read", config, stream)],
    { concurrency: 2 }
  )
  assert.deepStrictEqual(differences(stored.samples, query.samples), [], JSON.stringify(config))
  return query.samples.size
})

const hostile = [
  0,
  -0,
  0.1,
  1 / 3,
  9.9e-7,
  1e21,
  5e-324,
  1.7976931348623157e308,
  Number.NaN,
  Infinity,
  -Infinity
]

const histogram = (n: number): NativeHistogram => ({
  count: 3 + n,
  sum: 1.5 * n,
  schema: 1,
  zeroThreshold: 0.001,
  zeroCount: 1,
  offset: -1,
  counts: [1, 0, n, 1],
  isInteger: true
})

describeEachConcurrently(prometheusServers, "the grid from chunks of a real $name", ({ make }) => {
  it.live("has the records of query_range, at steps from a second to a day", () =>
    Effect.gen(function* () {
      const choices = new Choices(21, 1e9)
      const days = 2 * 1440 * minute
      const series = [
        ...anySeries(choices, "m", start - 10 * minute, start + days, 60_000).map(({ labels, samples }) => ({
          labels,
          samples: samples.filter((sample): sample is readonly [number, number] => sample[1] !== "stale")
        })),
        {
          labels: { __name__: "m", n: "hostile" },
          samples: hostile.map((value, i) => [start + i * 240_001, value] as const)
        }
      ]
      const server = yield* make({ series, blockHours: 12 })
      const end = (millis: number) => ({ end_date: iso(start + millis) })
      for (const [step, millis] of [
        [1, 10 * minute],
        [15, 120 * minute],
        [60, 480 * minute],
        [301, 1440 * minute],
        [3600, days],
        [86_400, days]
      ] as const) {
        assert.isAbove(yield* assertSame(server, { step, ...end(millis) }), 0)
      }
      yield* assertSame(server, { step: 60, selector: '{n=~"[13]|hostile.*"}', ...end(480 * minute) })
      yield* assertSame(
        server,
        {
          step: 60,
          groups: [{ name: "g", metrics: { include: ["m*"] } }],
          exclude_labels: ["n"],
          ...end(days)
        },
        "g"
      )
    })
  )

  it.live("has them at the border of the look-back, to the millisecond", () =>
    Effect.gen(function* () {
      const around = [-2, -1, 0, 1, 2]
      const series = around.flatMap((early) => [
        {
          labels: { __name__: "m", alone: `${early}` },
          samples: [[start + 60 * minute - lookbackMillis + early, 1] as const]
        },
        {
          labels: { __name__: "m", often: `${early}` },
          samples: Array.from(
            { length: 20 },
            (_, i) => [start + early + i * (lookbackMillis + minute), i] as const
          )
        }
      ])
      for (const [flags, step] of [
        [[], 60],
        [["--query.lookback-delta=90s"], 30]
      ] as const) {
        const server = yield* make({ series, flags })
        assert.isAbove(yield* assertSame(server, { step, end_date: iso(start + 120 * minute) }), 0)
      }
    })
  )

  it.live("has them with stale markers, histograms and both in one series", () =>
    Effect.gen(function* () {
      const now = Math.floor(Date.now() / minute) * minute
      const from = now - 40 * minute
      const server = yield* make({
        remoteWriteReceiver: true,
        outOfOrderWindow: "1h",
        flags: ["--enable-feature=native-histograms"]
      })
      const times = runs(1, 4)
      for (let round = 0; round < times; round++) {
        const choices = new Choices(round, 1e9)
        const metric = `m${round}`
        const mixed = (kinds: ReadonlyArray<(n: number) => RemoteValue>): RemoteSeriesInput => ({
          labels: { __name__: metric, kinds: `${kinds.length}`, n: `${choices.below(1e9)}` },
          samples: Array.from({ length: 60 }, (_, i) => [
            from + i * 37_000 + choices.below(20_000),
            kinds[Math.floor(i / choices.between(1, 6)) % kinds.length]!(i)
          ])
        })
        yield* server.remoteWrite([
          ...anySeries(choices, metric, from, now - minute, 60_000),
          mixed([histogram]),
          mixed([histogram, () => "stale"]),
          mixed([histogram, (n) => n, () => "stale", () => Number.NaN, () => -0])
        ])
        for (const step of [7, 60]) {
          const config = { step, start_date: iso(from - 10 * minute), end_date: iso(now) }
          assert.isAbove(yield* assertSame(server, config, metric), 0)
        }
      }
    })
  )

  it.live("has them without the external labels of the server", () =>
    Effect.gen(function* () {
      const samples = Array.from({ length: 60 }, (_, i) => [start + i * minute, i] as const)
      const series = ["a", "b"].map((job) => ({ labels: { __name__: "m", job }, samples }))
      const server = yield* make({ series, externalLabels: { region: "eu", a: "-" } })
      assert.strictEqual(yield* assertSame(server, { step: 60, end_date: iso(start + 59 * minute) }), 120)
    })
  )

  it.live("is taken by auto where the records are the same and few samples are stored per point", () =>
    Effect.gen(function* () {
      const series = Array.from({ length: 40 }, (_, n) => ({
        labels: { __name__: "m", n: `${n}` },
        samples: Array.from({ length: 1440 }, (_, i) => [start + i * 15_000, i + n / 8] as const)
      }))
      const server = yield* make({ series })
      const end_date = iso(start + 360 * minute)
      const auto = yield* readBy(server, "auto", { step: 15, end_date })
      const query = yield* readBy(server, "query_range", { step: 15, end_date })
      assert.deepStrictEqual(differences(auto.samples, query.samples), [])
      assert.deepStrictEqual(auto.logs, [
        "m: reading by remote read, which has the same records and sends about 1.0 stored samples per data point (api is auto)."
      ])
      assert.deepStrictEqual(query.logs, [])
    })
  )
})
