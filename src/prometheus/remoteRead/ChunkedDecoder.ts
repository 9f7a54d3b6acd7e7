/** Decodes a streamed response, `ChunkedReadResponse` messages in frames, while it arrives. */
import type { SampleBlock, Series } from "../../samples/Sample.ts"
import { BitReader } from "./BitReader.ts"
import { decodeChunk } from "./chunks.ts"
import { FrameReader } from "./FrameReader.ts"
import { ProtobufReader } from "./ProtobufReader.ts"
import { damaged } from "./RemoteReadError.ts"
import type { ReadDecoding } from "./readDecoding.ts"
import { SampleMerger } from "./SampleMerger.ts"
import { type Range, SeriesReader } from "./SeriesReader.ts"

/** Decodes one response: `push` its bytes as they arrive, then `finish`. Both throw a `RemoteReadError`. */
export class ChunkedDecoder {
  private readonly frames = new FrameReader()
  private readonly bits = new BitReader()
  private readonly seriesReader: SeriesReader
  private readonly merger: SampleMerger
  private readonly hasSentinel: boolean
  private series: Series | undefined
  private isComplete = false
  private failure: unknown

  constructor(decoding: ReadDecoding) {
    this.hasSentinel = decoding.hasSentinel === true
    this.seriesReader = new SeriesReader(decoding)
    this.merger = new SampleMerger(decoding.range, decoding.keepStaleMarkers)
  }

  /** Takes the next bytes of the body and returns the blocks that they completed. */
  push(chunk: Uint8Array): ReadonlyArray<SampleBlock> {
    return this.attempt(() => {
      for (const frame of this.frames.push(chunk)) this.readFrame(new ProtobufReader(frame))
    })
  }

  /** To be called at the end of the body. Returns the last blocks. */
  finish(): ReadonlyArray<SampleBlock> {
    return this.attempt(() => {
      this.frames.finish()
      if (this.hasSentinel && !this.isComplete) {
        throw damaged("it ends between two frames, before the result that was requested last")
      }
      this.merger.end()
    })
  }

  /** After a failure, nothing that follows is read. */
  private attempt(read: () => void): ReadonlyArray<SampleBlock> {
    if (this.failure !== undefined) throw this.failure
    try {
      read()
      return this.merger.take()
    } catch (error) {
      this.failure = error
      throw error
    }
  }

  private readFrame(message: ProtobufReader): void {
    const series: Array<Range> = []
    let query = 0
    for (let field = message.next(); field !== 0; field = message.next()) {
      if (field === 1) series.push(message.range())
      else if (field === 2) query = message.int64()
      else message.skip()
    }
    if (this.hasSentinel && query !== 0) {
      this.isComplete = true
      return
    }
    if (this.isComplete) throw damaged("the frames of its results are mixed up")
    for (const [start, end] of series) this.readSeries(message.at(start, end))
  }

  private readSeries(message: ProtobufReader): void {
    const labels: Array<Range> = []
    const chunks: Array<Range> = []
    for (let field = message.next(); field !== 0; field = message.next()) {
      if (field === 1) labels.push(message.range())
      else if (field === 2) chunks.push(message.range())
      else message.skip()
    }
    const series = this.seriesReader.read(message, labels)
    if (series !== this.series) {
      this.merger.begin(series)
      this.series = series
    }
    for (const [start, end] of chunks) this.readChunk(message.at(start, end))
  }

  private readChunk(message: ProtobufReader): void {
    let encoding = 0
    let data: Range = [0, 0]
    for (let field = message.next(); field !== 0; field = message.next()) {
      if (field === 3) encoding = message.int64()
      else if (field === 4) data = message.range()
      else message.skip()
    }
    this.bits.load(message.bytes, ...data)
    decodeChunk(encoding, this.bits, this.merger)
  }
}
