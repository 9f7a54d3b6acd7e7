/** How requests are authenticated: one entry per method. */
import { Effect, Option, Redacted } from "effect"
import { HttpClientRequest } from "effect/http"
import type { Settings } from "../../config/ConnectorConfig.ts"
import { basicCredentials } from "../../config/secrets.ts"
import type { PrometheusError } from "../PrometheusError.ts"

type Credentials = Pick<Settings, "basicAuth">

/** A method of authentication, with its credentials. */
export interface Authentication {
  /** Adds to a request what the server wants to see. */
  readonly authenticate: (
    request: HttpClientRequest.HttpClientRequest
  ) => Effect.Effect<HttpClientRequest.HttpClientRequest, PrometheusError>
  /** Whether requests carry a secret that anyone who sees them can use. */
  readonly sendsSecrets: boolean
  /** The secrets in the forms in which they are sent, to be masked in every text. */
  readonly secrets: ReadonlyArray<string>
}

/** Every method, the first that applies: it returns undefined where the settings do not ask for it. */
const methods: Readonly<Record<string, (settings: Credentials) => Authentication | undefined>> = {
  basic: ({ basicAuth }) => {
    if (Option.isNone(basicAuth)) return undefined
    const encoded = basicCredentials(basicAuth.value)
    return {
      authenticate: (request) =>
        Effect.succeed(HttpClientRequest.setHeader(request, "authorization", `Basic ${encoded}`)),
      sendsSecrets: true,
      secrets: [encoded, Redacted.value(basicAuth.value.password)]
    }
  }
}

const none: Authentication = { authenticate: Effect.succeed, sendsSecrets: false, secrets: [] }

/** The method that the settings ask for; none if they ask for none. */
export const authenticationOf = (settings: Credentials): Authentication => {
  for (const method of Object.values(methods)) {
    const authentication = method(settings)
    if (authentication !== undefined) return authentication
  }
  return none
}
