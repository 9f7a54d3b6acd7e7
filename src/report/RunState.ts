/** What is known of a run while it goes on: what is shown is made of that. */
import type { StreamSummary } from "../run/Progress.ts"

/** A stream that is being read. Times are milliseconds on a steady clock. */
export interface ActiveStream {
  readonly name: string
  /** The points of the grid that it asks for. */
  readonly points: number
  /** Those of them that are read and committed. */
  readonly committed: number
  readonly samples: number
  /** Why it waits to ask again, and until when. */
  readonly waiting: { readonly reason: string; readonly until: number } | undefined
}

export interface RunState {
  readonly startedAt: number
  /** How many streams there are. */
  readonly streams: number
  readonly ended: number
  readonly failed: number
  /** Of all streams. */
  readonly samples: number
  readonly active: ReadonlyMap<string, ActiveStream>
}

/** A `RunState` that is kept up to date: told of samples hundreds of times a second, it copies nothing then. */
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
    // It has been answered.
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

  /** As it is now; it may be another one later. */
  get state(): RunState {
    const { active, ended, failed, samples, startedAt, streams } = this
    return { startedAt, streams, ended, failed, samples, active }
  }
}

/** How much of a stream is done, from 0 to 1. */
export const doneOf = ({ committed, points }: ActiveStream): number => (points === 0 ? 1 : committed / points)

/** How much of the whole is done, every stream being as much as any other. */
export const doneOfAll = ({ active, ended, streams }: RunState): number => {
  if (streams === 0) return 0
  let done = ended
  for (const stream of active.values()) done += doneOf(stream)
  return Math.min(1, done / streams)
}

/**
 * Seconds until all is done, going on as so far; undefined where it is too early to tell, and where all streams have ended:
 * how long the destination takes to close is not known.
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
