import { assert, describe, it } from "@effect/vitest"
import { Ajv, type ValidateFunction } from "ajv"
import addFormats from "ajv-formats"
import { Effect, Result, Schema } from "effect"
import { ConnectorConfig, decodeConfig } from "../../src/config/ConnectorConfig.ts"
import { type Key, keysWithPaths } from "../../src/config/Key.ts"
import { keys } from "../../src/config/keys.ts"
import { connectionSpecification } from "../../src/config/spec.ts"
import { type Choices, choices } from "../choices.ts"
import { accepted, refused } from "../support/formConfigs.ts"
import { runs } from "../support/runs.ts"

type Json = Readonly<Record<string, unknown>>

const spec: Json = connectionSpecification()

const makeAjv = (): Ajv => addFormats.default(new Ajv({ strict: false, allErrors: true }))

const validate: ValidateFunction = makeAjv().compile(spec)

const explain = (config: unknown): string => `${JSON.stringify(config)}: ${JSON.stringify(validate.errors)}`

const minimal = { base_url: "http://localhost:9090", start_date: "2026-01-01", step: 3600 }

const samples: ReadonlyArray<Json> = [
  minimal,
  { ...minimal, basic_auth_user: "u", basic_auth_pass: "p" },
  { ...minimal, basic_auth_user: "", basic_auth_pass: "", selector: "", metrics: {}, headers: [] },
  { ...minimal, end_date: "2026-02-01", lookback_window: 0, settle_delay: 0 },
  {
    ...minimal,
    metrics: { include: ["node_*"], exclude: [".*_bucket"] },
    selector: '{env="prod"}',
    headers: [{ name: "X-Scope-OrgID", value: "tenant" }],
    label_columns: false,
    exclude_labels: ["a"],
    concurrency: 64,
    max_requests_per_second: 0.5,
    max_samples_per_second: 100_000,
    request_timeout: 1,
    max_retries: 0,
    compression: "gzip"
  },
  { ...minimal, __injected_by_the_platform: { a: 1 } }
]

const wrong: ReadonlyArray<readonly [key: string, value: unknown]> = [
  ["base_url", 1],
  ["start_date", "01/02/2026"],
  ["start_date", 1],
  ["end_date", "tomorrow"],
  ["step", 0],
  ["step", 1.5],
  ["lookback_window", -1],
  ["settle_delay", -1],
  ["metrics", ["a"]],
  ["metrics", { include: "a" }],
  ["headers", { name: "a" }],
  ["headers", [{ name: "a" }]],
  ["label_columns", "yes"],
  ["exclude_labels", "a"],
  ["exclude_labels", [1]],
  ["concurrency", 0],
  ["concurrency", 65],
  ["max_requests_per_second", 0],
  ["max_samples_per_second", -1],
  ["request_timeout", 0],
  ["max_retries", 21],
  ["compression", "zstd"]
]

/** A configuration from a form: the right types, but not always valid values. */
const formConfig = (choices: Choices): Json => {
  const optional = (key: string, values: ReadonlyArray<unknown>): Json =>
    choices.oneIn(2) ? { [key]: choices.pick(values) } : {}
  const seconds = [0, 1, 60, 3600, 4_000_000_000, 4_000_000_001, -1, 1.5]
  return {
    base_url: choices.pick(["http://localhost:9090", "https://example.com/prometheus/", "ftp://x", "x"]),
    start_date: choices.pick(["2026-01-01", "2024-02-29", "1970-01-01", "1969-12-31", "2026-02-30", ""]),
    step: choices.pick(seconds),
    ...optional("end_date", ["2026-01-01", "2030-12-31", "2020-01-01"]),
    ...optional("basic_auth_user", ["u", ""]),
    ...optional("basic_auth_pass", ["p", ""]),
    ...optional("metrics", [{}, { include: [] }, { include: ["a*"], exclude: ["b|c"] }, { include: ["("] }]),
    ...optional("selector", ["", '{a="b"}', "{"]),
    ...optional("label_columns", [true, false]),
    ...optional("exclude_labels", [[], ["a", "b"], ["__name__"], [""]]),
    ...optional("lookback_window", seconds),
    ...optional("settle_delay", seconds),
    ...optional("headers", [[], [{ name: "A", value: "b" }], [{ name: "a b", value: "" }]]),
    ...optional("concurrency", [1, 64, 0, 65]),
    ...optional("max_requests_per_second", [0, -1, 0.001, 0.5, 100_001]),
    ...optional("max_samples_per_second", [0, 1, 1.5]),
    ...optional("request_timeout", seconds),
    ...optional("max_retries", [0, 20, 21]),
    ...optional("compression", ["none", "gzip"]),
    ...optional("authentication", [
      {},
      { auth_type: "none" },
      { auth_type: "bearer_token", token: "t" },
      { auth_type: "bearer_token" },
      { auth_type: "aws_sigv4", region: "r", access_key_id: "a" },
      { auth_type: "oauth2", token_url: "http://t", client_id: "c", client_secret: "" }
    ]),
    ...optional("tls", [{}, { verify: false }, { server_name: "" }, { ca_certificate: "x" }]),
    ...optional("proxy_url", ["", "http://proxy:3128", "proxy"]),
    ...optional("parameters", [[], [{ name: "a", value: "" }], [{ name: "query", value: "up" }]]),
    ...optional("unknown", ["x", 1, {}])
  }
}

