import { generateKeyPairSync } from "node:crypto"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, type Scope } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { GrowingMask } from "../../../../src/config/SecretMask.ts"
import { google } from "../../../../src/prometheus/http/authentication/google.ts"
import type { CredentialRefusal } from "../../../../src/prometheus/http/authentication/Method.ts"
import type { PrometheusError } from "../../../../src/prometheus/PrometheusError.ts"
import { workspace } from "../../../support/connector.ts"
import {
  type GoogleIdentity,
  type GoogleIdentityOptions,
  googleIdentity,
  SUBJECT_TOKEN,
  TARGET_ACCOUNT
} from "../../../support/fakes/googleIdentity.ts"

const request = HttpClientRequest.get("https://monitoring.googleapis.com/v1/api/v1/query")

/** The variables that say where credentials of the machine are. */
const variables = [
  "CLOUDSDK_CONFIG",
  "GCE_METADATA_HOST",
  "GCE_METADATA_IP",
  "GOOGLE_APPLICATION_CREDENTIALS",
  "GOOGLE_CLOUD_QUOTA_PROJECT",
  "HOME",
  "METADATA_SERVER_DETECTION"
] as const

type Variables = { readonly [Name in (typeof variables)[number]]?: string }

/** Sets the variables of this process until the scope closes. */
const withVariables = (values: Variables) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = variables.map((name) => [name, process.env[name]] as const)
      setVariables(variables.map((name) => [name, values[name]]))
      return before
    }),
    (before) => Effect.sync(() => setVariables(before))
  )

const setVariables = (values: ReadonlyArray<readonly [name: string, value: string | undefined]>) => {
  for (const [name, value] of values) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
}

/** Authentication with a key of the configuration, or with the credentials of the machine. */
const authentication = Effect.fnUntraced(function* (key?: object, timeoutMillis = 5000) {
  const { add, mask } = new GrowingMask()
  const secrets: Array<string> = []
  const settings = {
    auth_type: "google" as const,
    ...(key === undefined ? {} : { service_account_key: Redacted.make(JSON.stringify(key)) })
  }
  add(...(google.derivedSecrets?.(settings) ?? []))
  const made = google.make(settings, {
    tokenClient: yield* HttpClient.HttpClient,
    timeoutMillis,
    mask,
    addSecret: (secret) => {
      add(secret)
      secrets.push(secret)
    }
  })
  return { ...made, mask, secrets }
})

const refusal = (sent: HttpClientRequest.HttpClientRequest, status = 401): CredentialRefusal => ({
  status,
  headers: request.headers,
  text: "",
  request: sent
})

/** Runs a test with a server for tokens. */
const withIdentity = <A, E>(
  use: (identity: GoogleIdentity) => Effect.Effect<A, E, HttpClient.HttpClient | Scope.Scope>,
  options: GoogleIdentityOptions = {}
) =>
  Effect.flatMap(googleIdentity(options), use).pipe(
    Effect.scoped,
    Effect.provide(NodeHttpClient.layerNodeHttp)
  )

const live = (name: string, effect: () => Effect.Effect<unknown, unknown>) => it.live(name, effect)

