/** The state of a run, from which its progress is shown. */

/** A stream that is being read. Times are milliseconds on a monotonic clock. */
export interface ActiveStream {
  readonly name: string
  /** The grid points to read. */
  readonly points: number
  /** The grid points that are read and committed. */
  committed: number
  samples: number
  /** The reason of the current retry, and when it starts. */
  waiting: { readonly reason: string; readonly until: number } | undefined
}

/** It is updated in place, because samples arrive hundreds of times a second. */
export interface RunState {
  startedAt: number
  /** The number of all streams. */
  streams: number
  ended: number
  failed: number
  /** Samples of all streams. */
  samples: number
  /** Whether a request waits for the load budget now. */
  isLimited: boolean
  readonly active: Map<string, ActiveStream>
}

/** The completed share of a stream, from 0 to 1. */
export const doneOf = ({ committed, points }: ActiveStream): number => (points === 0 ? 1 : committed / points)

/** The completed share of the run, with equal weight for each stream. */
export const doneOfAll = ({ active, ended, streams }: RunState): number => {
  if (streams === 0) return 0
  let done = ended
  for (const stream of active.values()) done += doneOf(stream)
  return Math.min(1, done / streams)
}

/**
 * Seconds until the run is done, at its average speed. Undefined while it is too early to estimate, and once all streams have
 * ended, because the time to close the destination is not known.
 */
export const remainingSeconds = (state: RunState, now: number): number | undefined => {
  const done = doneOfAll(state)
  const elapsed = (now - state.startedAt) / 1000
  return done < 0.01 || elapsed < 1 || state.ended === state.streams
    ? undefined
    : (elapsed * (1 - done)) / done
}

export const samplesPerSecond = ({ samples, startedAt }: RunState, now: number): number =>
  now <= startedAt ? 0 : (samples * 1000) / (now - startedAt)
