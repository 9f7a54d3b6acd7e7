/** The JSON Schema from which platforms build the configuration form. */
import { JsonSchema, Schema } from "effect"
import { formOf, type Keys, keyGroups } from "./Key.ts"
import { keys } from "./keys.ts"

const airbyteKeywords = new Set([
  "airbyte_secret",
  "always_show",
  "const",
  "group",
  "multiline",
  "order",
  "pattern",
  "pattern_descriptor",
  "type"
])

/** The `connectionSpecification` of the protocol's SPEC message, draft 7. */
export const connectionSpecification = (table: Keys = keys): JsonSchema.JsonSchema => {
  const { schema } = JsonSchema.toDocumentDraft07(
    Schema.toJsonSchemaDocument(formOf(table), { includeAnnotationKey: (key) => airbyteKeywords.has(key) })
  )
  const groups = Object.entries(keyGroups).map(([id, title]) => ({ id, title }))
  return { $schema: JsonSchema.META_SCHEMA_URI_DRAFT_07, title: "Prometheus", groups, ...schema }
}
