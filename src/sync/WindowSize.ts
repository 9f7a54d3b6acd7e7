/**
 * The number of grid points that the next window requests, adapted to the responses to earlier windows of the stream.
 *
 * The server builds the complete response in memory before it sends the first byte. Responses are therefore kept near a size
 * that does not reduce throughput and spares the server.
 */
import type { Settings } from "../config/ConnectorConfig.ts"

/** The target number of samples in a response: about 6 MB of JSON. */
export const TARGET_SAMPLES = 250_000

/** A load budget makes responses smaller: the server returns one of them in about this time. */
const RESPONSE_SECONDS = 1

/** If few requests are allowed, each may have more samples: those of this time at most. */
const MAX_RESPONSE_SECONDS = 10

/** The target number of samples in a response within a load budget. */
export const targetWithin = ({
  maxRequestsPerSecond = Number.POSITIVE_INFINITY,
  maxSamplesPerSecond = Number.POSITIVE_INFINITY
}: Pick<Settings, "maxRequestsPerSecond" | "maxSamplesPerSecond">): number => {
  const seconds = Math.min(MAX_RESPONSE_SECONDS, Math.max(RESPONSE_SECONDS, 1 / maxRequestsPerSecond))
  return Math.max(1, Math.min(TARGET_SAMPLES, Math.floor(maxSamplesPerSecond * seconds)))
}

/** The maximum number of points in a window: Prometheus' limit per series and query. */
export const MAX_POINTS = 11_000

/** The size of the first window, while the number of series is unknown: a day of hours, with a margin. */
export const FIRST_POINTS = 32

/**
 * The maximum growth from one window to the next, unless the server has already returned that many samples at once. Small first
 * windows also emit the first records sooner.
 */
const GROWTH = 8

/** After how many windows at the limit a higher limit is tried: at first, and at most. */
const FIRST_TRIAL_AFTER = 8
const LATEST_TRIAL_AFTER = 512

/** The state of one stream. */
export interface WindowSize {
  /** The number of points in the next window. */
  readonly points: number
  /** The limit on points in a window, because the server refused a larger one. */
  readonly limit: number
  /** How many windows at the limit have succeeded since it was set. */
  readonly streak: number
  /** The streak that is needed before a higher limit is tried. It grows each time that fails. */
  readonly trialAfter: number
  /** Whether a higher limit is being tried. */
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

/** If requests have more metrics, the first window is smaller. */
const FIRST_METRICS = 100

/**
 * The size of the first window of a stream with so many metrics in a request, on a server that accepts no more than `mostPoints`.
 * A smaller target makes it smaller too, because the number of series is unknown.
 */
export const initialWithin = (
  mostPoints: number,
  metrics = 1,
  targetSamples = TARGET_SAMPLES
): WindowSize => {
  const points = FIRST_POINTS * Math.min(1, FIRST_METRICS / metrics, targetSamples / TARGET_SAMPLES)
  return { ...initial, points: Math.max(1, Math.min(mostPoints, Math.floor(points))), limit: mostPoints }
}

/** What the responses to all streams show about the sizes that the server accepts: streams that start later begin with it. */
export class ServerLimits {
  /** The most samples in a response to any stream. */
  largestResponse = 0
  /** The most points of a window, if the server limits the range and not the samples. */
  mostPoints = MAX_POINTS
  /** The target number of samples in a response. */
  targetSamples: number

  constructor(targetSamples = TARGET_SAMPLES) {
    this.targetSamples = targetSamples
  }

  /** A response had so many samples. */
  onResponse(samples: number): void {
    this.largestResponse = Math.max(this.largestResponse, samples)
  }

  /** The server refused a window of that size for a stream, but returns smaller ones. */
  onRefusal(points: number, samples: number): void {
    if (samples <= this.largestResponse) this.mostPoints = Math.min(this.mostPoints, Math.ceil(points / 2))
    else this.targetSamples = Math.min(this.targetSamples, Math.max(1, Math.ceil(samples / 2)))
  }
}

/**
 * Updates the size after a window of `points` points returned `samples` samples.
 *
 * A refusal may have been due to a moment of high load, so a limit does not last for ever. But trials of a higher limit become
 * rare if the server keeps refusing it.
 */
export const afterResponse = (
  size: WindowSize,
  points: number,
  samples: number,
  {
    largestResponse,
    targetSamples = TARGET_SAMPLES
  }: { readonly largestResponse: number; readonly targetSamples?: number }
): WindowSize => {
  const streak = points < size.limit ? size.streak : size.streak + 1
  const isRaised = streak >= size.trialAfter && size.limit < MAX_POINTS
  const limit = isRaised ? Math.min(MAX_POINTS, size.limit * 2) : size.limit
  const pointsOf = (samplesInAll: number): number =>
    Math.floor((samplesInAll / Math.max(1, samples)) * points)
  const fitting = pointsOf(targetSamples)
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

/** Updates the size after a window of `points` points was refused for its size: later windows stay below that for a while. */
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

/** A larger size after a window that had no answer at all: the server may return none of these points. */
export const larger = (size: WindowSize): WindowSize => ({
  ...size,
  points: Math.min(size.limit, size.points * GROWTH)
})
