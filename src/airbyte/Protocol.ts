/** Airbyte's messages: those of the connector, and the schemas of its inputs. */
import { Schema } from "effect"

export type LogLevel = "FATAL" | "ERROR" | "WARN" | "INFO" | "DEBUG" | "TRACE"

export interface StreamDescriptor {
  readonly name: string
}

/** A stream of the catalog. */
export interface CatalogStream {
  readonly name: string
  readonly json_schema: object
  readonly supported_sync_modes: ReadonlyArray<"full_refresh" | "incremental">
  /** Only streams that can be read incrementally have a cursor. */
  readonly source_defined_cursor?: boolean
  readonly default_cursor_field?: ReadonlyArray<string>
  readonly source_defined_primary_key: ReadonlyArray<ReadonlyArray<string>>
  readonly is_resumable: boolean
}

/** A failure of a stream, or without a stream of the complete command. */
export interface Failure {
  readonly message: string
  readonly internal_message?: string
  readonly failure_type: "config_error" | "transient_error" | "system_error"
  readonly stream_descriptor?: StreamDescriptor
}

export interface StreamStatus {
  readonly stream_descriptor: StreamDescriptor
  readonly status: "STARTED" | "RUNNING" | "COMPLETE" | "INCOMPLETE"
  /** At most one, in addition to RUNNING: the server accepts no requests until this time, in epoch milliseconds. */
  readonly reasons?: readonly [RateLimited]
}

export interface RateLimited {
  readonly type: "RATE_LIMITED"
  readonly rate_limited: { readonly quota_reset: number }
}

/** The estimated number and size of the records of a stream in this sync. */
export interface Estimate {
  readonly row_estimate: number
  readonly byte_estimate: number
}

/** A TRACE message without its time. */
export type Trace =
  | { readonly type: "STREAM_STATUS"; readonly stream_status: StreamStatus }
  | {
      readonly type: "ESTIMATE"
      readonly estimate: Estimate & { readonly name: string; readonly type: "STREAM" }
    }
  | { readonly type: "ERROR"; readonly error: Failure }

/** Every message but RECORD, which is encoded as bytes. */
export type AirbyteMessage =
  | { readonly type: "SPEC"; readonly spec: object }
  | {
      readonly type: "CONNECTION_STATUS"
      readonly connectionStatus: { readonly status: "SUCCEEDED" | "FAILED"; readonly message?: string }
    }
  | { readonly type: "CATALOG"; readonly catalog: { readonly streams: ReadonlyArray<CatalogStream> } }
  | {
      readonly type: "STATE"
      readonly state: {
        readonly type: "STREAM"
        readonly stream: { readonly stream_descriptor: StreamDescriptor; readonly stream_state: object }
        readonly sourceStats: { readonly recordCount: number }
      }
    }
  | {
      readonly type: "LOG"
      readonly log: { readonly level: LogLevel; readonly message: string; readonly stack_trace?: string }
    }
  | { readonly type: "TRACE"; readonly trace: Trace & { readonly emitted_at: number } }

/** The last state of a full refresh, which is complete. */
export const FULL_REFRESH_COMPLETE = "__ab_full_refresh_sync_complete"

/** A platform's marker for a stream without state. */
export const NO_CURSOR_STATE = "__ab_no_cursor_state_message"

const nullable = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

/** The parts of a configured catalog that are used. Clients add nulls and other keys. */
export const ConfiguredCatalog = Schema.Struct({
  streams: Schema.Array(
    Schema.Struct({
      stream: Schema.Struct({
        name: Schema.String,
        json_schema: nullable(
          Schema.Struct({
            description: Schema.optionalKey(Schema.Unknown),
            properties: nullable(Schema.Record(Schema.String, Schema.Unknown))
          })
        )
      }),
      sync_mode: Schema.Literals(["full_refresh", "incremental"]),
      generation_id: nullable(Schema.Int)
    })
  )
})

/** One entry of a state file. */
export const StateEntry = Schema.Struct({
  type: Schema.Literal("STREAM"),
  stream: Schema.Struct({
    stream_descriptor: Schema.Struct({ name: Schema.String }),
    stream_state: nullable(Schema.Record(Schema.String, Schema.Unknown))
  })
})
