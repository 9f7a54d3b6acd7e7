/**
 * What flows between the decoder and whoever consumes a read: blocks of samples of one series.
 *
 * A block keeps the bytes that the server sent. A value is never turned into a number on its way, so its
 * digits arrive as they were; and a consumer that writes bytes copies them without looking at them.
 */

import type { Arena } from "./Arena.ts"

/** The labels of one series, sorted by name, without empty ones; the metric's name is the label `__name__`. */
export type Labels = ReadonlyArray<readonly [name: string, value: string]>

/** One series of a response. The same object accompanies all blocks of that series in that response. */
export interface Series {
  readonly labels: Labels
  /** Its stable identity, as `seriesId` makes it. */
  readonly id: string
}

/** Float samples of one series, in the order of the response. */
export interface FloatBlock {
  readonly _tag: "FloatBlock"
  readonly series: Series
  /** How many samples: the length of `times`, `starts` and `ends`. */
  readonly length: number
  /** Milliseconds since the Unix epoch. */
  readonly times: Float64Array
  /** Value `i` is the text `bytes[starts[i] … ends[i])`: a JSON number, or `NaN`, `+Inf`, `-Inf`. */
  readonly bytes: Uint8Array
  readonly starts: Uint32Array
  readonly ends: Uint32Array
  /** What the arrays were cut from, where that can be used again: see `recycle`. */
  readonly arena?: Arena
}

/** A bucket of a native histogram, numbers in the server's digits (`+Inf` and `-Inf` are possible bounds). */
export interface HistogramBucket {
  /** 0: (lower, upper]; 1: [lower, upper); 2: (lower, upper); 3: [lower, upper]. */
  readonly boundaries: number
  readonly lower: string
  readonly upper: string
  readonly count: string
}

/** A native histogram, numbers in the server's digits. */
export interface Histogram {
  readonly count: string
  readonly sum: string
  readonly buckets: ReadonlyArray<HistogramBucket>
}

/** Native histogram samples of one series, in the order of the response. */
export interface HistogramBlock {
  readonly _tag: "HistogramBlock"
  readonly series: Series
  readonly length: number
  /** Milliseconds since the Unix epoch. */
  readonly times: Float64Array
  readonly histograms: ReadonlyArray<Histogram>
}

/** A run of samples of one series. */
export type SampleBlock = FloatBlock | HistogramBlock

/** The samples of a block from one index to before another, as a block that shares its memory. */
export const partOf = (block: SampleBlock, from: number, to: number): SampleBlock => {
  const common = { length: to - from, times: block.times.subarray(from, to) }
  return block._tag === "FloatBlock"
    ? { ...block, ...common, starts: block.starts.subarray(from, to), ends: block.ends.subarray(from, to) }
    : { ...block, ...common, histograms: block.histograms.slice(from, to) }
}

const decoder = new TextDecoder("latin1")

/** The text of value `index` of a block: for people and tests; fast consumers copy the bytes. */
export const valueText = (block: FloatBlock, index: number): string =>
  decoder.decode(block.bytes.subarray(block.starts[index], block.ends[index]))
