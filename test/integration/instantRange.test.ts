/**
 * Stored samples by instant queries of real servers: those that were written, to the millisecond at both ends; and by `read` from
 * servers without remote read.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger, Stream } from "effect"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import { PrometheusClient } from "../../src/prometheus/PrometheusClient.ts"
import type { StoredQuery } from "../../src/prometheus/RangeQuery.ts"
import { hasLabel, type Matcher, ofMetric } from "../../src/promql/Matcher.ts"
import { numberAt, textAt } from "../../src/samples/Sample.ts"
import { canonicalLabels, seriesId } from "../../src/samples/Series.ts"
import { Choices } from "../choices.ts"
import * as connector from "../support/connector.ts"
import { iso, minute } from "../support/gauge.ts"
import type { RealServer } from "../support/RealServer.ts"
import type { NativeHistogram, RemoteSeriesInput } from "../support/remoteWrite.ts"
import {
  describeEachConcurrently,
  prometheusServers,
  servers,
  victoriaMetricsServers
} from "../support/servers.ts"

const connect = (server: RealServer) =>
  Layer.provide(
    PrometheusClient.layer,
    ConnectorConfig.layerFrom({ base_url: server.baseUrl, start_date: "2026-01-01", max_retries: 0 })
  )

type Method = "instantRange" | "remoteRead"

/** Samples as text, by series and time. None may be repeated. */
const read = Effect.fnUntraced(function* (
  server: RealServer,
  query: StoredQuery,
  method: Method = "instantRange"
) {
  const samples = new Map<string, unknown>()
  yield* Effect.gen(function* () {
    const client = yield* PrometheusClient
    const blocks = yield* client[method](query)
    yield* Stream.runForEach(blocks, (block) =>
      Effect.sync(() => {
        for (let i = 0; i < block.length; i++) {
          const key = `${JSON.stringify(block.series.labels)} ${block.times[i]!} ${block._tag === "HistogramBlock"}`
          assert.isFalse(samples.has(key), key)
          samples.set(
            key,
            block._tag === "HistogramBlock"
              ? block.histograms[i]!
              : method === "remoteRead" || block._tag === "NumberBlock"
                ? textAt(block, i)
                : `${numberAt(block, i)}`.replace(/^(-?)Infinity$/, (_, sign) => `${sign || "+"}Inf`)
          )
        }
      })
    )
  }).pipe(Effect.scoped, Effect.provide(connect(server)), Effect.provide(Logger.layer([])))
  return samples
})

const sorted = (samples: ReadonlyMap<string, unknown>) =>
  [...samples].toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))

const now = Math.floor(Date.now() / minute) * minute
const from = now - 40 * minute

/** Values that VictoriaMetrics stores exactly too. */
const written = (choices: Choices): ReadonlyArray<RemoteSeriesInput<number | "stale">> =>
  ["a", "b", 'quoted "é\\\n'].map((n, i) => {
    let time = from + i
    return {
      labels: { __name__: "stored", n },
      samples: Array.from({ length: 300 }, (_, k) => {
        time += choices.pick([1, 17, 999, 1000, 15_000])
        const value = k % 40 === 39 ? "stale" : k % 50 === 7 ? Infinity : choices.below(1e9) / 1000
        return [time, value] as const
      })
    }
  })

const expectedOf = (
  series: ReadonlyArray<RemoteSeriesInput<number | "stale">>,
  startMillis: number,
  endMillis: number
) =>
  new Map(
    series.flatMap(({ labels, samples }) =>
      samples
        .filter(([time, value]) => value !== "stale" && time >= startMillis && time <= endMillis)
        .map(([time, value]) => [
          `${JSON.stringify(Object.entries(labels))} ${time} false`,
          value === Infinity ? "+Inf" : `${value}`
        ])
    )
  )

describeEachConcurrently(
  servers,
  "stored samples by instant queries of a real $name",
  ({ makeWritable, program }) => {
    it.effect("are those that were written", () =>
      Effect.gen(function* () {
        const server = yield* makeWritable()
        const series = written(new Choices(5, 1e9))
        yield* server.remoteWrite(series)
        const all = { matchers: [ofMetric("stored")], startMillis: from, endMillis: now }
        assert.deepStrictEqual(sorted(yield* read(server, all)), sorted(expectedOf(series, from, now)))
        const times = series[1]!.samples.map(([time]) => time)
        for (const [first, last] of [
          [times[10]!, times[100]!],
          [times[10]! + 1, times[100]! - 1],
          [times[10]! - 1, times[100]! + 1],
          [times[20]!, times[20]!],
          [times[20]! - 5000, times[20]!],
          [times[20]!, times[20]! + 5000],
          [now + minute, now + 2 * minute]
        ] as const) {
          const range = { startMillis: first, endMillis: last }
          assert.deepStrictEqual(
            sorted(yield* read(server, { ...all, ...range })),
            sorted(expectedOf(series, first, last))
          )
        }
        const one: ReadonlyArray<Matcher> = [ofMetric("stored"), { label: "n", operator: "=~", value: "b|x" }]
        assert.deepStrictEqual(
          sorted(yield* read(server, { ...all, matchers: one })),
          sorted(expectedOf(series.slice(1, 2), from, now))
        )
        if (program === "Prometheus") {
          assert.deepStrictEqual(
            sorted(yield* read(server, { ...all, matchers: [hasLabel("n")] })),
            sorted(yield* read(server, { ...all, matchers: [hasLabel("n")] }, "remoteRead"))
          )
        }
      })
    )
  }
)

