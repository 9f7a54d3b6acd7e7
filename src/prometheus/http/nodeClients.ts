/** Node's HTTP clients: one for Prometheus, with its certificates, and one for servers that issue tokens. */
import type { ConnectionOptions } from "node:tls"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Context, Effect, Layer } from "effect"
import { HttpClient, HttpClientError, type HttpClientRequest, type HttpClientResponse } from "effect/http"
import { ConnectorConfig, type Settings } from "../../config/ConnectorConfig.ts"
import { type ServerKind, tlsOptions } from "./agentOptions.ts"
import { ForwardingAgent, TunnellingAgent } from "./agents.ts"
import { ProxyFailure } from "./ProxyFailure.ts"
import { type Environment, type Proxy, proxyChoice } from "./proxies.ts"
import { FailedOnWay, rememberForwarder, type Way, wayTo } from "./Way.ts"

/** Sends requests for tokens. By default it is the `HttpClient` of the other requests. */
export const TokenClient = Context.Reference<HttpClient.HttpClient | undefined>(
  "source-prometheus/prometheus/TokenClient",
  { defaultValue: () => undefined }
)

/** The variables that name proxies. */
export const ProxyEnvironment = Context.Reference<Environment>(
  "source-prometheus/prometheus/ProxyEnvironment",
  { defaultValue: () => process.env }
)

/** The clients that the settings describe. Connections are kept alive. */
export const layerNode: Layer.Layer<HttpClient.HttpClient, never, ConnectorConfig> = Layer.unwrap(
  Effect.gen(function* () {
    const settings = yield* ConnectorConfig
    const environment = yield* ProxyEnvironment
    const tlsFor = {
      prometheus: once(() => tlsOptions(settings.tls, "prometheus")),
      tokens: once(() => tlsOptions(settings.tls, "tokens"))
    }
    const clientOf = (kind: ServerKind) => clientFor(kind, tlsFor, settings, environment)
    const tokenClient = Layer.effect(
      TokenClient,
      Effect.map(HttpClient.HttpClient, (client): HttpClient.HttpClient | undefined => client)
    ).pipe(Layer.provide(clientOf("tokens")))
    return Layer.merge(clientOf("prometheus"), tokenClient)
  })
)

/** Reading the certificates takes some 30 ms, which only connections with TLS need. */
const once = <A>(make: () => A): (() => A) => {
  let made: A | undefined
  return () => {
    made ??= make()
    return made
  }
}

/** A client for one kind of servers. Its failures know the way of the request. */
const clientFor = (
  kind: ServerKind,
  tlsFor: Readonly<Record<ServerKind, () => ConnectionOptions>>,
  settings: Settings,
  environment: Environment
): Layer.Layer<HttpClient.HttpClient> => {
  const { requestTimeoutMillis, tls } = settings
  const proxyFor = proxyChoice(settings, environment)
  const agents = Layer.effect(
    NodeHttpClient.HttpAgent,
    Effect.acquireRelease(
      Effect.sync(() => {
        const options = {
          proxyFor,
          tls: tlsFor[kind],
          proxyTls: tlsFor.tokens,
          // Before the request itself is given up, whose message would not name the proxy.
          timeoutMillis: requestTimeoutMillis * 0.9
        }
        return { http: new ForwardingAgent(options), https: new TunnellingAgent(options) }
      }),
      ({ http, https }) =>
        Effect.sync(() => {
          http.destroy()
          https.destroy()
        })
    )
  )
  const failedOn = (way: Way, request: HttpClientRequest.HttpClientRequest, cause: unknown) =>
    new HttpClientError.HttpClientError({
      reason: new HttpClientError.TransportError({ request, cause: new FailedOnWay({ cause, way }) })
    })
  const knowingWay = (client: HttpClient.HttpClient) =>
    HttpClient.transform(client, (response, request) => {
      const way = wayTo(request.url, kind, tls, proxyFor)
      if (way === undefined) return response
      return response.pipe(
        Effect.mapError((error) =>
          error.reason._tag === "TransportError" ? failedOn(way, request, error.reason.cause) : error
        ),
        Effect.flatMap((response) => {
          const { proxy, server } = way
          if (proxy === undefined || server.protocol === "https:") return Effect.succeed(response)
          rememberForwarder(response, proxy)
          const refusal = refusalOf(proxy, response)
          return refusal === undefined
            ? Effect.succeed(response)
            : Effect.fail(failedOn(way, request, refusal))
        })
      )
    })
  return Layer.effect(HttpClient.HttpClient, Effect.map(HttpClient.HttpClient, knowingWay)).pipe(
    // Layers are shared. Without `fresh`, all clients would have the agents of the first one.
    Layer.provide(Layer.fresh(NodeHttpClient.layerNodeHttpNoAgent)),
    Layer.provide(agents)
  )
}

/** The refusal of a proxy that forwards a request, in place of the server's response. Only some proxies mark theirs. */
const refusalOf = (
  proxy: Proxy,
  { headers, status }: HttpClientResponse.HttpClientResponse
): ProxyFailure | undefined => {
  const squid = headers["x-squid-error"]
  const isRefusal =
    status === 407 || (status >= 400 && (squid !== undefined || /^tinyproxy\b/i.test(headers.server ?? "")))
  return isRefusal
    ? new ProxyFailure("The proxy refused to forward.", proxy, {
        status,
        text: squid ?? "",
        challenge: headers["proxy-authenticate"]
      })
    : undefined
}
