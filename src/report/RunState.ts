/** The state of a run, from which its progress is shown. */
import type { StreamSummary } from "../run/Progress.ts"

/** A stream that is being read. Times are milliseconds on a monotonic clock. */
export interface ActiveStream {
  readonly name: string
  /** The grid points to read. */
  readonly points: number
  /** The grid points that are read and committed. */
  readonly committed: number
  readonly samples: number
  /** The reason of the current retry, and when it starts. */
  readonly waiting: { readonly reason: string; readonly until: number } | undefined
}

export interface RunState {
  readonly startedAt: number
  /** The number of all streams. */
  readonly streams: number
  readonly ended: number
  readonly failed: number
  /** Samples of all streams. */
  readonly samples: number
  readonly active: ReadonlyMap<string, ActiveStream>
}

/** Updates a `RunState` in place, because samples arrive hundreds of times a second. */
export class RunWatch {
  private readonly active = new Map<string, { -readonly [Key in keyof ActiveStream]: ActiveStream[Key] }>()
  private startedAt = 0
  private streams = 0
  private ended = 0
  private failed = 0
  private samples = 0

  begin(streams: number, now: number): void {
    this.streams = streams
    this.startedAt = now
  }

  started(name: string, points: number): void {
    this.active.set(name, { name, points, committed: 0, samples: 0, waiting: undefined })
  }

  wrote(name: string, samples: number): void {
    this.samples += samples
    const stream = this.active.get(name)
    if (stream === undefined) return
    stream.samples += samples
    // The server has responded.
    stream.waiting = undefined
  }

  committed(name: string, points: number): void {
    const stream = this.active.get(name)
    if (stream === undefined) return
    stream.committed = Math.min(stream.points, points)
    stream.waiting = undefined
  }

  retrying(name: string, reason: string, until: number): void {
    const stream = this.active.get(name)
    if (stream !== undefined) stream.waiting = { reason, until }
  }

  streamEnded({ error, name }: StreamSummary): void {
    this.active.delete(name)
    this.ended++
    if (error !== undefined) this.failed++
  }

  /** The current state. It is mutable. */
  get state(): RunState {
    const { active, ended, failed, samples, startedAt, streams } = this
    return { startedAt, streams, ended, failed, samples, active }
  }
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
