/** The destination of a run's samples. Rows and states are committed together: both or neither. */
import { Context, Effect, Layer, Schema, type Scope } from "effect"
import type { StreamKind } from "../samples/Layout.ts"
import type { SampleBlock } from "../samples/Sample.ts"
import type { RowBlock, TableSchema } from "../samples/TableRow.ts"
import { StateReader } from "../sync/StateStore.ts"
import type { StreamState } from "../sync/StreamState.ts"

/**
 * A read from a destination or a write to it failed. `message` says what happened, why, and what to do. The error fails its own
 * stream only, unless it `isFatal`: on a full disk or in a lost destination, no stream can be written any more.
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

export const emptyContents: Contents = { rows: 0, firstMillis: null, lastMillis: null }

/** How a stream is read, and what happens to the existing rows. The names are those of Airbyte. */
export const syncModes = [
  "full_refresh_overwrite",
  "full_refresh_append",
  "incremental_append",
  "incremental_append_deduped"
] as const

export type SyncMode = (typeof syncModes)[number]

/** Whether a mode reads all samples again. */
export const isRefresh = (mode: SyncMode): boolean => mode.startsWith("full_refresh")

/** Writes one stream of one run: the samples of series, or the rows of a table. */
export interface StreamWriter<Block = SampleBlock> {
  /** Appends blocks, which the caller may recycle afterwards. Readers do not see them before `commit`. */
  readonly write: (blocks: ReadonlyArray<Block>) => Effect.Effect<void, DestinationError>
  /** Commits all samples written so far, and their state. Both are persisted together, now or soon. */
  readonly commit: (state: StreamState) => Effect.Effect<void, DestinationError>
  /** Ends a stream that was read and committed completely. In overwrite mode, it now replaces the existing rows. */
  readonly complete: Effect.Effect<void, DestinationError>
}

/** What a destination has saved of a stream. */
export interface SavedStream {
  readonly kind: StreamKind
  /** The state of incremental syncs, or otherwise of a stopped refresh. */
  readonly state: StreamState | undefined
}

/** The kind of states that a mode resumes. An incremental sync does not resume a stopped refresh, and vice versa. */
export type SyncKind = "incremental" | "full_refresh"

export const syncKindOf = (mode: SyncMode): SyncKind =>
  mode.startsWith("incremental") ? "incremental" : "full_refresh"

/** The destination of a run. Its layers refuse a second process, and data of another `source`. */
export class Destination extends Context.Service<
  Destination,
  {
    /**
     * Opens a stream. Closing the scope discards samples that are not committed. `isResumed`: the read resumes the state that
     * `states` has for this mode. Otherwise a stopped refresh restarts; it is lost once the new one persists something.
     */
    readonly open: (
      stream: string,
      mode: SyncMode,
      isResumed?: boolean
    ) => Effect.Effect<StreamWriter, DestinationError, Scope.Scope>
    /**
     * The same for a table, whose rows have the columns of its schema. In deduped and overwrite modes, `record_id` and `time` are
     * unique.
     */
    readonly openTable: (
      schema: TableSchema,
      mode: SyncMode,
      isResumed?: boolean
    ) => Effect.Effect<StreamWriter<RowBlock>, DestinationError, Scope.Scope>
    /** The streams that have a manifest. */
    readonly streams: () => ReadonlyMap<string, SavedStream>
    /** The lengths of the parts of its streams in milliseconds, if several processes write them. */
    readonly partLengths: () => ReadonlyMap<string, number>
    /** The states that a read in a mode resumes. Fails for a stream of another kind than the run writes. */
    readonly states: (mode: SyncMode) => StateReader["Service"]
    /**
     * The rows of a stream: those that readers see, or those that a full refresh in progress has committed. Readers already see
     * the latter in append mode. Exact, also after a crash. An unknown stream has no rows.
     */
    readonly contents: (
      stream: string,
      of: "current" | "refresh"
    ) => Effect.Effect<Contents, DestinationError>
    /** Its size on the disk in bytes. */
    readonly bytes: Effect.Effect<number, DestinationError>
    /** A shell command that shows some rows of a stream. */
    readonly previewCommand: (stream: string) => string
  }
>()("source-prometheus/destinations/Destination") {}

/** The states of the destination that a read in a mode resumes. */
export const layerStates = (mode: SyncMode): Layer.Layer<StateReader, never, Destination> =>
  Layer.effect(
    StateReader,
    Effect.map(Destination, ({ states }) => states(mode))
  )
