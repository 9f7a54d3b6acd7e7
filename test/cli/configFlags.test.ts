import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, FileSystem, Option, PlatformError, Redacted } from "effect"
import {
  type ConfigFlags,
  demoSettingsOf,
  isDemo,
  settingsOf,
  withFlagsToCheck
} from "../../src/cli/configFlags.ts"
import type { WrongFlags } from "../../src/cli/keyFlags.ts"
import type { ConfigError } from "../../src/config/ConnectorConfig.ts"
import type { InputFileError } from "../../src/config/inputFile.ts"
import { selfSigned } from "../support/selfSigned.ts"

/** The paths of the keys with single-value flags, and of those with repeatable flags. */
const single = {
  url: "base_url",
  start: "start_date",
  end: "end_date",
  step: "step",
  user: "basic_auth_user",
  passwordFile: "basic_auth_pass",
  auth: "authentication.auth_type",
  tokenFile: "authentication.token",
  tokenUrl: "authentication.token_url",
  clientId: "authentication.client_id",
  clientSecretFile: "authentication.client_secret",
  audience: "authentication.audience",
  tokenParameterFile: "authentication.parameters",
  awsRegion: "authentication.region",
  awsRole: "authentication.role_arn",
  serviceAccountFile: "authentication.service_account_key",
  caFile: "tls.ca_certificate",
  certFile: "tls.client_certificate",
  keyFile: "tls.client_key",
  keyPassphraseFile: "tls.client_key_passphrase",
  serverName: "tls.server_name",
  insecure: "tls.verify",
  proxy: "proxy_url",
  headerFile: "headers",
  parameterFile: "parameters"
} as const
const repeated = {
  select: "metrics.include",
  exclude: "metrics.exclude",
  excludeLabel: "exclude_labels",
  scope: "authentication.scopes",
  group: "groups"
} as const

const flags = (
  given: Partial<Record<keyof typeof single | "config", string>>,
  more: Partial<Record<keyof typeof repeated, ReadonlyArray<string>>> & { readonly demo?: boolean } = {}
): ConfigFlags => {
  const { config, ...others } = given
  const { demo = false, ...lists } = more
  return {
    demo,
    config,
    keys: Object.fromEntries([
      ...Object.entries(others).map(([name, value]) => [single[name as keyof typeof single], [value]]),
      ...Object.entries(lists).map(([name, values]) => [repeated[name as keyof typeof repeated], values])
    ])
  }
}

const PASSWORD_VARIABLE = "SOURCE_PROMETHEUS_PASSWORD"

const TOKEN_VARIABLE = "SOURCE_PROMETHEUS_TOKEN"

const tenant = { name: "X-Scope-OrgID", value: "a" }

const local = { url: "http://localhost:9090", start: "2026-01-01" }

/** With only these files and environment variables. */
const around = (files: Readonly<Record<string, string>>, variables: Readonly<Record<string, string>> = {}) =>
  [
    Effect.provide(
      FileSystem.layerNoop({
        readFileString: (path) =>
          files[path] === undefined
            ? Effect.die(new Error(`${path} was not to be read`))
            : Effect.succeed(files[path])
      })
    ),
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(variables))
  ] as const

const settings = (given: ConfigFlags, files = {}, variables = {}) => {
  const [withFiles, withVariables] = around(files, variables)
  return settingsOf(given).pipe(
    Effect.map(({ settings }) => settings),
    withFiles,
    withVariables
  )
}

const messageOf = <A, R>(effect: Effect.Effect<A, ConfigError | InputFileError | WrongFlags, R>) =>
  Effect.map(Effect.flip(effect), ({ message }) => message)

