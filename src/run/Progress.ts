/** What a run tells while it goes on and when it ends: one source for people in front of a terminal, logs and programs. */
import { Context, type Duration, type Effect } from "effect"
import type { SyncMode } from "../destinations/Destination.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"

/**
 * Values of one series, thinned out to what a picture can show, in the order of time. A value that is `NaN` is a gap: the
 * server had nothing there, or that.
 */
export interface Curve {
  /** Its labels as Prometheus writes them, without the name: `{instance="a", job="b"}`. */
  readonly label: string
  /** Milliseconds since the epoch. */
  readonly times: Float64Array
  /** As many as `times`. */
  readonly values: Float64Array
}

/** What became of a stream in this run. */
export interface StreamSummary {
  readonly name: string
  /** Why it ended before its time, if it did. */
  readonly error: string | undefined
  readonly series: number
  /** Rows that this run committed. */
  readonly rows: number
  /** The times of the first and the last of them, in milliseconds since the epoch. */
  readonly span: readonly [first: number, last: number] | undefined
  readonly seconds: number
  readonly retries: number
  /** Some of its series. */
  readonly curves: ReadonlyArray<Curve>
}

/** What became of a run. */
export interface RunSummary {
  /** Where the data came from: an address without secrets. */
  readonly source: string
  /** As the user calls it. */
  readonly destination: string
  readonly mode: SyncMode
  readonly stepSeconds: number
  /** When it began, in milliseconds since the epoch. */
  readonly startedAt: number
  readonly seconds: number
  readonly rows: number
  /** The size of the destination at the end. */
  readonly bytes: number
  /** One command that shows what is in the destination. */
  readonly lookInto: string
  readonly streams: ReadonlyArray<StreamSummary>
}

/** Who is told. All of it is called often and must be quick. */
export class Progress extends Context.Service<
  Progress,
  {
    /** The run begins, with so many streams. */
    readonly begin: (run: {
      readonly source: string
      readonly destination: string
      readonly stepSeconds: number
      readonly streams: ReadonlyArray<string>
    }) => Effect.Effect<void>
    /** A stream begins; `points` is how many points of the grid it will ask for. */
    readonly started: (stream: string, points: number) => Effect.Effect<void>
    /** So many samples more have been written, of a window that is not yet whole. */
    readonly wrote: (stream: string, samples: number) => Effect.Effect<void>
    /** So many points of the grid have been read and committed by now. */
    readonly committed: (stream: string, points: number) => Effect.Effect<void>
    /** The server has to be asked again, after a delay. */
    readonly retrying: (
      stream: string,
      error: PrometheusError,
      delay: Duration.Duration
    ) => Effect.Effect<void>
    readonly ended: (stream: StreamSummary) => Effect.Effect<void>
    readonly finish: (run: RunSummary) => Effect.Effect<void>
  }
>()("source-prometheus/run/Progress") {}
