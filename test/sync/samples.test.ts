import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { refusal } from "../../src/mock/faults.ts"
import { makeSeries } from "../../src/mock/MockSeries.ts"
import { type Sample, samples, samplesOf } from "../../src/sync/samples.ts"
import { asTextBlock, numberBlock, Values } from "../samples/numbers.ts"
import { gauge, minute, start } from "../support/gauge.ts"
import { drive, onRange, type Setting, setUp } from "./readMock.ts"

/** All samples of a metric, and the error if the stream failed. */
const collect = Effect.fnUntraced(function* (metric: string, setting: Setting) {
  const { mock, services } = yield* setUp(setting)
  const taken: Array<Sample> = []
  const exit = yield* samples(metric).pipe(
    Stream.runForEach((sample) => Effect.sync(() => taken.push(sample))),
    Effect.flip,
    Effect.option,
    drive,
    Effect.provide(services)
  )
  return { taken, error: exit, mock }
})

describe("samples", () => {
  it.effect("are all samples of a metric, each once, from all windows", () =>
    Effect.gen(function* () {
      // More than the first window of a read, and other series that are not requested.
      const { error, mock, taken } = yield* collect("m", {
        series: [...gauge("m", 30_000, 2), ...gauge("other", 5)],
        points: 30_000
      })
      assert.strictEqual(error._tag, "None")
      assert.isAbove(mock.requests.filter(({ path }) => path.endsWith("query_range")).length, 1)
      assert.isFalse(mock.requests.some(({ params }) => params.get("query")?.includes("other") === true))
      assert.lengthOf(taken, 60_000)
      for (const n of [0, 1]) {
        const own = taken.filter(({ labels }) => labels.n === `${n}`)
        assert.deepStrictEqual(
          own.map(({ time, value }) => [time.getTime(), value]),
          Array.from({ length: 30_000 }, (_, i) => [start + i * minute, i + n / 8])
        )
        assert.strictEqual(new Set(own.map(({ seriesId }) => seriesId)).size, 1)
        assert.deepStrictEqual(own[0]!.labels, { n: `${n}` })
      }
    })
  )

  it.effect("are JavaScript numbers", () =>
    Effect.gen(function* () {
      const values = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0.1 + 0.2, -0, 5e-324]
      const series = [
        makeSeries(
          { __name__: "m" },
          values.map((value, i) => [start + i * minute, value])
        )
      ]
      const { taken } = yield* collect("m", { series, points: values.length })
      assert.deepStrictEqual(
        taken.map(({ value }) => value),
        values
      )
      assert.isTrue(taken.every(({ histogram }) => histogram === undefined))
    })
  )

  it.effect("have native histograms and the value NaN", () =>
    Effect.gen(function* () {
      const histogram = {
        count: "3",
        sum: "4.5",
        buckets: [{ boundaries: 0, lower: "1", upper: "2", count: "3" }]
      }
      const series = [makeSeries({ __name__: "m" }, [[start, histogram]])]
      const { taken } = yield* collect("m", { series, points: 1 })
      assert.lengthOf(taken, 1)
      assert.isNaN(taken[0]!.value)
      assert.deepStrictEqual(taken[0]!.histogram, histogram)
    })
  )

  it.effect("end with the error of the read, after the earlier samples", () =>
    Effect.gen(function* () {
      const { error, taken } = yield* collect("m", {
        series: gauge("m", 30_000),
        points: 30_000,
        mock: { faults: onRange(({ from }) => (from > 0 ? refusal(400, "no more") : undefined)) }
      })
      assert.strictEqual(error._tag === "Some" && error.value._tag, "PrometheusError")
      assert.isAbove(taken.length, 0)
      assert.isBelow(taken.length, 30_000)
    })
  )

  it.effect("of a metric that does not exist are none", () =>
    Effect.gen(function* () {
      const { error, taken } = yield* collect("none", { series: gauge("m", 5), points: 5 })
      assert.deepStrictEqual([error._tag, taken.length], ["None", 0])
    })
  )
})

describe("samplesOf", () => {
  it("shares no memory with a block, and keeps labels of any name", () => {
    const bytes = new TextEncoder().encode("12")
    const times = Float64Array.of(1000, 2000)
    const taken = samplesOf({
      _tag: "TextBlock",
      series: {
        id: "x",
        labels: [
          ["__name__", "m"],
          ["__proto__", "p"]
        ]
      },
      length: 2,
      times,
      bytes,
      starts: Uint32Array.of(0, 1),
      ends: Uint32Array.of(1, 2)
    })
    bytes.fill(0)
    times.fill(0)
    assert.deepStrictEqual(
      taken.map(({ time, value }) => [time.getTime(), value]),
      [
        [1000, 1],
        [2000, 2]
      ]
    )
    assert.deepStrictEqual(Object.entries(taken[0]!.labels), [["__proto__", "p"]])
  })

  it.prop("is the same for numbers and their text", [Values], ([values]) => {
    const numbers = numberBlock({ id: "x", labels: [["a", "b"]] }, 0, values)
    assert.deepStrictEqual(samplesOf(numbers), samplesOf(asTextBlock(numbers)))
  })
})

describe("samples of other streams", () => {
  const config = {
    groups: [{ name: "apps", metrics: { include: ["app_*"] } }],
    queries: [{ name: "both", expression: '{__name__=~"app_.*"}' }],
    tables: ["targets"]
  }
  const setting = { series: [...gauge("app_a", 3), ...gauge("app_b", 3)], points: 3, config }

  it.effect.each(["apps", "both"])("have the names of their metrics: %s", (name) =>
    Effect.gen(function* () {
      const { error, taken } = yield* collect(name, setting)
      assert.strictEqual(error._tag, "None")
      assert.deepStrictEqual(taken.map(({ labels }) => labels.__name__).sort(), [
        "app_a",
        "app_a",
        "app_a",
        "app_b",
        "app_b",
        "app_b"
      ])
    })
  )

  it.effect("do not exist for a table", () =>
    Effect.gen(function* () {
      const { error, mock } = yield* collect("prometheus_targets", setting)
      assert.match(
        error._tag === "Some" ? error.value.message : "",
        /^The stream prometheus_targets is a table: it has rows, and no samples\./
      )
      assert.lengthOf(mock.requests, 0)
    })
  )
})