describe("settingsOf", () => {
  it.effect("needs no file", () =>
    Effect.gen(function* () {
      const made = yield* settings(
        flags(
          { ...local, end: "2026-02-01T00:00:00Z", step: "5m" },
          { select: ["node_*"], exclude: ["node_cpu?"] }
        )
      )
      assert.strictEqual(made.baseUrl, "http://localhost:9090")
      assert.strictEqual(made.startMillis, Date.UTC(2026, 0, 1))
      assert.deepStrictEqual(made.endMillis, Option.some(Date.UTC(2026, 1, 1)))
      assert.strictEqual(made.stepSeconds, 300)
      assert.lengthOf(made.metrics.include, 1)
      assert.lengthOf(made.metrics.exclude, 1)
    })
  )

  it.effect("reads the groups of the flags beside those of the file, with all patterns of a name", () =>
    Effect.gen(function* () {
      const groupsOf = (file: object, ...group: ReadonlyArray<string>) =>
        Effect.map(
          settings(flags({ ...local, config: "c.json" }, { group }), { "c.json": JSON.stringify(file) }),
          ({ groups }) =>
            groups.map(({ metrics, name }) => [name, ...metrics.include.map(({ text }) => text)])
        )
      const groups = [{ name: "apps", metrics: { include: ["app_*"], exclude: ["app_x"] } }]
      assert.deepStrictEqual(yield* groupsOf({ groups }, "node=node_*,disk_*", "db=pg_*", "node=go_*"), [
        ["apps", "app_*"],
        ["node", "node_*", "disk_*", "go_*"],
        ["db", "pg_*"]
      ])
      assert.match(yield* messageOf(groupsOf({ groups }, "Apps=a_*")), /apps.* and .*Apps/)
      assert.match(
        yield* messageOf(groupsOf({}, "a b=a_*")),
        /groups\[0\]\.name is "a b", but must be a letter/
      )
    })
  )

  it.effect("excludes the labels of the flags in addition to those of the file", () =>
    Effect.gen(function* () {
      const excluded = (file: object, ...excludeLabel: ReadonlyArray<string>) =>
        Effect.map(
          settings(flags({ ...local, config: "c.json" }, { excludeLabel }), {
            "c.json": JSON.stringify(file)
          }),
          ({ excludedLabels }) => [...excludedLabels]
        )
      assert.deepStrictEqual(yield* excluded({ exclude_labels: ["a"] }, "b", "c"), ["a", "b", "c"])
      assert.deepStrictEqual(yield* excluded({ exclude_labels: ["a"] }), ["a"])
      assert.deepStrictEqual(yield* excluded({ exclude_labels: null }, "b"), ["b"])
      assert.match(
        yield* messageOf(excluded({ exclude_labels: "a" }, "b")),
        /exclude_labels \(--exclude-label\) is "a", but must be a list of label names/
      )
      assert.match(
        yield* messageOf(excluded({}, "__name__")),
        /exclude_labels \(--exclude-label\) must not contain __name__/
      )
      const demo = { base_url: "http://demo", start_date: "2026-01-01" }
      assert.deepStrictEqual(
        [...(yield* demoSettingsOf(demo, flags({}, { excludeLabel: ["n"] }))).settings.excludedLabels],
        ["n"]
      )
    }).pipe(Effect.provide(FileSystem.layerNoop({})))
  )

  it.effect("lets flags override the file, and keeps the rest of it", () =>
    Effect.gen(function* () {
      const file = JSON.stringify({
        base_url: "http://there:9090",
        start_date: "2025-01-01",
        step: 60,
        concurrency: 2,
        metrics: { include: ["a"], exclude: ["b", "c"] }
      })
      const made = yield* settings(flags({ config: "c.json", step: "15s" }, { select: ["x", "y"] }), {
        "c.json": file
      })
      assert.strictEqual(made.baseUrl, "http://there:9090")
      assert.strictEqual(made.stepSeconds, 15)
      assert.strictEqual(made.concurrency, 2)
      assert.lengthOf(made.metrics.include, 2)
      assert.lengthOf(made.metrics.exclude, 2)
    })
  )

  const passwordOf = ({ authentication }: Effect.Success<ReturnType<typeof settings>>) =>
    authentication.auth_type === "basic"
      ? [authentication.user, Redacted.value(authentication.password)]
      : undefined

  it.effect("takes the password from a file, or else from the environment", () =>
    Effect.gen(function* () {
      const variables = { [PASSWORD_VARIABLE]: "from variable" }
      const user = flags({ ...local, user: "u" })
      assert.deepStrictEqual(passwordOf(yield* settings(user, {}, variables)), ["u", "from variable"])
      const both = flags({ ...local, user: "u", passwordFile: "p" })
      const files = { p: "from file\n" }
      assert.deepStrictEqual(passwordOf(yield* settings(both, files, variables)), ["u", "from file"])
      const file = { ...files, c: JSON.stringify({ basic_auth_user: "v", basic_auth_pass: "from config" }) }
      assert.deepStrictEqual(passwordOf(yield* settings(flags({ ...local, config: "c" }), file)), [
        "v",
        "from config"
      ])
      assert.deepStrictEqual(passwordOf(yield* settings(flags({ ...local, config: "c" }), file, variables)), [
        "v",
        "from variable"
      ])
    })
  )

  it.effect.each([
    [{ user: "u", passwordFile: "p" }, "The password file p cannot be read: it does not exist."],
    [{ tokenFile: "t" }, "The token file t cannot be read: it does not exist."]
  ] as const)("says in a person's words why a secret is not read: %j", ([given, message]) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* messageOf(settingsOf(flags({ ...local, ...given }))), message)
    }).pipe(
      Effect.provide(
        FileSystem.layerNoop({
          readFileString: (path) =>
            Effect.fail(
              PlatformError.systemError({
                _tag: "NotFound",
                module: "FileSystem",
                method: "readFile",
                pathOrDescriptor: path
              })
            )
        })
      )
    )
  )

  const pairsOf = (list: ReadonlyArray<{ readonly name: string; readonly value: Redacted.Redacted }>) =>
    list.map(({ name, value }) => [name, Redacted.value(value)])

  const tokenOf = ({ authentication }: Effect.Success<ReturnType<typeof settings>>) =>
    authentication.auth_type === "bearer_token" ? Redacted.value(authentication.token) : undefined

  it.effect("takes a token from a file, or else from the environment", () =>
    Effect.gen(function* () {
      const variables = { [TOKEN_VARIABLE]: "t1" }
      assert.strictEqual(tokenOf(yield* settings(flags(local), {}, variables)), "t1")
      const given = {
        c: JSON.stringify({ headers: [tenant], authentication: { auth_type: "bearer_token", token: "old" } }),
        t: "t2\n"
      }
      const both = yield* settings(flags({ ...local, config: "c", tokenFile: "t" }), given, variables)
      assert.strictEqual(tokenOf(both), "t2")
      assert.deepStrictEqual(pairsOf(both.headers), [["X-Scope-OrgID", "a"]])
      assert.strictEqual(tokenOf(yield* settings(flags({ ...local, config: "c" }), given)), "old")
      assert.match(
        yield* messageOf(settings(flags({ ...local, tokenFile: "t" }), { t: "" })),
        /token file t is empty/
      )
      const broken = yield* messageOf(settings(flags({ ...local, tokenFile: "t" }), { t: "s3cr3t\n\n" }))
      assert.match(
        broken,
        /authentication\.token \(SOURCE_PROMETHEUS_TOKEN or --token-file\) ends with a line feed, which is not allowed/
      )
      const variable = yield* messageOf(settings(flags(local), {}, { [TOKEN_VARIABLE]: "s3cr3t\u0001" }))
      assert.match(
        variable,
        /authentication\.token \(SOURCE_PROMETHEUS_TOKEN or --token-file\) has characters that are not allowed/
      )
      assert.notInclude(`${broken} ${variable}`, "s3cr3t")
    })
  )

  it.effect("sets every key of the connection", () =>
    Effect.gen(function* () {
      const oauth2 = flags(
        {
          ...local,
          tokenUrl: "https://login/token",
          clientId: "id",
          clientSecretFile: "s",
          audience: "a",
          tokenParameterFile: "p",
          caFile: "ca",
          certFile: "cert",
          keyFile: "key",
          serverName: "name",
          insecure: "",
          proxy: "http://proxy:3128",
          headerFile: "h",
          parameterFile: "q"
        },
        { scope: ["x", "y"] }
      )
      const { cert, key } = selfSigned()
      const other = selfSigned()
      const files = {
        s: "s3cr3t\n",
        p: "resource=https://r?a=b\r\nempty=\n\n",
        ca: other.cert,
        cert,
        key,
        h: "X-Scope-OrgID: a:b\nX-Empty:\nx-y:z \n",
        q: "namespace=a b=c\nextra_filters[]=x\nextra_filters[]=y\n"
      }
      const made = yield* settings(oauth2, files, { SOURCE_PROMETHEUS_KEY_PASSPHRASE: "pass" })
      assert.deepStrictEqual(made.authentication, {
        auth_type: "oauth2",
        token_url: "https://login/token",
        client_id: "id",
        client_secret: Redacted.make("s3cr3t"),
        scopes: ["x", "y"],
        audience: "a",
        parameters: [
          { name: "resource", value: Redacted.make("https://r?a=b") },
          { name: "empty", value: Redacted.make("") }
        ],
        client_secret_in: "header"
      })
      assert.deepStrictEqual(made.tls, {
        ca_certificate: other.cert.trim(),
        client_certificate: cert.trim(),
        client_key: Redacted.make(key.trim()),
        client_key_passphrase: Redacted.make("pass"),
        server_name: "name",
        verify: false
      })
      assert.strictEqual(Redacted.value(Option.getOrThrow(made.proxyUrl)), "http://proxy:3128")
      assert.deepStrictEqual(pairsOf(made.headers), [
        ["X-Scope-OrgID", "a:b"],
        ["X-Empty", ""],
        ["x-y", "z"]
      ])
      assert.deepStrictEqual(pairsOf(made.parameters), [
        ["namespace", "a b=c"],
        ["extra_filters[]", "x"],
        ["extra_filters[]", "y"]
      ])
      const aws = yield* settings(
        flags({ ...local, awsRegion: "eu-central-1", awsRole: "arn:aws:iam::1:role/r" })
      )
      assert.deepStrictEqual(aws.authentication, {
        auth_type: "aws_sigv4",
        region: "eu-central-1",
        service: "aps",
        role_arn: "arn:aws:iam::1:role/r"
      })
      const google = yield* settings(flags({ ...local, auth: "google" }))
      assert.deepStrictEqual(google.authentication, { auth_type: "google" })
    })
  )

  it.effect("adds headers and parameters to those of the file", () =>
    Effect.gen(function* () {
      const c = JSON.stringify({ headers: [tenant], parameters: [{ name: "a", value: "b" }] })
      const variables = { SOURCE_PROMETHEUS_HEADERS: "X-A: b", SOURCE_PROMETHEUS_PARAMETERS: "c=d" }
      const made = yield* settings(flags({ ...local, config: "c" }), { c }, variables)
      assert.deepStrictEqual(pairsOf(made.headers), [
        ["X-Scope-OrgID", "a"],
        ["X-A", "b"]
      ])
      assert.deepStrictEqual(pairsOf(made.parameters), [
        ["a", "b"],
        ["c", "d"]
      ])
    })
  )

  it.effect("names the line of a file that has no name, but not its text", () =>
    Effect.gen(function* () {
      for (const [given, files, variables, expected] of [
        [
          { headerFile: "h" },
          { h: "a: b\n\ns3cr3t\n" },
          {},
          "Line 3 of the header file h is not NAME: VALUE"
        ],
        [{ headerFile: "h" }, { h: ": s3cr3t" }, {}, "Line 1 of the header file h is not NAME: VALUE"],
        [
          {},
          {},
          { SOURCE_PROMETHEUS_PARAMETERS: "s3cr3t" },
          "Line 1 of SOURCE_PROMETHEUS_PARAMETERS is not NAME=VALUE"
        ],
        [
          { tokenParameterFile: "p" },
          { p: "s3cr3t" },
          {},
          "Line 1 of the token parameter file p is not NAME=VALUE"
        ]
      ] as const) {
        const message = yield* messageOf(settings(flags({ ...local, ...given }), files, variables))
        assert.include(message, expected)
        assert.notInclude(message, "s3cr3t")
      }
    })
  )

  it.effect.each([
    [
      { tokenFile: "t", awsRegion: "r" },
      undefined,
      {},
      /^--token-file sets .* bearer_token, but --aws-region sets it to aws_sigv4: remove one/
    ],
    [
      { auth: "google", clientId: "c" },
      undefined,
      {},
      /^--auth sets .* to google, but --client-id sets it to oauth2/
    ],
    [
      { serviceAccountFile: "t" },
      undefined,
      { [TOKEN_VARIABLE]: "x" },
      /^SOURCE_PROMETHEUS_TOKEN sets .* but --service-account-file sets it to google/
    ],
    [
      { awsRegion: "r" },
      { auth_type: "bearer_token", token: "x" },
      {},
      /^--aws-region sets .* to aws_sigv4, but the configuration file sets it to bearer_token/
    ],
    [
      { auth: "none" },
      { auth_type: "google" },
      {},
      /^--auth sets .* to none, but the configuration file sets it to google/
    ],
    [
      { auth: "bearer" },
      undefined,
      {},
      /authentication\.auth_type \(--auth\) is "bearer", but must be "none" or/
    ],
    [
      { auth: "bearer_token" },
      undefined,
      {},
      /authentication\.token \(SOURCE_PROMETHEUS_TOKEN or --token-file\) is missing/
    ],
    [
      { tokenUrl: "http://t" },
      undefined,
      {},
      /authentication\.client_id \(--client-id\) is missing.* authentication\.client_secret \(SOURCE_PROMETHEUS_CLIENT_SECRET or --client-secret-file\) is missing/
    ],
    [
      { awsRole: "arn:aws:iam::1:role/r" },
      undefined,
      {},
      /authentication\.region \(--aws-region\) is missing/
    ],
    [
      { user: "u", tokenFile: "t" },
      undefined,
      { [PASSWORD_VARIABLE]: "p" },
      /^--user selects basic authentication, and --token-file selects bearer_token, but/
    ],
    [
      { user: "u" },
      { auth_type: "google" },
      { [PASSWORD_VARIABLE]: "p" },
      /^--user selects basic .* and authentication of the configuration file selects google/
    ]
  ] as const)(
    "refuses two methods of authentication, and half of one: %j",
    ([given, authentication, variables, expected]) =>
      Effect.gen(function* () {
        const some =
          authentication === undefined
            ? flags({ ...local, ...given })
            : flags({ ...local, ...given, config: "c" })
        const error = yield* Effect.flip(
          settings(some, { c: JSON.stringify({ authentication }), t: "s3cr3t-token" }, variables)
        )
        assert.strictEqual(error._tag, "WrongFlags")
        assert.match(error.message.replace("The configuration is not valid. ", ""), expected)
        assert.notInclude(error.message, "s3cr3t")
      })
  )

  it.effect("lets a flag select a method where the file has none", () =>
    Effect.gen(function* () {
      for (const authentication of [undefined, null, {}, { auth_type: "none" }, { auth_type: null }]) {
        const c = JSON.stringify({ authentication })
        const made = yield* settings(flags({ ...local, config: "c", tokenFile: "t" }), { c, t: "x" })
        assert.strictEqual(tokenOf(made), "x")
      }
      const c = JSON.stringify({ authentication: { auth_type: "aws_sigv4", region: "a", service: "b" } })
      const made = yield* settings(flags({ ...local, config: "c", awsRegion: "r" }), { c })
      assert.deepStrictEqual(made.authentication, { auth_type: "aws_sigv4", region: "r", service: "b" })
    })
  )

  it.effect("takes an empty password from an empty file, as where an API key is the user", () =>
    Effect.gen(function* () {
      for (const content of ["", "\n"]) {
        const made = yield* settings(flags({ ...local, user: "key", passwordFile: "p" }), { p: content })
        assert.deepStrictEqual(passwordOf(made), ["key", ""])
      }
    })
  )

  it.effect("takes a secret of the environment without a line feed at its end, like one of a file", () =>
    Effect.gen(function* () {
      for (const secret of ["s3cr3t 1", "s3cr3t 1\n", "s3cr3t 1\r\n"]) {
        const made = yield* settings(flags({ ...local, user: "u" }), {}, { [PASSWORD_VARIABLE]: secret })
        assert.deepStrictEqual(passwordOf(made), ["u", "s3cr3t 1"])
      }
      assert.strictEqual(tokenOf(yield* settings(flags(local), {}, { [TOKEN_VARIABLE]: "t1\n" })), "t1")
    })
  )

  it.effect.each([
    // Without a file, all problems are of the flags.
    [{ url: "http://x" }, undefined, "WrongFlags"],
    [{ ...local, user: "u" }, undefined, "WrongFlags"],
    [{ ...local, step: "5x" }, undefined, "WrongFlags"],
    [{ step: "5x" }, { base_url: "http://x", start_date: "2026-01-01" }, "WrongFlags"],
    [{ url: "x" }, { start_date: "2026-01-01" }, "WrongFlags"],
    [{ user: "u" }, { base_url: "http://x", start_date: "2026-01-01" }, "WrongFlags"],
    [{ end: "2025-01-01" }, { base_url: "http://x", start_date: "2026-01-01" }, "WrongFlags"],
    // Both are wrong.
    [{ step: "5x" }, { base_url: "x", start_date: "2026-01-01" }, "WrongFlags"],
    // The file is wrong, and flags do not mend it.
    [{}, {}, "ConfigError"],
    [{ step: "5m" }, { base_url: "x", start_date: "2026-01-01" }, "ConfigError"],
    [{}, [], "ConfigError"]
  ] as const)("distinguishes wrong flags from a wrong file: %j %j", ([given, file, tag]) =>
    Effect.gen(function* () {
      const some = file === undefined ? flags(given) : flags({ ...given, config: "c" })
      const error = yield* Effect.flip(settings(some, { c: JSON.stringify(file) }))
      assert.strictEqual(error._tag, tag)
    })
  )

  it.effect("reports why a file with a secret cannot be read", () =>
    Effect.gen(function* () {
      const reason = PlatformError.systemError({ _tag: "NotFound", module: "FileSystem", method: "readFile" })
      const message = yield* settingsOf(flags({ ...local, user: "u", passwordFile: "p" })).pipe(
        Effect.provide(FileSystem.layerNoop({ readFileString: () => Effect.fail(reason) })),
        messageOf
      )
      assert.strictEqual(message, "The password file p cannot be read: it does not exist.")
    })
  )

  it.effect("names the invalid flags, and shows no password", () =>
    Effect.gen(function* () {
      assert.match(
        yield* messageOf(settings(flags({ url: "http://x" }))),
        /start_date \(--start\) is missing/
      )
      assert.match(
        yield* messageOf(settings(flags({ ...local, step: "soon" }))),
        /step \(--step\) is "soon", but must be/
      )
      assert.match(
        yield* messageOf(settings(flags({ ...local, start: "2026-02-01", end: "2026-01-01" }))),
        /end_date \(--end\) is 2026-01-01, but must not be before/
      )
      assert.match(
        yield* messageOf(settings(flags({ ...local, user: "u" }))),
        /basic_auth_user \(--user\) is set without basic_auth_pass \(SOURCE_PROMETHEUS_PASSWORD or --password-file\):/
      )
      const message = yield* messageOf(settings(flags(local), {}, { [PASSWORD_VARIABLE]: "s3cr3t" }))
      assert.match(
        message,
        /basic_auth_pass \(SOURCE_PROMETHEUS_PASSWORD or --password-file\) is set without/
      )
      assert.notInclude(message, "s3cr3t")
      assert.match(
        yield* messageOf(settings(flags({ ...local, tokenFile: "t" }), { t: "\n" })),
        /file t is empty/
      )
      assert.match(yield* messageOf(settings(flags({ config: "c" }), { c: "[1]" })), /must be a JSON object/)
    })
  )
})

