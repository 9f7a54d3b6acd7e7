/** Decodes responses in a test, from one chunk or many. */
import { isDeepStrictEqual } from "node:util"
import { assert } from "@effect/vitest"
import { DecodeError } from "../../../src/prometheus/query/JsonCursor.ts"
import { type Envelope, ResponseDecoder } from "../../../src/prometheus/query/ResponseDecoder.ts"
import type { SampleBlock } from "../../../src/samples/Sample.ts"
import { type SeriesCache, seriesId } from "../../../src/samples/Series.ts"
import { runs } from "../../support/runs.ts"
import { type PlainResponse, type PlainSample, plainSamples } from "./referenceDecoder.ts"

export const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

export const oneByteChunks = (bytes: Uint8Array): Array<Uint8Array> =>
  Array.from(bytes, (byte) => Uint8Array.of(byte))

/** Decodes everything; values are read only after the end of the response. */
export const decode = (chunks: Iterable<Uint8Array>): PlainResponse => {
  const decoder = new ResponseDecoder()
  const blocks: Array<SampleBlock> = []
  for (const chunk of chunks) blocks.push(...decoder.push(chunk))
  const envelope = decoder.finish()
  return { samples: plainSamples(blocks), envelope }
}

/** What the decoder emits until it fails, and its error. */
export const decodeUntilFailure = (
  chunks: Iterable<Uint8Array>
): { readonly samples: ReadonlyArray<PlainSample>; readonly outcome: Envelope | Error } => {
  const decoder = new ResponseDecoder()
  const blocks: Array<SampleBlock> = []
  try {
    for (const chunk of chunks) blocks.push(...decoder.push(chunk))
    return { outcome: decoder.finish(), samples: plainSamples(blocks) }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    return { outcome: error, samples: plainSamples(blocks) }
  }
}

/** Labels, identity and samples of each series of a response, whichever objects represent it. */
export const bySeries = (bytes: Uint8Array, cache?: SeriesCache): ReadonlyArray<unknown> => {
  const decoder = new ResponseDecoder(cache)
  const blocks = decoder.push(bytes)
  decoder.finish()
  return plainSamples(blocks).map(({ labels, time, value }) => [labels, seriesId(labels), time, value])
}

/** Compares deeply; chai is slow, so it only reports the difference. */
export const assertSame = (actual: unknown, expected: unknown, context?: () => string): void => {
  if (!isDeepStrictEqual(actual, expected)) assert.deepStrictEqual(actual, expected, context?.())
}

export const assertDecodeError = (outcome: unknown, context: () => string): void => {
  if (!(outcome instanceof DecodeError)) assert.instanceOf(outcome, DecodeError, context())
}

export const assertFails = (bytes: Uint8Array): void => {
  for (const chunks of [[bytes], oneByteChunks(bytes)]) {
    const { outcome } = decodeUntilFailure(chunks)
    assert.instanceOf(outcome, DecodeError, JSON.stringify(outcome))
    assert.isAbove(outcome.message.length, 0)
  }
}

export const responseWith = (result: string): string =>
  `{"status":"success","data":{"resultType":"matrix","result":${result}}}`

/** A response of one series `{a="b"}` with these samples. */
export const withValues = (values: string): string =>
  responseWith(`[{"metric":{"a":"b"},"values":${values}}]`)

export const withMetric = (metric: string): string =>
  responseWith(`[{"metric":${metric},"values":[[1,"1"]]}]`)

export const withHistogram = (histogram: string): string =>
  responseWith(`[{"metric":{"a":"b"},"histograms":[[1,${histogram}]]}]`)

export const many = { arbitrary: { runs: runs(14, 200) }, timeout: 60_000 }
export const some = { arbitrary: { runs: runs(4, 50) }, timeout: 60_000 }
