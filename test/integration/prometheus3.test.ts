/** What Prometheus 3 does differently, or does at all: each compared with the server's own responses. */
import { setTimeout as sleep } from "node:timers/promises"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as connector from "../support/connector.ts"
import { iso, minute, start } from "../support/gauge.ts"
import { histogramFamily } from "../support/metricFamily.ts"
import type { RealServer } from "../support/RealServer.ts"
import { referenceRecords } from "../support/referenceRecords.ts"
import { describeEachConcurrently, prometheusServers } from "../support/servers.ts"

const modern = [prometheusServers[1]!]

/** Discovers and reads all metrics of a range, and compares every sample with the server's. */
const readAll = Effect.fnUntraced(function* (
  server: RealServer,
  range: { readonly from: number; readonly to: number; readonly step: number }
) {
  const files = yield* connector.workspace
  const settings = {
    base_url: server.baseUrl,
    start_date: iso(range.from),
    end_date: iso(range.to),
    step: range.step,
    settle_delay: 0
  }
  const streams = yield* connector.discover(files, settings)
  const output = yield* connector.read(files, settings, connector.configure(streams, "full_refresh"))
  assert.deepStrictEqual([output.errors, output.code, output.stderr], [[], 0, ""])
  const expected = new Map<string, string>()
  for (const { name } of streams) {
    const part = yield* Effect.promise(() =>
      referenceRecords({
        baseUrl: server.baseUrl,
        metric: name,
        start: range.from / 1000,
        end: range.to / 1000,
        step: range.step
      })
    )
    for (const [key, value] of part) expected.set(key, value)
  }
  assert.deepStrictEqual(new Map([...connector.byKey(output.records)].sort()), new Map([...expected].sort()))
  return {
    names: streams.map(({ name }) => name),
    of: (name: string) => output.records.filter(({ stream }) => stream === name)
  }
})

/** Waits for so many scrapes of a target. Returns a range that has them, in full seconds. */
const scrapes = Effect.fnUntraced(function* (server: RealServer, count: number) {
  for (;;) {
    const response = yield* server.get("/api/v1/query", { query: "count_over_time(up[5m])" })
    const { result } = (response as { data: { result: ReadonlyArray<{ value: [number, string] }> } }).data
    if (Number(result[0]?.value[1] ?? 0) >= count) break
    yield* Effect.promise(() => sleep(100))
  }
  // A scrape of the current second may not be complete.
  const to = Math.floor(Date.now() / 1000 - 1) * 1000
  return { from: to - 30_000, to, step: 1 }
})

interface BucketsOf {
  readonly count: string
  readonly buckets: ReadonlyArray<ReadonlyArray<number | string>>
}

describeEachConcurrently(prometheusServers, "a real $name", ({ lookback, make }) => {
  it.effect("has a look-back that is closed in version 2 and left-open since version 3", () =>
    Effect.gen(function* () {
      const server = yield* make({
        series: [
          {
            labels: { __name__: "rare" },
            samples: Array.from({ length: 12 }, (_, i) => [start + i * 6 * minute, i] as const)
          }
        ]
      })
      const { of } = yield* readAll(server, { from: start, to: start + 72 * minute, step: 60 })
      assert.lengthOf(of("rare"), lookback === "closed" ? 72 : 60)
      const ages = new Set(
        of("rare").map(({ data }) => (Date.parse(data.time as string) - start) % (6 * minute))
      )
      assert.strictEqual(Math.max(...ages), (lookback === "closed" ? 5 : 4) * minute)
    })
  )

  it.effect("is read with scraped native histograms of exponential buckets, while they change", () =>
    Effect.gen(function* () {
      let scraped = 0
      const server = yield* make({
        flags: ["--enable-feature=native-histograms"],
        scrape: {
          text: () => {
            const n = scraped++
            return histogramFamily("latency", [
              { sum: 18.4 * n, schema: 1, zeroThreshold: 0.001, zeroCount: n, offset: -1, counts: [1, 2, n] },
              {
                sum: -3,
                schema: 3,
                zeroThreshold: 2 ** -128,
                zeroCount: 0,
                offset: 5,
                counts: [n, n + 1],
                negativeOffset: -2,
                negativeCounts: [7]
              }
            ])
          },
          // Version 2 has a flag in place of this key.
          ...(lookback === "closed" ? {} : { config: { scrape_native_histograms: true } })
        }
      })
      const { of } = yield* readAll(server, yield* scrapes(server, 5))
      const latency = of("latency")
      assert.isAbove(latency.length, 4)
      for (const { data } of latency) {
        const { buckets, count } = data.histogram as BucketsOf
        assert.isAtLeast(buckets.length, 2)
        assert.strictEqual(
          buckets.reduce((sum, [, , , inBucket]) => sum + Number(inBucket), 0),
          Number(count)
        )
      }
      const counts = new Set(latency.map(({ data }) => (data.histogram as BucketsOf).count))
      assert.isAbove(counts.size, 2)
    })
  )
})