describe("withFlagsToCheck", () => {
  it.each([
    [
      "HTTP 401. Check basic_auth_user, basic_auth_pass, authentication and headers.",
      "HTTP 401. Check basic_auth_user (--user), basic_auth_pass (SOURCE_PROMETHEUS_PASSWORD or --password-file), authentication (--auth) and headers (SOURCE_PROMETHEUS_HEADERS or --header-file)."
    ],
    [
      "No metric. Check start_date and end_date, and whether metrics and selector leave any.",
      "No metric. Check start_date (--start) and end_date (--end), and whether metrics (--select, --exclude) and selector leave any."
    ],
    [
      "Check base_url: the server at base_url is not Prometheus.",
      "Check base_url (--url): the server at base_url is not Prometheus."
    ],
    [
      "It expects TLS: set base_url to an address with https.",
      "It expects TLS: set base_url (--url) to an address with https."
    ],
    [
      "A page. Set headers, or set base_url.",
      "A page. Set headers (SOURCE_PROMETHEUS_HEADERS or --header-file), or set base_url (--url)."
    ],
    ["The parts of headers and base_url.", "The parts of headers and base_url."],
    ["A page. Set authentication so.", "A page. Set authentication (--auth) so."],
    [
      "It refused it (see docs.example): check authentication.region and tls.verify. Check authentication.token.",
      "It refused it (see docs.example): check authentication.region (--aws-region) and tls.verify (--insecure). Check authentication.token (SOURCE_PROMETHEUS_TOKEN or --token-file)."
    ],
    ["It said: Checked step. All is well.", "It said: Checked step. All is well."]
  ])("names the flags of %s", (message, expected) => {
    assert.strictEqual(withFlagsToCheck(message), expected)
  })
})

