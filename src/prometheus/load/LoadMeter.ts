/** Counts what a server had to do. */
import { Context } from "effect"

/** The requests of a read, the bytes of their responses as they were received, and the samples in them. */
export interface LoadFigures {
  readonly requests: number
  readonly bytes: number
  readonly samples: number
}

/** It is updated in place, because bytes arrive thousands of times a second. */
export class LoadMeter implements LoadFigures {
  requests = 0
  bytes = 0
  samples = 0
  /** How many requests wait for the load budget. */
  waiting = 0
}

/** The meter of the requests that an effect sends. */
export const CurrentLoadMeter = Context.Reference<LoadMeter>(
  "source-prometheus/prometheus/load/CurrentLoadMeter",
  { defaultValue: () => new LoadMeter() }
)
