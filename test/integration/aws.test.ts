/** AWS Signature Version 4: the built program with keys from each place, in front of a server that verifies every signature. */

import { createHash } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import type { ChildOptions } from "../support/child.ts"
import * as connector from "../support/connector.ts"
import {
  type AwsCloud,
  type AwsCloudOptions,
  awsCloud,
  CONTAINER_TOKEN,
  EXTERNAL_ID,
  REGION,
  ROLE,
  SSO_TOKEN,
  WEB_IDENTITY,
  WORKSPACE
} from "../support/fakes/awsCloud.ts"
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
import { amazon } from "../support/fakes/clouds.ts"
import { fake, isRange, type Layer } from "../support/fakes/fake.ts"
import { clockOff } from "../support/wrongClock.ts"

/** Amazon's service in front of the real server. */
const service = Effect.fnUntraced(function* (options: AwsCloudOptions = {}, ...layers: ReadonlyArray<Layer>) {
  const cloud = yield* awsCloud(options)
  const { baseUrl, requests } = yield* fake((yield* Source).baseUrl, ...layers, cloud.layer, amazon)
  return { cloud, baseUrl: `${baseUrl}${WORKSPACE}`, requests }
})

/** No credentials of the machine that runs the tests. */
const nothing = {
  AWS_ACCESS_KEY_ID: undefined,
  AWS_CONFIG_FILE: "/nonexistent/config",
  AWS_CONTAINER_AUTHORIZATION_TOKEN: undefined,
  AWS_CONTAINER_CREDENTIALS_FULL_URI: undefined,
  AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: undefined,
  AWS_EC2_METADATA_DISABLED: "true",
  AWS_ENDPOINT_URL_STS: undefined,
  AWS_PROFILE: undefined,
  AWS_REGION: undefined,
  AWS_ROLE_ARN: undefined,
  AWS_SECRET_ACCESS_KEY: undefined,
  AWS_SESSION_TOKEN: undefined,
  AWS_SHARED_CREDENTIALS_FILE: "/nonexistent/credentials",
  AWS_WEB_IDENTITY_TOKEN_FILE: undefined
}

const ofMachine = { auth_type: "aws_sigv4", region: REGION }

const withKeys = ({ user }: AwsCloud) => ({
  ...ofMachine,
  access_key_id: user.accessKeyId,
  secret_access_key: user.secretAccessKey
})

const role = { role_arn: ROLE, external_id: EXTERNAL_ID }

const credentialsFile = ({ user }: AwsCloud, profile = "default") =>
  `[${profile}]\naws_access_key_id = ${user.accessKeyId}\naws_secret_access_key = ${user.secretAccessKey}\n`

const SSO_START = "https://example.awsapps.com/start"

/** What `aws sso login` leaves in a home. */
const signIn = (files: connector.Workspace): string => {
  const folder = files.path("home/.aws/sso/cache")
  mkdirSync(folder, { recursive: true })
  writeFileSync(
    join(folder, `${createHash("sha1").update(SSO_START).digest("hex")}.json`),
    JSON.stringify({ accessToken: SSO_TOKEN, expiresAt: "2099-01-01T00:00:00Z" })
  )
  return files.path("home")
}

