/** Client credentials against a server on loopback: what is requested, and what is made of each response. */
import type { IncomingHttpHeaders } from "node:http"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { Headers, HttpClient, HttpClientRequest } from "effect/http"
import type { AuthenticationOf } from "../../../../src/config/ConnectorConfig.ts"
import { makeMask } from "../../../../src/config/SecretMask.ts"
import type { CredentialRefusal } from "../../../../src/prometheus/http/authentication/Method.ts"
import { oauth2 } from "../../../../src/prometheus/http/authentication/oauth2.ts"
import { endless, send, serveRaw } from "../../../support/rawServer.ts"

type Settings = AuthenticationOf<"oauth2">

interface Received {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly form: URLSearchParams
}

interface Reply {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: unknown
}

const SECRET = "s3cret +/:%&=é~"

/** A server that gives the replies one after the other, the last one again and again. */
const serve = (...replies: ReadonlyArray<Reply>) =>
  Effect.gen(function* () {
    const received: Array<Received> = []
    const url = yield* serveRaw(async (request, response) => {
      const chunks: Array<Uint8Array> = []
      for await (const chunk of request) chunks.push(chunk as Uint8Array)
      const { headers, method, url } = request
      received.push({ method, url, headers, form: new URLSearchParams(Buffer.concat(chunks).toString()) })
      const reply = replies[Math.min(received.length, replies.length) - 1]!
      const { body } = reply
      send(
        response,
        typeof body === "string" ? [body] : body instanceof Function ? body() : [JSON.stringify(body)],
        reply.headers,
        reply.status
      )
    })
    return { url, received }
  })

const settingsOf = (token_url: string, more: Partial<Settings> = {}): Settings => ({
  auth_type: "oauth2",
  token_url,
  client_id: "id-1.2_3 ü:x",
  client_secret: Redacted.make(SECRET),
  client_secret_in: "header",
  ...more
})

const makeOAuth2 = (settings: Settings) =>
  Effect.map(HttpClient.HttpClient, (tokenClient) => {
    const secrets: Array<string> = []
    const mask = (text: string) =>
      makeMask([
        Redacted.value(settings.client_secret),
        ...(oauth2.derivedSecrets?.(settings) ?? []),
        ...secrets
      ])(text)
    return {
      ...oauth2.make(settings, {
        tokenClient,
        timeoutMillis: 5000,
        addSecret: (secret) => secrets.push(secret),
        mask
      }),
      secrets
    }
  })

const request = HttpClientRequest.get("http://prometheus.example/api/v1/query")

const refusal = (token: string, more: Partial<CredentialRefusal> = {}): CredentialRefusal => ({
  status: 401,
  headers: Headers.empty,
  text: "",
  request: HttpClientRequest.setHeader(request, "authorization", `Bearer ${token}`),
  ...more
})

const granted = (access_token: unknown, more: object = {}): Reply => ({
  body: { access_token, token_type: "Bearer", expires_in: 3600, ...more }
})

/** The authorization that a request gets. */
const authorization = ({
  authenticate
}: {
  readonly authenticate: ReturnType<typeof oauth2.make>["authenticate"]
}) => Effect.map(authenticate(request), ({ headers }) => headers.authorization)

