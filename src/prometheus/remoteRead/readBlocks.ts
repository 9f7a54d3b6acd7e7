/** The samples of a response to a remote read, in blocks, as they arrive. */
import { Effect, Stream } from "effect"
import type { SampleBlock } from "../../samples/Sample.ts"
import { type Body, bodyBytes, isDelimited } from "../http/body.ts"
import { PrometheusError, type Reason } from "../PrometheusError.ts"
import { decodeChunks } from "../query/decodeChunks.ts"
import { ChunkedDecoder } from "./ChunkedDecoder.ts"
import { RemoteReadError, type RemoteReadErrorKind } from "./RemoteReadError.ts"
import type { ReadDecoding } from "./readDecoding.ts"
import { SamplesDecoder } from "./SamplesDecoder.ts"

const reasons: Readonly<Record<RemoteReadErrorKind, Reason>> = {
  damaged: "BrokenResponse",
  unsupported: "UnknownEncoding",
  oversized: "TooLarge",
  foreign: "OtherReplica"
}

/** Decodes a response in the form that the server chose. */
export const readBlocks = (
  body: Body,
  { mask, ...decoding }: ReadDecoding & { readonly mask: (text: string) => string }
): Stream.Stream<SampleBlock, PrometheusError> => {
  const contentType = body.response.headers["content-type"] ?? ""
  const isStreamed = /streamed/i.test(contentType)
  // Older servers, and Cortex, have no other form, whatever is accepted.
  if (!isStreamed && decoding.acceptsSamples !== true && /protobuf/i.test(contentType)) {
    const summary = `The response from ${body.address} has samples instead of chunks, a form that loses the sign of zeros.`
    return Stream.fail(new PrometheusError({ reason: "UnknownEncoding", summary }))
  }
  // Then nothing shows whether it is complete.
  if (isStreamed && decoding.hasSentinel !== true && !isDelimited(body)) {
    const summary = `The response from ${body.address} has no marked end: it may be cut short.`
    return Stream.fail(new PrometheusError({ reason: "BrokenResponse", summary }))
  }
  const decoder = isStreamed ? new ChunkedDecoder(decoding) : new SamplesDecoder(decoding)
  const unreadable = (error: unknown): PrometheusError => {
    if (!(error instanceof RemoteReadError)) throw error
    return new PrometheusError({
      reason: reasons[error.kind],
      summary: `The response from ${body.address} cannot be read: ${mask(error.message)}.`
    })
  }
  const end = Stream.fromEffect(Effect.try({ try: () => decoder.finish(), catch: unreadable })).pipe(
    Stream.flatMap(Stream.fromIterable)
  )
  return bodyBytes(body).pipe(
    decodeChunks((chunk) => decoder.push(chunk), unreadable),
    Stream.concat(end)
  )
}
