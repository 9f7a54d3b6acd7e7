/** Native histograms as a server stores them: with numbered buckets instead of bounds. */
import { exponentialBound, MAX_SCHEMA } from "../prometheus/remoteRead/exponentialBounds.ts"
import { CUSTOM_BUCKETS, type Span } from "../prometheus/remoteRead/HistogramLayout.ts"
import type { Histogram } from "../samples/Sample.ts"
import { BitWriter } from "./BitWriter.ts"

/** The buckets of one side of zero. */
export interface StoredSide {
  readonly spans: ReadonlyArray<Span>
  readonly counts: ReadonlyArray<number>
}

/** A histogram with counts that are floats. */
export interface StoredHistogram {
  readonly count: number
  readonly sum: number
  readonly schema: number
  readonly zeroThreshold: number
  readonly zeroCount: number
  readonly positive: StoredSide
  readonly negative: StoredSide
  readonly customBounds: ReadonlyArray<number>
}

/** A bucket with numbers; those of negative ones are mirrored. */
interface Bucket {
  readonly lower: number
  readonly upper: number
  readonly count: number
}

const LOWEST_SCHEMA = -4

/** The number in a text such as `+Inf`. */
const numberOf = (text: string): number => Number(text.replace("Inf", "Infinity"))

/** A histogram as it is stored. Throws if it has buckets that no server has. */
export const storedHistogram = (histogram: Histogram): StoredHistogram => {
  const positive: Array<Bucket> = []
  const negative: Array<Bucket> = []
  let zero: Bucket | undefined
  for (const bucket of histogram.buckets) {
    const [lower, upper, count] = [bucket.lower, bucket.upper, bucket.count].map(numberOf) as [
      number,
      number,
      number
    ]
    if (bucket.boundaries === 3 && lower === -upper) zero = { lower, upper, count }
    else if (bucket.boundaries === 1) negative.unshift({ lower: -upper, upper: -lower, count })
    else positive.push({ lower, upper, count })
  }
  const common = {
    count: numberOf(histogram.count),
    sum: numberOf(histogram.sum),
    zeroThreshold: zero?.upper ?? 0,
    zeroCount: zero?.count ?? 0
  }
  for (let schema = LOWEST_SCHEMA; schema <= MAX_SCHEMA; schema++) {
    const sides = [positive, negative].map((buckets) =>
      exponentialSide(buckets, schema, common.zeroThreshold)
    )
    const [above, below] = sides
    if (above !== undefined && below !== undefined) {
      return { ...common, schema, positive: above, negative: below, customBounds: [] }
    }
  }
  const bounds = new Set(positive.flatMap(({ lower, upper }) => [lower, upper]))
  const customBounds = [...bounds].filter(Number.isFinite).sort((a, b) => a - b)
  const above = customSide(positive, customBounds)
  if (above === undefined || negative.length > 0 || zero !== undefined) {
    throw new RangeError(`a server cannot store the histogram ${JSON.stringify(histogram)}`)
  }
  const none = { spans: [], counts: [] }
  return { ...common, schema: CUSTOM_BUCKETS, positive: above, negative: none, customBounds }
}

const exponentialSide = (
  buckets: ReadonlyArray<Bucket>,
  schema: number,
  zeroThreshold: number
): StoredSide | undefined =>
  sideOf(buckets, ({ lower, upper }) => {
    const index = Math.round(Math.log2(upper) * 2 ** schema)
    // Buckets begin where the zero bucket ends.
    const near = Math.max(exponentialBound(index - 1, schema), zeroThreshold)
    return exponentialBound(index, schema) === upper && near === lower ? index : undefined
  })

const customSide = (buckets: ReadonlyArray<Bucket>, bounds: ReadonlyArray<number>): StoredSide | undefined =>
  sideOf(buckets, ({ lower, upper }) => {
    const index = upper === Number.POSITIVE_INFINITY ? bounds.length : bounds.indexOf(upper)
    return lower === (bounds[index - 1] ?? Number.NEGATIVE_INFINITY) ? index : undefined
  })

/** Buckets by their index; undefined if one has none, or they are not in order. */
const sideOf = (
  buckets: ReadonlyArray<Bucket>,
  indexOf: (bucket: Bucket) => number | undefined
): StoredSide | undefined => {
  const spans: Array<Span> = []
  let next = 0
  for (const bucket of buckets) {
    const index = indexOf(bucket)
    if (index === undefined || !Number.isFinite(index) || (spans.length > 0 && index < next)) return undefined
    const last = spans.at(-1)
    if (last !== undefined && index === next) spans[spans.length - 1] = { ...last, length: last.length + 1 }
    else spans.push({ offset: index - next, length: 1 })
    next = index + 1
  }
  return { spans, counts: buckets.map(({ count }) => count) }
}

/** A chunk of one histogram. */
export const histogramChunk = (time: number, histogram: Histogram): Uint8Array => {
  const { count, customBounds, negative, positive, schema, sum, zeroCount, zeroThreshold } =
    storedHistogram(histogram)
  const writer = new BitWriter().write(1, 16).write(0, 8)
  if (zeroThreshold === 0) writer.write(0, 8)
  else writer.write(255, 8).float(zeroThreshold)
  integer(writer, schema)
  for (const { spans } of [positive, negative]) {
    integer(writer, spans.length)
    for (const { length, offset } of spans) {
      integer(writer, length)
      integer(writer, offset)
    }
  }
  if (schema === CUSTOM_BUCKETS) {
    integer(writer, customBounds.length)
    for (const bound of customBounds) {
      integer(writer, 0)
      writer.float(bound)
    }
  }
  integer(writer, time)
  for (const value of [count, zeroCount, sum, ...positive.counts, ...negative.counts]) writer.float(value)
  return writer.bytes
}

/** An integer in the form for the longest ones. */
const integer = (writer: BitWriter, value: number): void => {
  writer.write(0xff, 8).write(value, 64)
}
