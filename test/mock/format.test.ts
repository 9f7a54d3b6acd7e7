import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import {
  formatHistogram,
  formatLabels,
  formatMatrixSeries,
  formatString,
  formatTime,
  formatVectorSample
} from "../../src/mock/format.ts"
import type { Histogram } from "../../src/samples/Sample.ts"

const histogram: Histogram = {
  count: "3",
  sum: "1.5",
  buckets: [
    { boundaries: 0, lower: "0.5", upper: "1", count: "2" },
    { boundaries: 3, lower: "-0.001", upper: "0.001", count: "1" }
  ]
}

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

describe("formatTime", () => {
  it.each([
    [0, "0"],
    [1_700_000_000_000, "1700000000"],
    [1_700_000_000_500, "1700000000.500"],
    [1_700_000_000_001, "1700000000.001"],
    [1_700_000_000_020, "1700000000.020"],
    [-500, "-0.500"],
    [-61_007, "-61.007"],
    [-60_000, "-60"]
  ])("%d ms is %s", (time, text) => {
    assert.strictEqual(formatTime(time), text)
  })

  // To the year 9999.
  it.prop("keeps the millisecond", [integer(-253_402_300_800_000, 253_402_300_799_999)], ([time]) => {
    const [seconds, millis = "000"] = formatTime(time).split(".")
    assert.strictEqual(Number(`${seconds}${millis}`), time)
  })
})

describe("strings and labels", () => {
  it("escapes what HTML could misread, as Go does", () => {
    assert.strictEqual(
      formatString('<a href="x">&\u2028\n\\'),
      '"\\u003ca href=\\"x\\"\\u003e\\u0026\\u2028\\n\\\\"'
    )
  })

  it.prop("is parsed to the original", [Schema.String], ([text]) => {
    assert.strictEqual(JSON.parse(formatString(text)), text)
  })

  it("writes labels with the names of object properties", () => {
    assert.strictEqual(
      formatLabels([
        ["__proto__", "a"],
        ["constructor", "b"]
      ]),
      '{"__proto__":"a","constructor":"b"}'
    )
  })
})

describe("series", () => {
  const only = { count: "0", sum: "0", buckets: [] }
  const series = (...points: ReadonlyArray<readonly [timeMillis: number, value: number | Histogram]>) => ({
    labels: [["__name__", "m"]] as const,
    times: points.map(([time]) => time),
    values: points.map(([, value]) => value),
    loaded: points.length
  })

  it("writes native histograms, without `buckets` if there are none", () => {
    assert.strictEqual(
      formatHistogram(histogram),
      '{"count":"3","sum":"1.5","buckets":[[0,"0.5","1","2"],[3,"-0.001","0.001","1"]]}'
    )
    assert.strictEqual(formatHistogram({ ...histogram, buckets: [] }), '{"count":"3","sum":"1.5"}')
  })

  it("separates floats from native histograms", () => {
    assert.strictEqual(
      formatMatrixSeries(series([1000, 1], [2000, only], [2500, Number.NaN])),
      '{"metric":{"__name__":"m"},"values":[[1,"1"],[2.500,"NaN"]],"histograms":[[2,{"count":"0","sum":"0"}]]}'
    )
    assert.strictEqual(
      formatMatrixSeries(series([1000, only])),
      '{"metric":{"__name__":"m"},"histograms":[[1,{"count":"0","sum":"0"}]]}'
    )
  })

  it("writes a vector's samples", () => {
    assert.strictEqual(
      formatVectorSample(series([1500, -0])),
      '{"metric":{"__name__":"m"},"value":[1.500,"-0"]}'
    )
    assert.strictEqual(
      formatVectorSample(series([1000, only])),
      '{"metric":{"__name__":"m"},"histogram":[1,{"count":"0","sum":"0"}]}'
    )
  })
})
