/**
 * Google's servers for tokens on loopback: for keys of service accounts, sign-ins of users, federated identities, other accounts,
 * and machines. They verify what they receive with Node's cryptography, and refuse it as Google does.
 */
import { type createPublicKey, generateKeyPairSync, verify } from "node:crypto"
import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, type Scope } from "effect"
import { json, type Layer } from "./fake.ts"

/** The scope that programs ask for to read metrics. */
export const SCOPE = "https://www.googleapis.com/auth/monitoring.read"

const CLOUD_SCOPE = "https://www.googleapis.com/auth/cloud-platform"

const GRANT_OF_JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"

/** A response of the server. */
export interface TokenResponse {
  readonly status: number
  /** JSON, or a text. */
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** Options of the server. */
export interface GoogleIdentityOptions {
  /** How long tokens are valid, as the server says. */
  readonly lifeSeconds?: number
  /** What the server does instead, by the number of the request from 0 on. */
  readonly instead?: (request: number) => TokenResponse | "silence" | undefined
  /** How long each response takes. */
  readonly delayMillis?: number
}

/** A request for a token, as it was received. */
export interface TokenRequest {
  readonly path: string
  readonly form: Readonly<Record<string, string>>
  readonly headers: IncomingMessage["headers"]
}

/** The running servers. */
export interface GoogleIdentity {
  /** `host:port`, such as for `GCE_METADATA_HOST`. */
  readonly host: string
  readonly tokenUri: string
  /** The members of a key that is valid there. */
  readonly key: Readonly<Record<string, string>>
  /** The members of a sign-in that is valid there, as `gcloud` writes it. */
  readonly user: Readonly<Record<string, string>>
  readonly requests: ReadonlyArray<TokenRequest>
  /** All tokens so far for the scope of metrics. */
  readonly issued: ReadonlyArray<string>
  /** How many requests had no valid token. */
  readonly refusals: number
  /** Makes all tokens invalid that were issued so far. */
  readonly revoke: () => void
  /** Accepts only its tokens. */
  readonly layer: Layer
}

/** A subject token that a federated identity presents. */
export const SUBJECT_TOKEN = "subject-token-of-the-identity-provider"

/** The account that others may act as. */
export const TARGET_ACCOUNT = "reader@project.iam.gserviceaccount.com"

/** Runs the servers until the scope closes. */
export const googleIdentity = (
  options: GoogleIdentityOptions = {}
): Effect.Effect<GoogleIdentity, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(() => open(options)),
      ({ close }) => Effect.promise(close)
    ),
    ({ running }) => running
  )

interface Issued {
  readonly scope: string
  readonly untilMillis: number
}

const open = async ({ delayMillis = 0, instead, lifeSeconds = 3600 }: GoogleIdentityOptions) => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
  const requests: Array<TokenRequest> = []
  const tokens = new Map<string, Issued>()
  let refusals = 0
  const server = createServer((request, response) => {
    const respond = async () => {
      const received = await receive(request)
      requests.push(received)
      const answer = instead?.(requests.length - 1) ?? (await tokenFor(received, request))
      if (answer === "silence") return
      setTimeout(() => send(response, answer), delayMillis)
    }
    respond().catch(() => request.socket.destroy())
  })
  await once(server.listen(0, "127.0.0.1"), "listening")
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const tokenUri = `http://${host}/token`
  const key = {
    type: "service_account",
    project_id: "project",
    private_key_id: "0123456789abcdef",
    private_key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    client_email: "source@project.iam.gserviceaccount.com",
    client_id: "100000000000000000000",
    token_uri: tokenUri
  }
  const user = {
    type: "authorized_user",
    client_id: "764086051850.apps.googleusercontent.com",
    client_secret: "d-FL95Q19q7MQmFpd7hHD0Ty",
    refresh_token: "1//refresh-token-of-a-user",
    quota_project_id: "quota-of-the-user",
    token_uri: tokenUri
  }

  const issue = (scope: string): string => {
    const token = `ya29.${tokens.size}-${"x".repeat(40)}${Math.random().toString(36).slice(2)}`
    tokens.set(token, { scope, untilMillis: Date.now() + lifeSeconds * 1000 })
    return token
  }
  const success = (scope: string, more: object = {}): TokenResponse => ({
    status: 200,
    body: { access_token: issue(scope), expires_in: lifeSeconds, token_type: "Bearer", ...more }
  })
  const scopeOf = (authorization = ""): string | undefined => {
    const { scope, untilMillis = 0 } = tokens.get(authorization.replace(/^Bearer /, "")) ?? {}
    return untilMillis > Date.now() ? scope : undefined
  }

  const tokenFor = async (
    { form, headers, path }: TokenRequest,
    { method }: IncomingMessage
  ): Promise<TokenResponse> => {
    const url = new URL(path, "http://google")
    if (url.pathname === "/computeMetadata/v1/instance/service-accounts/default/token") {
      const flavor = { "metadata-flavor": "Google" }
      if (headers["metadata-flavor"] !== "Google") return { status: 403, body: "Missing Metadata-Flavor" }
      return { ...success(url.searchParams.get("scopes") ?? ""), headers: flavor }
    }
    if (method !== "POST") return { status: 404, body: "Not Found" }
    if (url.pathname === "/token" && form.grant_type === GRANT_OF_JWT) {
      const wrong = wrongAssertion(form.assertion ?? "", { ...key, publicKey, tokenUri })
      if (wrong !== undefined) return invalidGrant(wrong)
      return success(scopeIn(form.assertion ?? ""))
    }
    if (url.pathname === "/token" && form.grant_type === "refresh_token") {
      const isClient = form.client_id === user.client_id && form.client_secret === user.client_secret
      if (!isClient) {
        return {
          status: 401,
          body: { error: "invalid_client", error_description: "The provided client secret is invalid." }
        }
      }
      return form.refresh_token === user.refresh_token
        ? success(SCOPE)
        : invalidGrant("Token has been expired or revoked.")
    }
    if (url.pathname === "/sts") {
      return form.grant_type === "urn:ietf:params:oauth:grant-type:token-exchange" &&
        form.subject_token === SUBJECT_TOKEN
        ? success(form.scope ?? "", { issued_token_type: "urn:ietf:params:oauth:token-type:access_token" })
        : invalidGrant("The subject token is not valid.")
    }
    if (url.pathname === `/v1/projects/-/serviceAccounts/${TARGET_ACCOUNT}:generateAccessToken`) {
      if (scopeOf(headers.authorization) !== CLOUD_SCOPE) return { status: 401, body: unauthenticated }
      const { scope } = JSON.parse(form[""] ?? "{}") as { readonly scope: ReadonlyArray<string> }
      const expireTime = new Date(Date.now() + lifeSeconds * 1000).toISOString()
      return { status: 200, body: { accessToken: issue(scope.join(" ")), expireTime } }
    }
    return { status: 404, body: "Not Found" }
  }

  const running: GoogleIdentity = {
    host,
    tokenUri,
    key,
    user,
    requests,
    get issued() {
      return [...tokens].filter(([, { scope }]) => scope === SCOPE).map(([token]) => token)
    },
    revoke: () => {
      for (const [token, { scope }] of tokens) tokens.set(token, { scope, untilMillis: 0 })
    },
    get refusals() {
      return refusals
    },
    layer: (ask, next) => {
      if (scopeOf(ask.headers.authorization) === SCOPE) return next(ask)
      refusals++
      return refuse()
    }
  }
  const close = async () => {
    const closed = once(server, "close")
    server.close()
    server.closeAllConnections()
    await closed
  }
  return { running, close }
}