/** The forms of authentication with what each requires. */
const completeForms: Readonly<Record<string, Json>> = {
  bearer_token: { auth_type: "bearer_token", token: "t" },
  oauth2: { auth_type: "oauth2", token_url: "https://t", client_id: "c", client_secret: "s" },
  aws_sigv4: {
    auth_type: "aws_sigv4",
    region: "r",
    access_key_id: "a",
    secret_access_key: "s",
    role_arn: "arn:aws:iam::1:role/r"
  },
  google: { auth_type: "google" }
}

const isObject = ({ children, isList, variants }: Key): boolean =>
  variants !== undefined || (!isList && Object.keys(children).length > 0)

/** The examples of a key in its form. */
const examplesOf = (key: Key): ReadonlyArray<unknown> => {
  const { properties } = connectionSpecification({ key }) as unknown as {
    readonly properties: { readonly key: { readonly examples?: ReadonlyArray<unknown> } }
  }
  return properties.key.examples ?? []
}

describe("connectionSpecification", () => {
  it("has the keys of the configuration and no others", () => {
    assert.sameMembers(Object.keys(spec.properties ?? {}), Object.keys(keys))
    assert.sameMembers([...(spec.required as ReadonlyArray<string>)], ["base_url", "start_date", "step"])
    assert.strictEqual(spec.type, "object")
  })

  it("has the keys in the order in which forms show them", () => {
    const properties = Object.entries(spec.properties ?? {}) as ReadonlyArray<[string, { order: number }]>
    assert.deepStrictEqual(
      properties.map(([, { order }]) => order),
      properties.map((_, i) => i)
    )
    assert.deepStrictEqual(
      properties.map(([key]) => key).join(" "),
      "base_url basic_auth_user basic_auth_pass authentication tls proxy_url headers parameters " +
        "start_date step sampling end_date metrics selector queries groups overrides tables label_columns exclude_labels " +
        "lookback_window settle_delay api concurrency max_requests_per_second max_samples_per_second request_timeout " +
        "max_retries compression partial_data damaged_data max_source_resolution"
    )
  })

  it.effect("has the defaults of the decoder", () =>
    Effect.gen(function* () {
      const defaults = Object.entries((spec.properties ?? {}) as Readonly<Record<string, Json>>).flatMap(
        ([key, property]) => ("default" in property ? [[key, property.default] as const] : [])
      )
      const { base_url, start_date } = minimal
      assert.lengthOf(defaults, 14)
      assert.deepStrictEqual(
        yield* decodeConfig({ base_url, start_date, ...Object.fromEntries(defaults) }),
        yield* decodeConfig({ base_url, start_date })
      )
    })
  )

  it.effect.each(["2026-01-01", "2026-01-01T12:00:00Z"])(
    "accepts %s in each form of a date, formats included, like the connector",
    (date) =>
      Effect.gen(function* () {
        for (const key of ["start_date", "end_date"]) {
          const config = { ...minimal, [key]: date }
          assert.isTrue(validate(config), explain(config))
          yield* decodeConfig(config)
        }
      })
  )

  it.effect.each(samples)("accepts %j, like the connector", (config) =>
    Effect.gen(function* () {
      assert.isTrue(validate(config), explain(config))
      assert.strictEqual((yield* decodeConfig(config)).stepSeconds, 3600)
    })
  )

  it.effect.each(wrong)("refuses %s %j, like the connector", ([key, value]) =>
    Effect.gen(function* () {
      const config = { ...minimal, [key]: value }
      assert.isFalse(validate(config))
      assert.match((yield* Effect.flip(decodeConfig(config))).message, new RegExp(`\\b${key}\\b`))
    })
  )

  it.effect.each(accepted)(
    "accepts what the documentation promises, formats included, like the connector: %j",
    (config) =>
      Effect.gen(function* () {
        // A form leaves out what is empty.
        const sent = JSON.parse(JSON.stringify(config))
        assert.isTrue(validate(sent), explain(sent))
        yield* decodeConfig(config)
      })
  )

  it.effect.each(refused)("refuses what no form of the documentation is, like the connector: %j", (config) =>
    Effect.gen(function* () {
      assert.isFalse(validate(JSON.parse(JSON.stringify(config))))
      yield* Effect.flip(decodeConfig(config))
    })
  )

  it.effect("has examples for every key, which the connector accepts", () =>
    Effect.gen(function* () {
      const withoutExamples: Array<string> = []
      for (const { form, key, path } of keysWithPaths(keys)) {
        const isChoice = /^(?:true or false$|")/.test(key.accepted)
        const examples = examplesOf(key)
        if (examples.length === 0 && !isChoice && !isObject(key)) withoutExamples.push(path)
        for (const example of examples) {
          // Certificates and keys are too long for an example.
          if (JSON.stringify(example).includes("…") || path.includes("[]")) continue
          const sibling = form === undefined ? {} : { ...completeForms[form.name] }
          const [outer = "", inner] = path.split(".")
          const config =
            inner === undefined ? { [outer]: example } : { [outer]: { ...sibling, [inner]: example } }
          yield* decodeConfig({
            ...minimal,
            ...(path === "basic_auth_user" ? { basic_auth_pass: "p" } : {}),
            ...config
          })
        }
      }
      // Secrets have no form that an example could show.
      assert.deepStrictEqual(withoutExamples, [
        "basic_auth_pass",
        "authentication.token",
        "authentication.client_secret",
        "authentication.secret_access_key",
        "authentication.session_token",
        "tls.client_key_passphrase"
      ])
    })
  )

  it("has groups with titles, one for each key", () => {
    const groups = spec.groups as ReadonlyArray<{ readonly id: string; readonly title: string }>
    assert.deepStrictEqual(groups, [
      { id: "connection", title: "Connection" },
      { id: "selection", title: "What to read" },
      { id: "tuning", title: "Tuning" }
    ])
    const of = Object.values(spec.properties as Readonly<Record<string, Json>>).map(({ group }) => group)
    assert.sameMembers(
      [...new Set(of)],
      groups.map(({ id }) => id)
    )
    // The keys of a group are together.
    assert.deepStrictEqual(
      of.filter((group, index) => group !== of[index - 1]),
      groups.map(({ id }) => id)
    )
  })

  it("always shows authentication and metrics, and nothing that is required", () => {
    const properties = Object.entries(spec.properties as Readonly<Record<string, Json>>)
    assert.deepStrictEqual(
      properties.filter(([, property]) => property.always_show === true).map(([name]) => name),
      ["authentication", "metrics"]
    )
  })

  it("describes authentication as platforms show alternatives", () => {
    const {
      default: default_,
      oneOf,
      type
    } = (spec.properties as Readonly<Record<string, Json>>).authentication!
    assert.strictEqual(type, "object")
    assert.deepStrictEqual(default_, { auth_type: "none" })
    const forms = oneOf as ReadonlyArray<{
      readonly title: string
      readonly properties: Readonly<Record<string, Json>>
    }>
    assert.deepStrictEqual(
      forms.map(({ properties }) => properties.auth_type?.const),
      ["none", "bearer_token", "oauth2", "aws_sigv4", "google"]
    )
    for (const { properties, title } of forms) {
      assert.isNotEmpty(title)
      const constants = Object.entries(properties).filter(([, property]) => "const" in property)
      assert.deepStrictEqual(
        constants.map(([name]) => name),
        ["auth_type"]
      )
      assert.strictEqual(properties.auth_type?.default, properties.auth_type?.const)
      for (const property of Object.values(properties)) assert.notProperty(property, "group")
    }
  })

  it.each(["base_url", "start_date", "step"])("requires %s", (key) => {
    assert.isFalse(validate(Object.fromEntries(Object.entries(minimal).filter(([name]) => name !== key))))
  })

  it.effect.prop(
    "accepts all configurations of a form that the connector accepts",
    [choices],
    ([choices]) =>
      Effect.gen(function* () {
        const config = formConfig(choices)
        const settings = yield* Effect.result(decodeConfig(config))
        if (Result.isSuccess(settings)) assert.isTrue(validate(config), explain(config))
      }),
    { arbitrary: { runs: runs(150, 1000) } }
  )

  it.effect("describes the input of the service", () =>
    Effect.gen(function* () {
      const settings = yield* ConnectorConfig
      assert.strictEqual(settings.baseUrl, minimal.base_url)
    }).pipe(Effect.provide(ConnectorConfig.layerFrom(minimal)))
  )

  it("is the same each time", () => {
    assert.deepStrictEqual(connectionSpecification(), connectionSpecification())
    assert.deepStrictEqual(JSON.parse(JSON.stringify(spec)), spec)
  })

  it.prop("refuses seconds out of range", [Schema.Number], ([step]) => {
    const isValid = Number.isInteger(step) && step >= 1 && step <= 4_000_000_000
    assert.strictEqual(validate({ ...minimal, step }), isValid)
  })
})
