/** Decodes a response with samples instead of chunks: one `ReadResponse` message, compressed with snappy, for all series. */
import type { SampleBlock } from "../../samples/Sample.ts"
import { type Counts, HistogramLayout, type Span } from "./HistogramLayout.ts"
import { Integer64 } from "./Integer64.ts"
import { ProtobufReader } from "./ProtobufReader.ts"
import { damaged, oversized } from "./RemoteReadError.ts"
import type { ReadDecoding } from "./readDecoding.ts"
import { SampleMerger } from "./SampleMerger.ts"
import { type Range, SeriesReader } from "./SeriesReader.ts"
import { checkedTime, lateTime } from "./sampleTimes.ts"
import { snappyDecompress } from "./snappy.ts"

/** The largest response, as it arrives and decompressed: all of it has to be in memory. */
const MAX_BYTES = 128 * 1024 * 1024
const MAX_DECOMPRESSED_BYTES = 256 * 1024 * 1024

/** Decodes one response: `push` its bytes as they arrive, then `finish`. Both throw a `RemoteReadError`. */
export class SamplesDecoder {
  private readonly seriesReader: SeriesReader
  private readonly merger: SampleMerger
  private chunks: Array<Uint8Array> = []
  private bytes = 0

  constructor(decoding: ReadDecoding) {
    this.seriesReader = new SeriesReader(decoding)
    this.merger = new SampleMerger(decoding.range, decoding.keepStaleMarkers)
  }

  /** Takes the next bytes of the body. There are no blocks before its end. */
  push(chunk: Uint8Array): ReadonlyArray<SampleBlock> {
    this.bytes += chunk.length
    if (this.bytes > MAX_BYTES) throw oversized(`it has more than ${MAX_BYTES} bytes`)
    this.chunks.push(chunk)
    return []
  }

  /** To be called at the end of the body. Returns all blocks. */
  finish(): ReadonlyArray<SampleBlock> {
    const compressed = Buffer.concat(this.chunks, this.bytes)
    this.chunks = []
    this.readResponse(new ProtobufReader(snappyDecompress(compressed, MAX_DECOMPRESSED_BYTES)))
    this.merger.end()
    return this.merger.take()
  }

  /** Reads the first result. A second one is that of the sentinel. */
  private readResponse(message: ProtobufReader): void {
    let hasResult = false
    for (let field = message.next(); field !== 0; field = message.next()) {
      if (field === 1 && !hasResult) {
        hasResult = true
        this.readResult(message.message())
      } else message.skip()
    }
  }

  private readResult(message: ProtobufReader): void {
    for (let field = message.next(); field !== 0; field = message.next()) {
      if (field === 1) this.readSeries(message.message())
      else message.skip()
    }
  }

  private readSeries(message: ProtobufReader): void {
    const labels: Array<Range> = []
    const samples: Array<Range> = []
    const histograms: Array<Range> = []
    for (let field = message.next(); field !== 0; field = message.next()) {
      if (field === 1) labels.push(message.range())
      else if (field === 2) samples.push(message.range())
      else if (field === 4) histograms.push(message.range())
      else message.skip()
    }
    this.merger.begin(this.seriesReader.read(message, labels))
    this.merger.addFloats((room) => {
      if (samples.length === 0) return 0
      const { columns, start } = room(samples.length)
      let before = Number.NEGATIVE_INFINITY
      samples.forEach(([from, to], i) => {
        const { high, low, time } = readSample(message.at(from, to))
        if (time <= before) throw lateTime()
        before = time
        columns.set(start + i, time, high, low)
      })
      return samples.length
    })
    this.merger.addHistograms((onHistogram) => {
      let before = Number.NEGATIVE_INFINITY
      for (const [from, to] of histograms) {
        const { counts, isStale, layout, time } = readHistogram(message.at(from, to))
        if (time <= before) throw lateTime()
        before = time
        onHistogram(time, layout, isStale ? undefined : counts)
      }
    })
  }
}

const readSample = (message: ProtobufReader) => {
  let time = 0
  let high = 0
  let low = 0
  for (let field = message.next(); field !== 0; field = message.next()) {
    if (field === 1) [high, low] = message.doubleBits()
    else if (field === 2) time = checkedTime(message.int64())
    else message.skip()
  }
  return { time, high, low }
}

interface TimedHistogram {
  readonly time: number
  readonly isStale: boolean
  readonly layout: HistogramLayout
  readonly counts: Counts
}

const readHistogram = (message: ProtobufReader): TimedHistogram => {
  let [count, zeroCount, zeroThreshold, schema, time] = [0, 0, 0, 0, 0]
  let sum = { value: 0, isStale: false }
  const negativeSpans: Array<Span> = []
  const positiveSpans: Array<Span> = []
  const negative = new SideCounts()
  const positive = new SideCounts()
  const customBounds: Array<number> = []
  for (let field = message.next(); field !== 0; field = message.next()) {
    if (field === 1) count = message.uint64()
    else if (field === 2) count = message.double()
    else if (field === 3) sum = message.markedDouble()
    else if (field === 4) schema = message.sint32()
    else if (field === 5) zeroThreshold = message.double()
    else if (field === 6) zeroCount = message.uint64()
    else if (field === 7) zeroCount = message.double()
    else if (field === 8) negativeSpans.push(readSpan(message.message()))
    else if (field === 9) message.sint64s((delta) => negative.addDelta(delta))
    else if (field === 10) message.doubles((value) => negative.counts.push(value))
    else if (field === 11) positiveSpans.push(readSpan(message.message()))
    else if (field === 12) message.sint64s((delta) => positive.addDelta(delta))
    else if (field === 13) message.doubles((value) => positive.counts.push(value))
    else if (field === 15) time = checkedTime(message.int64())
    else if (field === 16) message.doubles((value) => customBounds.push(value))
    else message.skip()
  }
  const layout = new HistogramLayout({ schema, zeroThreshold, positiveSpans, negativeSpans, customBounds })
  if (layout.positiveLength !== positive.counts.length || layout.negativeLength !== negative.counts.length) {
    throw damaged("a native histogram has another number of counts than of buckets")
  }
  const counts = {
    count,
    zeroCount,
    sum: sum.value,
    positive: Float64Array.from(positive.counts),
    negative: Float64Array.from(negative.counts)
  }
  return { time, isStale: sum.isStale, layout, counts }
}

/** The counts of the buckets of one side. */
class SideCounts {
  readonly counts: Array<number> = []
  private readonly total = new Integer64()

  /** Adds a bucket, whose count differs by so much from that of the one before. */
  addDelta([high, low]: readonly [high: number, low: number]): void {
    this.total.add(high, low)
    this.counts.push(this.total.number)
  }
}

const readSpan = (message: ProtobufReader): Span => {
  let offset = 0
  let length = 0
  for (let field = message.next(); field !== 0; field = message.next()) {
    if (field === 1) offset = message.sint32()
    else if (field === 2) length = message.uint64()
    else message.skip()
  }
  return { offset, length }
}
