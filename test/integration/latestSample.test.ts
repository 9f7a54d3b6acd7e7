/** The kind of a real server, and its latest samples at points of a grid, however the grid is cut into windows. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import { PrometheusClient } from "../../src/prometheus/PrometheusClient.ts"
import { numberAt, type SampleBlock } from "../../src/samples/Sample.ts"
import type { RemoteValue } from "../support/remoteWrite.ts"
import { describeEach, servers } from "../support/servers.ts"

const second = 1000
const minute = 60 * second
const start = Date.UTC(2026, 0, 2, 10)
const step = minute
const points = 4 * 60
const lookback = 5 * minute

/** Samples whose value is their number, with a pause after each. */
const every = (count: number, from: number, pause: (i: number) => number) => {
  const samples: Array<readonly [number, number]> = []
  for (let i = 0, time = from; i < count; time += pause(i) * second, i++) samples.push([time, i])
  return samples
}

const series: Readonly<Record<string, ReadonlyArray<readonly [number, RemoteValue]>>> = {
  "15 s, then 240 s": [...every(480, start, () => 15), ...every(30, start + 120 * minute, () => 240)],
  "batches of 10 every 20 min": every(120, start + 7 * second, (i) => (i % 10 === 9 ? 1200 - 9 * 15 : 15)),
  "5 s to 15 min": every(100, start, (i) => [5, 60, 15, 900, 60, 400, 5][i % 7]!),
  alone: [[start + 90 * minute, 7]],
  "ended by a marker": [...every(60, start, () => 60), [start + 3600 * second, "stale"]],
  "back after a marker": [
    ...every(60, start, () => 60),
    [start + 3600 * second, "stale"],
    ...every(60, start + 3800 * second, () => 60)
  ]
}

/** Prometheus' rule: the latest sample of the five minutes before, unless it is a marker. */
const expected = (samples: ReadonlyArray<readonly [number, RemoteValue]>, isOpen: boolean) => {
  const rows: Array<string> = []
  for (let i = 0; i < points; i++) {
    const time = start + i * step
    const last = samples.findLast(([at]) => at <= time)
    const age = last === undefined ? Number.POSITIVE_INFINITY : time - last[0]
    const isFresh = isOpen ? age < lookback : age <= lookback
    if (isFresh && last![1] !== "stale") rows.push(`${new Date(time).toISOString()} ${last![1]}`)
  }
  return rows
}

describeEach(servers, "the latest samples of a real $name", (server) => {
  it.live("are those of the last five minutes, however a range is cut into windows", () =>
    Effect.gen(function* () {
      const { baseUrl, remoteWrite } = yield* server.makeWritable()
      yield* remoteWrite(
        Object.entries(series).map(([kind, samples]) => ({
          labels: { __name__: "m", kind },
          samples
        }))
      )
      const client = yield* PrometheusClient.pipe(
        Effect.provide(
          yield* Layer.build(
            Layer.provide(
              PrometheusClient.layer,
              ConnectorConfig.layer({ base_url: baseUrl, start_date: "2026-01-01" })
            )
          )
        )
      )
      const { kind, latestSample, lookbackMillis, name } = yield* client.backend
      assert.strictEqual(lookbackMillis, lookback)
      if (server.program === "VictoriaMetrics") {
        assert.deepStrictEqual([kind, name], ["victoriaMetrics", "VictoriaMetrics"])
      } else {
        assert.strictEqual(kind, server.name === "Prometheus 2" ? "prometheus2" : "prometheus3")
        assert.isTrue(name.startsWith(server.name), name)
      }
      const read = Effect.fnUntraced(function* (size: number) {
        const rows = new Map<string, Array<string>>()
        for (let first = 0; first < points; first += size) {
          const blocks: ReadonlyArray<SampleBlock> = yield* client
            .queryRange({
              query: latestSample('{__name__="m"}'),
              startMillis: start + first * step,
              endMillis: start + Math.min(first + size, points) * step - step,
              stepMillis: step
            })
            .pipe(
              Effect.flatMap((blocks) => Stream.runCollect(blocks)),
              Effect.scoped
            )
          for (const block of blocks) {
            if (block._tag === "HistogramBlock") return assert.fail("a histogram")
            const labels = new Map(block.series.labels)
            assert.strictEqual(labels.get("__name__"), "m")
            const found = rows.get(labels.get("kind")!) ?? []
            rows.set(labels.get("kind")!, found)
            for (let i = 0; i < block.length; i++) {
              found.push(`${new Date(block.times[i]!).toISOString()} ${numberAt(block, i)}`)
            }
          }
        }
        return rows
      })
      for (const size of [points, 100, 49, 7, 2]) {
        const rows = yield* read(size)
        for (const [kind, samples] of Object.entries(series)) {
          assert.deepStrictEqual(
            rows.get(kind),
            expected(samples, server.lookback === "left-open"),
            `${kind} in windows of ${size}`
          )
        }
      }
    }).pipe(Effect.scoped)
  )
})
