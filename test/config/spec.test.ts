import { assert, describe, it } from "@effect/vitest"
import { Ajv, type ValidateFunction } from "ajv"
import addFormats from "ajv-formats"
import { Effect, Predicate, Result, Schema } from "effect"
import { ConnectorConfig, decodeConfig } from "../../src/ConnectorConfig.ts"
import { ConfigSchema, DATE_PATTERN, defaults } from "../../src/config/ConfigSchema.ts"
import { connectionSpecification } from "../../src/config/spec.ts"
import { type Choices, choices } from "../choices.ts"

type Json = Readonly<Record<string, unknown>>

const spec: Json = connectionSpecification()

const isObject = (value: unknown): value is Json => Predicate.isObject(value) && !Array.isArray(value)

interface Place {
  readonly path: string
  /** The name of the property whose schema this is, if it is one's. */
  readonly name: string | undefined
  readonly schema: Json
}

/** Every schema within a schema, itself included. */
const places = (schema: unknown, path = "#", name?: string): ReadonlyArray<Place> => {
  if (!isObject(schema)) return []
  const inside = (value: unknown, where: string): ReadonlyArray<Place> =>
    Array.isArray(value)
      ? value.flatMap((item, index) => places(item, `${path}/${where}/${index}`))
      : places(value, `${path}/${where}`)
  return [
    { path, name, schema },
    ...Object.entries(isObject(schema.properties) ? schema.properties : {}).flatMap(([name, property]) =>
      places(property, `${path}/properties/${name}`, name)
    ),
    ...["items", "oneOf", "anyOf", "allOf", "not", "if", "then", "else", "additionalProperties"].flatMap(
      (key) => inside(schema[key], key)
    )
  ]
}

const distinct = (values: ReadonlyArray<unknown>): boolean =>
  new Set(values.map((value) => JSON.stringify(value))).size === values.length

/** Paths of the schemas that break a rule. */
const breaking = (schema: unknown, isBroken: (place: Place) => boolean): ReadonlyArray<string> =>
  places(schema)
    .filter(isBroken)
    .map((place) => place.path)

const forbidden = [
  "$ref",
  "allOf",
  "anyOf",
  "not",
  "if",
  "then",
  "else",
  "patternProperties",
  "prefixItems",
  "dependentSchemas"
]

const secretNames =
  /(^|_)(token|password|pass|secret|key|certificate|credentials|tenant_id|jwt|service_account|service_account_info)$/

const typesOf = (schema: Json): ReadonlyArray<unknown> =>
  Array.isArray(schema.type) ? schema.type : [schema.type]

const isDate = (schema: Json): boolean =>
  schema.format === "date" || schema.format === "date-time" || schema.pattern === DATE_PATTERN

const object = (properties: Json, more: Json = {}): Json => ({ type: "object", properties, ...more })

interface Rule {
  readonly rule: string
  readonly broken: (place: Place) => boolean
  /** Schemas that break the rule, which shows that the rule finds something. */
  readonly wrong: ReadonlyArray<Json>
}

/** The discriminators of a `oneOf`: properties that are constant in every variant. */
const discriminators = (variants: ReadonlyArray<unknown>): ReadonlyArray<string> => {
  const constants = variants.map((variant) =>
    isObject(variant) && isObject(variant.properties)
      ? Object.entries(variant.properties)
          .filter(([, property]) => isObject(property) && "const" in property)
          .map(([name]) => name)
      : []
  )
  return (constants[0] ?? []).filter((name) => constants.every((names) => names.includes(name)))
}

