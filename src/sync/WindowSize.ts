/**
 * How many grid points the next window asks for, learned from what earlier windows of the stream returned.
 *
 * The server builds an answer whole in its memory before it sends the first byte, so answers are kept near a
 * size that costs no throughput and spares the server.
 */

/** Samples that an answer is to have: 6 MB of JSON or so. */
export const TARGET_SAMPLES = 250_000

/** A window never has more points: the limit of Prometheus per series and query. */
export const MAX_POINTS = 11_000

/** The size of a first window, of whose series nothing is known: a day of hours, with room. */
export const FIRST_POINTS = 32

/**
 * A window is at most that many times larger than the one before, unless the server has been seen to give answers of that
 * many samples; the first large answers come sooner so, too.
 */
const GROWTH = 8

/** A limit is tried anew after that many windows of its size were answered: the first time, and at most. */
const FIRST_PATIENCE = 8
const LONGEST_PATIENCE = 512

/** What is known of one stream. */
export interface WindowSize {
  /** Points of the next window. */
  readonly points: number
  /** No window asks for more points than this, since one that did was refused. */
  readonly limit: number
  /** How many windows as large as the limit have been answered since it was set. */
  readonly streak: number
  /** How long that streak must be for a higher limit to be tried; longer each time that fails. */
  readonly patience: number
  /** Whether the limit is one that is being tried. */
  readonly isTrial: boolean
  /** Whether the next window is only as large as caution lets it be: it will teach more than this one did. */
  readonly isGrowing: boolean
}

export const initial: WindowSize = {
  points: FIRST_POINTS,
  limit: MAX_POINTS,
  streak: 0,
  patience: FIRST_PATIENCE,
  isTrial: false,
  isGrowing: true
}

/**
 * After a window of `points` points was answered with `samples` samples. No answer to any stream had more samples than
 * `proven`.
 *
 * What was refused may have been one heavy moment, so a limit does not last for ever; but a server that means it is
 * not asked in vain again and again.
 */
export const afterAnswer = (
  size: WindowSize,
  points: number,
  samples: number,
  proven: number
): WindowSize => {
  const streak = points < size.limit ? size.streak : size.streak + 1
  const isRaised = streak >= size.patience && size.limit < MAX_POINTS
  const limit = isRaised ? Math.min(MAX_POINTS, size.limit * 2) : size.limit
  const pointsOf = (samplesInAll: number): number =>
    Math.floor((samplesInAll / Math.max(1, samples)) * points)
  const fitting = pointsOf(TARGET_SAMPLES)
  const cautious = Math.max(points * GROWTH, pointsOf(proven))
  return {
    points: Math.max(1, Math.min(fitting, cautious, limit)),
    limit,
    streak: isRaised ? 0 : streak,
    patience: size.patience,
    isTrial: size.isTrial || isRaised,
    isGrowing: cautious < Math.min(fitting, limit)
  }
}

/** After a window of `points` points was refused for its size: later windows stay below that for a while. */
export const afterRefusal = (size: WindowSize, points: number): WindowSize => {
  const limit = Math.max(1, Math.min(size.limit, Math.ceil(points / 2)))
  return {
    points: Math.min(size.points, limit),
    limit,
    streak: 0,
    patience: size.isTrial ? Math.min(LONGEST_PATIENCE, size.patience * 2) : size.patience,
    isTrial: false,
    isGrowing: false
  }
}
