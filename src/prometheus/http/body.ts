/** Reads the body of a response, uncompressed. Fails if the body breaks off, stalls or arrives too slowly. */
import { createGunzip } from "node:zlib"
import { NodeHttpIncomingMessage } from "@effect/platform-node/NodeHttpIncomingMessage"
import * as NodeStream from "@effect/platform-node/NodeStream"
import { Effect, Option, Predicate, type Scope, Sink, Stream } from "effect"
import type { HttpClientResponse } from "effect/http"
import { beginning } from "../../text/excerpt.ts"
import { PrometheusError, type Reason } from "../PrometheusError.ts"
import { BoundedText, type Bounds } from "./BoundedText.ts"
import { bodyChunks } from "./bodyChunks.ts"
import { causeText } from "./transportError.ts"

/** The body of a response, and what reading it needs. */
export interface Body {
  /** The address of the request, without parameters. */
  readonly address: string
  readonly response: HttpClientResponse.HttpClientResponse
  /** How long to wait for more of it. */
  readonly timeoutMillis: number
  /** Called with the numbers of bytes that arrive. */
  readonly onBytes?: (bytes: number) => void
  /** An encoding that is left as it is. */
  readonly keptEncoding?: string
  /** Its bytes, uncompressed, if reading has begun. */
  readonly bytes?: Stream.Stream<Uint8Array, PrometheusError>
}

/** Whether its end is marked. Otherwise it ends with the connection, which may have broken off. */
export const isDelimited = ({ response }: Body): boolean =>
  !(response instanceof NodeHttpIncomingMessage) ||
  response.headers["transfer-encoding"] !== undefined ||
  response.headers["content-length"] !== undefined

const failure = (reason: Reason, { address }: Body, how: string): PrometheusError =>
  new PrometheusError({ reason, summary: `The response from ${address} ${how}.` })

const broken = (body: Body, how: string): PrometheusError => failure("BrokenResponse", body, how)

const tooSlow = (body: Body, how: string): PrometheusError =>
  failure("Timeout", body, `${how} within ${body.timeoutMillis / 1000} s`)

/** The bytes as they arrive from the network. */
const receivedBytes = (body: Body): Stream.Stream<Uint8Array, PrometheusError> => {
  const { onBytes = () => {}, response, timeoutMillis } = body
  const onError = (error: unknown) => broken(body, `broke off (${causeText(error)})`)
  const onSilence = () => tooSlow(body, "did not continue")
  return response instanceof NodeHttpIncomingMessage
    ? bodyChunks(() => response.source, {
        onError,
        onBytes,
        timeoutMillis,
        onSilence,
        onDrip: () => tooSlow(body, "delivered only a few bytes")
      })
    : response.stream.pipe(
        Stream.mapError(onError),
        Stream.map((bytes) => {
          onBytes(bytes.length)
          return bytes
        }),
        Stream.timeoutOrElse({ duration: timeoutMillis, orElse: () => Stream.fail(onSilence()) })
      )
}

/**
 * The bytes of a body. gzip reveals damage only at its end. A retry is then too late if some bytes have been used, which
 * `isUsed` says.
 */
export const bodyBytes = (
  body: Body,
  isUsed: () => boolean = () => false
): Stream.Stream<Uint8Array, PrometheusError> => {
  if (body.bytes !== undefined) return body.bytes
  const header = body.response.headers["content-encoding"] ?? ""
  const encodings = header
    .toLowerCase()
    .split(",")
    .map((encoding) => encoding.trim())
    .filter((encoding) => encoding !== "" && encoding !== "identity" && encoding !== body.keptEncoding)
  if (encodings.length === 0) return receivedBytes(body)
  if (encodings.length > 1 || (encodings[0] !== "gzip" && encodings[0] !== "x-gzip")) {
    return Stream.fail(broken(body, `is encoded as ${beginning(header, 100)}, which was not requested`))
  }
  return receivedBytes(body).pipe(
    NodeStream.pipeThroughDuplex({
      evaluate: () => createGunzip(),
      onError: (error) => {
        if (Predicate.hasProperty(error, "code") && error.code === "Z_BUF_ERROR") {
          return broken(body, "broke off (its gzip ends early)")
        }
        return failure(isUsed() ? "Corrupted" : "BrokenResponse", body, "is not valid gzip")
      }
    })
  )
}

/** Reads the first bytes of a body ahead. They stay part of it. */
export const withPeekedBytes = Effect.fnUntraced(function* (
  body: Body
): Effect.fn.Return<Body & { readonly start: Uint8Array }, PrometheusError, Scope.Scope> {
  const [first, rest] = yield* Stream.peel(bodyBytes(body), Sink.head<Uint8Array>())
  const start = Option.getOrElse(first, () => new Uint8Array(0))
  return { ...body, start, bytes: Stream.concat(Stream.succeed(start), rest) }
})

/** A small body must be complete within the time that other responses have to start. */
const withTimeout = <A>(body: Body, effect: Effect.Effect<A, PrometheusError>) =>
  Effect.timeoutOrElse(effect, {
    duration: body.timeoutMillis,
    orElse: () => Effect.fail(tooSlow(body, "was not complete"))
  })

/** A small body as text. */
export const bodyText = (body: Body, bounds: Bounds): Effect.Effect<string, PrometheusError> =>
  Effect.suspend(() => {
    const text = new BoundedText(bounds)
    return withTimeout(
      body,
      Stream.runForEach(bodyBytes(body), (chunk) => {
        const excess = text.push(chunk)
        return excess === undefined ? Effect.void : Effect.fail(failure("Oversized", body, `has ${excess}`))
      }).pipe(Effect.map(() => text.finish()))
    )
  })

/** The start of a body as text: `limit` bytes and the rest of their chunk. */
export const bodyStart = (body: Body, limit: number): Effect.Effect<string, PrometheusError> =>
  Effect.suspend(() => {
    let total = 0
    return withTimeout(
      body,
      bodyBytes(body).pipe(
        Stream.takeUntil((chunk) => {
          total += chunk.length
          return total >= limit
        }),
        Stream.decodeText,
        Stream.mkString
      )
    )
  })
