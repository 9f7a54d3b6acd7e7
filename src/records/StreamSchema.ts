/** The JSON Schema of a stream's records. Every record satisfies it. */
import { type JsonSchema, Option, Predicate, Schema } from "effect"
import type { MetricMetadata } from "../prometheus/Metadata.ts"
import { METRIC_COLUMN } from "../samples/Layout.ts"
import { RECORD_ID } from "../samples/TableRow.ts"
import { endSentence, truncateText } from "../text/excerpt.ts"
import type { AssignedColumns } from "./LabelColumns.ts"

type Columns = AssignedColumns["columns"]

/** The columns of every stream. */
const commonProperties = {
  time: {
    type: "string",
    format: "date-time",
    airbyte_type: "timestamp_with_timezone",
    description: "The sample's time, UTC."
  },
  value: {
    type: ["number", "null"],
    description: "The sample's value; null when it is not a finite number."
  },
  special_value: {
    type: ["string", "null"],
    description: "NaN, +Inf or -Inf, when the value is null for that reason."
  },
  series_id: {
    type: "string",
    description: "The identity of the series: 32 hex digits, hashed from its name and labels."
  },
  histogram: {
    type: ["object", "null"],
    additionalProperties: true,
    description: "A native histogram: count, sum and buckets, as Prometheus writes them."
  }
}

const allLabels = {
  labels: { type: "object", additionalProperties: true, description: "The labels of the series." }
}

/** A catalog has tens of thousands of these. A description names the label only if the column has another name. */
const labelColumn = ({ column, label }: Columns[number]) => ({
  type: ["string", "null"],
  ...(column === label ? {} : { description: `The label ${label}.` })
})

const labelColumns = (columns: Columns) => ({
  ...Object.fromEntries(columns.map((column) => [column.column, labelColumn(column)])),
  other_labels: {
    type: ["object", "null"],
    additionalProperties: true,
    description: "Labels of the series that have no column of their own.",
    $comment: DISCOVERED + JSON.stringify(columns.map(({ label }) => label))
  }
})

/**
 * The column of other labels lists the labels that had a column at discovery. A platform removes the property of a deselected
 * label, and only this list distinguishes such a label from one that appeared later. The list is in a keyword that every
 * validator knows and ignores.
 */
const DISCOVERED = "discovered_labels: "

const decodeLabels = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Array(Schema.String)))

/** The list of discovered labels, unless a platform has dropped it. */
export const discoveredLabels = (
  properties: Readonly<Record<string, unknown>>
): ReadonlyArray<string> | undefined => {
  const { other_labels } = properties
  const comment = Predicate.hasProperty(other_labels, "$comment") ? other_labels.$comment : undefined
  return typeof comment === "string" && comment.startsWith(DISCOVERED)
    ? Option.getOrUndefined(decodeLabels(comment.slice(DISCOVERED.length)))
    : undefined
}

const metricColumn = {
  [METRIC_COLUMN]: { type: "string", description: "The name of the metric." }
}

/** The schema of the stream of a group. */
export const groupSchema = (description: string): JsonSchema.JsonSchema =>
  schemaOf({ ...metricColumn, ...allLabels }, description)

/** The schema with a column per label, or with one `labels` object if `columns` is undefined. */
export const streamSchema = (columns: Columns | undefined, description: string): JsonSchema.JsonSchema =>
  schemaOf(columns === undefined ? allLabels : labelColumns(columns), description)

const schemaOf = (labels: object, description: string): JsonSchema.JsonSchema => ({
  $schema: "http://json-schema.org/draft-07/schema#",
  type: "object",
  ...(description === "" ? {} : { description }),
  additionalProperties: true,
  properties: { ...commonProperties, ...labels }
})

/** A metric's type, help and unit in one line, `counter. Requests served. Unit: seconds.` */
export const describeMetric = (metadata: MetricMetadata | undefined): string => {
  if (metadata === undefined) return ""
  const { help, type, unit } = metadata
  return [type, help, unit === "" ? "" : `Unit: ${unit}`]
    .map((part) => truncateText(part.trim(), MAX_PART_CHARACTERS))
    .filter((part) => part !== "")
    .map(endSentence)
    .join(" ")
}

const DESCRIBES_QUERY = "PromQL: "

/** The expression of a query in one line. */
export const describeQuery = (expression: string): string =>
  `${DESCRIBES_QUERY}${truncateText(expression.replace(/\s+/g, " ").trim(), MAX_PART_CHARACTERS)}`

/** The patterns of a group in one line. Its metrics are not listed: each change of them would change the catalog. */
export const describeGroup = (patterns: string): string =>
  `Metrics: ${truncateText(patterns, MAX_PART_CHARACTERS)}`

/**
 * What a stream of a catalog was when it was discovered, by its schema; undefined for a metric, and for a schema that does not show
 * it. Labels have columns that may be null.
 */
export const discoveredKind = (schema: {
  readonly description?: unknown
  readonly properties?: Readonly<Record<string, unknown>> | null
}): "query" | "group" | "table" | undefined => {
  const { description, properties } = schema
  const isText = (name: string) => {
    const column = properties?.[name]
    return Predicate.hasProperty(column, "type") && column.type === "string"
  }
  if (isText(RECORD_ID)) return "table"
  if (isText(METRIC_COLUMN)) return "group"
  const isDeclared = Object.keys(properties ?? {}).length > 0
  return isDeclared && typeof description === "string" && description.startsWith(DESCRIBES_QUERY)
    ? "query"
    : undefined
}

/** A help text is a sentence or two. Every copy of the catalog would contain a longer one. */
const MAX_PART_CHARACTERS = 2001
