/** How requests are authenticated: one entry per method. */
import { Effect, Option, Redacted } from "effect"
import { HttpClientRequest } from "effect/http"
import type { Settings } from "../../config/ConnectorConfig.ts"
import type { PrometheusError } from "../PrometheusError.ts"

type Credentials = Pick<Settings, "basicAuth">

/** A method of authentication, with its credentials. */
export interface Authentication {
  readonly authenticate: (
    request: HttpClientRequest.HttpClientRequest
  ) => Effect.Effect<HttpClientRequest.HttpClientRequest, PrometheusError>
  /** Whether requests carry a secret that anyone who sees them can use. */
  readonly sendsSecrets: boolean
  /** Secrets that the method derives from those of the settings, such as an encoded password. Every text masks them. */
  readonly derivedSecrets: ReadonlyArray<string>
}

/** None if the settings have no credentials for it. */
type Method = (settings: Credentials) => Option.Option<Authentication>

/** Sends fixed credentials as `Authorization: scheme credentials`. */
const authorization = (scheme: string, credentials: string): Authentication => ({
  authenticate: (request) =>
    Effect.succeed(HttpClientRequest.setHeader(request, "authorization", `${scheme} ${credentials}`)),
  sendsSecrets: true,
  derivedSecrets: [credentials]
})

const basic: Method = ({ basicAuth }) =>
  Option.map(basicAuth, ({ password, user }) =>
    authorization("Basic", Buffer.from(`${user}:${Redacted.value(password)}`).toString("base64"))
  )

const methods: ReadonlyArray<Method> = [basic]

const none: Authentication = { authenticate: Effect.succeed, sendsSecrets: false, derivedSecrets: [] }

/** The first method that the settings have credentials for. */
export const authenticationOf = (settings: Credentials): Authentication =>
  Option.getOrElse(Option.firstSomeOf(methods.map((method) => method(settings))), () => none)
