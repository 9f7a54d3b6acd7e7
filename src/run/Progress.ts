/** The progress and the result of a run, for terminals, logs and programs. */
import { Context, type Duration, type Effect } from "effect"
import type { SyncMode } from "../destinations/Destination.ts"
import type { RunCost } from "./RunCost.ts"

/**
 * The values of one series in the order of time, thinned out for a chart. `NaN` is a gap: the server had no value at that time,
 * or had `NaN`.
 */
export interface Curve {
  /** The labels in Prometheus' format, without the name: `{instance="a", job="b"}`. */
  readonly label: string
  /** Milliseconds since the epoch. */
  readonly times: Float64Array
  /** One value per time. */
  readonly values: Float64Array
}

/** Whether a curve has different values. Gaps do not count. */
export const isChanging = ({ values }: Curve): boolean => {
  const finite = values.filter(Number.isFinite)
  return finite.some((value) => value !== finite[0])
}

/** The result of one stream in a run. */
export interface StreamSummary {
  readonly name: string
  /** Why it failed; undefined if it succeeded. */
  readonly error: string | undefined
  /** Why it has no rows, if that is more than that there is nothing new. */
  readonly notice?: string | undefined
  readonly series: number
  /** Rows that this run committed. */
  readonly rows: number
  /** The times of the first and the last of these rows, in milliseconds since the epoch. */
  readonly span: readonly [first: number, last: number] | undefined
  readonly seconds: number
  readonly retries: number
  /** The curves of some of its series. */
  readonly curves: ReadonlyArray<Curve>
}

/** The result of a run. */
export interface RunSummary {
  /** The address of the source, without secrets. */
  readonly source: string
  /** The destination as the user named it. */
  readonly destination: string
  readonly mode: SyncMode
  /** Undefined if all stored samples were read. */
  readonly stepSeconds: number | undefined
  /** When it started, in milliseconds since the epoch. */
  readonly startedAt: number
  readonly seconds: number
  readonly rows: number
  /** The size of the destination at the end. */
  readonly bytes: number
  /** What it cost the server. */
  readonly cost: RunCost
  /** A shell command that shows rows of the destination. */
  readonly previewCommand: string
  readonly streams: ReadonlyArray<StreamSummary>
}

/** Receives the progress of a run, with secrets masked. All methods are called often and must be fast. */
export class Progress extends Context.Service<
  Progress,
  {
    /** The run starts, with these streams. */
    readonly begin: (streams: ReadonlyArray<string>) => Effect.Effect<void>
    /** A stream starts. `points` is the number of grid points that it will request. */
    readonly started: (stream: string, points: number) => Effect.Effect<void>
    /** `samples` more samples of an incomplete window have been written. */
    readonly wrote: (stream: string, samples: number) => Effect.Effect<void>
    /** `points` grid points have been read and committed so far. */
    readonly committed: (stream: string, points: number) => Effect.Effect<void>
    /** A request is retried after a delay, because of an error. */
    readonly retrying: (stream: string, error: string, delay: Duration.Duration) => Effect.Effect<void>
    readonly ended: (stream: StreamSummary) => Effect.Effect<void>
  }
>()("source-prometheus/run/Progress") {}
