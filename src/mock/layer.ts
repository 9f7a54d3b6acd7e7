/** The test layer of `PrometheusClient`: the real client, over a mock instead of a network. */
import { Layer } from "effect"
import type { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import * as MockHttpClient from "./MockHttpClient.ts"
import type { MockPrometheus } from "./MockPrometheus.ts"

/** A client whose requests go to a mock, whatever `base_url` is. */
export const layer = (mock: MockPrometheus): Layer.Layer<PrometheusClient, never, ConnectorConfig> =>
  PrometheusClient.layerNoDeps.pipe(Layer.provide(MockHttpClient.layer(mock)))
