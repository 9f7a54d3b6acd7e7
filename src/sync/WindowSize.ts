/**
 * The number of points that the next window requests, adapted to the responses to earlier windows of the stream.
 *
 * The server builds the complete response in memory before it sends the first byte. Responses are therefore kept near a size
 * that does not reduce throughput and spares the server.
 */
import type { Settings } from "../config/ConnectorConfig.ts"
import { type GridRange, isRawRange } from "./TimeGrid.ts"

/** The sizes of windows that suit a source and what it requests. */
export interface WindowBounds {
  /** The number of points in the first window, while the number of series is unknown. */
  readonly firstPoints: number
  /** The maximum number of points in a window. */
  readonly mostPoints: number
  /** A range of no more points is not split by time. */
  readonly leastPoints: number
  /** After this many refused points in a row, not every further range is split down to `leastPoints`. */
  readonly longHolePoints: number
  /** The target number of samples in a response. */
  readonly targetSamples: number
  /** How many samples a series usually has for each point. */
  readonly samplesPerPoint: number
}

/** The points of a step. */
export const gridBounds: WindowBounds = {
  // A day of hours, with a margin.
  firstPoints: 32,
  // Prometheus' limit per series and query.
  mostPoints: 11_000,
  leastPoints: 1,
  longHolePoints: 128,
  // About 6 MB of JSON.
  targetSamples: 250_000,
  samplesPerPoint: 1
}

const second = 1000
const hour = 3_600_000

/**
 * Stored samples, whose points are milliseconds. They lie in chunks of 120 samples, and the latest ones in blocks of two hours:
 * every end of a window makes the server open a chunk of each series twice, so small windows cost more.
 */
export const rawBounds: WindowBounds = {
  firstPoints: 2 * hour,
  // Some servers refuse ranges of 32 days.
  mostPoints: 31 * 24 * hour,
  leastPoints: second,
  // Where a chunk is damaged, minutes are missing.
  longHolePoints: 16 * second,
  // Chunks of about 1 MB.
  targetSamples: 500_000,
  // The usual scrape intervals are 15 seconds and a minute.
  samplesPerPoint: 1 / (15 * second)
}

/** The sizes of the windows of a range. */
export const boundsOf = (range: Pick<GridRange, "stepMillis">): WindowBounds =>
  isRawRange(range) ? rawBounds : gridBounds

/** The limits of a load budget. */
type LoadLimits = Pick<Settings, "maxRequestsPerSecond" | "maxSamplesPerSecond">

/** A load budget makes responses smaller: each has about the samples that the budget allows in this time. */
const RESPONSE_SECONDS = 1

/** If few requests are allowed, each may have more samples: those of this time at most. */
const MAX_RESPONSE_SECONDS = 10

/** The target number of samples in a response within a load budget. */
export const targetWithin = (
  { targetSamples }: Pick<WindowBounds, "targetSamples">,
  {
    maxRequestsPerSecond = Number.POSITIVE_INFINITY,
    maxSamplesPerSecond = Number.POSITIVE_INFINITY
  }: LoadLimits
): number => {
  const seconds = Math.min(MAX_RESPONSE_SECONDS, Math.max(RESPONSE_SECONDS, 1 / maxRequestsPerSecond))
  return Math.max(1, Math.min(targetSamples, Math.floor(maxSamplesPerSecond * seconds)))
}

/** With fewer points, it is not worth searching for where the samples begin. */
export const searchedPoints = ({ mostPoints }: WindowBounds): number => 2 * mostPoints

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
  readonly bounds: WindowBounds
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

/** If requests have more metrics, the first window is smaller. */
const FIRST_METRICS = 100

/** What is known before the first window of a stream. */
export interface BeforeFirst {
  /** The most points that the server accepts. */
  readonly mostPoints?: number
  /** The number of metrics in a request. */
  readonly metrics?: number
  /** The target number of samples. With a smaller one the window is smaller, because the number of series is unknown. */
  readonly targetSamples?: number
}

/** The size of the first window of a stream. */
export const initialSize = (
  bounds: WindowBounds,
  { metrics = 1, mostPoints = bounds.mostPoints, targetSamples = bounds.targetSamples }: BeforeFirst = {}
): WindowSize => {
  const share = Math.min(1, FIRST_METRICS / metrics, targetSamples / bounds.targetSamples)
  return {
    bounds,
    points: Math.max(1, Math.min(mostPoints, Math.floor(bounds.firstPoints * share))),
    limit: mostPoints,
    streak: 0,
    trialAfter: FIRST_TRIAL_AFTER,
    isTrial: false,
    isGrowing: true
  }
}

/** What the responses to all streams of a kind show about the sizes that the server accepts: streams that start later begin with it. */
export class ServerLimits {
  /** The most samples in a response to any stream. */
  largestResponse = 0
  /** The most points of a window, if the server limits the range and not the samples. */
  mostPoints: number
  /** The target number of samples in a response. */
  targetSamples: number

  constructor({ mostPoints, targetSamples }: Pick<WindowBounds, "mostPoints" | "targetSamples">) {
    this.mostPoints = mostPoints
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

/** The limits of one server, for each kind of window. */
export class LimitsByBounds {
  private readonly known = new Map<WindowBounds, ServerLimits>()
  private readonly load: LoadLimits

  constructor(load: LoadLimits) {
    this.load = load
  }

  of(bounds: WindowBounds): ServerLimits {
    let limits = this.known.get(bounds)
    if (limits === undefined) {
      limits = new ServerLimits({ ...bounds, targetSamples: targetWithin(bounds, this.load) })
      this.known.set(bounds, limits)
    }
    return limits
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
    targetSamples = size.bounds.targetSamples
  }: { readonly largestResponse: number; readonly targetSamples?: number }
): WindowSize => {
  const { mostPoints } = size.bounds
  const streak = points < size.limit ? size.streak : size.streak + 1
  const isRaised = streak >= size.trialAfter && size.limit < mostPoints
  const limit = isRaised ? Math.min(mostPoints, size.limit * 2) : size.limit
  const pointsOf = (samplesInAll: number): number =>
    Math.floor((samplesInAll / Math.max(1, samples)) * points)
  const fitting = pointsOf(targetSamples)
  const cautious = Math.max(points * GROWTH, pointsOf(largestResponse))
  return {
    ...size,
    points: Math.max(1, Math.min(fitting, cautious, limit)),
    limit,
    streak: isRaised ? 0 : streak,
    isTrial: size.isTrial || isRaised,
    isGrowing: cautious < Math.min(fitting, limit)
  }
}

/** Updates the size after a window of `points` points was refused for its size: later windows stay below that for a while. */
export const afterRefusal = (size: WindowSize, points: number): WindowSize => {
  const limit = Math.max(1, Math.min(size.limit, Math.ceil(points / 2)))
  return {
    ...size,
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
