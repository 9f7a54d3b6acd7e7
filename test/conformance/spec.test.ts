/** The command `spec`: its output against the rules of the connector acceptance tests. */
import { assert, describe, it } from "@effect/vitest"
import { Ajv } from "ajv"
import addFormats from "ajv-formats"
import { Effect, Predicate } from "effect"
import { connectionSpecification } from "../../src/config/spec.ts"
import * as rules from "./rules.ts"
import { assertRefused, typesOf } from "./verbs.ts"

type Json = Readonly<Record<string, unknown>>

/** The pattern for a date that may be a day or a second. */
const datePattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?$"

const isObject: (value: unknown) => value is Json = Predicate.isReadonlyObject

interface Place {
  readonly path: string
  /** The name of the property, if this is the schema of one. */
  readonly name: string | undefined
  readonly schema: Json
}

/** Every schema inside a schema, including itself. */
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

const typesOfSchema = (schema: Json): ReadonlyArray<unknown> =>
  Array.isArray(schema.type) ? schema.type : [schema.type]

const isDate = (schema: Json): boolean =>
  schema.format === "date" || schema.format === "date-time" || schema.pattern === datePattern

const object = (properties: Json, more: Json = {}): Json => ({ type: "object", properties, ...more })

interface Rule {
  readonly rule: string
  readonly broken: (place: Place) => boolean
  /** Schemas that break the rule. They show that the rule detects violations. */
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

const shapeRules: ReadonlyArray<Rule> = [
  {
    rule: "has one type everywhere, optionally followed by null",
    broken: ({ schema }) => {
      if ("oneOf" in schema) return schema.type !== "object"
      const types = typesOfSchema(schema)
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
    rule: "uses only keywords that platforms accept",
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
    rule: "marks string properties with the name of a secret as secrets",
    broken: ({ name, schema }) =>
      name !== undefined &&
      secretNames.test(name) &&
      typesOfSchema(schema).includes("string") &&
      schema.airbyte_secret !== true,
    wrong: [
      object({ password: { type: "string" } }),
      object({ basic_auth_pass: { type: "string" } }),
      object({ client_secret: { type: ["string", "null"], airbyte_secret: false } })
    ]
  },
  {
    rule: "marks only strings as secrets",
    broken: ({ schema }) => "airbyte_secret" in schema && !typesOfSchema(schema).includes("string"),
    wrong: [object({ a: { type: "integer", airbyte_secret: true } })]
  },
  {
    rule: "orders the properties of an object without ties",
    broken: ({ schema }) => {
      const orders = Object.values(isObject(schema.properties) ? schema.properties : {}).flatMap(
        (property) => (isObject(property) && "order" in property ? [property.order] : [])
      )
      return !orders.every(Number.isInteger) || !distinct(orders)
    },
    wrong: [object({ a: { type: "string", order: 1 }, b: { type: "string", order: 1 } })]
  },
  {
    rule: "groups properties only at the top level",
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
    broken: ({ schema }) => typesOfSchema(schema).includes("array") && !isObject(schema.items),
    wrong: [object({ a: { type: "array" } }), object({ a: { type: "array", items: [{ type: "string" }] } })]
  },
  {
    // Platforms check formats, and no format accepts both a day and a second.
    rule: "has a pattern, a pattern descriptor and no format for dates",
    broken: ({ schema }) =>
      isDate(schema) &&
      !(
        schema.format === undefined &&
        schema.pattern === datePattern &&
        Predicate.isString(schema.pattern_descriptor)
      ),
    wrong: [
      object({ a: { type: "string", format: "date" } }),
      object({ a: { type: "string", pattern: datePattern } }),
      object({ a: { type: "string", format: "date", pattern: datePattern, pattern_descriptor: "x" } }),
      object({ a: { type: "string", format: "date-time", pattern: "^.*$", pattern_descriptor: "x" } })
    ]
  },
  {
    rule: "has a title, a description and an order for every property",
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

/** The output of the executable, which runs once for all tests. */
const printed = Effect.runSync(
  Effect.cached(
    Effect.map(rules.verb(["spec"]), (output) => {
      assert.deepStrictEqual(
        output.messages.map(({ type }) => type),
        ["SPEC"]
      )
      assert.strictEqual(output.code, 0)
      return output.messages[0]!.spec as {
        readonly documentationUrl: string
        readonly connectionSpecification: Json
      }
    })
  )
)

const specification = Effect.map(printed, ({ connectionSpecification }) => connectionSpecification)

describe("spec", () => {
  it.live("is printed as exactly one message, on one line", () => printed)

  it.live("is printed with --debug too, with nothing but logs in addition", () =>
    Effect.gen(function* () {
      const output = yield* rules.verb(["spec", "--debug"])
      assert.deepStrictEqual(typesOf(output), ["SPEC"])
      assert.strictEqual(output.code, 0)
    })
  )

  it.live("rejects unknown arguments and flags", () =>
    Effect.gen(function* () {
      assertRefused(yield* rules.verb(["spec", "extra"]), "config_error", /extra/)
      assertRefused(yield* rules.verb(["spec", "--colour"]), "config_error", /--colour/)
    })
  )

  // Further tests of the specification run in-process, in test/config.
  it.live("is the specification of the configuration", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual<unknown>(yield* specification, connectionSpecification())
    })
  )

  it.live("links to a documentation page", () =>
    Effect.gen(function* () {
      assert.match(
        (yield* printed).documentationUrl,
        /^https:\/\/docs\.airbyte\.com\/integrations\/sources\//
      )
    })
  )

  it.live("is valid draft 7", () =>
    Effect.gen(function* () {
      const spec = yield* specification
      const ajv = makeAjv()
      assert.strictEqual(spec.$schema, "http://json-schema.org/draft-07/schema#")
      assert.strictEqual(spec.type, "object")
      assert.isTrue(ajv.validateSchema(spec), ajv.errorsText())
      assert.isFalse(ajv.validateSchema({ ...spec, required: "base_url" }))
    })
  )

  it.live.each(shapeRules)("$rule", ({ broken, wrong }) =>
    Effect.gen(function* () {
      for (const schema of wrong) assert.isNotEmpty(breaking(schema, broken), JSON.stringify(schema))
      assert.deepStrictEqual(breaking(yield* specification, broken), [])
    })
  )

  it.live("has examples and defaults that are valid", () =>
    Effect.gen(function* () {
      for (const { path, schema } of places(yield* specification)) {
        const validate = makeAjv().compile(schema)
        const values = [
          ...(Array.isArray(schema.examples) ? schema.examples : []),
          ...("default" in schema ? [schema.default] : [])
        ]
        for (const value of values) {
          assert.isTrue(
            validate(value),
            `${path}: ${JSON.stringify(value)} ${JSON.stringify(validate.errors)}`
          )
        }
      }
    })
  )

  // A connection that was set up with the first version works with every later one.
  it.live("still accepts everything that its first version accepted", () =>
    Effect.gen(function* () {
      const now = new Map(places(yield* specification).map(({ path, schema }) => [path, schema]))
      assert.isEmpty(difference(now.get("#")?.required, ["base_url", "start_date", "step"]))
      const first: Readonly<Record<string, Json>> = {
        base_url: { type: "string" },
        basic_auth_user: { type: "string" },
        basic_auth_pass: { type: "string" },
        start_date: { type: "string" },
        step: { type: "integer" },
        end_date: { type: "string" },
        metrics: { type: "object" },
        "metrics/properties/include": { type: "array" },
        "metrics/properties/include/items": { type: "string" },
        "metrics/properties/exclude": { type: "array" },
        "metrics/properties/exclude/items": { type: "string" },
        selector: { type: "string" },
        label_columns: { type: "boolean" },
        lookback_window: { type: "integer" },
        settle_delay: { type: "integer" },
        headers: { type: "array" },
        "headers/items": { type: "object", required: ["name", "value"] },
        "headers/items/properties/name": { type: "string" },
        "headers/items/properties/value": { type: "string" },
        concurrency: { type: "integer" },
        request_timeout: { type: "integer" },
        max_retries: { type: "integer" },
        compression: { type: "string", enum: ["none", "gzip"] }
      }
      for (const [path, then] of Object.entries(first)) {
        const schema = now.get(`#/properties/${path}`)
        assert.isDefined(schema, path)
        assert.isEmpty(difference(typesOfSchema(then), typesOfSchema(schema!)), path)
        assert.isEmpty(difference(schema!.required, then.required), path)
        // An enum may grow or be removed, but not be added.
        if (schema!.enum !== undefined)
          assert.isEmpty(difference(then.enum ?? [undefined], schema!.enum), path)
      }
    })
  )
})

/** The elements of one list that are not in another. */
const difference = (some: unknown, others: unknown): ReadonlyArray<unknown> =>
  Array.isArray(some) ? some.filter((item) => !(Array.isArray(others) && others.includes(item))) : []
