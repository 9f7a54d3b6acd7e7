/** The JSON Schema that platforms make the form of the configuration from. */
import { JsonSchema, Predicate, Schema } from "effect"
import { formOf, type Keys } from "./Key.ts"
import { keys } from "./keys.ts"

const airbyteKeywords = new Set(["airbyte_secret", "order", "pattern", "pattern_descriptor"])

/** The `connectionSpecification` of the protocol's SPEC message, draft 7. */
export const connectionSpecification = (table: Keys = keys): JsonSchema.JsonSchema => {
  const { schema } = JsonSchema.toDocumentDraft07(
    Schema.toJsonSchemaDocument(formOf(table), { includeAnnotationKey: (key) => airbyteKeywords.has(key) })
  )
  return { $schema: JsonSchema.META_SCHEMA_URI_DRAFT_07, title: "Prometheus", ...mergeAllOf(schema) }
}

/**
 * Platforms do not accept `allOf`, which is how two checks on one value are written. All of ours constrain the same
 * keywords, the later one more closely.
 */
const mergeAllOf = (schema: JsonSchema.JsonSchema): JsonSchema.JsonSchema =>
  Object.fromEntries(
    Object.entries(
      Array.isArray(schema.allOf) ? Object.assign({}, schema, ...schema.allOf, { allOf: [] }) : schema
    )
      .filter(([key]) => key !== "allOf")
      .map(([key, value]) => [key, Predicate.isObject(value) ? mergeAllOf(value) : value])
  )
