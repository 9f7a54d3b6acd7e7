/** The buckets that native histograms share, and histograms as the query API of a server writes them. */
import { formatFloat64 } from "../../samples/formatFloat64.ts"
import type { Histogram, HistogramBucket } from "../../samples/Sample.ts"
import { exponentialBound, MAX_SCHEMA } from "./exponentialBounds.ts"
import { damaged, oversized, unsupported } from "./RemoteReadError.ts"

/** Buckets without a gap. */
export interface Span {
  /** The number of missing buckets since the span before, or the index of the first bucket. */
  readonly offset: number
  readonly length: number
}

/** Which buckets a histogram has. */
export interface Buckets {
  /** Each power of two has 2^schema buckets; or `CUSTOM_BUCKETS`. */
  readonly schema: number
  readonly zeroThreshold: number
  readonly positiveSpans: ReadonlyArray<Span>
  readonly negativeSpans: ReadonlyArray<Span>
  /** The upper bounds of custom buckets, without the infinite one. */
  readonly customBounds: ReadonlyArray<number>
}

/** The schema of buckets with bounds of their own. */
export const CUSTOM_BUCKETS = -53

// Servers lower a higher resolution to `MAX_SCHEMA`.
const HIGHEST_SCHEMA = 52
const LOWEST_SCHEMA = -9

/** No server accepts a histogram with more buckets, and samples of that size would not fit into memory. */
export const MAX_BUCKETS = 100_000

/** The counts of one histogram. */
export interface Counts {
  readonly count: number
  readonly sum: number
  readonly zeroCount: number
  /** Of the buckets in the order of the spans. */
  readonly positive: Float64Array
  readonly negative: Float64Array
}

/** The buckets of one side: their indexes, away from zero. */
type Indexes = Int32Array

/** What all histograms of a chunk have in common. */
export class HistogramLayout {
  readonly positiveLength: number
  readonly negativeLength: number
  private readonly buckets: Buckets
  /** Made for the first histogram that is rendered. */
  private sides: { readonly positive: Side; readonly negative: Side } | undefined
  private zero: Omit<HistogramBucket, "count"> | undefined

  constructor(buckets: Buckets) {
    const { schema } = buckets
    if (schema !== CUSTOM_BUCKETS && (schema < LOWEST_SCHEMA || schema > HIGHEST_SCHEMA)) {
      throw unsupported(`a native histogram has the unknown schema ${schema}`)
    }
    this.buckets = buckets
    this.positiveLength = lengthOf(buckets.positiveSpans)
    this.negativeLength = lengthOf(buckets.negativeSpans)
    if (this.positiveLength + this.negativeLength > MAX_BUCKETS) {
      throw oversized(
        `a native histogram has ${this.positiveLength + this.negativeLength} buckets, but at most ${MAX_BUCKETS} are read`
      )
    }
  }

  /** A histogram with this layout. Empty buckets are left out. */
  render({ count, negative, positive, sum, zeroCount }: Counts): Histogram {
    const { buckets } = this
    this.sides ??= {
      positive: sideOf(buckets, indexesOf(buckets.positiveSpans, this.positiveLength), false),
      negative: sideOf(buckets, indexesOf(buckets.negativeSpans, this.negativeLength), true)
    }
    const rendered: Array<HistogramBucket> = []
    addBuckets(rendered, this.sides.negative, negative)
    rendered.reverse()
    if (zeroCount > 0) {
      if (buckets.schema === CUSTOM_BUCKETS)
        throw damaged("a histogram with custom buckets has a zero bucket")
      this.zero ??= {
        boundaries: 3,
        lower: formatFloat64(-buckets.zeroThreshold),
        upper: formatFloat64(buckets.zeroThreshold)
      }
      rendered.push({ ...this.zero, count: formatFloat64(zeroCount) })
    }
    addBuckets(rendered, this.sides.positive, positive)
    return { count: formatFloat64(count), sum: formatFloat64(sum), buckets: rendered }
  }
}

const lengthOf = (spans: ReadonlyArray<Span>): number => spans.reduce((sum, { length }) => sum + length, 0)

const indexesOf = (spans: ReadonlyArray<Span>, length: number): Indexes => {
  const indexes = new Int32Array(length)
  let next = 0
  let index = 0
  for (const span of spans) {
    index += span.offset
    for (let left = span.length; left > 0; left--) indexes[next++] = index++
  }
  return indexes
}

/** The rendered buckets of a side. Several buckets of a higher resolution become one. */
interface Side {
  readonly bounds: ReadonlyArray<Omit<HistogramBucket, "count">>
  /** For each bucket, the index of its bounds. */
  readonly slots: Indexes
}

const sideOf = (buckets: Buckets, indexes: Indexes, isNegative: boolean): Side => {
  const bounds: Array<Omit<HistogramBucket, "count">> = []
  const slots = new Int32Array(indexes.length)
  const shift = Math.max(0, buckets.schema - MAX_SCHEMA)
  let before = 0
  for (let i = 0; i < indexes.length; i++) {
    // The bucket of the lower resolution that contains this one. More than 31 bits are shifted in two steps.
    const index = (((indexes[i]! - 1) >> Math.min(shift, 31)) >> Math.max(0, shift - 31)) + 1
    if (i === 0 || shift === 0 || index !== before) bounds.push(boundsOf(buckets, index, isNegative))
    before = index
    slots[i] = bounds.length - 1
  }
  return { bounds, slots }
}

const boundsOf = (
  { customBounds, schema, zeroThreshold }: Buckets,
  index: number,
  isNegative: boolean
): Omit<HistogramBucket, "count"> => {
  if (schema === CUSTOM_BUCKETS) {
    if (isNegative || index < 0 || index > customBounds.length) {
      throw damaged("a histogram with custom buckets has a bucket without bounds")
    }
    const bound = (at: number) =>
      formatFloat64(at < 0 ? -Infinity : at === customBounds.length ? Infinity : customBounds[at]!)
    return { boundaries: index === 0 ? 3 : 0, lower: bound(index - 1), upper: bound(index) }
  }
  const resolution = Math.min(schema, MAX_SCHEMA)
  const far = exponentialBound(index, resolution)
  const near = exponentialBound(index - 1, resolution)
  // Buckets begin where the zero bucket ends.
  const clipped = near > 0 && near < zeroThreshold ? zeroThreshold : near
  return isNegative
    ? {
        boundaries: far > 0 ? 1 : 2,
        lower: formatFloat64(-far),
        upper: formatFloat64(-clipped)
      }
    : { boundaries: far > 0 ? 0 : 2, lower: formatFloat64(clipped), upper: formatFloat64(far) }
}

const addBuckets = (
  rendered: Array<HistogramBucket>,
  { bounds, slots }: Side,
  counts: Float64Array
): void => {
  let i = 0
  while (i < slots.length) {
    const slot = slots[i]!
    let count = counts[i++]!
    while (i < slots.length && slots[i] === slot) count += counts[i++]!
    if (count !== 0) rendered.push({ ...bounds[slot]!, count: formatFloat64(count) })
  }
}
