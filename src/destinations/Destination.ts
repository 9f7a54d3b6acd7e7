/** Where a run puts samples, and what is remembered of them there: data and state together, both or neither. */
import { Context, Effect, Layer, Schema, type Scope } from "effect"
import type { SampleBlock } from "../samples/Sample.ts"
import { StateReader } from "../sync/StateReader.ts"
import type { StreamState } from "../sync/StreamState.ts"

/**
 * Something cannot be read from or written to a destination; `message` says what, why, and what to do. It fails the stream that
 * met it and no other, unless it `isFatal`: where the disk is full or the destination lost, no stream can be written any more.
 */
export class DestinationError extends Schema.TaggedError<DestinationError>()("DestinationError", {
  message: Schema.String,
  isFatal: Schema.optionalKey(Schema.Boolean)
}) {}

/** What a destination has of a stream. Times are milliseconds since the epoch, null where there is no row. */
export interface Contents {
  readonly rows: number
  readonly firstMillis: number | null
  readonly lastMillis: number | null
}

export const noRows: Contents = { rows: 0, firstMillis: null, lastMillis: null }

/** How a stream is read and what becomes of what is there already, by the names that Airbyte uses. */
export const syncModes = [
  "full_refresh_overwrite",
  "full_refresh_append",
  "incremental_append",
  "incremental_append_deduped"
] as const

export type SyncMode = (typeof syncModes)[number]

/** Whether a mode reads everything again. */
export const isRefresh = (mode: SyncMode): boolean => mode.startsWith("full_refresh")

/** One stream of one run. */
export interface StreamWriter {
  /** Takes samples, which the caller may recycle afterwards. Nobody sees them before `commit`. */
  readonly write: (blocks: ReadonlyArray<SampleBlock>) => Effect.Effect<void, DestinationError>
  /** Persists all that was written so far and its state, now or soon: both or neither. */
  readonly commit: (state: StreamState) => Effect.Effect<void, DestinationError>
  /** The stream has been read completely, and all of it is committed. In overwrite mode, it now replaces the existing rows. */
  readonly complete: Effect.Effect<void, DestinationError>
}

/** What a read resumes from: an incremental sync does not resume a refresh that was stopped, nor the other way round. */
export type SyncKind = "incremental" | "full_refresh"

export const syncKindOf = (mode: SyncMode): SyncKind =>
  mode.startsWith("incremental") ? "incremental" : "full_refresh"

/** The destination of a run. Whoever provides it refuses a second process, and data of another `source`. */
export class Destination extends Context.Service<
  Destination,
  {
    /**
     * Begins a stream. What was written and not committed when the scope closes is gone. `isResumed`: the read resumes the
     * state that `states` has for this mode. Otherwise a refresh that was stopped restarts.
     */
    readonly open: (
      stream: string,
      mode: SyncMode,
      isResumed?: boolean
    ) => Effect.Effect<StreamWriter, DestinationError, Scope.Scope>
    /** The streams that it remembers anything of. */
    readonly streams: () => ReadonlyArray<string>
    /** The states that a read in a mode resumes from. */
    readonly states: (mode: SyncMode) => StateReader["Service"]
    /**
     * What it has of a stream: the rows that readers see, or those that a full refresh in progress has committed (readers see
     * them already where it appends). Exact, also after a crash. No rows where there is nothing.
     */
    readonly contents: (
      stream: string,
      of: "current" | "refresh"
    ) => Effect.Effect<Contents, DestinationError>
    /** How many bytes of disk it takes by now. */
    readonly bytes: Effect.Effect<number, DestinationError>
    /** One command that shows a stream's data when it is pasted into a shell. */
    readonly previewCommand: (stream: string) => string
  }
>()("source-prometheus/run/Destination") {}

/** The states of the destination that a read in a mode resumes from. */
export const layerStates = (mode: SyncMode): Layer.Layer<StateReader, never, Destination> =>
  Layer.effect(
    StateReader,
    Effect.map(Destination, ({ states }) => states(mode))
  )
