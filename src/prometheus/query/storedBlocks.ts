/** Stored samples from the response to an instant query: cut to the range, and without the oddities of some servers. */
import { Stream } from "effect"
import { recycle } from "../../samples/Arena.ts"
import { numberAt, partOf, type SampleBlock, type Series, type TextBlock } from "../../samples/Sample.ts"
import { PrometheusError } from "../PrometheusError.ts"
import type { TimeRange } from "../RangeQuery.ts"
import { decodeChunks } from "./decodeChunks.ts"

/** What the samples of some servers need. */
export interface StoredOddities {
  /** A NaN is a stale marker, and a series may have several samples at one time, in any order: the largest is kept. */
  readonly hasRepeatedTimes?: boolean | undefined
  /** Native histograms may be those of another series if the response has several. */
  readonly mixesHistograms?: boolean | undefined
}

/** The response has native histograms and several series, on a server that may mix them up. */
class MixedHistogramsError extends Error {}

/** The most native histograms and buckets that are held back. Each bucket is an object. */
const MAX_HELD = 500_000

class ManyHistogramsError extends Error {}

/** What blocks are made of, beside the response. */
export interface StoredDecoding {
  readonly oddities: StoredOddities
  /** The address of the request, without parameters. */
  readonly address: string
}

/** The stored samples of a range. */
export const storedBlocks = (
  blocks: Stream.Stream<SampleBlock, PrometheusError>,
  range: TimeRange,
  { address, oddities }: StoredDecoding
): Stream.Stream<SampleBlock, PrometheusError> => {
  const samples = new StoredSamples(range, oddities)
  const mixed = (error: unknown): PrometheusError => {
    if (error instanceof ManyHistogramsError) {
      return new PrometheusError({
        reason: "TooLarge",
        summary: `The response from ${address} has too many native histograms to hold them until it is certain that they are of one series.`
      })
    }
    if (!(error instanceof MixedHistogramsError)) throw error
    // Parts with fewer series are requested then, finally with one.
    return new PrometheusError({
      reason: "TooManySeries",
      summary: `The response from ${address} has native histograms and several series, and this server version mixes up histograms of different series.`,
      advice: "Use selector to read fewer series, or allow /api/v1/read."
    })
  }
  return blocks.pipe(
    decodeChunks((block) => samples.push(block), mixed),
    Stream.concat(Stream.suspend(() => Stream.fromIterable(samples.finish())))
  )
}

const LETTER_N = 0x4e

/** Takes the blocks of one response. */
class StoredSamples {
  private readonly range: TimeRange
  private readonly oddities: StoredOddities
  private series: Series | undefined
  private seriesCount = 0
  /** The last sample of the previous block: the next one may be of the same time. */
  private last: TextBlock | undefined
  /** Histograms, held back until no other series can follow. */
  private histograms: Array<SampleBlock> = []
  /** How many they are, with their buckets. */
  private held = 0

  constructor(range: TimeRange, oddities: StoredOddities) {
    this.range = range
    this.oddities = oddities
  }

  /** Takes a block, and returns those that are complete. Throws a `MixedHistogramsError`. */
  push(block: SampleBlock): ReadonlyArray<SampleBlock> {
    const ready: Array<SampleBlock> = []
    if (block.series !== this.series) {
      ready.push(...this.takeLast())
      this.series = block.series
      this.seriesCount++
    }
    if (this.oddities.mixesHistograms === true) {
      const hasHistograms = block._tag === "HistogramBlock" || this.histograms.length > 0
      if (hasHistograms && this.seriesCount > 1) throw new MixedHistogramsError()
    }
    if (block._tag === "HistogramBlock") {
      const cut = this.cut(block)
      if (this.oddities.mixesHistograms === true) this.hold(cut)
      else ready.push(...cut)
    } else if (this.oddities.hasRepeatedTimes === true && block._tag === "TextBlock") {
      ready.push(...this.distinct(block))
    } else ready.push(...this.cut(block))
    return ready
  }

  /** To be called after the last block. */
  finish(): ReadonlyArray<SampleBlock> {
    return [...this.takeLast(), ...this.histograms]
  }

  private hold(blocks: ReadonlyArray<SampleBlock>): void {
    for (const block of blocks) {
      this.histograms.push(block)
      if (block._tag !== "HistogramBlock") continue
      for (const { buckets } of block.histograms) this.held += 1 + buckets.length
    }
    if (this.held > MAX_HELD) throw new ManyHistogramsError()
  }

  /** The part of a block that is in the range. */
  private cut(block: SampleBlock): ReadonlyArray<SampleBlock> {
    const { length, times } = block
    let from = 0
    while (from < length && times[from]! < this.range.startMillis) from++
    let to = length
    while (to > from && times[to - 1]! > this.range.endMillis) to--
    if (to - from === length) return [block]
    if (to > from) return [partOf(block, from, to)]
    recycle(block)
    return []
  }

  /** One sample per time. */
  private distinct(block: TextBlock): ReadonlyArray<SampleBlock> {
    const { bytes, ends, starts, times } = block
    const { endMillis, startMillis } = this.range
    const ready: Array<SampleBlock> = []
    const kept: Array<number> = []
    for (let i = 0; i < block.length; i++) {
      const time = times[i]!
      if (time < startMillis || time > endMillis || bytes[starts[i]!] === LETTER_N) continue
      if (this.last !== undefined) {
        if (this.last.times[0] === time) {
          if (numberAt(this.last, 0) >= numberAt(block, i)) continue
          this.last = undefined
        } else ready.push(...this.takeLast())
      }
      const before = kept.at(-1)
      if (before === undefined || times[before] !== time) kept.push(i)
      else if (numberAt(block, i) > numberAt(block, before)) kept[kept.length - 1] = i
    }
    const last = kept.pop()
    if (last !== undefined) {
      this.last = {
        _tag: "TextBlock",
        series: block.series,
        length: 1,
        times: Float64Array.of(times[last]!),
        bytes: Buffer.from(bytes.subarray(starts[last], ends[last])),
        starts: Uint32Array.of(0),
        ends: Uint32Array.of(ends[last]! - starts[last]!)
      }
    }
    if (kept.length === 0) recycle(block)
    else {
      ready.push({
        ...block,
        length: kept.length,
        times: Float64Array.from(kept, (i) => times[i]!),
        starts: Uint32Array.from(kept, (i) => starts[i]!),
        ends: Uint32Array.from(kept, (i) => ends[i]!)
      })
    }
    return ready
  }

  private takeLast(): ReadonlyArray<SampleBlock> {
    const { last } = this
    this.last = undefined
    return last === undefined ? [] : [last]
  }
}
