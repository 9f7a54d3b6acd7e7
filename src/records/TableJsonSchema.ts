/** The JSON Schema of the rows of a table. Every row satisfies it. */
import type { JsonSchema } from "effect"
import type { TableColumn, TableSchema } from "../samples/TableRow.ts"

/** The types of columns in JSON Schema. */
const types: Readonly<
  Record<TableColumn["kind"], { readonly type: string; readonly [key: string]: unknown }>
> = {
  text: { type: "string" },
  number: { type: "number" },
  count: { type: "integer" },
  time: { type: "string", format: "date-time", airbyte_type: "timestamp_with_timezone" },
  object: { type: "object", additionalProperties: true }
}

const property = ({ description, isRequired, kind }: TableColumn) => {
  const { type, ...others } = types[kind]
  return { type: isRequired === true ? type : [type, "null"], ...others, description }
}

export const tableJsonSchema = ({ columns, description }: TableSchema): JsonSchema.JsonSchema => ({
  $schema: "http://json-schema.org/draft-07/schema#",
  type: "object",
  description,
  additionalProperties: true,
  properties: Object.fromEntries(columns.map((column) => [column.name, property(column)]))
})
