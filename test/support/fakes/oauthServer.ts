/**
 * A real OAuth 2.0 server from npm, which here demands the secret of a client, and a gate for Prometheus that lets only its
 * tokens in: it verifies their signature, issuer and end with Node's cryptography.
 */
import { createPublicKey, type JsonWebKey, randomUUID, verify } from "node:crypto"
import type { IncomingMessage } from "node:http"
import { Effect, type Scope } from "effect"
import { OAuth2Server } from "oauth2-mock-server"
import type { Ask, Layer } from "./fake.ts"

export const CLIENT_ID = "reader-1"
export const CLIENT_SECRET = "Geheim-4711 +/ü~"

/** What the server does instead of issuing a token. */
export interface Instead {
  readonly status: number
  readonly body: Record<string, unknown>
}

/** Options of the server. */
export interface OAuthServerOptions {
  /** How long tokens are valid. */
  readonly lifeSeconds?: number
  /** The secret of the client at the moment. */
  readonly secret?: () => string
  /** What else a request gets, by its number from 0 on. */
  readonly instead?: (number: number, request: TokenRequest) => Instead | undefined
}

/** A request for a token, as it was received. */
export interface TokenRequest {
  readonly headers: IncomingMessage["headers"]
  readonly form: Readonly<Record<string, unknown>>
}

/** The running server. */
export interface OAuthServer {
  readonly tokenUrl: string
  /** The configuration of a client that it knows. */
  readonly config: { readonly authentication: Readonly<Record<string, unknown>> }
  readonly requests: ReadonlyArray<TokenRequest>
  /** All tokens so far. */
  readonly issued: ReadonlyArray<string>
  /** How many requests came to Prometheus without a valid token. */
  readonly refusals: () => number
  /** Makes all tokens invalid that were issued so far. */
  readonly revoke: () => void
  /** Accepts only its tokens. */
  readonly gate: Layer
}

/** Runs the server until the scope closes. */
export const oauthServer = (
  options: OAuthServerOptions = {}
): Effect.Effect<OAuthServer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = new OAuth2Server()
      await server.issuer.keys.generate("RS256")
      await server.start(0, "127.0.0.1")
      return server
    }),
    (server) => Effect.promise(() => server.stop())
  ).pipe(Effect.map((server) => running(server, options)))

const running = (
  server: OAuth2Server,
  { instead, lifeSeconds = 3600, secret = () => CLIENT_SECRET }: OAuthServerOptions
): OAuthServer => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  server.issuer.url = issuer
  const requests: Array<TokenRequest> = []
  const issued: Array<string> = []
  const revoked = new Set<string>()
  let refusals = 0
  server.service.on("beforeTokenSigning", ({ payload }: { payload: Record<string, unknown> }) => {
    // Without it, two tokens of one second are the same.
    payload.jti = randomUUID()
    payload.exp = Date.now() / 1000 + lifeSeconds
  })
  server.service.on(
    "beforeResponse",
    (
      response: { body: Record<string, unknown>; statusCode: number },
      { body: form, headers }: IncomingMessage & { readonly body: Record<string, unknown> }
    ) => {
      const request = { headers, form }
      const own =
        instead?.(requests.length, request) ??
        (isKnown(request, secret())
          ? undefined
          : { status: 401, body: { error: "invalid_client", error_description: "Unknown client or secret" } })
      requests.push(request)
      if (own !== undefined) {
        response.statusCode = own.status
        response.body = own.body
        return
      }
      response.body.expires_in = lifeSeconds
      issued.push(String(response.body.access_token))
    }
  )
  const isValid = (token: string): boolean =>
    !revoked.has(token) && isSigned(token, server.issuer.keys.toJSON(), issuer)
  return {
    tokenUrl: `${issuer}/token`,
    config: {
      authentication: {
        auth_type: "oauth2",
        token_url: `${issuer}/token`,
        client_id: CLIENT_ID,
        client_secret: CLIENT_SECRET
      }
    },
    requests,
    issued,
    refusals: () => refusals,
    revoke: () => {
      for (const token of issued) revoked.add(token)
    },
    gate: (ask, next) => {
      const token = tokenOf(ask)
      if (isValid(token)) return next(ask)
      refusals++
      return {
        status: 401,
        headers: { "content-type": "text/plain", "www-authenticate": 'Bearer error="invalid_token"' },
        body: Buffer.from(`The token ${token} is not valid.`)
      }
    }
  }
}

/** The bearer token of a request. */
export const tokenOf = ({ headers }: Ask): string =>
  /^Bearer (.+)$/.exec(headers.authorization ?? "")?.[1] ?? ""

/** Whether a request has the credentials of the client, in its header or in its form. */
const isKnown = ({ form, headers }: TokenRequest, expected: string): boolean => {
  if (form.client_id === CLIENT_ID && form.client_secret === expected) return true
  const basic = /^Basic (.+)$/.exec(headers.authorization ?? "")?.[1] ?? ""
  // RFC 6749: both are encoded as in a form.
  const [id, secret] = Buffer.from(basic, "base64")
    .toString()
    .split(":")
    .map((part) => new URLSearchParams(`part=${part}`).get("part"))
  return id === CLIENT_ID && secret === expected
}

interface Claims {
  readonly iss: string
  readonly exp: number
}

const isSigned = (token: string, keys: ReadonlyArray<object>, issuer: string): boolean => {
  const [header = "", payload = "", signature = ""] = token.split(".")
  const signed = Buffer.from(`${header}.${payload}`)
  const isOfServer = keys.some((key) =>
    verify(
      "RSA-SHA256",
      signed,
      createPublicKey({ key: key as JsonWebKey, format: "jwk" }),
      Buffer.from(signature, "base64url")
    )
  )
  if (!isOfServer) return false
  const { exp, iss } = JSON.parse(Buffer.from(payload, "base64url").toString()) as Claims
  return iss === issuer && exp * 1000 > Date.now()
}
