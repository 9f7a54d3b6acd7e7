/** What discovery finds on real servers, and how many requests it takes to read metrics that begin years after the start. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import { PrometheusClient } from "../../src/prometheus/PrometheusClient.ts"
import { discover, discoverNames } from "../../src/sync/Discovery.ts"
import { read } from "../../src/sync/Read.ts"
import { StateStore } from "../../src/sync/StateStore.ts"
import { iso, minute, start } from "../support/gauge.ts"
import type { SeriesInput } from "../support/openMetrics.ts"
import { describeEach, prometheusServers, servers } from "../support/servers.ts"

const DAY = 24 * 60 * minute
const YEAR = 365 * DAY

const series = (name: string, from: number, samples = 60, labels = {}): SeriesInput => ({
  labels: { __name__: name, ...labels },
  samples: Array.from({ length: samples }, (_, i) => [from + i * minute, i])
})

/** The real client, with the number of its requests. */
const counting = () => {
  const counts = { lists: 0, queries: 0 }
  const layer = Layer.effect(
    PrometheusClient,
    Effect.map(PrometheusClient, (client) => {
      const counted =
        <Args extends ReadonlyArray<unknown>, A>(method: (...args: Args) => A) =>
        (...args: Args): A => {
          counts.lists++
          return method(...args)
        }
      return {
        ...client,
        metricNames: counted(client.metricNames),
        labelNames: counted(client.labelNames),
        labelValues: counted(client.labelValues),
        queryRange: (query) => {
          counts.queries++
          return client.queryRange(query)
        }
      } satisfies PrometheusClient["Service"]
    })
  ).pipe(Layer.provide(PrometheusClient.layer))
  return { counts, layer }
}

const using = (config: object) => {
  const { counts, layer } = counting()
  const services = Layer.merge(layer, StateStore.layerMemory([])).pipe(
    Layer.provideMerge(ConnectorConfig.layerFrom(config))
  )
  return { counts, services }
}

/** The number of samples of each metric in a read. */
const readCounts = (...names: ReadonlyArray<string>) =>
  Stream.runFold(
    read(names.map((name) => ({ name, mode: "incremental" as const }))),
    () => ({}) as Record<string, number>,
    (counts, event) => {
      if (event._tag === "Failed") throw event.error
      if (event._tag !== "Samples") return counts
      for (const { length } of event.blocks) counts[event.stream] = (counts[event.stream] ?? 0) + length
      return counts
    }
  )

describeEach(servers, "$name", (kind) => {
  it.live("has all metrics of years in its lists, and few requests find where they begin", () =>
    Effect.gen(function* () {
      const all = [
        series("year_1", start - 4 * YEAR, 60, { old: "x" }),
        series("year_3", start - 2 * YEAR, 60, { middle: "x" }),
        series("last_month", start - 30 * DAY),
        series("at_midnight", start - 3 * YEAR, 1),
        series("twice", start - 4 * YEAR, 10),
        series("twice", start, 10, { later: "x" })
      ]
      const server = yield* kind.make({ series: all })
      const config = { base_url: server.baseUrl, start_date: iso(start - 10 * YEAR), step: 60 }
      const { counts, services } = using({ ...config, end_date: iso(start + DAY) })
      const found = yield* Effect.provide(discover, services)
      assert.deepStrictEqual(
        found.map(({ labels, name }) => [name, ...labels]),
        [["at_midnight"], ["last_month"], ["twice", "later"], ["year_1", "old"], ["year_3", "middle"]]
      )
      assert.isAtMost(counts.lists, 128 + 2 * 16 + 12)
      counts.lists = 0
      const samples = yield* Effect.provide(
        readCounts("year_1", "year_3", "last_month", "at_midnight", "twice"),
        services
      )
      const written = { year_1: 60, year_3: 60, last_month: 60, at_midnight: 1, twice: 20 }
      for (const [name, count] of Object.entries(written)) {
        assert.isAtLeast(samples[name]!, count, name)
        // The last one is repeated during the look-back.
        assert.isAtMost(samples[name]!, count + (name === "twice" ? 10 : 5), name)
      }
      // There are 478 windows of 11,000 points.
      assert.isAtMost(counts.lists, 5 * 16)
      assert.isAtMost(counts.queries, 5 * 25)
    })
  )
})

