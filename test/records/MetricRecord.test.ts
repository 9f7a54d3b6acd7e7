import { assert, it } from "@effect/vitest"
import { LineBuffer } from "../../src/records/LineBuffer.ts"
import type { MetricRecord } from "../../src/records/MetricRecord.ts"
import { RecordEncoder, type RecordShape } from "../../src/records/RecordEncoder.ts"
import type { SampleBlock } from "../../src/samples/Sample.ts"

const series = {
  id: "0123456789abcdef0123456789abcdef",
  labels: [
    ["__name__", "m"],
    ["job", "a"],
    ["value", "b"]
  ]
} as const

const bytes = new TextEncoder().encode("1.5NaN")

const floats: SampleBlock = {
  _tag: "TextBlock",
  series,
  length: 2,
  times: Float64Array.of(0, 1500),
  bytes,
  starts: Uint32Array.of(0, 3),
  ends: Uint32Array.of(3, 6)
}

const histograms: SampleBlock = {
  _tag: "HistogramBlock",
  series,
  length: 1,
  times: Float64Array.of(0),
  histograms: [{ count: "2", sum: "3", buckets: [{ boundaries: 0, lower: "1", upper: "2", count: "2" }] }]
}

const recordsOf = (block: SampleBlock, shape: Partial<RecordShape> = {}): ReadonlyArray<unknown> => {
  const encoder = new RecordEncoder({ columns: "all", labelsObject: false, ...shape })
  const out = new LineBuffer(65_536)
  encoder.encode(block, { before: "", after: "\n" }, out)
  return Buffer.from(out.bytes.subarray(0, out.length))
    .toString()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))
}

// The compiler checks the expected records against the type, and the test checks the written ones against them.
it("is the type of written records", () => {
  const common = { series_id: series.id, job: "a", label_value: "b" }
  const written: ReadonlyArray<MetricRecord> = [
    { ...common, time: "1970-01-01T00:00:00Z", value: 1.5 },
    { ...common, time: "1970-01-01T00:00:01.500Z", value: null, special_value: "NaN" }
  ]
  assert.deepStrictEqual(recordsOf(floats), written)
  const withHistogram: MetricRecord = {
    ...common,
    time: "1970-01-01T00:00:00Z",
    value: null,
    histogram: { count: "2", sum: "3", buckets: [[0, "1", "2", "2"]] }
  }
  assert.deepStrictEqual(recordsOf(histograms), [withHistogram])
})

it("has a labels object if the columns are off", () => {
  const columns = new Set(["time", "value", "series_id", "other_labels"])
  const others: MetricRecord = {
    series_id: series.id,
    time: "1970-01-01T00:00:00Z",
    value: 1.5,
    other_labels: { job: "a", value: "b" }
  }
  assert.deepStrictEqual(recordsOf(floats, { columns })[0], others)
  const object: MetricRecord = {
    series_id: series.id,
    time: "1970-01-01T00:00:00Z",
    value: 1.5,
    labels: { job: "a", value: "b" }
  }
  assert.deepStrictEqual(recordsOf(floats, { labelsObject: true })[0], object)
})
