/**
 * Which API is the lesser load for the points of a grid, `query_range` or remote read. Pure.
 *
 * Remote read sends all stored samples between the points, and those in the look-back before the first point of each window, but
 * its server neither evaluates them nor writes JSON.
 */
import { type GridRange, pointCount } from "./TimeGrid.ts"

/**
 * The most stored samples per point for remote read.
 *
 * Measured with Prometheus 2.42: 100 series, a day, a sample every 15 seconds, windows of 250,000 points, as server CPU and bytes
 * of remote read ÷ those of `query_range`. Random walks in millionths are about the worst data for the server's compression,
 * counters and rounded gauges are usual.
 *
 * | step | stored per point | CPU | bytes, random walks | bytes, usual |
 * | --- | --- | --- | --- | --- |
 * | 15 s | 1 | 0.02 | 0.21 | 0.08 |
 * | 60 s | 4 | 0.04 | 0.84 | 0.29 |
 * | 2 min | 8 | 0.06 | 1.67 | 0.58 |
 * | 5 min | 20 | 0.14 | 4.1 | 1.4 |
 * | 1 h | 240 | 0.36 | 43 | 14 |
 *
 * So the bytes decide. With gzip, the JSON has a third of them or less.
 */
export const maxStoredPerPoint = (compression: "none" | "gzip"): number => (compression === "gzip" ? 1.5 : 4)

/** A window of fewer points in all series is not worth the two requests of a trial. */
export const MIN_SAMPLES = 20_000

/** A trial reads the last points of a window: of so much time, and about so many in all series. At least one. */
const TRIAL_MILLIS = 900_000
const TRIAL_SAMPLES = 50_000

/** The last points of a range for a trial, if each of them has about so many samples. */
export const trialRange = (range: GridRange, samplesPerPoint: number): GridRange => {
  const { lastMillis, stepMillis } = range
  const most = Math.min(TRIAL_MILLIS / stepMillis, TRIAL_SAMPLES / samplesPerPoint, pointCount(range))
  const points = Math.max(1, Math.floor(most))
  return { ...range, firstMillis: lastMillis - (points - 1) * stepMillis }
}

/** What a trial of some points has shown. */
export interface Trial {
  readonly range: GridRange
  readonly stored: number
  readonly points: number
}

/** Estimates how many stored samples remote read would send per point of a range. */
export const storedPerPoint = (
  range: GridRange,
  { points, range: tried, stored }: Trial,
  lookbackMillis: number
): number => {
  const millisOf = ({ firstMillis, lastMillis }: GridRange) => lastMillis - firstMillis + lookbackMillis
  const perMilli = stored / millisOf(tried)
  const perPoint = points / pointCount(tried)
  return (perMilli * millisOf(range)) / (perPoint * pointCount(range))
}
