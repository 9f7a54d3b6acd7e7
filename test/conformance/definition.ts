/**
 * The protocol's definition (0.18) of a source's messages as JSON Schema, narrowed to what this connector may emit: no
 * keys except those listed here. `test/clients` shows that this agrees with Airbyte's own definition.
 */
import { Ajv, type ValidateFunction } from "ajv"
import addFormats from "ajv-formats"

const text = { type: "string" }
const notEmpty = { type: "string", minLength: 1 }
const count = { type: "integer", minimum: 0 }
const millis = { type: "integer", minimum: 1_600_000_000_000 }
const fieldPath = { type: "array", items: notEmpty, minItems: 1 }

/** An object with these properties and no others. All are required, except the ones listed as optional. */
const object = (properties: object, optional: ReadonlyArray<string> = []) => ({
  type: "object",
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
  additionalProperties: false
})

const anyObject = { type: "object" }

const descriptor = object({ name: notEmpty })

/** Streams without incremental syncs have no cursor. */
const catalogStream = object(
  {
    name: notEmpty,
    json_schema: anyObject,
    supported_sync_modes: {
      type: "array",
      items: { enum: ["full_refresh", "incremental"] },
      minItems: 1,
      uniqueItems: true
    },
    source_defined_cursor: { type: "boolean" },
    default_cursor_field: fieldPath,
    source_defined_primary_key: { type: "array", items: fieldPath, minItems: 1 },
    is_resumable: { type: "boolean" }
  },
  ["source_defined_cursor", "default_cursor_field"]
)

/** The payloads of TRACE, by their type. */
const traces = {
  STREAM_STATUS: {
    stream_status: object(
      {
        stream_descriptor: descriptor,
        status: { enum: ["STARTED", "RUNNING", "COMPLETE", "INCOMPLETE"] },
        reasons: {
          type: "array",
          minItems: 1,
          maxItems: 1,
          items: object({ type: { const: "RATE_LIMITED" }, rate_limited: object({ quota_reset: millis }) })
        }
      },
      ["reasons"]
    )
  },
  ERROR: {
    error: object(
      {
        message: notEmpty,
        internal_message: text,
        stack_trace: text,
        failure_type: { enum: ["config_error", "transient_error", "system_error"] },
        stream_descriptor: descriptor
      },
      ["internal_message", "stack_trace", "stream_descriptor"]
    )
  },
  // Estimates per stream and for the entire sync must not be mixed: ours are per stream.
  ESTIMATE: {
    estimate: object({ name: notEmpty, type: { const: "STREAM" }, row_estimate: count, byte_estimate: count })
  }
}

/** The payload of every message type, under its key. */
const payloads = {
  RECORD: {
    record: object({ stream: notEmpty, emitted_at: millis, data: { ...anyObject, minProperties: 1 } })
  },
  STATE: {
    state: object({
      type: { const: "STREAM" },
      stream: object({ stream_descriptor: descriptor, stream_state: { ...anyObject, minProperties: 1 } }),
      sourceStats: object({ recordCount: count })
    })
  },
  LOG: {
    log: object(
      {
        level: { enum: ["FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"] },
        message: notEmpty,
        stack_trace: text
      },
      ["stack_trace"]
    )
  },
  SPEC: {
    spec: object({
      protocol_version: text,
      documentationUrl: { type: "string", format: "uri" },
      connectionSpecification: anyObject
    })
  },
  CONNECTION_STATUS: {
    connectionStatus: object({ status: { enum: ["SUCCEEDED", "FAILED"] }, message: notEmpty }, ["message"])
  },
  CATALOG: { catalog: object({ streams: { type: "array", items: catalogStream, minItems: 1 } }) }
}

/** A message type that this connector emits. */
export type MessageType = keyof typeof payloads | "TRACE"

/** The schema of each message type; for TRACE, one per trace type. */
export const schemas: Readonly<Record<string, object>> = {
  ...Object.fromEntries(
    Object.entries(payloads).map(([type, payload]) => [type, object({ type: { const: type }, ...payload })])
  ),
  ...Object.fromEntries(
    Object.entries(traces).map(([type, payload]) => [
      `TRACE ${type}`,
      object({
        type: { const: "TRACE" },
        trace: object({ type: { const: type }, emitted_at: millis, ...payload })
      })
    ])
  )
}

/** A validator in its strictest mode, for messages and for the records of a stream. */
export const makeAjv = (): Ajv => {
  const ajv = new Ajv({
    strict: true,
    allowUnionTypes: true,
    keywords: ["airbyte_type"]
  })
  addFormats.default(ajv)
  return ajv
}

const ajv = makeAjv()
const validators = new Map<string, ValidateFunction>(
  Object.entries(schemas).map(([type, schema]) => [type, ajv.compile(schema)])
)

/** Why a line violates the definition, or undefined. */
export const problemOfLine = (line: string): string | undefined => {
  let message: { readonly type?: unknown; readonly trace?: { readonly type?: unknown } }
  try {
    message = JSON.parse(line)
  } catch {
    return "it is not JSON"
  }
  const type = message?.type === "TRACE" ? `TRACE ${message.trace?.type}` : String(message?.type)
  const validate = validators.get(type)
  if (validate === undefined) return `a source has no messages of the type ${type}`
  return validate(message) ? undefined : ajv.errorsText(validate.errors, { dataVar: type })
}
