/** Node's HTTP clients: one for Prometheus, with its certificates, and one for servers that issue tokens. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Context, Effect, Layer } from "effect"
import { HttpClient } from "effect/http"
import { ConnectorConfig } from "../../config/ConnectorConfig.ts"
import { agentOptions } from "./agentOptions.ts"

/** Sends requests for tokens. By default it is the `HttpClient` of the other requests. */
export const TokenClient = Context.Reference<HttpClient.HttpClient | undefined>(
  "source-prometheus/prometheus/TokenClient",
  { defaultValue: () => undefined }
)

const clientWith = (options: ReturnType<typeof agentOptions>) =>
  Layer.provide(NodeHttpClient.layerNodeHttpNoAgent, NodeHttpClient.layerAgentOptions(options))

/** The clients that the settings describe. Connections are kept alive. */
export const layerNode: Layer.Layer<HttpClient.HttpClient, never, ConnectorConfig> = Layer.unwrap(
  Effect.gen(function* () {
    const settings = yield* ConnectorConfig
    const tokenClient = Layer.effect(
      TokenClient,
      Effect.map(HttpClient.HttpClient, (client): HttpClient.HttpClient | undefined => client)
    ).pipe(Layer.provide(clientWith(agentOptions(settings, "tokens"))))
    return Layer.merge(clientWith(agentOptions(settings, "prometheus")), tokenClient)
  })
)
