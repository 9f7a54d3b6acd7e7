/** Methods whose credentials never change: none, basic, and a bearer token. */
import { Effect, Redacted } from "effect"
import { HttpClientRequest } from "effect/http"
import type { AuthenticationOf } from "../../../config/ConnectorConfig.ts"
import type { Authentication, Method } from "./Method.ts"

const never = () => Effect.succeed(false)

/** Adds nothing to requests. */
export const none: Method<AuthenticationOf<"none">> = {
  sendsSecrets: false,
  make: () => ({ authenticate: Effect.succeed, renew: never })
}

/** Sends `Authorization: scheme credentials`. */
const authorization = (scheme: string, credentials: string): Authentication => ({
  authenticate: (request) =>
    Effect.succeed(HttpClientRequest.setHeader(request, "authorization", `${scheme} ${credentials}`)),
  renew: never
})

/** User and password in UTF-8, as Base64. */
const encoded = ({ password, user }: AuthenticationOf<"basic">): string =>
  Buffer.from(`${user}:${Redacted.value(password)}`).toString("base64")

/** Basic authentication (RFC 7617). */
export const basic: Method<AuthenticationOf<"basic">> = {
  sendsSecrets: true,
  derivedSecrets: (settings) => [encoded(settings)],
  make: (settings) => authorization("Basic", encoded(settings))
}

/** A bearer token (RFC 6750). */
export const bearerToken: Method<AuthenticationOf<"bearer_token">> = {
  sendsSecrets: true,
  keysToCheck: "authentication.token and headers",
  make: ({ token }) => authorization("Bearer", Redacted.value(token))
}
