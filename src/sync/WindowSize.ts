/**
 * How many grid points the next window asks for, learned from what earlier windows of the stream returned.
 *
 * The server builds an answer whole in its memory before it sends the first byte, so answers are kept near a
 * size that costs no throughput and spares the server.
 */

/** Samples that an answer is to have: 2.5 MB of JSON or so. */
export const TARGET_SAMPLES = 100_000

/** A window never has more points: the limit of Prometheus per series and query. */
export const MAX_POINTS = 11_000

/** The size of a first window, of whose series nothing is known: a day of hours, with room. */
export const FIRST_POINTS = 32

/** A window is at most that many times larger than what has been seen to work. */
const GROWTH = 8

/** What is known of one stream. */
export interface WindowSize {
  /** Points of the next window. */
  readonly points: number
  /** A window of more points than this has been refused. */
  readonly limit: number
}

export const initial: WindowSize = { points: FIRST_POINTS, limit: MAX_POINTS }

/** After a window of `points` points was answered with `samples` samples. */
export const afterAnswer = (size: WindowSize, points: number, samples: number): WindowSize => {
  const fitting = Math.floor((TARGET_SAMPLES / Math.max(1, samples)) * points)
  return { ...size, points: Math.max(1, Math.min(fitting, points * GROWTH, size.limit)) }
}

/** After a window of `points` points was refused for its size: later windows stay below that. */
export const afterRefusal = (size: WindowSize, points: number): WindowSize => {
  const limit = Math.max(1, Math.min(size.limit, Math.ceil(points / 2)))
  return { limit, points: Math.min(size.points, limit) }
}
