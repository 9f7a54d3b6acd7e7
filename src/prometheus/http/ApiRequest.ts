/** A request to the API, before it is sent. */
import type { Reason } from "../PrometheusError.ts"

/** A request to an endpoint of the API. */
export interface ApiRequest {
  /** Long parameters are sent as a form, unless the server takes none. */
  readonly method: "GET" | "POST"
  /** Below `base_url`. */
  readonly path: string
  readonly params: Readonly<Record<string, string>>
  /** Parameters that make responses exact where a server takes them. They are left out where it refuses them. */
  readonly optional?: Readonly<Record<string, string>>
  /** Whether the optional parameters are a guess, since the kind of server is not known. */
  readonly isGuess?: boolean
  /** Whether the endpoint takes a form. */
  readonly takesForm?: boolean
  /** What some statuses mean at this endpoint only. */
  readonly statusReasons?: Readonly<Record<number, Reason>>
}