const unauthenticated = {
  error: {
    code: 401,
    message:
      "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
    status: "UNAUTHENTICATED"
  }
}

const refuse = () =>
  json(401, unauthenticated, {
    "www-authenticate": 'Bearer realm="https://accounts.google.com/", error="invalid_token"'
  })

const invalidGrant = (error_description: string): TokenResponse => ({
  status: 400,
  body: { error: "invalid_grant", error_description }
})

const receive = async (request: IncomingMessage): Promise<TokenRequest> => {
  const chunks: Array<Buffer> = []
  for await (const chunk of request) chunks.push(chunk)
  const body = Buffer.concat(chunks).toString()
  const isForm = /x-www-form-urlencoded/.test(request.headers["content-type"] ?? "")
  return {
    path: request.url ?? "/",
    form: isForm ? Object.fromEntries(new URLSearchParams(body)) : { "": body },
    headers: request.headers
  }
}

const send = (response: ServerResponse, { body, headers = {}, status }: TokenResponse): void => {
  const isText = typeof body === "string"
  response.writeHead(status, { "content-type": isText ? "text/html" : "application/json", ...headers })
  response.end(isText ? body : JSON.stringify(body))
}

interface Expected {
  readonly client_email: string
  readonly publicKey: ReturnType<typeof createPublicKey>
  readonly tokenUri: string
}

const decode = (part = ""): Readonly<Record<string, unknown>> =>
  JSON.parse(Buffer.from(part, "base64url").toString())

const scopeIn = (assertion: string): string => String(decode(assertion.split(".")[1]).scope)

/** What is wrong with the assertion of a service account, as Google's server says it. */
const wrongAssertion = (
  assertion: string,
  { client_email, publicKey, tokenUri }: Expected
): string | undefined => {
  const [header, payload, signature = ""] = assertion.split(".")
  const { alg } = decode(header)
  const { aud, exp, iat, iss, scope } = decode(payload)
  const now = Date.now() / 1000
  if (iss !== client_email) return "Invalid grant: account not found"
  if (alg !== "RS256") return "Invalid JWT: Unsupported algorithm."
  const signed = Buffer.from(`${header}.${payload}`)
  if (!verify("RSA-SHA256", signed, publicKey, Buffer.from(signature, "base64url"))) {
    return "Invalid JWT Signature."
  }
  if (aud !== tokenUri) return "Invalid JWT: Failed audience check."
  if (
    typeof iat !== "number" ||
    typeof exp !== "number" ||
    Math.abs(iat - now) > 300 ||
    exp < now ||
    exp - iat > 3600
  ) {
    return "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."
  }
  return scope === SCOPE || scope === CLOUD_SCOPE
    ? undefined
    : "Invalid OAuth scope or ID token audience provided."
}