describeEachConcurrently(
  prometheusServers,
  "histograms by instant queries of a real $name",
  ({ make, release }) => {
    it.effect("are those of remote read, or refused", () =>
      Effect.gen(function* () {
        const histogram = (i: number, k: number): NativeHistogram => ({
          isInteger: k % 2 === 0,
          count: 3 + i * k,
          sum: k * 1000 + i,
          schema: 0,
          zeroThreshold: 0.001,
          zeroCount: 1,
          offset: k,
          counts: [...Array.from({ length: k }, () => i), 2]
        })
        const server = yield* make({
          remoteWriteReceiver: true,
          flags: ["--enable-feature=native-histograms"]
        })
        yield* server.remoteWrite(
          [1, 2, 3, 4].map((k) => ({
            labels: { __name__: "native", k: `${k}` },
            samples: Array.from({ length: 20 + k }, (_, i) => [from + i * 15_000, histogram(i, k)] as const)
          }))
        )
        const query = { matchers: [ofMetric("native")], startMillis: from, endMillis: now }
        const all = yield* Effect.result(read(server, query))
        if (release === 2) {
          if (all._tag === "Success") return assert.fail("it mixes histograms up")
          assert.propertyVal(all.failure, "reason", "TooManySeries")
        } else if (all._tag === "Failure") assert.fail(all.failure.message)
        else assert.deepStrictEqual(sorted(all.success), sorted(yield* read(server, query, "remoteRead")))
        for (const k of ["1", "2", "3", "4"]) {
          const one = {
            ...query,
            matchers: [...query.matchers, { label: "k", operator: "=", value: k } as const]
          }
          const samples = yield* read(server, one)
          assert.strictEqual(samples.size, 20 + Number(k))
          assert.deepStrictEqual(sorted(samples), sorted(yield* read(server, one, "remoteRead")))
        }
      })
    )
  }
)

describeEachConcurrently(victoriaMetricsServers, "repeated samples of a real $name", ({ make }) => {
  it.effect("come once, the largest of those at one time", () =>
    Effect.gen(function* () {
      const server = yield* make()
      const labels = { __name__: "repeated" }
      for (const value of [5, 3, 9, 4]) {
        yield* server.remoteWrite([
          { labels, samples: [0, 1, 1000].map((ms) => [from + ms, value + ms] as const) }
        ])
      }
      const samples = yield* read(server, {
        matchers: [ofMetric("repeated")],
        startMillis: from,
        endMillis: now
      })
      assert.deepStrictEqual([...samples.values()], ["9", "10", "1009"])
    })
  )
})

describeEachConcurrently(victoriaMetricsServers, "a read of stored samples from a real $name", ({ make }) => {
  it.effect("emits each sample once, and the later ones in the next sync", () =>
    Effect.gen(function* () {
      const server = yield* make()
      const files = yield* connector.workspace
      const series = written(new Choices(9, 1e9))
      const cut = from + 8 * minute
      const part = (isFirst: boolean) =>
        series.map(({ labels, samples }) => ({
          labels,
          samples: samples.filter(([time]) => time <= cut === isFirst)
        }))
      const config = {
        base_url: server.baseUrl,
        start_date: iso(from),
        sampling: "raw",
        metrics: { include: ["stored"] }
      }
      const keysOf = ({ records }: connector.Output) =>
        records.map(({ data }) => `${data.series_id} ${Date.parse(data.time as string)}`).sort()
      const expected = (isFirst: boolean) =>
        part(isFirst)
          .flatMap(({ labels, samples }) => {
            const id = seriesId(canonicalLabels(Object.entries(labels as Record<string, string>)))
            return samples.flatMap(([time, value]) => (value === "stale" ? [] : [`${id} ${time}`]))
          })
          .sort()
      const catalog = connector.catalogOf("stored")
      yield* server.remoteWrite(part(true))
      const first = yield* connector.read(files, { ...config, end_date: iso(cut) }, catalog)
      assert.deepStrictEqual(keysOf(first), expected(true))
      yield* server.remoteWrite(part(false))
      const second = yield* connector.read(
        files,
        { ...config, end_date: iso(now + 60 * minute) },
        catalog,
        first.states
      )
      assert.isAbove(expected(false).length, 100)
      assert.deepStrictEqual(keysOf(second), expected(false))
    })
  )
})