const rules: ReadonlyArray<Rule> = [
  {
    rule: "has one type everywhere, or a type and null in that order",
    broken: ({ schema }) => {
      if ("oneOf" in schema) return schema.type !== "object"
      const types = typesOf(schema)
      return (
        !types.every(Predicate.isString) || types.length > 2 || (types.length === 2 && types[1] !== "null")
      )
    },
    wrong: [
      object({ a: {} }),
      object({ a: { type: ["null", "string"] } }),
      object({ a: { type: ["string", "integer"] } })
    ]
  },
  {
    rule: "uses no keyword that platforms do not take",
    broken: ({ schema }) => forbidden.some((keyword) => keyword in schema),
    wrong: forbidden.map((keyword) => object({ a: { type: "object", [keyword]: {} } }))
  },
  {
    rule: "never forbids additional properties",
    broken: ({ schema }) => "additionalProperties" in schema && schema.additionalProperties !== true,
    wrong: [
      object({}, { additionalProperties: false }),
      object({ a: object({}, { additionalProperties: { type: "string" } }) })
    ]
  },
  {
    rule: "has a discriminator in every oneOf",
    broken: ({ schema }) => {
      if (!("oneOf" in schema)) return false
      const variants = schema.oneOf
      return (
        schema.type !== "object" ||
        !Array.isArray(variants) ||
        !variants.every((variant) => isObject(variant) && isObject(variant.properties)) ||
        discriminators(variants).length !== 1
      )
    },
    wrong: [
      { oneOf: [object({ a: { const: 1 } }), object({ a: { const: 2 } })] },
      { type: "object", oneOf: [object({ a: { const: 1 } }), object({ b: { const: 2 } })] },
      { type: "object", oneOf: [object({ a: { type: "string" } }), object({ a: { type: "string" } })] }
    ]
  },
  {
    rule: "has defaults that equal constants",
    broken: ({ schema }) =>
      "const" in schema && "default" in schema && distinct([schema.const, schema.default]),
    wrong: [object({ a: { type: "string", const: "a", default: "b" } })]
  },
  {
    rule: "marks what is called like a secret and holds a text as one",
    broken: ({ name, schema }) =>
      name !== undefined &&
      secretNames.test(name) &&
      typesOf(schema).includes("string") &&
      schema.airbyte_secret !== true,
    wrong: [
      object({ password: { type: "string" } }),
      object({ basic_auth_pass: { type: "string" } }),
      object({ client_secret: { type: ["string", "null"], airbyte_secret: false } })
    ]
  },
  {
    rule: "marks only texts as secrets",
    broken: ({ schema }) => "airbyte_secret" in schema && !typesOf(schema).includes("string"),
    wrong: [object({ a: { type: "integer", airbyte_secret: true } })]
  },
  {
    rule: "orders the properties of an object without a tie",
    broken: ({ schema }) => {
      const orders = Object.values(isObject(schema.properties) ? schema.properties : {}).flatMap(
        (property) => (isObject(property) && "order" in property ? [property.order] : [])
      )
      return !orders.every(Number.isInteger) || !distinct(orders)
    },
    wrong: [object({ a: { type: "string", order: 1 }, b: { type: "string", order: 1 } })]
  },
  {
    rule: "groups properties at the top only",
    broken: ({ path, schema }) => "group" in schema && path.split("/").length !== 3,
    wrong: [object({ a: object({ b: { type: "string", group: "x" } }) })]
  },
  {
    rule: "has distinct values in every enum",
    broken: ({ schema }) => "enum" in schema && (!Array.isArray(schema.enum) || !distinct(schema.enum)),
    wrong: [object({ a: { type: "string", enum: ["x", "y", "x"] } })]
  },
  {
    rule: "has one schema for the items of every array",
    broken: ({ schema }) => typesOf(schema).includes("array") && !isObject(schema.items),
    wrong: [object({ a: { type: "array" } }), object({ a: { type: "array", items: [{ type: "string" }] } })]
  },
  {
    rule: "has a format, a pattern and a description of it for dates",
    broken: ({ schema }) =>
      isDate(schema) &&
      !(
        (schema.format === "date" || schema.format === "date-time") &&
        schema.pattern === DATE_PATTERN &&
        Predicate.isString(schema.pattern_descriptor)
      ),
    wrong: [
      object({ a: { type: "string", format: "date" } }),
      object({ a: { type: "string", pattern: DATE_PATTERN, pattern_descriptor: "x" } }),
      object({ a: { type: "string", format: "date-time", pattern: "^.*$", pattern_descriptor: "x" } })
    ]
  },
  {
    rule: "has a title, a description and a place for every property",
    broken: ({ name, schema }) =>
      name !== undefined &&
      !(
        Predicate.isString(schema.title) &&
        Predicate.isString(schema.description) &&
        Number.isInteger(schema.order)
      ),
    wrong: [
      object({ a: { type: "string", title: "A", order: 0 } }),
      object({ a: { type: "string", title: "A", description: "A" } })
    ]
  }
]

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
    concurrency: 64,
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
  ["concurrency", 0],
  ["concurrency", 65],
  ["request_timeout", 0],
  ["max_retries", 21],
  ["compression", "zstd"]
]

