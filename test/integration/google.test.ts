/** Google Cloud: the built program with a key, a file and a machine's own credentials, each token verified by a server. */

import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import type { ChildOptions } from "../support/child.ts"
import * as connector from "../support/connector.ts"
import {
  assertFails,
  assertWhole,
  check,
  discover,
  expectedFrom,
  metrics,
  RECORDS,
  read,
  rowsOf,
  run,
  Source,
  said
} from "../support/fakes/basic.ts"
import { google } from "../support/fakes/clouds.ts"
import { fake, isRange, type Layer } from "../support/fakes/fake.ts"
import { type GoogleIdentityOptions, googleIdentity } from "../support/fakes/googleIdentity.ts"

/** Google's service in front of the real server, and its servers for tokens. */
const service = Effect.fnUntraced(function* (
  options: GoogleIdentityOptions = {},
  ...layers: ReadonlyArray<Layer>
) {
  const identity = yield* googleIdentity(options)
  const { baseUrl, requests } = yield* fake((yield* Source).baseUrl, identity.layer, ...layers, google)
  return { ...identity, baseUrl, requests, issued: () => identity.issued, refusals: () => identity.refusals }
})

type Service = Effect.Success<ReturnType<typeof service>>

/** No credentials of the machine that runs the tests. */
const nothing = {
  CLOUDSDK_CONFIG: "/nonexistent",
  GCE_METADATA_HOST: "127.0.0.1:1",
  GOOGLE_APPLICATION_CREDENTIALS: undefined,
  GOOGLE_CLOUD_QUOTA_PROJECT: undefined
}

const withKey = (key: object) => ({
  authentication: { auth_type: "google", service_account_key: JSON.stringify(key) }
})

const ofMachine = { authentication: { auth_type: "google" } }

/** Each way to credentials: the configuration, and the variables of the process. */
const ways: ReadonlyArray<{
  readonly name: string
  readonly config: (service: Service) => object
  readonly env: (service: Service, files: connector.Workspace) => ChildOptions["env"] & object
}> = [
  { name: "a key in the configuration", config: ({ key }) => withKey(key), env: () => nothing },
  {
    name: "GOOGLE_APPLICATION_CREDENTIALS",
    config: () => ofMachine,
    env: ({ key }, files) => ({ ...nothing, GOOGLE_APPLICATION_CREDENTIALS: files.write("key.json", key) })
  },
  {
    name: "the sign-in of gcloud",
    config: () => ofMachine,
    env: ({ user }, files) => ({
      ...nothing,
      CLOUDSDK_CONFIG: files.write("application_default_credentials.json", user).replace(/\/[^/]*$/, "")
    })
  },
  {
    name: "a metadata server",
    config: () => ofMachine,
    env: ({ host }) => ({ ...nothing, GCE_METADATA_HOST: host })
  }
]

/** The secrets of a service, of which no output may have any. */
const assertNoSecrets = ({ issued, key, requests, user }: Service, ...outputs: ReadonlyArray<string>) => {
  const lines = (key.private_key ?? "").split("\n").slice(1, -2)
  const all = [...issued(), ...lines, user.refresh_token ?? "", user.client_secret ?? ""]
  for (const output of outputs) for (const secret of all) assert.notInclude(output, secret)
  assert.isNotEmpty(requests)
}

