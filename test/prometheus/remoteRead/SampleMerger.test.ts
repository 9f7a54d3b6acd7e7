import { assert, describe, it, vi } from "@effect/vitest"
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

  it.prop(
    "keeps the first of the samples of one time, with any number of overlapping chunks",
    [choices],
    ([choices]) => {
      const merger = new SampleMerger(range)
      merger.begin(new DecodedSeries())
      const expected = new Map<number, number>()
      const blocks: Array<SampleBlock> = []
      const [spread, count] = [choices.pick([3, 40, 1000]), choices.pick([2, 60, 120])]
      let first = 1
      for (let chunk = 1; chunk < 200; chunk++) {
        const isFloat = !choices.oneIn(30)
        let time = first
        const times = Array.from({ length: count }, () => {
          const own = time
          time += 1 + choices.below(spread)
          if (!expected.has(own)) expected.set(own, isFloat ? chunk : -chunk)
          return own
        })
        if (isFloat) {
          merger.addFloats((room) => {
            const { columns, start } = room(count)
            for (const [i, own] of times.entries()) columns.set(start + i, own, 1, chunk)
            return count
          })
        } else {
          merger.addHistograms((onHistogram) => {
            for (const own of times) onHistogram(own, layout, { ...empty, count: chunk })
          })
        }
        // The next chunk begins soon after this one, or after its end.
        first = choices.oneIn(40) ? time : first + choices.below(9)
        blocks.push(...merger.take())
      }
      merger.end()
      blocks.push(...merger.take())
      const found = blocks.flatMap((block) =>
        Array.from(block.times, (time, i) => {
          if (block._tag === "HistogramBlock") return [time, -Number(block.histograms[i]!.count)] as const
          const { buffer, byteOffset } = (block as NumberBlock).values
          return [time, new Uint32Array(buffer, byteOffset, 2 * block.length)[2 * i + 1 - HIGH]!] as const
        })
      )
      assert.deepStrictEqual(
        found,
        [...expected].toSorted(([a], [b]) => a - b)
      )
    },
    { arbitrary: { runs: runs(20, 100) }, timeout: 60_000 }
  )

  it("has samples in order even if chunks are not in the order of their first samples", () => {
    const merger = new SampleMerger(range)
    merger.begin(new DecodedSeries())
    for (const first of [10, 14, 3]) {
      merger.addFloats((room) => {
        const { columns, start } = room(5)
        for (let i = 0; i < 5; i++) columns.set(start + i, first + 2 * i, 1, first)
        return 5
      })
    }
    merger.end()
    const times = merger.take().flatMap(({ times }) => [...times])
    assert.deepStrictEqual(times, [3, 5, 7, 9, 10, 11, 12, 14, 16, 18, 20, 22])
  })

  it("takes little memory for floats and histograms in turns", () => {
    const merger = new SampleMerger(range)
    merger.begin(new DecodedSeries())
    const count = 20_000
    const before = process.memoryUsage().arrayBuffers
    merger.addFloats((room) => {
      const { columns, start } = room(count)
      for (let i = 0; i < count; i++) columns.set(start + i, 2 * i + 1, 1, i)
      return count
    })
    merger.addHistograms((onHistogram) => {
      for (let i = 0; i < count; i++) onHistogram(2 * i + 2, layout, empty)
    })
    merger.end()
    const blocks = merger.take()
    // Each block has memory of its own.
    assert.isBelow(process.memoryUsage().arrayBuffers - before, 20_000_000)
    assert.strictEqual(
      blocks.reduce((sum, { length }) => sum + length, 0),
      2 * count
    )
  })

  it("sorts a sample a few times at most, however many chunks overlap", () => {
    const sort = vi.spyOn(Array.prototype, "sort")
    const merger = new SampleMerger(range)
    merger.begin(new DecodedSeries())
    const chunks = 3000
    // Each chunk has one sample near its beginning, and others among those of all chunks.
    for (let chunk = 0; chunk < chunks; chunk++) {
      merger.addFloats((room) => {
        const { columns, start } = room(10)
        for (let i = 0; i < 10; i++) columns.set(start + i, i === 0 ? chunk : i * 100_000 + chunk, 1, chunk)
        return 10
      })
    }
    merger.end()
    const sorted = (sort.mock.contexts as Array<Array<unknown>>).reduce((sum, { length }) => sum + length, 0)
    sort.mockRestore()
    const times = merger.take().flatMap((block) => Array.from(block.times, Number))
    assert.lengthOf(times, 10 * chunks)
    for (const [i, time] of times.entries()) if (i > 0) assert.isAbove(time, times[i - 1]!)
    assert.isBelow(sorted, 6 * 10 * chunks)
  })
})
