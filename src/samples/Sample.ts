/**
 * Blocks of samples of one series, which the decoder passes to the consumers of a read.
 *
 * A block keeps its values as the server sent them, as digits or as floats. Digits are never converted on the way, so they
 * arrive unchanged, and a consumer that writes bytes copies them. `textAt` and `numberAt` convert single values. Only code that
 * handles millions of samples per second accesses the arrays directly.
 */
import { formatFloat64 } from "./formatFloat64.ts"
import { parseFloat64 } from "./parseFloat64.ts"

/** The labels of a series, sorted by name, without empty ones. The metric's name is the label `__name__`. */
export type Labels = ReadonlyArray<readonly [name: string, value: string]>

/** One series of a response. All of its blocks in that response share this object. */
export interface Series {
  readonly labels: Labels
  /** Its stable identity: see `seriesId`. */
  readonly id: string
}

/** Float samples of one series as the server's digits, in the order of the response. */
export interface TextBlock {
  readonly _tag: "TextBlock"
  readonly series: Series
  /** The number of samples: the length of `times`, `starts` and `ends`. */
  readonly length: number
  /** Milliseconds since the Unix epoch. */
  readonly times: Float64Array
  /** Value `i` is the text `bytes[starts[i] … ends[i])`: a JSON number, or `NaN`, `+Inf`, `-Inf`. */
  readonly bytes: Uint8Array
  readonly starts: Uint32Array
  readonly ends: Uint32Array
}

/** Float samples of one series as numbers, in the order of the response. */
export interface NumberBlock {
  readonly _tag: "NumberBlock"
  readonly series: Series
  /** The number of samples: the length of `times` and `values`. */
  readonly length: number
  /** Milliseconds since the Unix epoch. */
  readonly times: Float64Array
  readonly values: Float64Array
}

/** Float samples, in either form. */
export type FloatBlock = TextBlock | NumberBlock

/** A bucket of a native histogram, with numbers in the server's digits. Bounds may be `+Inf` and `-Inf`. */
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

/** Consecutive samples of one series. */
export type SampleBlock = FloatBlock | HistogramBlock

/** The samples of a block from `start` to `end`, exclusive, as a block that shares its memory. */
export const partOf = (block: SampleBlock, from: number, to: number): SampleBlock => {
  const common = { length: to - from, times: block.times.subarray(from, to) }
  switch (block._tag) {
    case "TextBlock": {
      const { ends, starts } = block
      return { ...block, ...common, starts: starts.subarray(from, to), ends: ends.subarray(from, to) }
    }
    case "NumberBlock":
      return { ...block, ...common, values: block.values.subarray(from, to) }
    case "HistogramBlock":
      return { ...block, ...common, histograms: block.histograms.slice(from, to) }
  }
}

const decoder = new TextDecoder("latin1")

/** Value `index` of a block in Prometheus' format. */
export const textAt = (block: FloatBlock, index: number): string =>
  block._tag === "TextBlock"
    ? decoder.decode(block.bytes.subarray(block.starts[index], block.ends[index]))
    : formatFloat64(block.values[index]!)

/** Value `index` of a block as a number: the nearest float. */
export const numberAt = (block: FloatBlock, index: number): number =>
  block._tag === "TextBlock"
    ? parseFloat64(block.bytes, block.starts[index]!, block.ends[index]!)
    : block.values[index]!