layer(NodeHttpClient.layerNodeHttp)("oauth2", (it) => {
  it.effect("sends id and secret in the header, encoded as RFC 6749 says", () =>
    Effect.gen(function* () {
      const { received, url } = yield* serve(granted("token-1"))
      const method = yield* makeOAuth2(settingsOf(`${url}/token`))
      assert.strictEqual(yield* authorization(method), "Bearer token-1")
      assert.deepStrictEqual(method.secrets, ["token-1"])
      const [{ form, headers, ...at }] = received as [Received]
      assert.deepStrictEqual(at, { method: "POST", url: "/token" })
      assert.deepStrictEqual([...form], [["grant_type", "client_credentials"]])
      assert.match(headers["content-type"] ?? "", /^application\/x-www-form-urlencoded/)
      assert.strictEqual(headers.accept, "application/json")
      const [, credentials = ""] = /^Basic (.+)$/.exec(headers.authorization ?? "") ?? []
      // What servers that do not decode would not recognise, such as `-`, is not encoded.
      assert.strictEqual(
        Buffer.from(credentials, "base64").toString(),
        "id-1.2_3+%C3%BC%3Ax:s3cret+%2B%2F%3A%25%26%3D%C3%A9%7E"
      )
    })
  )

  it.effect("sends id and secret in the body if it is set so, and then not in a header", () =>
    Effect.gen(function* () {
      const { received, url } = yield* serve(granted("token-1"))
      const method = yield* makeOAuth2(settingsOf(url, { client_secret_in: "body" }))
      assert.strictEqual(yield* authorization(method), "Bearer token-1")
      const [{ form, headers }] = received as [Received]
      assert.isUndefined(headers.authorization)
      assert.deepStrictEqual(Object.fromEntries(form), {
        grant_type: "client_credentials",
        client_id: "id-1.2_3 ü:x",
        client_secret: SECRET
      })
    })
  )

  it.effect("sends scopes, audience and other parameters, and keeps the query of the address", () =>
    Effect.gen(function* () {
      const { received, url } = yield* serve(granted("token-1"))
      const method = yield* makeOAuth2(
        settingsOf(`  ${url}/t%20x/token?tenant=a%2Fb&p=1+2#part\n`, {
          scopes: ["read", "https://a/.default"],
          audience: "https://prometheus/ü",
          parameters: [
            { name: "resource", value: Redacted.make("one") },
            { name: "resource", value: Redacted.make("t&o=") }
          ]
        })
      )
      yield* authorization(method)
      const [{ form, url: at = "" }] = received as [Received]
      const address = new URL(at, url)
      assert.strictEqual(address.pathname, "/t%20x/token")
      assert.deepStrictEqual(
        [...address.searchParams],
        [
          ["tenant", "a/b"],
          ["p", "1 2"]
        ]
      )
      assert.deepStrictEqual(
        [...form].toSorted(([a], [b]) => a.localeCompare(b)),
        [
          ["audience", "https://prometheus/ü"],
          ["grant_type", "client_credentials"],
          ["resource", "one"],
          ["resource", "t&o="],
          ["scope", "read https://a/.default"]
        ]
      )
    })
  )

  it.effect.each<readonly [what: string, reply: Reply]>([
    ["without expires_in", granted("t", { expires_in: undefined })],
    ["with expires_in as text", granted("t", { expires_in: "3600" })],
    ["with expires_in null", granted("t", { expires_in: null })],
    ["with expires_in 0", granted("t", { expires_in: 0 })],
    ["with a negative expires_in", granted("t", { expires_in: -1 })],
    ["with expires_in that is no number", granted("t", { expires_in: "soon" })],
    ["with a huge expires_in", granted("t", { expires_in: 1e300 })],
    ["of type bearer", granted("t", { token_type: "bearer" })],
    ["of type BEARER", granted("t", { token_type: "BEARER" })],
    ["without a type", granted("t", { token_type: undefined })],
    ["with an empty error", granted("t", { error: "", error_description: null })],
    ["with status 201", { ...granted("t"), status: 201 }],
    ["as text", { ...granted("t"), headers: { "content-type": "text/plain; charset=utf-8" } }],
    [
      "with an ID token of another issuer",
      granted("t", { id_token: "x.y.z", refresh_token: 7, scope: ["a"] })
    ]
  ])("uses a token %s for many requests", ([, reply]) =>
    Effect.gen(function* () {
      const { received, url } = yield* serve(reply)
      const method = yield* makeOAuth2(settingsOf(url))
      for (let i = 0; i < 3; i++) assert.strictEqual(yield* authorization(method), "Bearer t")
      assert.lengthOf(received, 1)
    })
  )

  const credentials = "authentication.client_id and authentication.client_secret"
  const elsewhere = "whether the server expects the secret elsewhere (authentication.client_secret_in)"
  const place =
    "Check authentication.token_url: it must be the address where the server issues tokens to programs, not that of a page for people."
  const trouble =
    "The server that issues tokens, or a proxy in front of it, has a problem: try again later, or see its log."
  const page =
    "<!doctype html><html><head><title>Sign in</title></head><body><input type=password></body></html>"
  const html = { "content-type": "text/html" }
  const notShown = "URL returned HTTP 200, but no JSON object with a token (its content is not shown)."

  it.effect.each<
    readonly [what: string, reply: Reply, reason: string, summary: string, advice: string | RegExp]
  >([
    [
      "an unknown client",
      { status: 401, body: { error: "invalid_client", error_description: "Bad client credentials" } },
      "Unauthorized",
      "URL returned HTTP 401: invalid_client: Bad client credentials.",
      `Check ${credentials}, and ${elsewhere}.`
    ],
    [
      "an unknown client, by status 400 and without a description",
      { status: 400, body: { error: "invalid_client" } },
      "Unauthorized",
      "URL returned HTTP 400: invalid_client.",
      `Check ${credentials}, and ${elsewhere}.`
    ],
    [
      "an error with status 200",
      { body: { error: "invalid_client", error_description: "No." } },
      "Unauthorized",
      "URL returned HTTP 200: invalid_client: No.",
      `Check ${credentials}, and ${elsewhere}.`
    ],
    [
      "a scope that is not allowed",
      { status: 400, body: { error: "invalid_scope", error_description: "Unknown scope: all" } },
      "Unauthorized",
      "URL returned HTTP 400: invalid_scope: Unknown scope: all.",
      /^Check authentication\.scopes/
    ],
    [
      "a client without this grant",
      { status: 400, body: { error: "unauthorized_client" } },
      "Unauthorized",
      "URL returned HTTP 400: unauthorized_client.",
      /^Allow this client to use the grant client_credentials/
    ],
    [
      "an audience that is not known",
      { status: 403, body: { error: "access_denied", error_description: "Service not enabled" } },
      "Unauthorized",
      "URL returned HTTP 403: access_denied: Service not enabled.",
      /authentication\.audience/
    ],
    [
      "401 without a body",
      { status: 401, body: "" },
      "Unauthorized",
      "URL returned HTTP 401.",
      /client_secret/
    ],
    [
      "403 as text",
      { status: 403, body: "Forbidden" },
      "Unauthorized",
      "URL returned HTTP 403: Forbidden.",
      /let/
    ],
    [
      "418",
      { status: 418, body: "teapot" },
      "Unauthorized",
      "URL returned HTTP 418: teapot.",
      `Check ${credentials}, authentication.scopes, authentication.audience and authentication.parameters.`
    ],
    [
      "nothing there",
      { status: 404, body: "Not Found" },
      "Unauthorized",
      "URL returned HTTP 404: Not Found.",
      place
    ],
    [
      "no POST there",
      { status: 405, body: { error: "Method Not Allowed" } },
      "Unauthorized",
      "URL returned HTTP 405: Method Not Allowed.",
      place
    ],
    [
      "a login page",
      { body: page, headers: html },
      "Unauthorized",
      'URL returned HTTP 200: a web page titled "Sign in".',
      place
    ],
    [
      "a login page with status 403",
      { status: 403, body: page, headers: html },
      "Unauthorized",
      'URL returned HTTP 403: a web page titled "Sign in".',
      place
    ],
    [
      "a page with status 401",
      { status: 401, body: "<html><title>401 Unauthorized</title></html>", headers: html },
      "Unauthorized",
      'URL returned HTTP 401: a web page titled "401 Unauthorized".',
      `Check ${credentials}, and ${elsewhere}.`
    ],
    ["nothing", { body: "" }, "Unauthorized", "URL returned HTTP 200.", place],
    ["a list", { body: "[]" }, "Unauthorized", notShown, place],
    ["a form", { body: "access_token=Geheim-4711&token_type=bearer" }, "Unauthorized", notShown, place],
    ["a token alone", { body: "Geheim-4711" }, "Unauthorized", notShown, place],
    ["a token as JSON", { body: '"Geheim-4711"' }, "Unauthorized", notShown, place],
    ["a list of tokens", { body: '[{"access_token":"Geheim-4711"}]' }, "Unauthorized", notShown, place],
    [
      "broken JSON",
      { body: '{"access_token":' },
      "Unauthorized",
      "The response from URL is not JSON.",
      /token_url/
    ],
    [
      "no token",
      { body: { token: "Geheim-4711" } },
      "Unauthorized",
      "The response from URL has no access_token.",
      /token_url/
    ],
    [
      "an empty token",
      granted(""),
      "Unauthorized",
      "The response from URL has no access_token.",
      /token_url/
    ],
    [
      "a token that is no text",
      granted(5),
      "Unauthorized",
      "The response from URL has no access_token.",
      /token_url/
    ],
    [
      "a token that no header can have",
      granted("Geheim\r\nx: y"),
      "Unauthorized",
      "The response from URL has an access_token with characters that are not allowed in an HTTP header (it is not shown).",
      /token_url/
    ],
    [
      "a token that must be signed",
      granted("Geheim-4711", { token_type: "DPoP" }),
      "Unauthorized",
      "The response from URL has a token of type DPoP, but only bearer tokens can be sent.",
      /token_url/
    ],
    [
      "a redirect",
      { status: 307, headers: { location: "https://other.example/token?s=1" }, body: "" },
      "Redirected",
      "URL redirects to https://other.example/token, which is not followed, because credentials would be sent there.",
      /^Set authentication\.token_url to the address/
    ],
    [
      "a redirect to a broken address",
      { status: 302, headers: { location: "http://[" }, body: "" },
      "Redirected",
      "URL redirects to an invalid address, which is not followed, because credentials would be sent there.",
      /token_url/
    ],
    ["500", { status: 500, body: "" }, "Unreachable", "URL returned HTTP 500.", trouble],
    [
      "503 with a description",
      { status: 503, body: { error: "temporarily_unavailable", error_description: "Soon." } },
      "Unreachable",
      "URL returned HTTP 503: temporarily_unavailable: Soon.",
      trouble
    ],
    [
      "a problem that passes, with status 400",
      { status: 400, body: { error: "server_error" } },
      "Unreachable",
      "URL returned HTTP 400: server_error.",
      trouble
    ],
    [
      "an endless response",
      { body: () => endless("{", " ".repeat(65_536)) },
      "Unauthorized",
      "The response from URL has more than 1024 KiB.",
      /token_url/
    ]
  ])("reports %s", ([, reply, reason, summary, advice]) =>
    Effect.gen(function* () {
      const { received, url } = yield* serve(reply)
      const method = yield* makeOAuth2(settingsOf(`${url}/token?key=value`))
      const error = yield* Effect.flip(method.authenticate(request))
      assert.deepStrictEqual([error.reason, error.summary], [
        reason,
        summary.replace("URL", `${url}/token`)
      ] as never)
      if (typeof advice === "string") assert.strictEqual(error.advice, advice)
      else assert.match(error.advice ?? "", advice)
      assert.notMatch(error.message, /Geheim|base_url/)
      assert.lengthOf(received, 1)
      // A refusal is not kept.
      yield* Effect.flip(method.authenticate(request))
      assert.lengthOf(received, 2)
    })
  )

  it.effect("waits as long as the server asks for", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(
        { status: 429, headers: { "retry-after": "17" }, body: "slow down" },
        { status: 503, headers: { "retry-after": "18" }, body: "" }
      )
      const method = yield* makeOAuth2(settingsOf(url))
      const first = yield* Effect.flip(method.authenticate(request))
      assert.deepStrictEqual([first.reason, first.retryAfterMillis], ["RateLimited", 17_000])
      const second = yield* Effect.flip(method.authenticate(request))
      assert.deepStrictEqual([second.reason, second.retryAfterMillis], ["Unreachable", 18_000])
    })
  )

  it.effect("masks what a server repeats of secrets, in any encoding", () =>
    Effect.gen(function* () {
      const settings = settingsOf("http://x")
      const header = oauth2.derivedSecrets?.(settings) ?? []
      const forms = [
        SECRET,
        encodeURIComponent(SECRET),
        new URLSearchParams({ SECRET }).toString().slice(7),
        JSON.stringify(SECRET).slice(1, -1),
        Buffer.from(`${settings.client_id}:${SECRET}`).toString("base64"),
        ...header
      ]
      const { url } = yield* serve({
        status: 401,
        body: { error: "invalid_client", error_description: forms.map((form) => `<${form}>`).join(" ") }
      })
      const method = yield* makeOAuth2({ ...settings, token_url: url })
      const { message } = yield* Effect.flip(method.authenticate(request))
      assert.include(
        message,
        `invalid_client: ${forms
          .map(() => "<****>")
          .join(" ")
          .slice(0, 20)}`
      )
      for (const form of forms) assert.notInclude(message, form)
    })
  )

  it.effect("gets another token after a refusal, and reports whether it is another one", () =>
    Effect.gen(function* () {
      const { received, url } = yield* serve(granted("one"), granted("two"), granted("two"))
      const method = yield* makeOAuth2(settingsOf(url))
      assert.strictEqual(yield* authorization(method), "Bearer one")
      assert.isTrue(yield* method.renew(refusal("one")))
      // A request that was sent before learns of its refusal later.
      assert.isTrue(yield* method.renew(refusal("one")))
      assert.lengthOf(received, 2)
      assert.strictEqual(yield* authorization(method), "Bearer two")
      assert.isFalse(yield* method.renew(refusal("two")))
      assert.lengthOf(received, 3)
      assert.deepStrictEqual(method.secrets, ["one", "two", "two"])
    })
  )

  it.effect.each<readonly [what: string, more: Partial<CredentialRefusal>, isRenewed: boolean]>([
    ["401", { status: 401 }, true],
    [
      "403 for what the client may not read",
      { status: 403, text: "forbidden: no access to this tenant" },
      false
    ],
    ["403 for a token that expired", { status: 403, text: '{"message":"The token is expired"}' }, true],
    ["403 for a token that is not known", { status: 403, text: "Invalid access token" }, true],
    ["400 of a query", { status: 400, text: 'invalid parameter "query": unexpected end of input' }, false],
    [
      "400 with the code of RFC 6750",
      { status: 400, headers: Headers.fromInput({ "www-authenticate": 'Bearer error="invalid_token"' }) },
      true
    ],
    [
      "403 with another code of RFC 6750",
      {
        status: 403,
        headers: Headers.fromInput({ "www-authenticate": 'Bearer error="insufficient_scope"' })
      },
      false
    ]
  ])("after %s gets another token or not", ([, more, isRenewed]) =>
    Effect.gen(function* () {
      const { received, url } = yield* serve(granted("one"), granted("two"))
      const method = yield* makeOAuth2(settingsOf(url))
      yield* authorization(method)
      assert.strictEqual(yield* method.renew(refusal("one", more)), isRenewed)
      assert.lengthOf(received, isRenewed ? 2 : 1)
    })
  )
})
