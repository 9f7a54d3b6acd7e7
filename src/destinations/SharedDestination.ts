/**
 * A destination that several processes write at the same time, each one part after another. The rows of a part and its range in
 * the stream's state are committed together. A part that is written twice, at the same time or later, changes nothing.
 */
import { Context, type Effect, type Scope } from "effect"
import type { SampleBlock } from "../samples/Sample.ts"
import type { PartResult } from "../sync/partState.ts"
import type { StateReader } from "../sync/StateStore.ts"
import type { DestinationError, SavedStream } from "./Destination.ts"

/** Writes one part of a stream. */
export interface PartWriter {
  /** Appends samples, which the caller may recycle afterwards. Readers do not see them before `commit`. */
  readonly write: (blocks: ReadonlyArray<SampleBlock>) => Effect.Effect<void, DestinationError>
  /**
   * Commits the samples together with the state that `withPart` makes of the stream's latest one. In ranges that this state
   * lists as read, a sample replaces the row with its series and time. Returns false if there was nothing left to do.
   */
  readonly commit: (part: PartResult) => Effect.Effect<boolean, DestinationError>
}

/** The destination of parts. Its layers refuse an exclusive run at the same time, and data of another `source`. */
export class SharedDestination extends Context.Service<
  SharedDestination,
  {
    /** Opens a stream for one part. Closing the scope discards samples that are not committed. */
    readonly openPart: (stream: string) => Effect.Effect<PartWriter, DestinationError, Scope.Scope>
    /** The latest states, which other processes advance too. Fails for a stream of another kind than the run writes. */
    readonly states: StateReader["Service"]
    /** The streams that have a manifest now. */
    readonly streams: Effect.Effect<ReadonlyMap<string, SavedStream>, DestinationError>
    /**
     * The lengths of the parts of all streams that have one, in milliseconds. Saves the given length of a stream that has none
     * yet, so that all processes cut it at the same times. Without lengths to propose it changes nothing.
     */
    readonly partLengths: (
      proposed: ReadonlyMap<string, number>
    ) => Effect.Effect<ReadonlyMap<string, number>, DestinationError>
    /** Its size in bytes. */
    readonly bytes: Effect.Effect<number, DestinationError>
    /** A shell command that shows some rows of a stream. */
    readonly previewCommand: (stream: string) => string
  }
>()("source-prometheus/destinations/SharedDestination") {}