/** A configuration as a form makes it: the right types, not always the right values. */
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
    ...optional("lookback_window", seconds),
    ...optional("settle_delay", seconds),
    ...optional("headers", [[], [{ name: "A", value: "b" }], [{ name: "a b", value: "" }]]),
    ...optional("concurrency", [1, 64, 0, 65]),
    ...optional("request_timeout", seconds),
    ...optional("max_retries", [0, 20, 21]),
    ...optional("compression", ["none", "gzip"]),
    ...optional("unknown", ["x", 1, {}])
  }
}

describe("connectionSpecification", () => {
  it("is valid draft 7", () => {
    const ajv = makeAjv()
    assert.strictEqual(spec.$schema, "http://json-schema.org/draft-07/schema#")
    assert.isTrue(ajv.validateSchema(spec), JSON.stringify(ajv.errors))
    assert.isFalse(ajv.validateSchema({ ...spec, required: "base_url" }))
  })

  it.each(rules)("$rule", ({ broken, wrong }) => {
    for (const schema of wrong) assert.isNotEmpty(breaking(schema, broken), JSON.stringify(schema))
    assert.deepStrictEqual(breaking(spec, broken), [])
  })

  it("has the keys of the configuration and no others", () => {
    assert.isTrue(isObject(spec.properties))
    assert.sameMembers(Object.keys(spec.properties ?? {}), Object.keys(ConfigSchema.fields))
    assert.sameMembers([...(spec.required as ReadonlyArray<string>)], ["base_url", "start_date", "step"])
    assert.strictEqual(spec.type, "object")
  })

  it("tells the defaults that are used", () => {
    const told = Object.entries(spec.properties ?? {}).flatMap(([key, property]) =>
      isObject(property) && "default" in property ? [[key, property.default] as const] : []
    )
    assert.deepStrictEqual(Object.fromEntries(told), { ...defaults })
  })

  it("has examples and defaults that are valid", () => {
    for (const { path, schema } of places(spec)) {
      const validate = makeAjv().compile(schema)
      const values = [
        ...(Array.isArray(schema.examples) ? schema.examples : []),
        ...("default" in schema ? [schema.default] : [])
      ]
      for (const value of values) {
        assert.isTrue(validate(value), `${path}: ${JSON.stringify(value)} ${JSON.stringify(validate.errors)}`)
      }
    }
  })

  // The protocol wants a `format` beside the pattern, and JSON Schema has none for "a day or a date-time": with
  // `date` forms offer a day, and the pattern, which says more, admits both.
  it("takes both forms of a date by its pattern, as the connector does", () => {
    const patterns = new Ajv({ strict: false, validateFormats: false }).compile(spec)
    for (const start_date of ["2026-01-01", "2026-01-01T12:00:00Z"]) {
      assert.isTrue(patterns({ ...minimal, start_date }), start_date)
    }
  })

  it.effect.each(samples)("takes %j, and so does the connector", (config) =>
    Effect.gen(function* () {
      assert.isTrue(validate(config), explain(config))
      assert.strictEqual((yield* decodeConfig(config)).stepSeconds, 3600)
    })
  )

  it.effect.each(wrong)("refuses %s %j, and so does the connector", ([key, value]) =>
    Effect.gen(function* () {
      const config = { ...minimal, [key]: value }
      assert.isFalse(validate(config))
      assert.match((yield* Effect.flip(decodeConfig(config))).message, new RegExp(`\\b${key}\\b`))
    })
  )

  it.each(["base_url", "start_date", "step"])("wants %s", (key) => {
    assert.isFalse(validate(Object.fromEntries(Object.entries(minimal).filter(([name]) => name !== key))))
  })

  it.effect.prop(
    "takes all of a form's configurations that the connector takes",
    [choices],
    ([choices]) =>
      Effect.gen(function* () {
        const config = formConfig(choices)
        const settings = yield* Effect.result(decodeConfig(config))
        if (Result.isSuccess(settings)) assert.isTrue(validate(config), explain(config))
      }),
    { arbitrary: { runs: 1000 } }
  )

  it.effect("is of what the service reads", () =>
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
