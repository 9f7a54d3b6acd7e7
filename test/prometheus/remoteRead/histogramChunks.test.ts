/** Chunks of native histograms: what was written is read, and is rendered as servers render it. */
import { assert, describe, it } from "@effect/vitest"
import { BitReader } from "../../../src/prometheus/remoteRead/BitReader.ts"
import { exponentialBound } from "../../../src/prometheus/remoteRead/exponentialBounds.ts"
import { HistogramLayout } from "../../../src/prometheus/remoteRead/HistogramLayout.ts"
import {
  decodeHistogramChunk,
  type HistogramEncoding
} from "../../../src/prometheus/remoteRead/histogramChunk.ts"
import { RemoteReadError } from "../../../src/prometheus/remoteRead/RemoteReadError.ts"
import type { Histogram } from "../../../src/samples/Sample.ts"
import { choices } from "../../choices.ts"
import { runs } from "../../support/runs.ts"
import { bytesOf, STALE } from "./bitTexts.ts"
import { anyFloat, anyHistograms, anyInteger, anyLayout, histogramChunk, rendered } from "./histogramTexts.ts"

const options = { arbitrary: { runs: runs(50, 300) }, timeout: 60_000 }

const decode = (bytes: Uint8Array, encoding: HistogramEncoding) => {
  const reader = new BitReader()
  reader.load(bytes, 0, bytes.length)
  const found: Array<readonly [number, Histogram]> = []
  decodeHistogramChunk(reader, encoding, (time, layout, counts) => {
    if (counts !== undefined) found.push([time, layout.render(counts)])
  })
  return found
}

describe("a chunk of histograms", () => {
  it.prop(
    "has the histograms that were written, but for stale markers",
    [choices],
    ([choices]) => {
      const encoding = { isFloat: choices.oneIn(2), hasStarts: choices.oneIn(2) }
      const layout = anyLayout(choices)
      const histograms = encoding.isFloat
        ? anyHistograms(choices, layout, () => anyFloat(choices))
        : anyHistograms(choices, layout, () => anyInteger(choices))
      const text = histogramChunk<bigint | number>(layout, histograms, encoding.hasStarts, choices)
      assert.deepStrictEqual(
        decode(bytesOf(text), encoding),
        histograms
          .filter(({ sum }) => sum !== STALE)
          .map((histogram) => [Number(histogram.time), rendered(layout, histogram)] as const)
      )
    },
    options
  )

  it.prop(
    "that is damaged is refused with a typed error, or has histograms in the order of time",
    [choices],
    ([choices]) => {
      const encoding = { isFloat: choices.oneIn(2), hasStarts: choices.oneIn(2) }
      const layout = anyLayout(choices)
      const histograms = anyHistograms<bigint | number>(choices, layout, () =>
        encoding.isFloat ? anyFloat(choices) : anyInteger(choices)
      )
      const bytes = bytesOf(histogramChunk(layout, histograms, encoding.hasStarts, choices))
      for (let i = 0; i < 20; i++) {
        const changed = bytes.slice(0, choices.oneIn(3) ? choices.below(bytes.length) : bytes.length)
        const isCut = changed.length < bytes.length
        if (!isCut) {
          for (let n = choices.between(1, 4); n > 0; n--) {
            changed[choices.below(changed.length)]! ^= 1 << choices.below(8)
          }
        }
        try {
          const found = decode(changed, encoding)
          assert.isFalse(isCut)
          found.forEach(([time], i) => assert.isTrue(i === 0 || time > found[i - 1]![0]))
        } catch (error) {
          if (!(error instanceof RemoteReadError)) throw error
        }
      }
    },
    options
  )
})

/** The bounds of the buckets from an index on, of one count each. */
const bounds = (schema: number, offset: number, length: number) =>
  new HistogramLayout({
    schema,
    zeroThreshold: 0,
    positiveSpans: [{ offset, length }],
    negativeSpans: [],
    customBounds: []
  })
    .render({
      count: 0,
      sum: 0,
      zeroCount: 0,
      positive: new Float64Array(length).fill(1),
      negative: new Float64Array(0)
    })
    .buckets.map(({ count, lower, upper }) => [lower, upper, count])

describe("exponential buckets", () => {
  it("have the bounds of the server's table, with its rounding errors", () => {
    assert.deepStrictEqual(bounds(2, -3, 4), [
      ["0.5", "0.5946035575013605", "1"],
      ["0.5946035575013605", "0.7071067811865475", "1"],
      ["0.7071067811865475", "0.8408964152537144", "1"],
      ["0.8408964152537144", "1", "1"]
    ])
    assert.strictEqual(exponentialBound(-1, 8), 0.9972960560854698)
    assert.strictEqual(exponentialBound(6 - 256, 8), 0.5081891574554764)
    assert.strictEqual(exponentialBound(53 - 256, 8), 0.5771552102951081)
    assert.strictEqual(exponentialBound(5 * 256 + 240, 8), 64 * 0.9576032806985735)
  })

  it("end at the largest float, and before it at the smallest", () => {
    assert.deepStrictEqual(bounds(0, 1023, 3), [
      ["4.49423283715579e+307", "8.98846567431158e+307", "1"],
      ["8.98846567431158e+307", "1.7976931348623157e+308", "1"],
      ["1.7976931348623157e+308", "+Inf", "1"]
    ])
    assert.strictEqual(exponentialBound(1024 * 8, 3), Number.MAX_VALUE)
    assert.strictEqual(exponentialBound(1024 * 8 + 1, 3), Infinity)
    assert.strictEqual(exponentialBound(2 ** 6, -4), Number.MAX_VALUE)
    assert.strictEqual(exponentialBound(-1074, 0), 5e-324)
    // Rounded once.
    assert.strictEqual(exponentialBound(-1074 * 2 - 1, 1), 5e-324)
    assert.strictEqual(exponentialBound(-2000 * 2 - 1, 1), 0)
  })

  it("of a higher resolution than servers have are merged", () => {
    const at = (index: number) => String(exponentialBound(index, 8))
    assert.deepStrictEqual(bounds(9, -3, 6), [
      [at(-2), at(-1), "2"],
      [at(-1), at(0), "2"],
      [at(0), at(1), "2"]
    ])
    assert.deepStrictEqual(bounds(52, 0, 2), [
      [at(-1), at(0), "1"],
      [at(0), at(1), "1"]
    ])
  })

  it("of an unknown schema are refused", () => {
    for (const schema of [53, -10, -54]) {
      assert.throws(() => bounds(schema, 0, 1), RemoteReadError, `the unknown schema ${schema}`)
    }
  })
})
