/** The destination of a run. It saves samples and states atomically. */
import { Context, Effect, Layer, Schema, type Scope } from "effect"
import type { SampleBlock } from "../samples/Sample.ts"
import { StateReader } from "../sync/StateReader.ts"
import type { StreamState } from "../sync/StreamState.ts"

/**
 * A destination cannot be read or written. `message` says what failed, why, and what to do. The error fails only its stream,
 * unless it `isFatal`: if the disk is full or the destination lost, no stream can be written any more.
 */
export class DestinationError extends Schema.TaggedError<DestinationError>()("DestinationError", {
  message: Schema.String,
  isFatal: Schema.optionalKey(Schema.Boolean)
}) {}

/** The rows of a stream in a destination. Times are milliseconds since the epoch, null without rows. */
export interface Contents {
  readonly rows: number
  readonly firstMillis: number | null
  readonly lastMillis: number | null
}

export const noRows: Contents = { rows: 0, firstMillis: null, lastMillis: null }

/** How a stream is read and how existing rows are treated, by Airbyte's names. */
export const syncModes = [
  "full_refresh_overwrite",
  "full_refresh_append",
  "incremental_append",
  "incremental_append_deduped"
] as const

export type SyncMode = (typeof syncModes)[number]

/** Whether a mode reads everything again. */
export const isRefresh = (mode: SyncMode): boolean => mode.startsWith("full_refresh")

/** Writes one stream of one run. */
export interface StreamWriter {
  /** Writes samples, which the caller may recycle afterwards. They become visible with `commit`. */
  readonly write: (blocks: ReadonlyArray<SampleBlock>) => Effect.Effect<void, DestinationError>
  /** Persists everything written so far and its state, now or soon, atomically. */
  readonly commit: (state: StreamState) => Effect.Effect<void, DestinationError>
  /** The stream has been read completely, and everything is committed. In overwrite mode, it now replaces the existing rows. */
  readonly complete: Effect.Effect<void, DestinationError>
}

/** What a read resumes from: an incremental sync does not resume a stopped refresh, nor the other way round. */
export type SyncKind = "incremental" | "full_refresh"

export const syncKindOf = (mode: SyncMode): SyncKind =>
  mode.startsWith("incremental") ? "incremental" : "full_refresh"

/** The destination of a run. Its layers refuse a second process, and data of another `source`. */
export class Destination extends Context.Service<
  Destination,
  {
    /**
     * Opens a stream. Closing the scope discards what was written but not committed. `isResumed`: the read resumes the state
     * that `states` has for this mode. Otherwise a stopped refresh restarts.
     */
    readonly open: (
      stream: string,
      mode: SyncMode,
      isResumed?: boolean
    ) => Effect.Effect<StreamWriter, DestinationError, Scope.Scope>
    /** The streams with a manifest. */
    readonly streams: () => ReadonlyArray<string>
    /** The states that a read in a mode resumes from. */
    readonly states: (mode: SyncMode) => StateReader["Service"]
    /**
     * The rows of a stream that readers see, or the rows that a full refresh in progress has committed (in append mode, readers
     * see those already). Exact, even after a crash. Returns zero rows for an unknown stream.
     */
    readonly contents: (
      stream: string,
      of: "current" | "refresh"
    ) => Effect.Effect<Contents, DestinationError>
    /** The current size on disk in bytes. */
    readonly bytes: Effect.Effect<number, DestinationError>
    /** A shell command that shows data of a stream. */
    readonly previewCommand: (stream: string) => string
  }
>()("source-prometheus/run/Destination") {}

/** The destination's states for a read in a mode. */
export const layerStates = (mode: SyncMode): Layer.Layer<StateReader, never, Destination> =>
  Layer.effect(
    StateReader,
    Effect.map(Destination, ({ states }) => states(mode))
  )
