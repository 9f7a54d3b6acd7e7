/** Chunks of native histograms, of integers and of floats, with start timestamps or without. */
import type { BitReader } from "./BitReader.ts"
import { floatFromBits, isStale } from "./BitReader.ts"
import { type Counts, CUSTOM_BUCKETS, HistogramLayout, MAX_BUCKETS, type Span } from "./HistogramLayout.ts"
import { Integer64 } from "./Integer64.ts"
import { damaged, oversized } from "./RemoteReadError.ts"
import { checkedTime, lateTime, sampleCount } from "./sampleTimes.ts"
import { readStartHeader, skipStart } from "./startTimestamps.ts"
import { XorValue } from "./XorValue.ts"

/** How the histograms of a chunk are encoded. */
export interface HistogramEncoding {
  readonly isFloat: boolean
  readonly hasStarts: boolean
}

/** Called for each sample of a chunk. The counts are valid only during the call; a stale marker has none. */
export type OnHistogram = (time: number, layout: HistogramLayout, counts: Counts | undefined) => void

/** Decodes a chunk. */
export const decodeHistogramChunk = (
  reader: BitReader,
  { hasStarts, isFloat }: HistogramEncoding,
  onHistogram: OnHistogram
): void => {
  // Whether counters were reset is in two bits of the header, and does not concern samples.
  if (hasStarts) reader.bits(2)
  const count = sampleCount(reader, hasStarts ? 14 : 16, 8)
  if (count === 0) return
  const starts = hasStarts ? readStartHeader(reader) : undefined
  if (!hasStarts) reader.bits(8)
  const layout = readLayout(reader)
  const columns = isFloat ? new FloatCounts(layout) : new IntegerCounts(layout)
  const time = new Integer64()
  const delta = new Integer64()
  let before = Number.NEGATIVE_INFINITY
  for (let sample = 0; sample < count; sample++) {
    reader.varbitInt()
    if (sample === 0) time.set(reader.high, reader.low)
    else {
      delta.add(reader.high, reader.low)
      time.add(delta.high, delta.low)
    }
    const hasHistogram = columns.read(reader, sample === 0)
    if (starts !== undefined) skipStart(reader, starts, sample)
    const now = checkedTime(time.number)
    if (now <= before) throw lateTime()
    before = now
    onHistogram(now, layout, hasHistogram ? columns : undefined)
  }
}

/** Reads the layout of the buckets, which all histograms of a chunk share. */
const readLayout = (reader: BitReader): HistogramLayout => {
  const zeroThreshold = readZeroThreshold(reader)
  reader.varbitInt()
  const schema = reader.low | 0
  const positiveSpans = readSpans(reader)
  const negativeSpans = readSpans(reader)
  const customBounds = schema === CUSTOM_BUCKETS ? readCustomBounds(reader) : []
  return new HistogramLayout({ schema, zeroThreshold, positiveSpans, negativeSpans, customBounds })
}

/** A power of two is one byte, any other threshold is a float. */
const readZeroThreshold = (reader: BitReader): number => {
  const exponent = reader.bits(8)
  return exponent === 0 ? 0 : exponent === 255 ? reader.float() : 2 ** (exponent - 244)
}

const readSpans = (reader: BitReader): ReadonlyArray<Span> =>
  Array.from({ length: readLength(reader) }, () => {
    reader.varbitUint()
    const length = reader.low
    reader.varbitInt()
    return { length, offset: reader.low | 0 }
  })

/** Most bounds have at most three decimals, and are thousandths. */
const readCustomBounds = (reader: BitReader): ReadonlyArray<number> =>
  Array.from({ length: readLength(reader) }, () => {
    reader.varbitUint()
    const { high, low } = reader
    return high === 0 && low === 0 ? reader.float() : (high * 4294967296 + low - 1) / 1000
  })

/** The number of spans or of bounds. */
const readLength = (reader: BitReader): number => {
  reader.varbitUint()
  const length = reader.high * 4294967296 + reader.low
  if (length > reader.remaining) throw damaged("a chunk is cut short")
  if (length > MAX_BUCKETS) throw oversized(`a native histogram has ${length} spans or bounds`)
  return length
}