describe("google, with the key of a service account", () => {
  live("signs an assertion that the server accepts, and shares one token among requests", () =>
    withIdentity((identity) =>
      Effect.gen(function* () {
        const { authenticate, secrets } = yield* authentication(identity.key)
        const sent = yield* Effect.all(
          Array.from({ length: 5 }, () => authenticate(request)),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(identity.requests.length, 1)
        const [token = ""] = identity.issued
        for (const { headers } of sent) assert.strictEqual(headers.authorization, `Bearer ${token}`)
        assert.notProperty(sent[0]?.headers, "x-goog-user-project")
        assert.include(secrets, token)
        assert.include(secrets, identity.requests[0]?.form.assertion)
      })
    )
  )

  live("masks the private key in each form, also line by line", () =>
    withIdentity((identity) =>
      Effect.gen(function* () {
        const { mask } = yield* authentication(identity.key)
        const pem = identity.key.private_key ?? ""
        const lines: ReadonlyArray<string> = pem.trim().split("\n").slice(1, -1)
        for (const line of lines) assert.strictEqual(mask(`bad key: ${line}`), "bad key: ****")
        assert.strictEqual(mask(`bad key: ${lines.join("")}`), "bad key: ****")
        assert.notInclude(mask(JSON.stringify(identity.key)), lines[0] ?? "")
      })
    )
  )

  live("renews a token that is refused, once for all requests that it was refused to", () =>
    withIdentity((identity) =>
      Effect.gen(function* () {
        const { authenticate, renew } = yield* authentication(identity.key)
        const sent = yield* authenticate(request)
        const renewed = yield* Effect.all(
          Array.from({ length: 5 }, () => renew(refusal(sent))),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(renewed, Array(5).fill(true))
        assert.strictEqual(identity.requests.length, 2)
        const again = yield* authenticate(request)
        assert.strictEqual(again.headers.authorization, `Bearer ${identity.issued[1]}`)
        assert.isFalse(yield* renew(refusal(again, 403)))
        assert.strictEqual(identity.requests.length, 2)
      })
    )
  )

  live("renews a token before it expires", () =>
    withIdentity(
      (identity) =>
        Effect.gen(function* () {
          const { authenticate } = yield* authentication(identity.key)
          const first = yield* authenticate(request)
          const beganMillis = Date.now()
          const renewed = Effect.gen(function* () {
            for (;;) {
              const { headers } = yield* authenticate(request)
              if (headers.authorization !== first.headers.authorization) return Date.now() - beganMillis
              yield* Effect.sleep("100 millis")
            }
          })
          const afterMillis = yield* renewed
          assert.isBelow(afterMillis, 8000)
          assert.isAbove(afterMillis, 4000)
          assert.strictEqual(identity.issued.length, 2)
        }),
      { lifeSeconds: 8 }
    )
  )

  live("sends the project for the quota that the key names, unless the configuration has the header", () =>
    withIdentity((identity) =>
      Effect.gen(function* () {
        const { authenticate } = yield* authentication({ ...identity.key, quota_project_id: "quota" })
        assert.strictEqual((yield* authenticate(request)).headers["x-goog-user-project"], "quota")
        const configured = HttpClientRequest.setHeader(request, "X-Goog-User-Project", "mine")
        assert.strictEqual((yield* authenticate(configured)).headers["x-goog-user-project"], "mine")
      })
    )
  )

  live("signs a token itself in another universe, without a server", () =>
    withIdentity((identity) =>
      Effect.gen(function* () {
        const { authenticate } = yield* authentication({ ...identity.key, universe_domain: "apis.example" })
        const { headers } = yield* authenticate(request)
        const [, payload = ""] = (headers.authorization ?? "").split(".")
        const claims = JSON.parse(Buffer.from(payload, "base64url").toString())
        assert.strictEqual(claims.scope, "https://www.googleapis.com/auth/monitoring.read")
        assert.strictEqual(claims.iss, identity.key.client_email)
        assert.strictEqual(identity.requests.length, 0)
      })
    )
  )
})

const failures: ReadonlyArray<{
  readonly name: string
  readonly options: GoogleIdentityOptions
  readonly reason: PrometheusError["reason"]
  readonly message: RegExp
  readonly timeoutMillis?: number
}> = [
  {
    name: "refuses the grant",
    options: {
      instead: () => ({
        status: 400,
        body: { error: "invalid_grant", error_description: "Invalid JWT Signature." }
      })
    },
    reason: "Unauthorized",
    message:
      /\/token returned HTTP 400: Invalid JWT Signature\. Check authentication\.service_account_key: .* disabled or deleted\. Check the clock/
  },
  {
    name: "refuses the client",
    options: { instead: () => ({ status: 401, body: { error: "invalid_client" } }) },
    reason: "Unauthorized",
    message: /HTTP 401: invalid_client\. Check authentication\.service_account_key/
  },
  {
    name: "is overloaded",
    options: { instead: () => ({ status: 503, body: { error: "backend error" } }) },
    reason: "Unreachable",
    message: /HTTP 503: backend error\./
  },
  {
    name: "does not respond",
    options: { instead: () => "silence" },
    timeoutMillis: 300,
    reason: "Unreachable",
    message: /\/token did not respond within 0\.3 s\. Check token_uri of authentication\.service_account_key/
  },
  {
    name: "sends a page",
    options: { instead: () => ({ status: 200, body: "<html><title>Sign in</title></html>" }) },
    reason: "Unauthorized",
    message: /HTTP 200: a web page titled "Sign in"\. Check token_uri of authentication\.service_account_key/
  },
  {
    name: "sends JSON without a token",
    options: { instead: () => ({ status: 200, body: { token_type: "Bearer" } }) },
    reason: "Unauthorized",
    message:
      /HTTP 200, but no JSON object with a token .*\. Check token_uri of authentication\.service_account_key/
  },
  {
    name: "redirects",
    options: {
      instead: () => ({ status: 302, body: "", headers: { location: "https://other.example/token?x=1" } })
    },
    reason: "Redirected",
    message: /redirects to https:\/\/other\.example\/token, which is not followed/
  }
]

describe("google, if the server for tokens", () => {
  for (const { message, name, options, reason, timeoutMillis } of failures) {
    live(`${name}: asks it once and says so`, () =>
      withIdentity(
        (identity) =>
          Effect.gen(function* () {
            const { authenticate } = yield* authentication(identity.key, timeoutMillis)
            const error = yield* Effect.flip(authenticate(request))
            assert.strictEqual(error.reason, reason, error.message)
            assert.match(error.message, message)
            assert.strictEqual(identity.requests.length, 1)
          }),
        options
      )
    )
  }

  live("repeats the assertion or the key: masks both", () => {
    let repeated = ""
    return withIdentity(
      (identity) =>
        Effect.gen(function* () {
          const { authenticate } = yield* authentication(identity.key)
          repeated = (identity.key.private_key ?? "").split("\n")[3] ?? ""
          const error = yield* Effect.flip(authenticate(request))
          assert.match(error.message, /HTTP 400: bad line \*\*\*\* here/)
        }),
      { instead: () => ({ status: 400, body: { error_description: `bad line ${repeated} here` } }) }
    )
  })
})

describe("google, with the credentials of the machine", () => {
  const elsewhere = { HOME: "/nonexistent" }

  live("reads the file that the variable names, and reads it again to renew the token", () =>
    withIdentity((identity) =>
      Effect.gen(function* () {
        const files = yield* workspace
        yield* withVariables({
          ...elsewhere,
          GOOGLE_APPLICATION_CREDENTIALS: files.write("key.json", identity.key)
        })
        const { authenticate, renew } = yield* authentication()
        const sent = yield* authenticate(request)
        assert.strictEqual(sent.headers.authorization, `Bearer ${identity.issued[0]}`)
        files.write("key.json", identity.user)
        assert.isTrue(yield* renew(refusal(sent)))
        const again = yield* authenticate(request)
        assert.strictEqual(again.headers["x-goog-user-project"], "quota-of-the-user")
        assert.strictEqual(identity.requests[1]?.form.grant_type, "refresh_token")
      })
    )
  )

  live("finds the sign-in of gcloud, and takes the project for the quota from the variable", () =>
    withIdentity((identity) =>
      Effect.gen(function* () {
        const files = yield* workspace
        const path = files.write("application_default_credentials.json", identity.user)
        yield* withVariables({
          CLOUDSDK_CONFIG: path.replace(/\/[^/]*$/, ""),
          GOOGLE_CLOUD_QUOTA_PROJECT: "quota-of-the-variable"
        })
        const { authenticate, secrets } = yield* authentication()
        const { headers } = yield* authenticate(request)
        assert.strictEqual(headers.authorization, `Bearer ${identity.issued[0]}`)
        assert.strictEqual(headers["x-goog-user-project"], "quota-of-the-variable")
        assert.includeMembers(secrets, [identity.user.client_secret ?? "", identity.user.refresh_token ?? ""])
      })
    )
  )

  live("does not quote a token that is not in a JSON object", () =>
    withIdentity(
      (identity) =>
        Effect.gen(function* () {
          const files = yield* workspace
          yield* withVariables({
            ...elsewhere,
            GOOGLE_APPLICATION_CREDENTIALS: files.write("user.json", identity.user)
          })
          const { authenticate } = yield* authentication()
          const error = yield* Effect.flip(authenticate(request))
          assert.strictEqual(error.reason, "Unauthorized")
          assert.match(error.message, /HTTP 200, but no JSON object with a token/)
          assert.notInclude(error.message, "Geheim")
        }),
      {
        instead: () => ({ status: 200, body: "Geheim-4711", headers: { "content-type": "text/plain" } })
      }
    )
  )

  live("exchanges the token of another identity provider", () =>
    withIdentity((identity) =>
      Effect.gen(function* () {
        const files = yield* workspace
        const federated = {
          type: "external_account",
          audience: "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
          subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
          token_url: `http://${identity.host}/sts`,
          credential_source: { file: files.write("token", SUBJECT_TOKEN) }
        }
        yield* withVariables({
          ...elsewhere,
          GOOGLE_APPLICATION_CREDENTIALS: files.write("f.json", federated)
        })
        const { authenticate, secrets } = yield* authentication()
        const { headers } = yield* authenticate(request)
        assert.strictEqual(headers.authorization, `Bearer ${identity.issued[0]}`)
        assert.include(secrets, SUBJECT_TOKEN)
      })
    )
  )

  live("acts as another account", () =>
    withIdentity((identity) =>
      Effect.gen(function* () {
        const files = yield* workspace
        const impersonated = {
          type: "impersonated_service_account",
          service_account_impersonation_url: `http://${identity.host}/v1/projects/-/serviceAccounts/${TARGET_ACCOUNT}:generateAccessToken`,
          source_credentials: identity.key
        }
        yield* withVariables({
          ...elsewhere,
          GOOGLE_APPLICATION_CREDENTIALS: files.write("i.json", impersonated)
        })
        const { authenticate, secrets } = yield* authentication()
        const { headers } = yield* authenticate(request)
        assert.deepStrictEqual([headers.authorization], [`Bearer ${identity.issued[0]}`])
        // That of its own account, too.
        assert.strictEqual(new Set(secrets.filter((secret) => secret.startsWith("ya29."))).size, 2)
      })
    )
  )

  for (const prefix of ["", "http://"]) {
    live(`asks the metadata server for a token with the scope: ${prefix}host:port`, () =>
      withIdentity((identity) =>
        Effect.gen(function* () {
          yield* withVariables({ ...elsewhere, GCE_METADATA_HOST: `${prefix}${identity.host}` })
          const { authenticate } = yield* authentication()
          const { headers } = yield* authenticate(request)
          assert.strictEqual(headers.authorization, `Bearer ${identity.issued[0]}`)
          assert.strictEqual(identity.requests.length, 1)
        })
      )
    )
  }

  live("passes over a folder of gcloud that this user may not enter, and asks the metadata server", () =>
    withIdentity((identity) =>
      Effect.gen(function* () {
        const files = yield* workspace
        // What is no folder cannot be entered by anyone, not even by root.
        yield* withVariables({ CLOUDSDK_CONFIG: files.write("file", ""), GCE_METADATA_HOST: identity.host })
        const { authenticate } = yield* authentication()
        const { headers } = yield* authenticate(request)
        assert.strictEqual(headers.authorization, `Bearer ${identity.issued[0]}`)
      })
    )
  )

  live("retries a metadata server that is away after it has issued a token", () => {
    let isAway = false
    return withIdentity(
      (identity) =>
        Effect.gen(function* () {
          yield* withVariables({ ...elsewhere, GCE_METADATA_HOST: identity.host })
          const { authenticate, renew } = yield* authentication()
          const sent = yield* authenticate(request)
          isAway = true
          const error = yield* Effect.flip(renew(refusal(sent)))
          assert.strictEqual(error.reason, "Unreachable", error.message)
        }),
      { instead: () => (isAway ? "silence" : undefined) }
    )
  })

  live("says what is missing if there are none, in a few seconds", () =>
    withIdentity(
      (identity) =>
        Effect.gen(function* () {
          yield* withVariables({ ...elsewhere, GCE_METADATA_HOST: identity.host })
          const { authenticate } = yield* authentication(undefined, 60_000)
          const error = yield* Effect.timeout(Effect.flip(authenticate(request)), "8 seconds")
          assert.strictEqual(error.reason, "Unauthorized")
          assert.match(
            error.message,
            /no credentials for Google Cloud: .*GOOGLE_APPLICATION_CREDENTIALS.* did not respond within 2 s\)\. Set authentication\.service_account_key to the JSON key/
          )
        }),
      { instead: () => "silence" }
    )
  )

  live("does not ask a metadata server if the variable of Google's libraries says so", () =>
    withIdentity((identity) =>
      Effect.gen(function* () {
        yield* withVariables({
          ...elsewhere,
          GCE_METADATA_HOST: identity.host,
          METADATA_SERVER_DETECTION: "none"
        })
        const { authenticate } = yield* authentication()
        const error = yield* Effect.flip(authenticate(request))
        assert.match(error.message, /METADATA_SERVER_DETECTION is none/)
        assert.strictEqual(identity.requests.length, 0)
      })
    )
  )

  live("does not take another server's response for that of the metadata server", () =>
    withIdentity(
      (identity) =>
        Effect.gen(function* () {
          yield* withVariables({ ...elsewhere, GCE_METADATA_HOST: identity.host })
          const { authenticate } = yield* authentication()
          const error = yield* Effect.flip(authenticate(request))
          assert.strictEqual(error.reason, "Unauthorized")
          assert.match(error.message, /HTTP 200, but not as Google's metadata server/)
        }),
      { instead: () => ({ status: 200, body: { access_token: "of-another-cloud", expires_in: 60 } }) }
    )
  )

  live("does not send a token with a line feed", () =>
    withIdentity(
      (identity) =>
        Effect.gen(function* () {
          yield* withVariables({ ...elsewhere, GCE_METADATA_HOST: identity.host })
          const { authenticate } = yield* authentication()
          const error = yield* Effect.flip(authenticate(request))
          assert.strictEqual(error.reason, "Unauthorized")
          assert.match(error.message, /characters that are not allowed in an HTTP header/)
          assert.notInclude(error.message, "Geheim")
        }),
      {
        instead: () => ({
          status: 200,
          body: { access_token: "Geheim-4711\nX: y", expires_in: 60 },
          headers: { "metadata-flavor": "Google" }
        })
      }
    )
  )

  live("says that a machine has no service account", () =>
    withIdentity(
      (identity) =>
        Effect.gen(function* () {
          yield* withVariables({ ...elsewhere, GCE_METADATA_HOST: identity.host })
          const { authenticate } = yield* authentication()
          const error = yield* Effect.flip(authenticate(request))
          assert.strictEqual(error.reason, "Unauthorized")
          assert.match(error.message, /HTTP 403: .*no service account/)
        }),
      {
        instead: () => ({
          status: 403,
          body: { error: "no access" },
          headers: { "metadata-flavor": "Google" }
        })
      }
    )
  )

  const { privateKey } = generateKeyPairSync("ed25519")
  const wrongFiles: ReadonlyArray<readonly [content: unknown, message: RegExp]> = [
    ["{", /GOOGLE_APPLICATION_CREDENTIALS \(.*wrong\.json\) cannot be used: the file is not JSON\./],
    [[], /they are JSON, but not an object|their type must be one of/],
    [{ type: "gdch_service_account" }, /their type must be one of service_account, authorized_user/],
    [
      { type: "authorized_user", client_id: "c" },
      /they have no client_secret, and they have no refresh_token/
    ],
    [
      {
        type: "service_account",
        client_email: "a@b.c",
        private_key: privateKey.export({ type: "pkcs8", format: "pem" })
      },
      /its private_key is not an RSA key/
    ],
    [
      {
        type: "impersonated_service_account",
        service_account_impersonation_url: "https://h/x:generateAccessToken",
        source_credentials: { type: "authorized_user" }
      },
      /in source_credentials, they have no client_id/
    ],
    [
      {
        type: "external_account",
        audience: "a",
        subject_token_type: "t",
        token_url: "https://h/t",
        credential_source: { certificate: {} }
      },
      /federation with certificates is not supported/
    ]
  ]
  for (const [content, message] of wrongFiles) {
    live(`says what is wrong with a file: ${message.source.slice(0, 60)}`, () =>
      withIdentity(() =>
        Effect.gen(function* () {
          const files = yield* workspace
          yield* withVariables({
            ...elsewhere,
            GOOGLE_APPLICATION_CREDENTIALS: files.write("wrong.json", content)
          })
          const { authenticate } = yield* authentication()
          const error = yield* Effect.flip(authenticate(request))
          assert.strictEqual(error.reason, "Unauthorized")
          assert.match(error.message, message)
          assert.match(error.message, /authentication\.service_account_key|Check the file/)
        })
      )
    )
  }

  live("says that the file is missing", () =>
    withIdentity(() =>
      Effect.gen(function* () {
        yield* withVariables({
          ...elsewhere,
          GOOGLE_APPLICATION_CREDENTIALS: "/nonexistent/key.json"
        })
        const { authenticate } = yield* authentication()
        const error = yield* Effect.flip(authenticate(request))
        assert.strictEqual(error.reason, "Unauthorized")
        assert.match(
          error.message,
          /GOOGLE_APPLICATION_CREDENTIALS, \/nonexistent\/key\.json, cannot be read/
        )
      })
    )
  )
})

describe("the token of the machine", () => {
  it.each([
    ["https://monitoring.googleapis.com/v1/projects/p/location/global/prometheus", true],
    ["https://monitoring.us-central1.rep.googleapis.com", true],
    ["http://127.0.0.1:9090", true],
    ["http://localhost:9090", true],
    ["http://[::1]:9090", true],
    ["https://prometheus.example.com", false],
    ["https://googleapis.com.example.com", false],
    ["https://notgoogleapis.com", false],
    ["http://10.0.0.1:9090", false]
  ])("is sent to %s: %s", (url, isSent) =>
    Effect.gen(function* () {
      yield* withVariables({ GOOGLE_APPLICATION_CREDENTIALS: "/nonexistent/key.json" })
      const { authenticate } = yield* Effect.provide(authentication(), NodeHttpClient.layerNodeHttp)
      const error = yield* Effect.flip(authenticate(HttpClientRequest.get(url)))
      if (isSent) assert.match(error.summary, /^The file with credentials of GOOGLE_APPLICATION_CREDENTIALS/)
      else {
        assert.strictEqual(error.reason, "Unauthorized")
        assert.match(
          error.message,
          /^The token of this machine for Google Cloud is not sent to \S+, .*Set base_url to/
        )
      }
    }).pipe(Effect.scoped, Effect.runPromise)
  )
})
