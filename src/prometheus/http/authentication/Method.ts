/** What a method of authentication does for the transport. */
import type { Effect } from "effect"
import type { Headers, HttpClient, HttpClientRequest } from "effect/http"
import type { PrometheusError } from "../../PrometheusError.ts"

/** Adds credentials to requests, and renews them. */
export interface Authentication {
  /** Adds credentials to a request that is complete otherwise. Called before each time that it is sent. */
  readonly authenticate: (
    request: HttpClientRequest.HttpClientRequest
  ) => Effect.Effect<HttpClientRequest.HttpClientRequest, PrometheusError>
  /**
   * Called once with the refusal of a request, which may be about its credentials. Succeeds with whether to send the request
   * again, because its credentials will be others then.
   */
  readonly renew: (refusal: CredentialRefusal) => Effect.Effect<boolean, PrometheusError>
}

/** A response with status 400, 401 or 403, or a login page, or a redirect to one. */
export interface CredentialRefusal {
  readonly status: number
  readonly headers: Headers.Headers
  /** The start of its body. */
  readonly text: string
  /** Whether it is a login page, or redirects to one. */
  readonly isLogin?: boolean
  /** The request as it was sent, with its credentials. */
  readonly request: HttpClientRequest.HttpClientRequest
}

/** What methods use besides their settings. */
export interface AuthenticationContext {
  /** Sends requests for tokens, to servers other than Prometheus. */
  readonly tokenClient: HttpClient.HttpClient
  /** How long a request for a token may take. */
  readonly timeoutMillis: number
  /** Called with each secret that was fetched: all output masks it. */
  readonly addSecret: (secret: string) => void
  /** Masks secrets in a server's text. */
  readonly mask: (text: string) => string
}

/** A method of authentication. */
export interface Method<Settings> {
  /** Whether requests carry a secret that anyone who sees them can use. */
  readonly sendsSecrets: boolean | ((settings: Settings) => boolean)
  /** Secrets that follow from those of the settings, such as an encoded password. Every text masks them. */
  readonly derivedSecrets?: (settings: Settings) => ReadonlyArray<string>
  /** The keys to check if Prometheus does not accept the credentials. By default they are those of basic authentication. */
  readonly keysToCheck?: string
  readonly make: (settings: Settings, context: AuthenticationContext) => Authentication
}