describe("a step", () => {
  it.effect.each([
    [{ start: "2026-01-01", url: "http://x" }, undefined, false],
    [{ start: "2026-01-01", step: "5m", url: "http://x" }, undefined, true],
    [{ config: "c" }, { base_url: "http://x", start_date: "2026-01-01" }, false],
    [{ config: "c" }, { base_url: "http://x", start_date: "2026-01-01", step: null }, false],
    [{ config: "c" }, { base_url: "http://x", start_date: "2026-01-01", step: 60 }, true]
  ] as const)("is given or not: %j %j", ([given, file, expected]) =>
    Effect.gen(function* () {
      const { isStepGiven } = yield* settingsOf(flags(given)).pipe(
        Effect.provide(
          FileSystem.layerNoop({ readFileString: () => Effect.succeed(JSON.stringify(file ?? {})) })
        )
      )
      assert.strictEqual(isStepGiven, expected)
    })
  )
})

describe("the demo", () => {
  it.effect.each([
    [{}, {}, false],
    [{}, { demo: true }, true],
    [{ step: "5m" }, { demo: true, select: ["a"] }, false]
  ] as const)("is read if no flag is given, or with --demo: %j %j", ([given, more, hasOthers]) =>
    Effect.gen(function* () {
      assert.isTrue(yield* isDemo(flags(given, more), hasOthers))
    })
  )

  it.effect.each([
    [{}, {}, true],
    [{ step: "5m" }, {}, false],
    [{ start: "2026-01-01" }, {}, false],
    [{ end: "2026-01-01" }, {}, false],
    [{}, { select: ["up"] }, false],
    [{}, { exclude: ["up"] }, true],
    [{}, { excludeLabel: ["job"] }, false]
  ] as const)("is not read if the server is missing: %j %j", ([given, more, hasOthers]) =>
    Effect.gen(function* () {
      const { message } = yield* Effect.flip(isDemo(flags(given, more), hasOthers))
      assert.match(message, /No Prometheus server is given: add --url.* add --demo\./)
    })
  )

  it.effect("is not read if a server is named, and is refused together with one", () =>
    Effect.gen(function* () {
      for (const given of [{ url: "http://x" }, { config: "c" }, { user: "u" }, { tokenFile: "t" }]) {
        assert.isFalse(yield* isDemo(flags(given), false))
        const { message } = yield* Effect.flip(isDemo(flags(given, { demo: true }), false))
        assert.include(message, "remove one of them")
      }
    })
  )

  it.effect("accepts other flags", () =>
    Effect.gen(function* () {
      const demo = { base_url: "http://127.0.0.1:1", start_date: "2026-01-01", step: 60 }
      const { isStepGiven, settings } = yield* demoSettingsOf(demo, flags({ step: "5m" }, { select: ["a"] }))
      assert.isTrue(isStepGiven)
      assert.strictEqual(settings.stepSeconds, 300)
      assert.lengthOf(settings.metrics.include, 1)
      assert.isFalse((yield* demoSettingsOf(demo, flags({}))).isStepGiven)
      assert.match(yield* messageOf(demoSettingsOf(demo, flags({ step: "x" }))), /step \(--step\) is "x"/)
    }).pipe(Effect.provide(FileSystem.layerNoop({})))
  )

  it.effect("is read without the password of the environment", () => {
    const [withFiles, withVariables] = around({}, { [PASSWORD_VARIABLE]: "s3cr3t" })
    return Effect.gen(function* () {
      const demo = { base_url: "http://127.0.0.1:1", start_date: "2026-01-01" }
      const { settings } = yield* demoSettingsOf(demo, flags({}))
      assert.deepStrictEqual(settings.authentication, { auth_type: "none" })
    }).pipe(withFiles, withVariables)
  })
})
