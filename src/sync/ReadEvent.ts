/** The events of a read, and its options. */
import type { Duration, Effect } from "effect"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { SampleBlock } from "../samples/Sample.ts"
import type { RowBlock } from "../samples/TableRow.ts"
import type { PlanOptions, StreamRequest } from "./plan.ts"
import type { Checkpoint } from "./StateStore.ts"
import type { GridRange } from "./TimeGrid.ts"

/** The events of a read. The events of a stream must be handled in order. */
export type ReadEvent =
  /**
   * A stream starts. It will request `points` points of `range`: all of them, unless the start was moved. The points of stored
   * samples are milliseconds, here and below. `isResumed`: it continues from the saved state.
   */
  | {
      readonly _tag: "Started"
      readonly stream: string
      readonly isResumed: boolean
      readonly range: GridRange
      readonly points: number
    }
  /** The server has sent the stream's first response, or there is nothing to request. */
  | { readonly _tag: "Running"; readonly stream: string }
  /** Samples, each exactly once. */
  | { readonly _tag: "Samples"; readonly stream: string; readonly blocks: ReadonlyArray<SampleBlock> }
  /** Rows of a table, each exactly once. */
  | { readonly _tag: "Rows"; readonly stream: string; readonly blocks: ReadonlyArray<RowBlock> }
  /**
   * All samples or rows up to the grid point `lastMillis` have been emitted, of `points` points so far in this read. Once they are
   * written, save the checkpoint with `StateStore.save`.
   */
  | (Checkpoint & {
      readonly _tag: "Checkpoint"
      readonly lastMillis: number
      readonly points: number
      /** The points that the state leaves out, because the server could not return all of their series. */
      readonly holes: ReadonlyArray<Pick<GridRange, "firstMillis" | "lastMillis">>
    })
  /** All points have been read. `notice` says why there are no samples, if that is more than that there is nothing new. */
  | {
      readonly _tag: "Completed"
      readonly stream: string
      readonly mode: StreamRequest["mode"]
      readonly notice?: string
    }
  /** The stream ends early. Its checkpoints stay valid. */
  | { readonly _tag: "Failed"; readonly stream: string; readonly error: PrometheusError }

/** Options of a read. */
export interface ReadOptions extends PlanOptions {
  /** How many streams are read concurrently. The default keeps the server busy. */
  readonly concurrentStreams?: number
  /**
   * Whether there are checkpoints after points that the server cannot return. Their states list what has been read, so that the
   * next read requests only the missing points: with the other series of these points, which the caller must replace. For
   * detailed states only.
   */
  readonly checkpointsPastHoles?: boolean
  /** Called before a stream waits to retry a request because of `error`. */
  readonly onRetry?: (stream: string, error: PrometheusError, delay: Duration.Duration) => Effect.Effect<void>
  /** Called before each event of a stream. An abandoned stream is not read any further and emits no end. */
  readonly isAbandoned?: (stream: string) => boolean
}
