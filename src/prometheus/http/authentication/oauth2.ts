/** OAuth 2.0 client credentials (RFC 6749, section 4.4): a secret is exchanged for tokens that expire. */
import { Clock, Effect, Redacted, Result } from "effect"
import { HttpClientRequest } from "effect/http"
import {
  allowInsecureRequests,
  type ClientAuth,
  ClientSecretPost,
  clientCredentialsGrantRequest,
  customFetch
} from "oauth4webapi"
import type { AuthenticationOf } from "../../../config/ConnectorConfig.ts"
import { excerptLine } from "../../../text/excerpt.ts"
import { PrometheusError } from "../../PrometheusError.ts"
import { callLibrary } from "./libraryFetch.ts"
import type { AuthenticationContext, CredentialRefusal, Method } from "./Method.ts"
import { tokenResponse } from "./oauth2Response.ts"
import { makeTokenSource, type Token } from "./TokenSource.ts"
import { addressOf, fromTokenRefusal } from "./tokenServerError.ts"

type Settings = AuthenticationOf<"oauth2">

const server = { addressKey: "authentication.token_url" }

/** Tokens from an OAuth 2.0 server. */
export const oauth2: Method<Settings> = {
  sendsSecrets: true,
  derivedSecrets: (settings) => [
    // Without padding, both forms of Base64 are found.
    withoutPadding(basicCredentials(settings)),
    withoutPadding(toBase64(`${settings.client_id}:${Redacted.value(settings.client_secret)}`))
  ],
  keysToCheck:
    "which tokens the server accepts, with authentication.token_url, authentication.scopes and authentication.audience",
  make: (settings, context) => {
    const { renew, token } = makeTokenSource(fetchToken(settings, context))
    return {
      authenticate: (request) =>
        Effect.map(token, (token) =>
          HttpClientRequest.setHeader(request, "authorization", `${SCHEME}${token}`)
        ),
      renew: (refusal) =>
        isAboutToken(refusal)
          ? renew((refusal.request.headers.authorization ?? "").slice(SCHEME.length))
          : Effect.succeed(false)
    }
  }
}

const SCHEME = "Bearer "

/** Whether another token may be accepted: without that, each request that is forbidden would request a token. */
const isAboutToken = ({ headers, isLogin, status, text }: CredentialRefusal): boolean =>
  isLogin === true ||
  status === 401 ||
  /\binvalid_token\b/.test(headers["www-authenticate"] ?? "") ||
  /\b(expired|invalid|revoked|inactive)\b.{0,20}\btoken\b|\b(token|jwt)\b.{0,20}\b(expired|invalid|revoked|inactive)\b/i.test(
    text.slice(0, MAX_SEARCHED)
  )

const MAX_SEARCHED = 4000

/** Requests a token. */
const fetchToken = (
  settings: Settings,
  context: AuthenticationContext
): Effect.Effect<Token, PrometheusError> =>
  Effect.gen(function* () {
    const startMillis = yield* Clock.currentTimeMillis
    const { body, headers, status } = yield* callLibrary(
      context,
      server,
      async (fetch, signal) => {
        const response = await clientCredentialsGrantRequest(
          { issuer: settings.token_url, token_endpoint: settings.token_url.trim() },
          { client_id: settings.client_id },
          clientAuthentication(settings),
          parametersOf(settings),
          { [customFetch]: fetch, [allowInsecureRequests]: true, signal }
        )
        return { status: response.status, headers: response.headers, body: await response.text() }
      },
      (error) => {
        throw error
      }
    )
    const result = tokenResponse(status, body)
    if (Result.isSuccess(result)) {
      const { lifeMillis, token } = result.success
      context.addSecret(token)
      return { value: token, expiresAtMillis: startMillis + lifeMillis }
    }
    const address = addressOf(settings.token_url)
    const { code = "", problem, text } = result.failure
    if (problem !== undefined) {
      return yield* new PrometheusError({
        reason: "Unauthorized",
        summary: `The response from ${address} ${excerptLine(context.mask(problem))}.`,
        advice: "Check authentication.token_url, and which tokens the server issues to this client."
      })
    }
    return yield* fromTokenRefusal(
      {
        address,
        body,
        headers,
        status,
        text,
        knownAdvice: Object.hasOwn(adviceByCode, code) ? adviceByCode[code] : undefined,
        isTemporary: temporaryCodes.has(code),
        nowMillis: yield* Clock.currentTimeMillis
      },
      { ...server, advice: adviceByStatus[status] ?? GENERAL, mask: context.mask }
    )
  })

/** How the client shows who it is (RFC 6749, section 2.3.1). */
const clientAuthentication = (settings: Settings): ClientAuth =>
  settings.client_secret_in === "body"
    ? ClientSecretPost(Redacted.value(settings.client_secret))
    : (_server, _client, _body, headers) =>
        headers.set("authorization", `Basic ${basicCredentials(settings)}`)

/**
 * The library escapes `-`, `.` and `_` too, which are in many IDs and secrets. Servers that do not decode them do not recognise
 * those.
 */
const basicCredentials = ({ client_id, client_secret }: Settings): string =>
  toBase64(`${formEncoded(client_id)}:${formEncoded(Redacted.value(client_secret))}`)

const formEncoded = (text: string): string => new URLSearchParams({ text }).toString().slice("text=".length)

const toBase64 = (text: string): string => Buffer.from(text).toString("base64")

const withoutPadding = (base64: string): string => base64.replace(/=+$/, "")

const parametersOf = ({ audience, parameters = [], scopes = [] }: Settings): URLSearchParams => {
  const form = new URLSearchParams()
  if (scopes.length > 0) form.append("scope", scopes.join(" "))
  if (audience !== undefined) form.append("audience", audience)
  for (const { name, value } of parameters) form.append(name, Redacted.value(value))
  return form
}

const WHO = "authentication.client_id and authentication.client_secret"

const WHERE = "whether the server expects the secret elsewhere (authentication.client_secret_in)"

const WHAT = "authentication.scopes, authentication.audience and authentication.parameters"

const GENERAL = `Check ${WHO}, ${WHAT}.`

const MAY_ACCESS = `Check what the OAuth 2.0 server lets this client access, and ${WHAT}.`

/** What to do about the error codes of RFC 6749 and RFC 8707. */
const adviceByCode: Readonly<Record<string, string>> = {
  invalid_client: `Check ${WHO}, and ${WHERE}.`,
  invalid_grant: GENERAL,
  invalid_request: `Check authentication.token_url, ${WHAT}, and ${WHERE}.`,
  invalid_scope: "Check authentication.scopes, and which scopes the OAuth 2.0 server allows to this client.",
  invalid_target: "Check authentication.audience and authentication.parameters.",
  unauthorized_client: `Allow this client to use the grant client_credentials at the OAuth 2.0 server, or check ${WHO}.`,
  unsupported_grant_type:
    "Check authentication.token_url: the server there must offer the grant client_credentials.",
  access_denied: MAY_ACCESS
}

const adviceByStatus: Readonly<Record<number, string>> = {
  401: `Check ${WHO}, and ${WHERE}.`,
  403: MAY_ACCESS
}

/** Codes of problems that pass, whatever the status is. */
const temporaryCodes: ReadonlySet<string> = new Set(["server_error", "temporarily_unavailable"])