describe("Google Cloud", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const { config, env, name } of ways) {
      it.effect(`is checked, discovered, read and written by run: ${name}`, () =>
        Effect.gen(function* () {
          const files = yield* connector.workspace
          const google = yield* service()
          const { baseUrl } = google
          const options = { env: env(google, files) }
          const checked = yield* check(baseUrl, config(google), options)
          assert.strictEqual(checked.status, "SUCCEEDED", checked.output.stdout)
          const found = yield* discover(baseUrl, config(google), options)
          assert.deepStrictEqual([found.code, found.names], [0, [...metrics]], said(found))
          const output = yield* read(baseUrl, { config: config(google), child: options })
          assertWhole(output, yield* expectedFrom(yield* Source))
          const written = yield* run(baseUrl, config(google), [], options)
          assert.strictEqual(written.code, 0, written.stderr)
          assert.deepStrictEqual(
            rowsOf(written.summary),
            Object.fromEntries(metrics.map((metric) => [metric, RECORDS]))
          )
          // Each of them fetched one token, and sent nothing without one.
          assert.strictEqual(google.issued().length, 4)
          for (const { headers } of google.requests)
            assert.match(headers.authorization ?? "", /^Bearer ya29\./)
          assertNoSecrets(google, output.stdout, output.stderr, found.stdout, written.stderr)
        })
      )
    }

    it.effect("is read with a token that expires in between: it is renewed before that", () =>
      Effect.gen(function* () {
        const slowly: Layer = async (ask, next) => {
          if (isRange(ask)) await new Promise((resolve) => setTimeout(resolve, 300))
          return next(ask)
        }
        const google = yield* service({ lifeSeconds: 4 }, slowly)
        const output = yield* read(google.baseUrl, {
          config: { ...withKey(google.key), concurrency: 1 },
          child: { env: nothing }
        })
        assertWhole(output, yield* expectedFrom(yield* Source))
        assert.isAtLeast(google.issued().length, 2)
        assert.strictEqual(google.refusals(), 0)
      })
    )

    it.effect("is read with a token that is revoked in between, and each row arrives once", () =>
      Effect.gen(function* () {
        let responses = 0
        let revoke = () => {}
        const revoking: Layer = async (ask, next) => {
          const response = await next(ask)
          if (isRange(ask) && ++responses === 2) revoke()
          return response
        }
        const google = yield* service({}, revoking)
        revoke = google.revoke
        const output = yield* read(google.baseUrl, {
          config: { ...withKey(google.key), concurrency: 2 },
          child: { env: nothing }
        })
        assertWhole(output, yield* expectedFrom(yield* Source))
        assert.strictEqual(google.issued().length, 2)
        assert.isAtLeast(google.refusals(), 1)
      })
    )

    it.effect(
      "fails with a key that the server refuses, which the message names, and nothing is asked of it",
      () =>
        Effect.gen(function* () {
          const google = yield* service()
          const config = withKey({ ...google.key, client_email: "deleted@project.iam.gserviceaccount.com" })
          const output = yield* read(google.baseUrl, { config, child: { env: nothing } })
          assertFails(
            output,
            /\/token returned HTTP 400: Invalid grant: account not found\. Check authentication\.service_account_key/
          )
          assert.strictEqual(output.errors.at(-1)?.failure_type, "config_error")
          assert.strictEqual(google.requests.length, 0)
          const {
            output: checked,
            status,
            message = ""
          } = yield* check(google.baseUrl, config, { env: nothing })
          assert.strictEqual(status, "FAILED", checked.stdout)
          assert.match(message, /authentication\.service_account_key/)
        })
    )

    it.effect("fails in a few seconds without any credentials, and says what to set", () =>
      Effect.gen(function* () {
        const google = yield* service()
        const { status, message = "" } = yield* check(google.baseUrl, ofMachine, { env: nothing })
        assert.strictEqual(status, "FAILED")
        assert.match(message, /no credentials for Google Cloud/)
        assert.match(message, /Set authentication\.service_account_key .* or GOOGLE_APPLICATION_CREDENTIALS/)
      })
    )

    it.effect("is read although its server for tokens fails at first", () =>
      Effect.gen(function* () {
        const google = yield* service({
          instead: (request) => (request < 2 ? { status: 503, body: { error: "backend error" } } : undefined)
        })
        const output = yield* read(google.baseUrl, {
          config: { ...withKey(google.key), max_retries: 5 },
          child: { env: nothing }
        })
        assertWhole(output, yield* expectedFrom(yield* Source))
        assert.isTrue(output.logs.some((line) => /HTTP 503: backend error/.test(line)))
      })
    )

    it.effect("logs no token, whatever Google's library is set to log", () =>
      Effect.gen(function* () {
        const google = yield* service()
        const env = { ...nothing, GOOGLE_SDK_NODE_LOGGING: "*", DEBUG_AUTH: "1", NODE_DEBUG: "*auth*" }
        const output = yield* read(google.baseUrl, { config: withKey(google.key), child: { env } })
        assert.strictEqual(output.code, 0, said(output))
        assertNoSecrets(google, output.stdout, output.stderr)
      })
    )
  })
})
