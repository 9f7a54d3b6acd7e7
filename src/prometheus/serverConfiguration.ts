/** What a server's own configuration says about remote read: whether it returns what queries return. */
import { Schema } from "effect"
import { apiRequest, type Endpoint, endpoint, MEBIBYTE } from "./api.ts"

/** Parts of the configuration. */
export interface ServerConfiguration {
  /** Remote read adds them to the labels of series, queries do not. */
  readonly hasExternalLabels: boolean
  /** Whether it reads from other servers too. If one of them does not respond, only queries say so. */
  readonly readsFromOthers: boolean
}

/** The server writes the YAML itself, always in the same form: its sections begin at the left margin. */
export const parseConfiguration = (yaml: string): ServerConfiguration => ({
  hasExternalLabels: /^ +external_labels:/m.test(yaml),
  readsFromOthers: /^remote_read:/m.test(yaml)
})

/** Its secrets are masked by the server. */
export const serverConfiguration: Endpoint<ServerConfiguration> = endpoint(
  apiRequest("/api/v1/status/config", {}),
  { bytes: 16 * MEBIBYTE, depth: 16, containers: 1000 },
  Schema.Struct({ yaml: Schema.String.check(Schema.isPattern(/^global:/m)) }),
  ({ yaml }) => parseConfiguration(yaml)
)