/** The counts of an integer histogram: deltas of deltas, and in buckets also relative to the bucket before. */
class IntegerCounts implements Counts {
  count = 0
  sum = 0
  zeroCount = 0
  readonly positive: Float64Array
  readonly negative: Float64Array
  private readonly counter = new Counter()
  private readonly zeroCounter = new Counter()
  private readonly sumValue = new XorValue()
  private readonly positiveCounters: ReadonlyArray<Counter>
  private readonly negativeCounters: ReadonlyArray<Counter>

  constructor({ negativeLength, positiveLength }: HistogramLayout) {
    this.positive = new Float64Array(positiveLength)
    this.negative = new Float64Array(negativeLength)
    this.positiveCounters = Array.from(this.positive, () => new Counter())
    this.negativeCounters = Array.from(this.negative, () => new Counter())
  }

  /** Reads the next histogram. Returns false for a stale marker. */
  read(reader: BitReader, isFirst: boolean): boolean {
    const { counter, sumValue, zeroCounter } = this
    if (isFirst) {
      reader.varbitUint()
      counter.value.set(reader.high, reader.low)
      reader.varbitUint()
      zeroCounter.value.set(reader.high, reader.low)
      sumValue.readFirst(reader)
    } else {
      counter.read(reader)
      zeroCounter.read(reader)
      sumValue.read(reader)
    }
    this.count = counter.value.unsigned
    this.zeroCount = zeroCounter.value.unsigned
    this.sum = floatFromBits(sumValue.high, sumValue.low)
    const isMarker = isStale(sumValue.high, sumValue.low)
    if (isFirst || !isMarker) {
      readBuckets(reader, isFirst, this.positiveCounters, this.positive)
      readBuckets(reader, isFirst, this.negativeCounters, this.negative)
    }
    return !isMarker
  }
}

/** An integer that changes from sample to sample, and how much it changed. */
class Counter {
  readonly value = new Integer64()
  private readonly change = new Integer64()

  /** Reads the difference from the last change. */
  read(reader: BitReader): void {
    reader.varbitInt()
    this.change.add(reader.high, reader.low)
    this.value.add(this.change.high, this.change.low)
  }
}

const readBuckets = (
  reader: BitReader,
  isFirst: boolean,
  counters: ReadonlyArray<Counter>,
  counts: Float64Array
): void => {
  const total = new Integer64()
  for (let i = 0; i < counters.length; i++) {
    const counter = counters[i]!
    if (isFirst) {
      reader.varbitInt()
      counter.value.set(reader.high, reader.low)
    } else counter.read(reader)
    total.add(counter.value.high, counter.value.low)
    counts[i] = total.number
  }
}

/** The counts of a histogram of floats. */
class FloatCounts implements Counts {
  count = 0
  sum = 0
  zeroCount = 0
  readonly positive: Float64Array
  readonly negative: Float64Array
  private readonly countValue = new XorValue()
  private readonly zeroValue = new XorValue()
  private readonly sumValue = new XorValue()
  private readonly positiveValues: ReadonlyArray<XorValue>
  private readonly negativeValues: ReadonlyArray<XorValue>

  constructor({ negativeLength, positiveLength }: HistogramLayout) {
    this.positive = new Float64Array(positiveLength)
    this.negative = new Float64Array(negativeLength)
    this.positiveValues = Array.from(this.positive, () => new XorValue())
    this.negativeValues = Array.from(this.negative, () => new XorValue())
  }

  /** As `IntegerCounts.read`. */
  read(reader: BitReader, isFirst: boolean): boolean {
    this.count = readFloat(reader, isFirst, this.countValue)
    this.zeroCount = readFloat(reader, isFirst, this.zeroValue)
    this.sum = readFloat(reader, isFirst, this.sumValue)
    const isMarker = isStale(this.sumValue.high, this.sumValue.low)
    if (isFirst || !isMarker) {
      for (let i = 0; i < this.positive.length; i++) {
        this.positive[i] = readFloat(reader, isFirst, this.positiveValues[i]!)
      }
      for (let i = 0; i < this.negative.length; i++) {
        this.negative[i] = readFloat(reader, isFirst, this.negativeValues[i]!)
      }
    }
    return !isMarker
  }
}

const readFloat = (reader: BitReader, isFirst: boolean, value: XorValue): number => {
  if (isFirst) value.readFirst(reader)
  else value.read(reader)
  return floatFromBits(value.high, value.low)
}