describeEach(servers, "$name, with samples between the points of the grid", (kind) => {
  it.live("has a word for each such metric, with a step that shows it", () =>
    Effect.gen(function* () {
      const at = (name: string, times: ReadonlyArray<number>): SeriesInput => ({
        labels: { __name__: name },
        samples: times.map((time, i) => [start + time * minute, i])
      })
      const hours = Array.from({ length: 24 }, (_, i) => i * 60)
      const server = yield* kind.make({
        series: [
          at(
            "hourly",
            hours.map((hour) => hour + 10)
          ),
          at(
            "pod",
            Array.from({ length: 80 }, (_, i) => 320 + i / 4)
          ),
          at("seen", hours)
        ]
      })
      const config = { base_url: server.baseUrl, start_date: iso(start), end_date: iso(start + DAY) }
      const { services } = using({ ...config, step: 3600 })
      const requests = ["hourly", "pod", "seen", "gone"].map((name) => ({
        name,
        mode: "incremental" as const
      }))
      const events = yield* Effect.provide(Stream.runCollect(read(requests)), services)
      const notices = Object.fromEntries(
        [...events].flatMap((event) => (event._tag === "Completed" ? [[event.stream, event.notice]] : []))
      )
      const between =
        "but no point of the step of 1 h shows one, because a point shows a sample for 5 min only."
      const advice = "A step of 5 min (300) shows them."
      assert.strictEqual(
        notices.hourly,
        `It has samples between 2026-01-01T00:10:00Z and 2026-01-01T23:10:00Z, ${between} ${advice}`
      )
      assert.strictEqual(
        notices.pod,
        `It has samples between 2026-01-01T05:20:00Z and 2026-01-01T05:39:45Z, ${between} ${advice}`
      )
      assert.isUndefined(notices.seen)
      assert.match(notices.gone!, /^The server has no such metric from 2025-12-31T23:55:00Z on\./)
      const { services: smaller } = using({ ...config, step: 300 })
      const samples = yield* Effect.provide(readCounts("hourly", "pod"), smaller)
      assert.isAtLeast(samples.hourly!, 24)
      assert.isAtLeast(samples.pod!, 4)
    })
  )
})

describeEach(prometheusServers, "$name with out-of-order samples", (kind) => {
  it.live("has the metrics that it lists only in a range without end", () =>
    Effect.gen(function* () {
      const server = yield* kind.make({ remoteWriteReceiver: true, outOfOrderWindow: "60d" })
      yield* server.remoteWrite([series("first", start + DAY)])
      // Too late for the head, so they are only among the out-of-order samples.
      yield* server.remoteWrite([series("late", start), series("later", start + 3 * 60 * minute)])
      const config = { base_url: server.baseUrl, step: 60, start_date: iso(start) }
      const names = (more: object) =>
        Effect.map(
          Effect.provide(discoverNames, using({ ...config, ...more }).services),
          ({ names }) => names
        )
      assert.deepStrictEqual(yield* names({ end_date: iso(start + 2 * DAY) }), ["first", "late", "later"])
      assert.deepStrictEqual(yield* names({ end_date: iso(start + 2 * 60 * minute) }), ["late"])
      assert.deepStrictEqual(yield* names({}), ["first", "late", "later"])
      const { services } = using({ ...config, end_date: iso(start + 2 * 60 * minute) })
      const samples = yield* Effect.provide(readCounts("late"), services)
      assert.isAtLeast(samples.late!, 60)
    })
  )
})
