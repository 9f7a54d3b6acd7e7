/** The JSON Schema from which platforms build the configuration form. */
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
 * Platforms do not accept `allOf`, which Effect uses for two checks of one value. All of our checks constrain the same
 * keywords, and the later one is stricter.
 */
const mergeAllOf = (schema: JsonSchema.JsonSchema): JsonSchema.JsonSchema =>
  Object.fromEntries(
    Object.entries(
      Array.isArray(schema.allOf) ? Object.assign({}, schema, ...schema.allOf, { allOf: [] }) : schema
    )
      .filter(([key]) => key !== "allOf")
      .map(([key, value]) => [key, Predicate.isObject(value) ? mergeAllOf(value) : value])
  )
