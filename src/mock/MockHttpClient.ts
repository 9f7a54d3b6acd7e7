/** The mock inside the process, without sockets or promises; its time is that of Effect's `Clock`. */
import { Clock, Effect, Layer, Stream } from "effect"
import { HttpClient, HttpClientError, type HttpClientRequest, HttpClientResponse } from "effect/http"
import type { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { type MockResponse, makeRequest } from "./http.ts"
import type { MockPrometheus } from "./MockPrometheus.ts"

/** An `HttpClient` that sends every request to a mock, whatever its host. */
export const make = (mock: MockPrometheus): HttpClient.HttpClient =>
  HttpClient.make(
    Effect.fnUntraced(function* (request, url) {
      const body = yield* bodyBytes(request)
      const now = yield* Clock.currentTimeMillis
      const reply = mock.handle(makeRequest(request.method, url, Object.entries(request.headers), body), now)
      yield* Effect.sleep(reply.delayMillis)
      if (reply.ending !== "reset") return respond(request, reply)
      // As Node does.
      const cause = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" })
      return yield* failure(new HttpClientError.TransportError({ request, cause }))
    })
  )

/** Provides the `HttpClient` of `make`. */
export const layer = (mock: MockPrometheus): Layer.Layer<HttpClient.HttpClient> =>
  Layer.succeed(HttpClient.HttpClient, make(mock))

/** The real `PrometheusClient`, whose requests go to a mock, whatever `base_url` is. */
export const layerClient = (mock: MockPrometheus): Layer.Layer<PrometheusClient, never, ConnectorConfig> =>
  PrometheusClient.layerNoDeps.pipe(Layer.provide(layer(mock)))

const failure = (reason: HttpClientError.HttpClientErrorReason) =>
  new HttpClientError.HttpClientError({ reason })

/** The body as bytes; Prometheus reads no other bodies than these. */
const bodyBytes = (
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<Uint8Array, HttpClientError.HttpClientError> => {
  const { body } = request
  if (body._tag === "Uint8Array") return Effect.succeed(body.body)
  if (body._tag !== "Stream") return Effect.succeed(new Uint8Array(0))
  return Effect.mapBoth(Stream.mkArrayBuffer(body.stream), {
    onSuccess: (buffer) => new Uint8Array(buffer),
    onFailure: (cause) => failure(new HttpClientError.EncodeError({ request, cause }))
  })
}

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
  const cause = new Error("aborted")
  const aborted = Stream.fail(failure(new HttpClientError.DecodeError({ request, response, cause })))
  const rest = reply.ending === "cut" ? aborted : Stream.never
  const stream = reply.ending === "complete" ? chunks : Stream.concat(chunks, rest)
  return response
}
