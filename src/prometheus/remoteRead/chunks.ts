/** The encodings of chunks, by their numbers in responses. */
import type { BitReader } from "./BitReader.ts"
import { decodeHistogramChunk, type HistogramEncoding } from "./histogramChunk.ts"
import { unsupported } from "./RemoteReadError.ts"
import type { SampleMerger } from "./SampleMerger.ts"
import { decodeXor2Chunk } from "./xor2Chunk.ts"
import { decodeXorChunk } from "./xorChunk.ts"

const floats = { 1: decodeXorChunk, 4: decodeXor2Chunk }

const histograms: Readonly<Record<number, HistogramEncoding>> = {
  2: { isFloat: false, hasStarts: false },
  3: { isFloat: true, hasStarts: false },
  5: { isFloat: false, hasStarts: true },
  6: { isFloat: true, hasStarts: true }
}

/** Decodes the chunk that the reader has loaded. */
export const decodeChunk = (encoding: number, reader: BitReader, merger: SampleMerger): void => {
  if (encoding === 1 || encoding === 4) {
    merger.addFloats((room) => floats[encoding](reader, room))
    return
  }
  const histogram = histograms[encoding]
  if (histogram === undefined) throw unsupported(`a chunk has the unknown encoding ${encoding}`)
  merger.addHistograms((onHistogram) => decodeHistogramChunk(reader, histogram, onHistogram))
}
