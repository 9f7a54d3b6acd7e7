/** What a server's own configuration says about remote read: whether it returns what queries return. */
import { Schema } from "effect"
import { apiRequest, type Endpoint, endpoint, MEBIBYTE } from "./api.ts"
import { type ExternalLabels, parseExternalLabels } from "./remoteRead/externalLabels.ts"

/** Parts of the configuration. */
export interface ServerConfiguration {
  /** Undefined if they cannot be read from it. */
  readonly externalLabels: ExternalLabels | undefined
  /** Whether it reads from other servers too. If one of them does not respond, only queries say so. */
  readonly readsFromOthers: boolean
}

/** The server writes the YAML itself, always in the same form: its sections begin at the left margin. */
export const parseConfiguration = (yaml: string): ServerConfiguration => ({
  externalLabels: parseExternalLabels(yaml),
  readsFromOthers: /^remote_read:/m.test(yaml)
})

/** Its secrets are masked by the server. */
export const serverConfiguration: Endpoint<ServerConfiguration> = endpoint(
  apiRequest("/api/v1/status/config", {}),
  { bytes: 64 * MEBIBYTE, depth: 16, containers: 1000 },
  Schema.Struct({ yaml: Schema.String }),
  ({ yaml }) => parseConfiguration(yaml)
)
