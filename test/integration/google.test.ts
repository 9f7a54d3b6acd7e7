/** Google Cloud: the built program with a key, a file and a machine's own credentials, each token verified by a server. */

import { once } from "node:events"
import { createServer, request } from "node:http"
import type { AddressInfo } from "node:net"
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
import { fake, isRange, json, type Layer } from "../support/fakes/fake.ts"
import {
  type GoogleIdentityOptions,
  googleIdentity,
  SUBJECT_TOKEN,
  TARGET_ACCOUNT
} from "../support/fakes/googleIdentity.ts"

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

/** A forward proxy on loopback until the scope closes, and the addresses that it was asked for. */
const forwardProxy = Effect.map(
  Effect.acquireRelease(
    Effect.promise(async () => {
      const targets: Array<string> = []
      const server = createServer((incoming, response) => {
        const { headers, method, url = "" } = incoming
        targets.push(url)
        const outgoing = request(url, { method, headers }, (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers)
          answer.pipe(response)
        })
        outgoing.on("error", () => response.destroy())
        incoming.pipe(outgoing)
      })
      await once(server.listen(0, "127.0.0.1"), "listening")
      return { server, targets }
    }),
    ({ server }) =>
      Effect.promise(async () => {
        const closed = once(server, "close")
        server.close()
        server.closeAllConnections()
        await closed
      })
  ),
  ({ server, targets }) => ({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, targets })
)

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
    name: "workload identity federation",
    config: () => ofMachine,
    env: ({ host }, files) => ({
      ...nothing,
      GOOGLE_APPLICATION_CREDENTIALS: files.write("federated.json", {
        type: "external_account",
        audience: "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
        token_url: `http://${host}/sts`,
        credential_source: { file: files.write("token", SUBJECT_TOKEN) }
      })
    })
  },
  {
    name: "another account, as which that of a key acts",
    config: () => ofMachine,
    env: ({ host, key }, files) => ({
      ...nothing,
      GOOGLE_APPLICATION_CREDENTIALS: files.write("impersonated.json", {
        type: "impersonated_service_account",
        service_account_impersonation_url: `http://${host}/v1/projects/-/serviceAccounts/${TARGET_ACCOUNT}:generateAccessToken`,
        source_credentials: key
      })
    })
  },
  {
    name: "a metadata server",
    config: () => ofMachine,
    env: ({ host }) => ({ ...nothing, GCE_METADATA_HOST: host })
  }
]

/** The secrets of a service. No output may contain one. */
const assertNoSecrets = ({ issued, key, requests, user }: Service, ...outputs: ReadonlyArray<string>) => {
  const lines = (key.private_key ?? "").split("\n").slice(1, -2)
  const all = [...issued(), ...lines, user.refresh_token ?? "", user.client_secret ?? "", SUBJECT_TOKEN]
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
          if (isRange(ask)) await new Promise((resolve) => setTimeout(resolve, 1000))
          return next(ask)
        }
        const google = yield* service({ lifeSeconds: 8 }, slowly)
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

    it.effect(
      "fails with a key that is deleted in between, which the message names, and resumes with another one",
      () =>
        Effect.gen(function* () {
          let responses = 0
          let isDeleted = false
          let revoke = () => {}
          const deleting: Layer = async (ask, next) => {
            const response = await next(ask)
            if (isRange(ask) && ++responses === 7) {
              isDeleted = true
              revoke()
            }
            return response
          }
          const instead = () =>
            isDeleted
              ? { status: 400, body: { error: "invalid_grant", error_description: "Invalid JWT Signature." } }
              : undefined
          const google = yield* service({ instead }, deleting)
          revoke = google.revoke
          const config = { ...withKey(google.key), concurrency: 1 }
          const output = yield* read(google.baseUrl, { config, child: { env: nothing } })
          assertFails(
            output,
            /\/token returned HTTP 400: Invalid JWT Signature\. Check authentication\.service_account_key: .*deleted/
          )
          assert.isNotEmpty(output.states)
          isDeleted = false
          const state = [
            ...new Map(output.states.map((state) => [state.stream.stream_descriptor.name, state])).values()
          ]
          const rest = yield* read(google.baseUrl, { config, state, child: { env: nothing } })
          assert.strictEqual(rest.code, 0, said(rest))
          const all = new Set([
            ...connector.byKey(output.records).keys(),
            ...connector.byKey(rest.records).keys()
          ])
          assert.deepStrictEqual(all, new Set((yield* expectedFrom(yield* Source)).keys()))
        })
    )

    it.effect("names the role that the account lacks", () =>
      Effect.gen(function* () {
        const forbidding: Layer = (ask, next) =>
          isRange(ask)
            ? json(403, {
                error: {
                  code: 403,
                  message: "Permission monitoring.timeSeries.list denied (or the resource may not exist).",
                  status: "PERMISSION_DENIED"
                }
              })
            : next(ask)
        const google = yield* service({}, forbidding)
        const output = yield* read(google.baseUrl, { config: withKey(google.key), child: { env: nothing } })
        assertFails(
          output,
          /HTTP 403: Permission monitoring\.timeSeries\.list denied/,
          /roles\/monitoring\.viewer/
        )
        // Another token would not help.
        assert.strictEqual(google.issued().length, 1)
      })
    )

    it.effect("is written by run with a key file, which is read again if the server refuses the key", () =>
      Effect.gen(function* () {
        const files = yield* connector.workspace
        let replace = () => {}
        const google = yield* service({
          instead: (request) => {
            if (request > 0) return undefined
            replace()
            return {
              status: 400,
              body: { error: "invalid_grant", error_description: "Invalid JWT Signature." }
            }
          }
        })
        const file = files.write("key.json", google.key)
        const flags = ["--service-account-file", file]
        let replaced = 0
        replace = () => {
          replaced++
          files.write("key.json", { ...google.key, private_key_id: "another" })
        }
        const written = yield* run(google.baseUrl, {}, flags, { env: nothing })
        assert.strictEqual(written.code, 0, written.stderr)
        assert.strictEqual(written.summary?.rows, metrics.length * RECORDS)
        assert.strictEqual(replaced, 1)
        assertNoSecrets(google, written.stderr)
      })
    )

    it.effect(
      "is reached through a proxy, but never the metadata server, whose token would be the proxy's own",
      () =>
        Effect.gen(function* () {
          const google = yield* service()
          const proxy = yield* forwardProxy
          const keyed = { ...withKey(google.key), proxy_url: proxy.url }
          assertWhole(
            yield* read(google.baseUrl, { config: keyed, child: { env: nothing } }),
            yield* expectedFrom(yield* Source)
          )
          assert.isTrue(proxy.targets.includes(google.tokenUri))
          assert.isTrue(proxy.targets.some((target) => target.startsWith(google.baseUrl)))
          proxy.targets.length = 0
          const output = yield* read(google.baseUrl, {
            config: { ...ofMachine, proxy_url: proxy.url },
            child: { env: { ...nothing, GCE_METADATA_HOST: google.host } }
          })
          assertWhole(output, yield* expectedFrom(yield* Source))
          assert.isNotEmpty(proxy.targets)
          assert.deepStrictEqual(
            proxy.targets.filter((target) => target.startsWith(`http://${google.host}/`)),
            []
          )
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
