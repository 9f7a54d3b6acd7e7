/** The streams of the catalog that `discover` writes, and of a configured catalog. */
import { Effect, Result, Schema, SchemaIssue } from "effect"
import { ConfigError } from "../config/ConnectorConfig.ts"
import { readJsonFile } from "../config/inputFile.ts"
import { type TableName, tableSchemas } from "../prometheus/tables/schemas.ts"
import { assignColumns } from "../records/LabelColumns.ts"
import type { Declared } from "../records/RecordEncoder.ts"
import {
  describeGroup,
  describeMetric,
  describeQuery,
  discoveredKind,
  discoveredLabels,
  groupSchema,
  streamSchema
} from "../records/StreamSchema.ts"
import { tableJsonSchema } from "../records/TableJsonSchema.ts"
import type { DiscoveredStream } from "../sync/Discovery.ts"
import type { StreamRequest } from "../sync/plan.ts"
import { type CatalogStream, ConfiguredCatalog } from "./Protocol.ts"

/** One stream. Logs a warning about labels that cannot have a column because of a clash. */
export const catalogStream = Effect.fnUntraced(function* (
  stream: DiscoveredStream,
  labelColumns: boolean
): Effect.fn.Return<CatalogStream> {
  if (stream.table !== undefined) return tableStream(stream.table)
  const { clashes, columns } = assignColumns(stream.labels)
  if (labelColumns && clashes.length > 0) {
    const names = clashes.map(({ column, label }) => `${label} (${column})`).join(", ")
    yield* Effect.logWarning(
      `${stream.name}: these labels are found in other_labels, because platforms would store them in the column of another label or in one of their own: ${names}.`
    )
  }
  return {
    name: stream.name,
    json_schema:
      stream.group === undefined
        ? streamSchema(labelColumns ? columns : undefined, describe(stream))
        : groupSchema(describeGroup(stream.group.patterns)),
    supported_sync_modes: ["full_refresh", "incremental"],
    source_defined_cursor: true,
    default_cursor_field: ["time"],
    source_defined_primary_key: [["series_id"], ["time"]],
    is_resumable: true
  }
})

/** The stream of a table. A snapshot of what the server has now cannot be read incrementally. */
const tableStream = (table: TableName): CatalogStream => {
  const isIncremental = table === "exemplars"
  const schema = tableSchemas[table]
  return {
    name: schema.stream,
    json_schema: tableJsonSchema(schema),
    supported_sync_modes: isIncremental ? ["full_refresh", "incremental"] : ["full_refresh"],
    ...(isIncremental ? { source_defined_cursor: true, default_cursor_field: ["time"] } : {}),
    source_defined_primary_key: [["record_id"], ["time"]],
    is_resumable: isIncremental
  }
}

const describe = ({ expression, metadata }: DiscoveredStream): string =>
  expression === undefined ? describeMetric(metadata) : describeQuery(expression)

/** A stream of the configured catalog: what to read, and the columns of its records. */
export interface ConfiguredStream extends StreamRequest, Declared {
  readonly generationId: number | undefined
  /** What it was at discovery, unless that was a metric or is not known. */
  readonly kind?: ReturnType<typeof discoveredKind>
}

/** Reads a configured catalog from a file. */
export const readCatalog = Effect.fnUntraced(function* (path: string) {
  const json = yield* readJsonFile(path, "catalog")
  const decoded = Schema.decodeUnknownResult(ConfiguredCatalog)(json)
  if (Result.isFailure(decoded)) {
    const [issue] = SchemaIssue.makeFormatterStandardSchemaV1()(decoded.failure.issue).issues
    const where = issue?.path?.map(String).join(".") ?? ""
    return yield* new ConfigError({
      message: `The catalog file ${path} is not a configured catalog${where === "" ? "" : ` (${where})`}: ${issue?.message ?? "it has another shape"}. Run discover again and configure the streams again.`
    })
  }
  const byName = Map.groupBy(decoded.success.streams, ({ stream }) => stream.name)
  for (const [name, streams] of byName) {
    if (streams.length > 1) {
      return yield* new ConfigError({
        message: `The catalog file ${path} has the stream ${name.slice(0, 200)} twice.`
      })
    }
  }
  return decoded.success.streams.map(({ generation_id, stream, sync_mode }): ConfiguredStream => {
    const kind = discoveredKind(stream.json_schema ?? {})
    return {
      name: stream.name,
      mode: sync_mode,
      generationId: generation_id ?? undefined,
      properties: Object.keys(stream.json_schema?.properties ?? {}),
      discoveredLabels: discoveredLabels(stream.json_schema?.properties ?? {}),
      ...(kind === undefined ? {} : { kind })
    }
  })
})
