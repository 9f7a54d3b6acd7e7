/**
 * How many grid points the next window requests, learned from what earlier windows of the stream returned.
 *
 * The server builds the complete response in its memory before it sends the first byte, so responses are kept near a size that
 * costs no throughput and spares the server.
 */

/** The samples that a response should have: about 6 MB of JSON. */
export const TARGET_SAMPLES = 250_000

/** A window never has more points: the limit of Prometheus per series and query. */
export const MAX_POINTS = 11_000

/** The size of a first window, whose series are not known yet: a day of hours, with room. */
export const FIRST_POINTS = 32

/**
 * A window is at most that many times larger than the one before, unless the server has already returned that many samples at once.
 * Small first windows also bring the first records sooner.
 */
const GROWTH = 8

/** After how many windows at a limit the limit is raised on trial: at first, and at most. */
const FIRST_TRIAL_AFTER = 8
const LATEST_TRIAL_AFTER = 512

/** What is known of one stream. */
export interface WindowSize {
  /** Points of the next window. */
  readonly points: number
  /** No window requests more points than this, since one that did was refused. */
  readonly limit: number
  /** How many windows as large as the limit have succeeded since it was set. */
  readonly streak: number
  /** How long that streak must be before a higher limit is tried; longer each time that fails. */
  readonly trialAfter: number
  /** Whether the limit is on trial. */
  readonly isTrial: boolean
  /** Whether the next window is smaller than it could be: later windows will be larger once it has succeeded. */
  readonly isGrowing: boolean
}

export const initial: WindowSize = {
  points: FIRST_POINTS,
  limit: MAX_POINTS,
  streak: 0,
  trialAfter: FIRST_TRIAL_AFTER,
  isTrial: false,
  isGrowing: true
}

/**
 * After a window of `points` points returned `samples` samples. `largestResponse` is the most samples that any stream got at once.
 *
 * A refusal may have been due to one heavy moment, so a limit does not last for ever; but a server that means it is not asked in
 * vain again and again.
 */
export const afterResponse = (
  size: WindowSize,
  points: number,
  samples: number,
  largestResponse: number
): WindowSize => {
  const streak = points < size.limit ? size.streak : size.streak + 1
  const isRaised = streak >= size.trialAfter && size.limit < MAX_POINTS
  const limit = isRaised ? Math.min(MAX_POINTS, size.limit * 2) : size.limit
  const pointsOf = (samplesInAll: number): number =>
    Math.floor((samplesInAll / Math.max(1, samples)) * points)
  const fitting = pointsOf(TARGET_SAMPLES)
  const cautious = Math.max(points * GROWTH, pointsOf(largestResponse))
  return {
    points: Math.max(1, Math.min(fitting, cautious, limit)),
    limit,
    streak: isRaised ? 0 : streak,
    trialAfter: size.trialAfter,
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
    trialAfter: size.isTrial ? Math.min(LATEST_TRIAL_AFTER, size.trialAfter * 2) : size.trialAfter,
    isTrial: false,
    isGrowing: false
  }
}