describeEachConcurrently(modern, "a real $name", ({ make }) => {
  it.effect("is read with classic histograms that it turns into native ones of custom buckets", () =>
    Effect.gen(function* () {
      let scraped = 0
      const server = yield* make({
        scrape: {
          text: () => {
            scraped++
            return `# TYPE request_seconds histogram
request_seconds_bucket{path="/a",le="0.1"} ${scraped}
request_seconds_bucket{path="/a",le="0.25"} ${scraped + 2}
request_seconds_bucket{path="/a",le="+Inf"} ${scraped + 7}
request_seconds_count{path="/a"} ${scraped + 7}
request_seconds_sum{path="/a"} ${scraped / 8}
# EOF
`
          },
          config: { convert_classic_histograms_to_nhcb: true, always_scrape_classic_histograms: true }
        }
      })
      const { names, of } = yield* readAll(server, yield* scrapes(server, 5))
      assert.includeMembers(names, ["request_seconds", "request_seconds_bucket", "request_seconds_count"])
      const records = of("request_seconds")
      assert.isAbove(records.length, 2)
      for (const { data } of records) {
        assert.strictEqual(data.path, "/a")
        const { buckets, count } = data.histogram as BucketsOf
        assert.deepStrictEqual(
          buckets.map(([, low, high, inBucket]) => [low, high, inBucket]),
          [
            ["-Inf", "0.1", `${Number(count) - 7}`],
            ["0.1", "0.25", "2"],
            ["0.25", "+Inf", "5"]
          ]
        )
      }
    })
  )

  it.effect("is read with the zero that a counter has at its created timestamp", () =>
    Effect.gen(function* () {
      const created = Math.floor(Date.now() / 1000) - 20
      const server = yield* make({
        flags: ["--enable-feature=created-timestamp-zero-ingestion"],
        scrape: {
          text: `# TYPE jobs counter
jobs_total{queue="mail"} 17
jobs_created{queue="mail"} ${created}
# EOF
`,
          // Protobuf and this text are the formats that have it.
          config: { scrape_protocols: ["OpenMetricsText1.0.0"] }
        }
      })
      const range = yield* scrapes(server, 4)
      const { of } = yield* readAll(server, { ...range, from: (created - 5) * 1000 })
      const records = of("jobs_total")
      assert.deepInclude(records[0]!.data, { time: iso(created * 1000), value: 0, queue: "mail" })
      assert.strictEqual(records.at(-1)!.data.value, 17)
    })
  )

  it.effect("is read with samples that arrived out of order, of metrics that it has no others of", () =>
    Effect.gen(function* () {
      const server = yield* make({ remoteWriteReceiver: true, outOfOrderWindow: "2h" })
      const now = Math.floor(Date.now() / minute) * minute
      const from = now - 60 * minute
      yield* server.remoteWrite([{ labels: { __name__: "current" }, samples: [[now, 1]] }])
      const late = (name: string, minutes: ReadonlyArray<number>) => ({
        labels: { __name__: name },
        samples: minutes.map((m) => [from + m * minute, m] as const)
      })
      // Each request is older than the one before.
      for (const minutes of [[20, 21, 22], [10, 12], [11]]) {
        yield* server.remoteWrite([late("late", minutes), late("current", minutes)])
      }
      const { names, of } = yield* readAll(server, { from, to: from + 30 * minute, step: 60 })
      assert.deepStrictEqual(names, ["current", "late"])
      const values = [10, 11, 12, 12, 12, 12, 12, 20, 21, 22, 22, 22, 22, 22]
      for (const name of names) {
        assert.deepStrictEqual(
          of(name).map(({ data }) => data.value),
          values
        )
      }
    })
  )
})
