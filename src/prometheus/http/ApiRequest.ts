/** A request to the API, before it is sent. */
import type { Reason } from "../PrometheusError.ts"

/** A body that is not a form, and the responses to it, which are not JSON. */
export interface BinaryExchange {
  readonly body: Uint8Array
  readonly headers: Readonly<Record<string, string>> & { readonly "content-type": string }
  /** The types of a response that is a success. */
  readonly accepts: RegExp
  /** An encoding of the response that its reader decodes. */
  readonly encoding: string
}

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
  /** Sent and received instead of parameters and JSON. */
  readonly binary?: BinaryExchange
  /** The types of a response that is a success, if it is not JSON. */
  readonly accepts?: RegExp
  /** What some statuses mean at this endpoint only. */
  readonly statusReasons?: Readonly<Record<number, Reason>>
}
