import { assert, describe, it } from "@effect/vitest"
import { HIGH } from "../../../src/prometheus/remoteRead/BitReader.ts"
import { HistogramLayout } from "../../../src/prometheus/remoteRead/HistogramLayout.ts"
import { SampleMerger } from "../../../src/prometheus/remoteRead/SampleMerger.ts"
import { isStaleAt, staleHistogram, wordsOf } from "../../../src/prometheus/remoteRead/staleMarkers.ts"
import { recycle } from "../../../src/samples/Arena.ts"
import type { HistogramBlock, NumberBlock, SampleBlock } from "../../../src/samples/Sample.ts"
import { DecodedSeries } from "../../../src/samples/Series.ts"
import { type Choices, choices } from "../../choices.ts"
import { runs } from "../../support/runs.ts"

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

const range = { startMillis: 0, endMillis: 1e9 }

/** The blocks of a response of one series. Chunks may overlap, and each value has the number of the response in its bits. */
const response = (n: number, choices: Choices): ReadonlyArray<SampleBlock> => {
  const merger = new SampleMerger(range)
  merger.begin(new DecodedSeries())
  let [first, end] = [1, 0]
  for (let chunks = choices.below(300); chunks > 0; chunks--) {
    first = choices.oneIn(20) ? Math.max(first, end - 50) : end + 1
    const count = 1 + choices.below(120)
    merger.addFloats((room) => {
      const { columns, start } = room(count)
      for (let i = 0; i < count; i++) columns.set(start + i, first + i, n, first + i)
      return count
    })
    end = Math.max(end, first + count - 1)
  }
  merger.end()
  return merger.take()
}

const check = (blocks: ReadonlyArray<SampleBlock>, n: number): void => {
  let last = 0
  for (const { length, times, values } of blocks as ReadonlyArray<NumberBlock>) {
    const words = new Uint32Array(values.buffer, values.byteOffset, 2 * length)
    for (let i = 0; i < length; i++) {
      if (times[i] !== ++last || words[2 * i + HIGH] !== n || words[2 * i + 1 - HIGH] !== last) {
        assert.fail(`sample ${last} of response ${n}`)
      }
    }
  }
}

describe("SampleMerger", () => {
  it.prop(
    "does not change blocks that are not recycled, in any order of reading and recycling",
    [choices],
    ([choices]) => {
      const kept: Array<{ readonly blocks: ReadonlyArray<SampleBlock>; readonly n: number }> = []
      for (let n = 1; n < 8; n++) {
        kept.push({ blocks: response(n, choices), n })
        if (choices.oneIn(2)) {
          const [done] = kept.splice(choices.below(kept.length), 1)
          check(done!.blocks, done!.n)
          for (const block of done!.blocks) recycle(block)
        }
      }
      for (const { blocks, n } of kept) check(blocks, n)
    },
    { arbitrary: { runs: runs(20, 200) }, timeout: 60_000 }
  )

  it("uses the arrays of recycled blocks again", () => {
    const many = { below: (most: number) => most - 1, oneIn: () => false } as unknown as Choices
    const buffersOf = (blocks: ReadonlyArray<SampleBlock>) => new Set(blocks.map(({ times }) => times.buffer))
    const first = response(1, many)
    for (const block of first) recycle(block)
    const used = buffersOf(first)
    const again = [...buffersOf(response(2, many))].filter((buffer) => used.has(buffer))
    assert.isAbove(again.length, 1)
  })

  it("holds few histograms back, even if they have no buckets", () => {
    const merger = new SampleMerger(range)
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

  it("keeps stale markers only if they are asked for", () => {
    const take = (keepStaleMarkers: boolean) => {
      const merger = new SampleMerger({ startMillis: 0, endMillis: 1000 }, keepStaleMarkers)
      merger.begin(new DecodedSeries())
      merger.addFloats((room) => {
        const { columns, start } = room(2)
        columns.set(start, 1, 0x7ff00000, 2)
        columns.set(start + 1, 2, 0x7ff80000, 0)
        return 2
      })
      merger.addHistograms((onHistogram) => {
        onHistogram(3, layout, undefined)
        onHistogram(4, layout, empty)
      })
      merger.finish()
      return merger.take()
    }
    const [floats, histograms] = take(true)
    assert.deepStrictEqual([...floats!.times], [1, 2])
    const words = wordsOf(floats as NumberBlock)
    assert.deepStrictEqual([isStaleAt(words, 0), isStaleAt(words, 1)], [true, false])
    assert.deepStrictEqual([...histograms!.times], [3, 4])
    assert.strictEqual((histograms as HistogramBlock).histograms[0], staleHistogram)
    assert.deepStrictEqual(
      take(false).map(({ times }) => [...times]),
      [[2], [4]]
    )
  })
})
