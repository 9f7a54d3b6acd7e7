/** The samples of a range query's response, in blocks, as they arrive. */
import { Effect, Stream } from "effect"
import type { SampleBlock } from "../../samples/Sample.ts"
import type { SeriesCache } from "../../samples/Series.ts"
import { endSentence, excerptLine } from "../../text/excerpt.ts"
import { type Body, bodyBytes } from "../http/body.ts"
import { PrometheusError } from "../PrometheusError.ts"
import { decodeChunks } from "./decodeChunks.ts"
import { DecodeError } from "./JsonCursor.ts"
import { type Envelope, LateLabelsError, LongLabelsError, ResponseDecoder } from "./ResponseDecoder.ts"

/** How a response is decoded. */
export interface RangeDecoding {
  /** The series of earlier responses to the same query. */
  readonly series: SeriesCache | undefined
  readonly excludedLabels: ReadonlySet<string>
  readonly mask: (text: string) => string
  /** Called at the end, with the envelope of the response and the names of its unusual members. */
  readonly onEnd: (envelope: Envelope, members: ReadonlySet<string>) => Effect.Effect<void, PrometheusError>
}

/** Decodes a response. */
export const rangeBlocks = (
  body: Body,
  { excludedLabels, mask, onEnd, series }: RangeDecoding
): Stream.Stream<SampleBlock, PrometheusError> => {
  const decoder = new ResponseDecoder(series, excludedLabels)
  const unreadable = (error: unknown): PrometheusError => {
    if (!(error instanceof DecodeError)) throw error
    if (error instanceof LongLabelsError) {
      return new PrometheusError({
        reason: "LongLabels",
        summary: endSentence(
          `A series in the response from ${body.address} is too long to be repeated in every record: ${excerptLine(mask(error.message))}`
        )
      })
    }
    return new PrometheusError({
      reason: error instanceof LateLabelsError ? "Oversized" : "BrokenResponse",
      summary: `The response from ${body.address} cannot be read: ${mask(error.message)}.`
    })
  }
  let hasSamples = false
  const decode = (chunk: Uint8Array) => {
    const blocks = decoder.push(chunk)
    hasSamples ||= blocks.length > 0
    return blocks
  }
  const end = Effect.flatMap(Effect.try({ try: () => decoder.finish(), catch: unreadable }), (envelope) =>
    onEnd(envelope, decoder.members)
  )
  return bodyBytes(body, () => hasSamples).pipe(
    decodeChunks(decode, unreadable),
    Stream.concat(Stream.fromEffectDrain(end))
  )
}
