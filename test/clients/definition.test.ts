/** The conformance suite's definition of messages, compared with Airbyte's own models of the protocol. */
import { assert, describe, inject, it } from "@effect/vitest"
import { Effect } from "effect"
import { schemas } from "../conformance/definition.ts"
import * as connector from "../support/connector.ts"
import { runPython } from "./python.ts"

interface Schema {
  readonly $ref?: string
  readonly anyOf?: ReadonlyArray<Schema>
  readonly type?: string
  readonly const?: string
  readonly enum?: ReadonlyArray<string>
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: ReadonlyArray<string>
}

interface Definition extends Schema {
  readonly $defs: Readonly<Record<string, Schema>>
}

const python = inject("python") ?? ""

/** Resolves references, and alternatives with only one schema that is not null. */
const resolve = (definition: Definition, schema: Schema): Schema => {
  if (schema.$ref !== undefined) {
    return resolve(definition, definition.$defs[schema.$ref.replace("#/$defs/", "")]!)
  }
  const [some, ...others] = (schema.anyOf ?? []).filter(({ type }) => type !== "null")
  return some !== undefined && others.length === 0 ? resolve(definition, some) : schema
}

const typeOf = ({ const: constant, enum: values, type }: Schema): string | undefined =>
  constant !== undefined || values !== undefined ? "string" : type

/** Where our schema allows what theirs does not: other keys, types or words, or missing required keys. */
const disagreements = (definition: Definition, ours: Schema, theirs: Schema, path: string): Array<string> => {
  const their = resolve(definition, theirs)
  const words = ours.const === undefined ? (ours.enum ?? []) : [ours.const]
  const allowed = their.const === undefined ? their.enum : [their.const]
  const out: Array<string> = []
  const type = typeOf(ours)
  if (type !== typeOf(their) && !(type === "integer" && their.type === "number")) {
    out.push(`${path} is ${type}, not ${typeOf(their)}`)
  }
  for (const word of words) if (!allowed?.includes(word)) out.push(`${path} may not be ${word}`)
  if (allowed !== undefined && words.length === 0) out.push(`${path} may be any text`)
  if (ours.items !== undefined) {
    out.push(...disagreements(definition, ours.items, their.items ?? {}, `${path}[]`))
  }
  if (ours.properties === undefined) return out
  for (const name of their.required ?? []) {
    if (!ours.required?.includes(name)) out.push(`${path}.${name} is required`)
  }
  for (const [name, property] of Object.entries(ours.properties)) {
    const theirProperty = their.properties?.[name]
    if (theirProperty === undefined) out.push(`${path}.${name} is unknown`)
    else out.push(...disagreements(definition, property, theirProperty, `${path}.${name}`))
  }
  return out
}

describe.runIf(python !== "")("the definition of messages", () => {
  const load = Effect.gen(function* () {
    const files = yield* connector.workspace
    const { code, stderr, stdout } = yield* runPython(python, files.path(""), [
      "-c",
      "import json; from airbyte_protocol.models import AirbyteMessage; print(json.dumps(AirbyteMessage.model_json_schema()))"
    ])
    assert.strictEqual(code, 0, stderr)
    return JSON.parse(stdout) as Definition
  })

  it.effect("allows nothing that Airbyte's definition does not", () =>
    Effect.gen(function* () {
      const definition = yield* load
      for (const [type, schema] of Object.entries(schemas)) {
        assert.deepStrictEqual(disagreements(definition, schema, definition, type), [])
      }
    })
  )

  it.effect("does not pass if it is changed", () =>
    Effect.gen(function* () {
      const definition = yield* load
      const changed = (from: string, to: string) => {
        const text = JSON.stringify(schemas)
        assert.include(text, from)
        return Object.entries(JSON.parse(text.replaceAll(from, to)) as Record<string, Schema>).flatMap(
          ([type, schema]) => disagreements(definition, schema, definition, type)
        )
      }
      assert.include(changed('"row_estimate"', '"rows"'), "TRACE ESTIMATE.trace.estimate.rows is unknown")
      assert.include(changed("COMPLETE", "DONE")[0], "may not be DONE")
      assert.include(changed('["name","type",', '["type",').join(), "estimate.name is required")
      assert.include(
        changed('"is_resumable":{"type":"boolean"', '"is_resumable":{"type":"string"').join(),
        "is string"
      )
    })
  )
})
