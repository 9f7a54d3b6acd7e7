/** Stored samples by instant queries: exactly those of the range, whatever the server adds to them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Stream } from "effect"
import { ConnectorConfig } from "../../../src/config/ConnectorConfig.ts"
import * as MockHttpClient from "../../../src/mock/MockHttpClient.ts"
import { MockPrometheus } from "../../../src/mock/MockPrometheus.ts"
import { type MockValue, makeDatabase, makeSeries } from "../../../src/mock/MockSeries.ts"
import { PrometheusClient } from "../../../src/prometheus/PrometheusClient.ts"
import { type StoredOddities, storedBlocks } from "../../../src/prometheus/query/storedBlocks.ts"
import { ofMetric } from "../../../src/promql/Matcher.ts"
import { type HistogramBlock, type SampleBlock, type TextBlock, textAt } from "../../../src/samples/Sample.ts"
import { DecodedSeries } from "../../../src/samples/Series.ts"
import { type Choices, choices } from "../../choices.ts"
import { runs } from "../../support/runs.ts"

const start = 1_767_225_600_000

const histogram = { count: "3", sum: "1.5", buckets: [] }

const samplesOf = (blocks: ReadonlyArray<SampleBlock>) =>
  blocks.flatMap((block) =>
    Array.from(block.times, (time, i) => ({
      series: block.series,
      time,
      value: block._tag === "HistogramBlock" ? "histogram" : textAt(block, i)
    }))
  )

describe("PrometheusClient.instantRange", () => {
  it.effect.prop(
    "has the stored samples of a range, both ends included, on all versions",
    [choices],
    ([choices]) =>
      Effect.gen(function* () {
        const series = ["a", "b", "c"].map((n) => {
          let time = start + choices.below(3)
          return makeSeries(
            { __name__: "m", n },
            Array.from({ length: choices.between(1, 30) }, () => {
              time += choices.pick([1, 2, 999, 1000, 15_000])
              const value = choices.pick<MockValue>([1, 2.5, Number.NaN, "stale", histogram])
              return [time, value] as const
            })
          )
        })
        const version = choices.pick(["2.42.0", "3.1.0"])
        const mock = new MockPrometheus(makeDatabase(series), { version, remoteRead: false })
        const times = series.flatMap(({ times }) => [...times])
        const [from, to] = [choices.pick(times), choices.pick(times)].sort((a, b) => a - b) as [
          number,
          number
        ]
        const range = { startMillis: from + choices.below(2), endMillis: to - choices.below(2) }
        const one = choices.pick(series)
        const label = one.labels.find(([name]) => name === "n")!
        const layer = Layer.provide(
          MockHttpClient.layerClient(mock),
          ConnectorConfig.layerFrom({ base_url: "http://mock", start_date: "2026-01-01", max_retries: 0 })
        )
        const blocks = yield* Effect.gen(function* () {
          const client = yield* PrometheusClient
          const stream = yield* client.instantRange({
            ...range,
            matchers: [ofMetric("m"), { label: "n", operator: "=", value: label[1] }]
          })
          return yield* Stream.runCollect(stream)
        }).pipe(Effect.scoped, Effect.provide(layer), Effect.provide(Logger.layer([])))
        const found = samplesOf(blocks)
          .map(({ time, value }) => [time, value] as const)
          .sort(([a], [b]) => a - b)
        const expected = Array.from(one.times, (time, i) => [time, one.values[i]!] as const)
          .filter(
            ([time, value]) => value !== "stale" && time >= range.startMillis && time <= range.endMillis
          )
          .map(([time, value]) => [time, typeof value === "object" ? "histogram" : `${value}`] as const)
        assert.deepStrictEqual(found, expected)
      }),
    { arbitrary: { runs: runs(30, 150) } }
  )
})

const textBlock = (
  series: DecodedSeries,
  samples: ReadonlyArray<readonly [time: number, value: string]>
): TextBlock => {
  const bytes = Buffer.from(samples.map(([, value]) => value).join(" "))
  const starts = new Uint32Array(samples.length)
  const ends = new Uint32Array(samples.length)
  let at = 0
  for (const [i, [, value]] of samples.entries()) {
    starts[i] = at
    ends[i] = at + value.length
    at += value.length + 1
  }
  const times = Float64Array.from(samples, ([time]) => time)
  return { _tag: "TextBlock", series, length: samples.length, times, bytes, starts, ends }
}

const collect = (
  blocks: ReadonlyArray<SampleBlock>,
  oddities: StoredOddities,
  range = { startMillis: 0, endMillis: 1000 }
) =>
  Stream.runCollect(
    storedBlocks(Stream.fromIterable(blocks), range, { oddities, address: "http://server/api/v1/query" })
  ).pipe(Effect.map(samplesOf))

const anyBlocks = (choices: Choices) =>
  Array.from({ length: choices.between(1, 3) }, () => new DecodedSeries()).flatMap((series) => {
    let time = 0
    return Array.from({ length: choices.between(1, 4) }, () =>
      textBlock(
        series,
        Array.from({ length: choices.between(1, 6) }, () => {
          time += choices.pick([0, 0, 1, 5])
          return [time, choices.pick(["1", "2", "-3", "NaN", "+Inf", "-Inf", "1e-07"])] as const
        })
      )
    )
  })

describe("storedBlocks", () => {
  it.effect.prop(
    "keeps the largest of samples at one time, and no stale markers, where a server has these",
    [choices],
    ([choices]) =>
      Effect.gen(function* () {
        const blocks = anyBlocks(choices)
        const range = { startMillis: choices.below(4), endMillis: choices.between(4, 30) }
        const number = (text: string) => Number(text.replace("Inf", "Infinity"))
        const expected: Array<ReturnType<typeof samplesOf>[number]> = []
        for (const sample of samplesOf(blocks)) {
          const { series, time, value } = sample
          if (time < range.startMillis || time > range.endMillis || value === "NaN") continue
          const same = expected.findIndex((other) => other.series === series && other.time === time)
          if (same < 0) expected.push(sample)
          else if (number(value) > number(expected[same]!.value)) expected[same] = sample
        }
        const found = yield* collect(blocks, { hasRepeatedTimes: true }, range)
        assert.deepStrictEqual(found, expected)
      }),
    { arbitrary: { runs: runs(200, 2000) } }
  )

  const floats = (series: DecodedSeries) =>
    textBlock(series, [
      [1, "1"],
      [2, "NaN"]
    ])
  const histograms = (series: DecodedSeries, time: number): HistogramBlock => ({
    _tag: "HistogramBlock",
    series,
    length: 1,
    times: Float64Array.of(time),
    histograms: [histogram]
  })
  const [a, b] = [new DecodedSeries(), new DecodedSeries()]

  it.effect("refuses histograms beside other series where they may be mixed up", () =>
    Effect.gen(function* () {
      for (const blocks of [
        [histograms(a, 1), histograms(b, 1)],
        [histograms(a, 1), floats(b)],
        [floats(a), histograms(b, 1)]
      ]) {
        const result = yield* Effect.result(collect(blocks, { mixesHistograms: true }))
        if (result._tag === "Success") return assert.fail(`${blocks.map(({ _tag }) => _tag)}`)
        assert.strictEqual(result.failure.reason, "TooManySeries")
        assert.strictEqual(result.failure.policy.splitBy, "series")
        assert.lengthOf(yield* collect(blocks, {}), blocks[0]!.length + blocks[1]!.length)
      }
    })
  )

  it.effect("holds back half a million buckets at most: then the range is split", () =>
    Effect.gen(function* () {
      const bucket = { boundaries: 0, lower: "0", upper: "1", count: "1" }
      const many = {
        ...histograms(a, 1),
        length: 100,
        times: Float64Array.from({ length: 100 }, (_, i) => i + 1),
        histograms: Array.from({ length: 100 }, () => ({ ...histogram, buckets: Array(6000).fill(bucket) }))
      }
      const error = yield* Effect.flip(collect([many], { mixesHistograms: true }))
      assert.strictEqual(error.reason, "TooLarge", error.message)
      assert.strictEqual(error.policy.splitBy, "time")
      assert.lengthOf(yield* collect([many], {}), 100)
    })
  )

  it.effect("passes the histograms of one series, and floats of several", () =>
    Effect.gen(function* () {
      const mixesHistograms = { mixesHistograms: true }
      assert.lengthOf(yield* collect([floats(a), histograms(a, 3), histograms(a, 4)], mixesHistograms), 4)
      assert.lengthOf(yield* collect([floats(a), floats(b)], mixesHistograms), 4)
      assert.lengthOf(yield* collect([], mixesHistograms), 0)
    })
  )
})
