import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, FileSystem, Option, PlatformError, Redacted } from "effect"
import {
  type ConfigFlags,
  demoSettingsOf,
  isDemo,
  settingsOf,
  TOKEN_VARIABLE,
  type WrongFlags,
  withFlagsToCheck
} from "../../src/cli/configFlags.ts"
import type { ConfigError } from "../../src/config/ConnectorConfig.ts"
import type { InputFileError } from "../../src/config/inputFile.ts"

/** The paths of the keys with single-value flags, and of those with repeatable flags. */
const single = {
  url: "base_url",
  start: "start_date",
  end: "end_date",
  step: "step",
  user: "basic_auth_user",
  passwordFile: "basic_auth_pass"
} as const
const repeated = {
  select: "metrics.include",
  exclude: "metrics.exclude",
  excludeLabel: "exclude_labels"
} as const

const flags = (
  given: Partial<Record<keyof typeof single | "config" | "tokenFile", string>>,
  more: Partial<Record<keyof typeof repeated, ReadonlyArray<string>>> & { readonly demo?: boolean } = {}
): ConfigFlags => {
  const { config, tokenFile, ...others } = given
  const { demo = false, ...lists } = more
  return {
    demo,
    config,
    tokenFile,
    keys: Object.fromEntries([
      ...Object.entries(others).map(([name, value]) => [single[name as keyof typeof single], [value]]),
      ...Object.entries(lists).map(([name, values]) => [repeated[name as keyof typeof repeated], values])
    ])
  }
}

const PASSWORD_VARIABLE = "SOURCE_PROMETHEUS_PASSWORD"

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

  const headersOf = ({ headers }: Effect.Success<ReturnType<typeof settings>>) =>
    headers.map(({ name, value }) => [name, Redacted.value(value)])

  it.effect("takes a token from a file, or else from the environment, and sends it as a header", () =>
    Effect.gen(function* () {
      const variables = { [TOKEN_VARIABLE]: "t1" }
      assert.deepStrictEqual(headersOf(yield* settings(flags(local), {}, variables)), [
        ["Authorization", "Bearer t1"]
      ])
      const given = {
        c: JSON.stringify({ headers: [tenant, { name: "authorization", value: "old" }] }),
        t: "t2\n"
      }
      const both = flags({ ...local, config: "c", tokenFile: "t" })
      assert.deepStrictEqual(headersOf(yield* settings(both, given, variables)), [
        ["X-Scope-OrgID", "a"],
        ["Authorization", "Bearer t2"]
      ])
      assert.deepStrictEqual(headersOf(yield* settings(flags({ ...local, config: "c" }), given)), [
        ["X-Scope-OrgID", "a"],
        ["authorization", "old"]
      ])
      const user = { [PASSWORD_VARIABLE]: "p", [TOKEN_VARIABLE]: "s3cr3t" }
      const message = yield* messageOf(settings(flags({ ...local, user: "u" }), {}, user))
      assert.match(message, /a token \(--token-file or SOURCE_PROMETHEUS_TOKEN\) are both set/)
      assert.notInclude(message, "s3cr3t")
      assert.match(
        yield* messageOf(settings(flags({ ...local, tokenFile: "t" }), { t: "" })),
        /token file t is empty/
      )
      const broken = yield* messageOf(settings(flags({ ...local, tokenFile: "t" }), { t: "s3cr3t\n\n" }))
      assert.match(broken, /^The token file t does not contain a bearer token, which is a single line/)
      const variable = yield* messageOf(settings(flags(local), {}, { [TOKEN_VARIABLE]: "s3cr3t\u0001" }))
      assert.match(variable, /^SOURCE_PROMETHEUS_TOKEN does not contain a bearer token/)
      assert.notInclude(`${broken} ${variable}`, "s3cr3t")
    })
  )

  it.effect("takes a secret of the environment without a line feed at its end, like one of a file", () =>
    Effect.gen(function* () {
      for (const secret of ["s3cr3t 1", "s3cr3t 1\n", "s3cr3t 1\r\n"]) {
        const made = yield* settings(flags({ ...local, user: "u" }), {}, { [PASSWORD_VARIABLE]: secret })
        assert.deepStrictEqual(passwordOf(made), ["u", "s3cr3t 1"])
      }
      assert.deepStrictEqual(headersOf(yield* settings(flags(local), {}, { [TOKEN_VARIABLE]: "t1\n" })), [
        ["Authorization", "Bearer t1"]
      ])
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
        yield* messageOf(settings(flags({ ...local, passwordFile: "p" }), { p: "\n" })),
        /file p is empty/
      )
      assert.match(yield* messageOf(settings(flags({ config: "c" }), { c: "[1]" })), /must be a JSON object/)
    })
  )
})

describe("withFlagsToCheck", () => {
  it.each([
    [
      "HTTP 401. Check basic_auth_user, basic_auth_pass and headers.",
      "HTTP 401. Check basic_auth_user (--user), basic_auth_pass (SOURCE_PROMETHEUS_PASSWORD or --password-file) and headers (--token-file)."
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
    ["A page. Set headers, or set base_url.", "A page. Set headers (--token-file), or set base_url (--url)."],
    ["The parts of headers and base_url.", "The parts of headers and base_url."],
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
