/** The mock as an `HttpClient` inside the process, without sockets or promises; its time is that of Effect's `Clock`. */
import { Clock, Effect, Layer, Stream } from "effect"
import { HttpClient, HttpClientError, type HttpClientRequest, HttpClientResponse } from "effect/http"
import { type MockResponse, makeRequest } from "./http.ts"
import type { MockPrometheus } from "./MockPrometheus.ts"

/** An `HttpClient` that sends every request to a mock, whatever its host. */
export const make = (mock: MockPrometheus): HttpClient.HttpClient =>
  HttpClient.make(
    Effect.fnUntraced(function* (request, url) {
      const body = yield* bodyText(request)
      const now = yield* Clock.currentTimeMillis
      const reply = mock.handle(makeRequest(request.method, url, Object.entries(request.headers), body), now)
      if (Number.isFinite(reply.delayMillis)) yield* Effect.sleep(reply.delayMillis)
      else return yield* Effect.never
      if (reply.ending === "reset") return yield* connectionReset(request)
      return respond(request, reply)
    })
  )

/** Provides the `HttpClient` of `make`. */
export const layer = (mock: MockPrometheus): Layer.Layer<HttpClient.HttpClient> =>
  Layer.succeed(HttpClient.HttpClient, make(mock))

const bodyText = (
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<string, HttpClientError.HttpClientError> => {
  switch (request.body._tag) {
    case "Empty":
      return Effect.succeed("")
    case "Uint8Array":
      return Effect.succeed(new TextDecoder().decode(request.body.body))
    case "Stream":
      return Stream.mkString(Stream.decodeText(request.body.stream)).pipe(
        Effect.mapError(
          (cause) =>
            new HttpClientError.HttpClientError({
              reason: new HttpClientError.EncodeError({ request, cause })
            })
        )
      )
    default:
      // Prometheus reads no other body.
      return Effect.succeed("")
  }
}

const connectionReset = (request: HttpClientRequest.HttpClientRequest) =>
  new HttpClientError.HttpClientError({
    reason: new HttpClientError.TransportError({ request, cause: new Error("read ECONNRESET") })
  })

/**
 * A response whose body is an Effect stream. `fromWeb` would read it through promises, which a TestClock does not wait for, so
 * only its status and headers are used.
 */
const respond = (
  request: HttpClientRequest.HttpClientRequest,
  reply: MockResponse
): HttpClientResponse.HttpClientResponse => {
  const head = HttpClientResponse.fromWeb(
    request,
    new Response(null, { status: reply.status, headers: reply.headers })
  )
  const response: HttpClientResponse.HttpClientResponse = Object.create(head, {
    stream: { get: () => stream },
    arrayBuffer: { get: () => Stream.mkArrayBuffer(stream) }
  })
  const chunks = Stream.fromIterable(reply.body, { chunkSize: 1 })
  const stream = Stream.concat(chunks, after(request, response, reply))
  return response
}

const after = (
  request: HttpClientRequest.HttpClientRequest,
  response: HttpClientResponse.HttpClientResponse,
  reply: MockResponse
): Stream.Stream<never, HttpClientError.HttpClientError> => {
  switch (reply.ending) {
    case "stall":
      return Stream.never
    case "cut":
      return Stream.fail(
        new HttpClientError.HttpClientError({
          reason: new HttpClientError.DecodeError({ request, response, cause: new Error("aborted") })
        })
      )
    default:
      return Stream.empty
  }
}
