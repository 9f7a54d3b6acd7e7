/** The events of a read, and its options. */
import type { Duration, Effect } from "effect"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { SampleBlock } from "../samples/Sample.ts"
import type { PlanOptions, StreamRequest } from "./plan.ts"
import type { Checkpoint } from "./StateStore.ts"
import type { GridRange } from "./TimeGrid.ts"

/** What happens during a read. The events of a stream are to be handled in their order. */
export type ReadEvent =
  /**
   * A stream starts. It will request `points` points of `range`: all of them, unless a start was moved. `isResumed`: it continues
   * from the state that was saved.
   */
  | {
      readonly _tag: "Started"
      readonly stream: string
      readonly isResumed: boolean
      readonly range: GridRange
      readonly points: number
    }
  /** The server has sent the stream's first response, or there was nothing to request. */
  | { readonly _tag: "Running"; readonly stream: string }
  /** Samples, each exactly once. */
  | { readonly _tag: "Samples"; readonly stream: string; readonly blocks: ReadonlyArray<SampleBlock> }
  /**
   * All samples up to the grid point `lastMillis` have been emitted, of `points` points in this read. Once they are written,
   * the checkpoint is what to save: `StateStore.save` takes it.
   */
  | (Checkpoint & {
      readonly _tag: "Checkpoint"
      readonly lastMillis: number
      readonly points: number
    })
  | { readonly _tag: "Completed"; readonly stream: string; readonly mode: StreamRequest["mode"] }
  /** The stream ends early; its checkpoints stay valid. */
  | { readonly _tag: "Failed"; readonly stream: string; readonly error: PrometheusError }

/** How streams are read. */
export interface ReadOptions extends PlanOptions {
  /** How many streams are read side by side. The default keeps the server busy. */
  readonly concurrentStreams?: number
  /** Called before a stream waits to retry a request, because of `error`. */
  readonly onRetry?: (stream: string, error: PrometheusError, delay: Duration.Duration) => Effect.Effect<void>
  /** Called before each event of a stream. A stream that is abandoned is not read further, and has no end. */
  readonly isAbandoned?: (stream: string) => boolean
}
