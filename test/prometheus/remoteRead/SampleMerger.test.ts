import { assert, describe, it } from "@effect/vitest"
import { HistogramLayout } from "../../../src/prometheus/remoteRead/HistogramLayout.ts"
import { SampleMerger } from "../../../src/prometheus/remoteRead/SampleMerger.ts"
import { DecodedSeries } from "../../../src/samples/Series.ts"

const layout = new HistogramLayout({
  schema: 0,
  zeroThreshold: 0,
  positiveSpans: [],
  negativeSpans: [],
  customBounds: []
})

const empty = {
  count: 0,
  sum: 0,
  zeroCount: 0,
  positive: new Float64Array(0),
  negative: new Float64Array(0)
}

describe("SampleMerger", () => {
  it("holds few histograms back, even if they have no buckets", () => {
    const merger = new SampleMerger({ startMillis: 0, endMillis: 1e9 })
    merger.begin(new DecodedSeries())
    let emitted = 0
    let added = 0
    const take = () => {
      for (const { length } of merger.take()) emitted += length
    }
    for (let chunk = 0; chunk < 100; chunk++) {
      merger.addHistograms((onHistogram) => {
        for (let i = 0; i < 120; i++) onHistogram(added++, layout, empty)
      })
      take()
      assert.isBelow(added - emitted, 5000)
    }
    merger.finish()
    take()
    assert.strictEqual(emitted, 12_000)
  })
})