/** Each way to keys: the configuration, the variables of the process, and what is asked for keys. */
const ways: ReadonlyArray<{
  readonly name: string
  readonly config: (cloud: AwsCloud) => object
  readonly env?: (cloud: AwsCloud, files: connector.Workspace) => ChildOptions["env"] & object
  readonly issued?: string
}> = [
  { name: "keys in the configuration", config: withKeys },
  {
    name: "variables",
    config: () => ofMachine,
    env: ({ user }) => ({
      AWS_ACCESS_KEY_ID: user.accessKeyId,
      AWS_SECRET_ACCESS_KEY: user.secretAccessKey
    })
  },
  {
    name: "a file of credentials",
    config: () => ofMachine,
    env: (cloud, files) => ({
      AWS_SHARED_CREDENTIALS_FILE: files.write("credentials", credentialsFile(cloud))
    })
  },
  {
    name: "a named profile, which comes before variables",
    config: () => ofMachine,
    env: (cloud, files) => ({
      AWS_PROFILE: "metrics",
      AWS_ACCESS_KEY_ID: "AKIAUNKNOWN",
      AWS_SECRET_ACCESS_KEY: "unknown-secret-key",
      AWS_SHARED_CREDENTIALS_FILE: files.write("credentials", credentialsFile(cloud, "metrics"))
    })
  },
  {
    name: "a profile with a role",
    config: () => ofMachine,
    env: (cloud, files) => ({
      AWS_PROFILE: "metrics",
      AWS_SHARED_CREDENTIALS_FILE: files.write("credentials", credentialsFile(cloud)),
      AWS_CONFIG_FILE: files.write(
        "config",
        `[profile metrics]\nrole_arn = ${ROLE}\nexternal_id = ${EXTERNAL_ID}\nrole_session_name = profile\nsource_profile = default\n`
      ),
      AWS_ENDPOINT_URL_STS: cloud.endpoint
    }),
    issued: "AssumeRole profile"
  },
  {
    name: "a program that a profile names",
    config: () => ofMachine,
    env: ({ user }, files) => ({
      AWS_CONFIG_FILE: files.write(
        "config",
        `[default]\ncredential_process = cat ${files.write("process.json", { Version: 1, AccessKeyId: user.accessKeyId, SecretAccessKey: user.secretAccessKey })}\n`
      )
    })
  },
  {
    name: "the endpoint of a container",
    config: () => ofMachine,
    env: ({ endpoint }) => ({
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${endpoint}/container`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: CONTAINER_TOKEN
    }),
    issued: "container"
  },
  {
    name: "instance metadata",
    config: () => ofMachine,
    env: ({ endpoint }) => ({
      AWS_EC2_METADATA_DISABLED: undefined,
      AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint
    }),
    issued: "metadata"
  },
  {
    name: "web identity",
    config: () => ofMachine,
    env: ({ endpoint }, files) => ({
      AWS_WEB_IDENTITY_TOKEN_FILE: files.write("token", WEB_IDENTITY),
      AWS_ROLE_ARN: ROLE,
      AWS_ROLE_SESSION_NAME: "pod",
      AWS_ENDPOINT_URL_STS: endpoint
    }),
    issued: "AssumeRoleWithWebIdentity pod"
  },
  {
    name: "a profile with web identity",
    config: () => ofMachine,
    env: ({ endpoint }, files) => ({
      AWS_CONFIG_FILE: files.write(
        "config",
        `[default]\nrole_arn = ${ROLE}\nrole_session_name = profile\nweb_identity_token_file = ${files.write("token", WEB_IDENTITY)}\n`
      ),
      AWS_ENDPOINT_URL_STS: endpoint
    }),
    issued: "AssumeRoleWithWebIdentity profile"
  },
  {
    name: "the sign-in of a person",
    config: () => ofMachine,
    env: ({ endpoint }, files) => ({
      HOME: signIn(files),
      AWS_CONFIG_FILE: files.write(
        "config",
        `[default]\nsso_start_url = ${SSO_START}\nsso_region = ${REGION}\nsso_account_id = 123456789012\nsso_role_name = Reader of metrics\n`
      ),
      AWS_ENDPOINT_URL_SSO: endpoint
    }),
    issued: "sso"
  },
  {
    name: "a role, with keys in the configuration",
    config: (cloud) => ({ ...withKeys(cloud), ...role }),
    env: ({ endpoint }) => ({ AWS_ENDPOINT_URL_STS: endpoint }),
    issued: "AssumeRole source-prometheus"
  },
  {
    name: "a role, with keys of the machine",
    config: () => ({ ...ofMachine, ...role }),
    env: (cloud, files) => ({
      AWS_SHARED_CREDENTIALS_FILE: files.write("credentials", credentialsFile(cloud)),
      AWS_ENDPOINT_URL_STS: cloud.endpoint
    }),
    issued: "AssumeRole source-prometheus"
  }
]

/** Nothing that was printed has a secret or a signature. */
const assertNoSecrets = ({ secrets }: AwsCloud, ...outputs: ReadonlyArray<string>) => {
  for (const output of outputs) {
    for (const secret of secrets()) {
      assert.notInclude(output, secret)
      assert.notInclude(output, encodeURIComponent(secret))
    }
    assert.notMatch(output, /Signature=/)
  }
}

describe("AWS", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const { config, env = () => ({}), issued, name } of ways) {
      it.effect(`is checked, discovered, read and written by run: ${name}`, () =>
        Effect.gen(function* () {
          const files = yield* connector.workspace
          const { baseUrl, cloud, requests } = yield* service()
          const authentication = config(cloud)
          const options = { env: { ...nothing, ...env(cloud, files) } }
          const checked = yield* check(baseUrl, { authentication }, options)
          assert.strictEqual(checked.status, "SUCCEEDED", checked.output.stdout)
          assert.include(checked.output.logs, "INFO The server is Amazon Managed Service for Prometheus.")
          const found = yield* discover(baseUrl, { authentication }, options)
          assert.deepStrictEqual([found.code, found.names], [0, [...metrics]], said(found))
          const output = yield* read(baseUrl, { config: { authentication }, child: options })
          assertWhole(output, yield* expectedFrom(yield* Source))
          const written = yield* run(baseUrl, { authentication }, [], options)
          assert.strictEqual(written.code, 0, written.stderr)
          assert.deepStrictEqual(
            rowsOf(written.summary),
            Object.fromEntries(metrics.map((metric) => [metric, RECORDS]))
          )
          // Each program fetched keys once, for all its requests.
          assert.deepStrictEqual(cloud.issued, issued === undefined ? [] : Array(4).fill(issued))
          assert.deepStrictEqual(cloud.refusals, [])
          assert.isAtLeast(requests.length, 12)
          assertNoSecrets(cloud, output.stdout, output.stderr, found.stdout, written.stderr)
        })
      )
    }

    it.effect(
      "is sent what is signed: forms, long selectors, patterns, blanks and parameters of any kind",
      () =>
        Effect.gen(function* () {
          const { baseUrl, cloud, requests } = yield* service()
          const config = {
            authentication: withKeys(cloud),
            selector: `{store=~"first|second|${"x".repeat(4000)}",instance!~"~\\\\*'()! +é漢🎉&=%zz%41"}`,
            parameters: [
              { name: "a b", value: "x+y*'()!~ é🎉%41&=;" },
              { name: "empty", value: "" },
              { name: "match", value: "}{" }
            ]
          }
          assertWhole(yield* read(baseUrl, { config }), yield* expectedFrom(yield* Source))
          const found = yield* discover(baseUrl, config)
          assert.deepStrictEqual([found.code, found.names], [0, [...metrics]], said(found))
          assert.deepStrictEqual(cloud.refusals, [])
          const forms = requests.filter(({ body, method }) => method === "POST" && body.length > 4000)
          assert.isAtLeast(forms.length, 3)
          for (const { target } of requests) {
            assert.include(
              target,
              "a%20b=x%2By%2A%27%28%29%21~%20%C3%A9%F0%9F%8E%89%2541%26%3D%3B&empty=&match=%7D%7B"
            )
          }
        })
    )

    it.effect("is reached through a proxy, as is STS, but no endpoint of the machine itself", () =>
      Effect.gen(function* () {
        const { baseUrl, cloud } = yield* service()
        const proxy = yield* fake("http://127.0.0.1:1", async ({ body, headers, method, target }) => {
          const { connection, host, "content-length": length, ...others } = headers
          const response = await fetch(target, {
            method,
            headers: others,
            ...(method === "GET" ? {} : { body })
          })
          return {
            status: response.status,
            headers: { "content-type": response.headers.get("content-type") ?? "" },
            body: Buffer.from(await response.arrayBuffer())
          }
        })
        const output = yield* read(baseUrl, {
          config: { authentication: { ...ofMachine, ...role }, proxy_url: proxy.baseUrl },
          child: {
            env: {
              ...nothing,
              AWS_CONTAINER_CREDENTIALS_FULL_URI: `${cloud.endpoint}/container`,
              AWS_CONTAINER_AUTHORIZATION_TOKEN: CONTAINER_TOKEN,
              AWS_ENDPOINT_URL_STS: cloud.endpoint
            }
          }
        })
        assertWhole(output, yield* expectedFrom(yield* Source))
        assert.deepStrictEqual(cloud.issued, ["container", "AssumeRole source-prometheus"])
        assert.deepStrictEqual(cloud.refusals, [])
        const targets = proxy.requests.map(({ target }) => target)
        assert.deepStrictEqual(
          targets.filter((target) => !target.startsWith(baseUrl)),
          [`${cloud.endpoint}/`]
        )
        assert.isAtLeast(targets.length, 4)
      })
    )

    it.effect("is followed to another address on the same host, with another signature", () =>
      Effect.gen(function* () {
        const moving: Layer = (ask, next) =>
          ask.target.startsWith("/old")
            ? { status: 307, headers: { location: ask.target.slice("/old".length) }, body: Buffer.alloc(0) }
            : next(ask)
        const { baseUrl, cloud } = yield* service({}, moving)
        const old = baseUrl.replace(WORKSPACE, `/old${WORKSPACE}`)
        const output = yield* read(old, { config: { authentication: withKeys(cloud) } })
        assertWhole(output, yield* expectedFrom(yield* Source))
        assert.deepStrictEqual(cloud.refusals, [])
      })
    )

    for (const millis of [-20 * 60_000, 20 * 60_000]) {
      it.effect(
        `is read with a clock that is wrong by ${millis} ms: it is corrected once, with a warning`,
        () =>
          Effect.gen(function* () {
            const { baseUrl, cloud } = yield* service()
            const output = yield* read(baseUrl, {
              config: { authentication: withKeys(cloud), concurrency: 1 },
              child: { env: nothing, nodeOptions: clockOff({ millis }) }
            })
            assertWhole(output, yield* expectedFrom(yield* Source))
            assert.deepStrictEqual(cloud.refusals, ["InvalidSignatureException"])
            const { host } = new URL(baseUrl)
            const warnings = output.logs.filter((line) => /signature/i.test(line))
            assert.deepStrictEqual(warnings, [
              `WARN The clock of this machine is about 20 min ${millis < 0 ? "behind" : "ahead of"} that of ${host}, which only accepts signatures of its own time. Requests are signed with that time from now on. Correct the clock of this machine.`
            ])
          })
      )

      it.effect(`is read with short-lived keys, and a clock that is wrong by ${millis} ms`, () =>
        Effect.gen(function* () {
          const { baseUrl, cloud } = yield* service({ lifeSeconds: 600 })
          const output = yield* read(baseUrl, {
            config: { authentication: { ...withKeys(cloud), ...role }, concurrency: 1 },
            child: {
              env: { ...nothing, AWS_ENDPOINT_URL_STS: cloud.endpoint },
              nodeOptions: clockOff({ millis })
            }
          })
          assertWhole(output, yield* expectedFrom(yield* Source))
          assert.isAtMost(cloud.issued.length, 3)
          const container = yield* read(baseUrl, {
            config: { authentication: ofMachine, concurrency: 1 },
            child: {
              env: {
                ...nothing,
                AWS_CONTAINER_CREDENTIALS_FULL_URI: `${cloud.endpoint}/container`,
                AWS_CONTAINER_AUTHORIZATION_TOKEN: CONTAINER_TOKEN
              },
              nodeOptions: clockOff({ millis })
            }
          })
          assertWhole(container, yield* expectedFrom(yield* Source))
          assert.isAtMost(cloud.issued.length, 6)
        })
      )
    }

    it.effect("is read with keys that expire in between: they are renewed before that", () =>
      Effect.gen(function* () {
        const slowly: Layer = async (ask, next) => {
          if (isRange(ask)) await new Promise((resolve) => setTimeout(resolve, 700))
          return next(ask)
        }
        const { baseUrl, cloud } = yield* service({ lifeSeconds: 2 }, slowly)
        const output = yield* read(baseUrl, {
          config: { authentication: { ...withKeys(cloud), ...role }, concurrency: 1 },
          child: { env: { ...nothing, AWS_ENDPOINT_URL_STS: cloud.endpoint } }
        })
        assertWhole(output, yield* expectedFrom(yield* Source))
        assert.isAtLeast(cloud.issued.length, 2)
      })
    )

    it.effect(
      "is read with keys that are revoked in between: they are fetched again once, for all requests",
      () =>
        Effect.gen(function* () {
          let responses = 0
          let revoke = () => {}
          const revoking: Layer = async (ask, next) => {
            const response = await next(ask)
            if (isRange(ask) && ++responses === 1) revoke()
            return response
          }
          const { baseUrl, cloud } = yield* service({}, revoking)
          revoke = () => cloud.revoke()
          const output = yield* read(baseUrl, {
            config: { authentication: ofMachine },
            child: {
              env: {
                ...nothing,
                AWS_CONTAINER_CREDENTIALS_FULL_URI: `${cloud.endpoint}/container`,
                AWS_CONTAINER_AUTHORIZATION_TOKEN: CONTAINER_TOKEN
              }
            }
          })
          assertWhole(output, yield* expectedFrom(yield* Source))
          assert.deepStrictEqual(cloud.issued, ["container", "container"])
          assert.include(cloud.refusals, "UnrecognizedClientException")
        })
    )

    it.effect("is read with a file of credentials that is replaced in between", () =>
      Effect.gen(function* () {
        const files = yield* connector.workspace
        let responses = 0
        let rotate = () => {}
        const rotating: Layer = async (ask, next) => {
          const response = await next(ask)
          if (isRange(ask) && ++responses === 1) rotate()
          return response
        }
        const { baseUrl, cloud } = yield* service({}, rotating)
        const AWS_SHARED_CREDENTIALS_FILE = files.write("credentials", credentialsFile(cloud))
        rotate = () => {
          cloud.revoke(cloud.user)
          files.write("credentials", credentialsFile({ ...cloud, user: cloud.newKeys() }))
        }
        const output = yield* read(baseUrl, {
          config: { authentication: ofMachine },
          child: { env: { ...nothing, AWS_SHARED_CREDENTIALS_FILE } }
        })
        assertWhole(output, yield* expectedFrom(yield* Source))
        assert.include(cloud.refusals, "UnrecognizedClientException")
      })
    )

    const refused: ReadonlyArray<{
      readonly name: string
      readonly authentication: (cloud: AwsCloud) => object
      readonly options?: AwsCloudOptions
      readonly texts: ReadonlyArray<RegExp>
    }> = [
      {
        name: "a wrong secret",
        authentication: (cloud) => ({ ...withKeys(cloud), secret_access_key: "a-wrong-secret-key" }),
        texts: [/request signature we calculated/, /Check authentication\.secret_access_key/]
      },
      {
        name: "an unknown key",
        authentication: (cloud) => ({ ...withKeys(cloud), access_key_id: "AKIAUNKNOWN" }),
        texts: [/security token .* is invalid/, /check authentication\.access_key_id/]
      },
      {
        name: "a token that the key must not have",
        authentication: (cloud) => ({ ...withKeys(cloud), session_token: "superfluous-token" }),
        texts: [/security token .* is invalid/, /authentication\.session_token/]
      },
      {
        name: "another region",
        authentication: (cloud) => ({ ...withKeys(cloud), region: "us-east-1" }),
        texts: [/scoped to a valid region/, /check authentication\.region/]
      },
      {
        name: "another service",
        authentication: (cloud) => ({ ...withKeys(cloud), service: "es" }),
        texts: [/scoped to correct service: 'aps'/, /authentication\.service, which is aps/]
      },
      {
        name: "no signature",
        authentication: () => ({ auth_type: "none" }),
        texts: [/Missing Authentication Token/, /set authentication\.auth_type to aws_sigv4/]
      },
      {
        name: "a role without its external ID",
        authentication: (cloud) => ({ ...withKeys(cloud), role_arn: ROLE }),
        texts: [
          /AccessDenied: User: .*sts:AssumeRole/,
          /Check authentication\.role_arn, whether the role demands authentication\.external_id/
        ]
      },
      {
        name: "keys that STS does not know",
        authentication: (cloud) => ({ ...withKeys(cloud), ...role, access_key_id: "AKIAUNKNOWN" }),
        texts: [
          /HTTP 403: InvalidClientTokenId/,
          /Check authentication\.access_key_id and authentication\.secret_access_key/
        ]
      },
      {
        name: "STS in a region that is off",
        authentication: (cloud) => ({ ...withKeys(cloud), ...role }),
        options: {
          stsError: {
            status: 403,
            code: "RegionDisabledException",
            message: "STS is not activated in this region"
          }
        },
        texts: [/HTTP 403: RegionDisabledException: STS is not activated/, /Check authentication\.role_arn/]
      },
      {
        name: "STS that fails",
        authentication: (cloud) => ({ ...withKeys(cloud), ...role }),
        options: { stsError: { status: 503, code: "ServiceUnavailable", message: "try later" } },
        texts: [/HTTP 503: ServiceUnavailable: try later/, /try again later/]
      }
    ]
    for (const { authentication, name, options, texts } of refused) {
      it.effect(`is refused in a sentence with the key to check: ${name}`, () =>
        Effect.gen(function* () {
          const { baseUrl, cloud } = yield* service(options)
          const config = { authentication: authentication(cloud) }
          const child = { env: { ...nothing, AWS_ENDPOINT_URL_STS: cloud.endpoint } }
          const output = yield* read(baseUrl, { config, child })
          assertFails(output, ...texts)
          assert.strictEqual(
            output.errors.at(-1)?.failure_type,
            options?.stsError?.status === 503 ? "transient_error" : "config_error"
          )
          const checked = yield* check(baseUrl, config, child)
          assert.strictEqual(checked.status, "FAILED")
          for (const text of texts) assert.match(checked.message ?? "", text)
          assertNoSecrets(cloud, output.stdout, output.stderr, checked.output.stdout)
          assert.notInclude(output.stdout, "a-wrong-secret-key")
        })
      )
    }

    const missing: ReadonlyArray<readonly [name: string, env: ChildOptions["env"] & object, text: RegExp]> = [
      [
        "nothing is set",
        {},
        /There are no AWS credentials: authentication\.access_key_id is not set, and this machine has none\. Set authentication\.access_key_id and/
      ],
      [
        "no instance metadata",
        { AWS_EC2_METADATA_DISABLED: undefined, AWS_EC2_METADATA_SERVICE_ENDPOINT: "http://127.0.0.1:1" },
        /there is no instance metadata: /
      ],
      ["a profile that does not exist", { AWS_PROFILE: "nobody" }, /AWS_PROFILE is set, but fails: .*nobody/],
      [
        "half of the variables",
        { AWS_ACCESS_KEY_ID: "AKIAEXAMPLE" },
        /AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not/
      ],
      [
        "half of web identity",
        { AWS_WEB_IDENTITY_TOKEN_FILE: "/nonexistent/token" },
        /AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not/
      ],
      [
        "a token file that does not exist",
        { AWS_WEB_IDENTITY_TOKEN_FILE: "/nonexistent/token", AWS_ROLE_ARN: ROLE },
        /AWS credentials cannot be used: ENOENT.*\/nonexistent\/token.*AWS_PROFILE/
      ],
      [
        "a container's endpoint that does not respond",
        { AWS_CONTAINER_CREDENTIALS_FULL_URI: "http://127.0.0.1:1/container" },
        /AWS_CONTAINER_CREDENTIALS_FULL_URI is set, but fails: .*ECONNREFUSED/
      ]
    ]
    for (const [name, env, text] of missing) {
      it.effect(`is not reached without credentials: ${name}`, () =>
        Effect.gen(function* () {
          const { baseUrl, requests } = yield* service()
          const output = yield* read(baseUrl, {
            config: { authentication: ofMachine },
            child: { env: { ...nothing, ...env } }
          })
          assertFails(output, text)
          assert.deepStrictEqual(requests, [])
        })
      )
    }

    it.effect("is not waited for if the endpoint of a machine never responds", () =>
      Effect.gen(function* () {
        // Without a limit, they would be waited for until this test fails.
        const silent = yield* fake("http://127.0.0.1:1", () => "silence")
        const { baseUrl } = yield* service()
        for (const env of [
          { AWS_EC2_METADATA_DISABLED: undefined, AWS_EC2_METADATA_SERVICE_ENDPOINT: silent.baseUrl },
          { AWS_CONTAINER_CREDENTIALS_FULL_URI: `${silent.baseUrl}/container` }
        ]) {
          const output = yield* read(baseUrl, {
            config: { authentication: ofMachine },
            child: { env: { ...nothing, ...env } }
          })
          assertFails(output, /There are no AWS credentials/)
        }
      })
    )
  })
})
