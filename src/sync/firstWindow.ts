/**
 * The size of the first window of a stream, and the parts in which its series are requested. Nothing is known about the series
 * yet, and many metrics may have very many. If the server counts them, the first window need not be small: later windows would
 * repeat all of its labels.
 */
import { Effect } from "effect"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { pluralize } from "../text/pluralize.ts"
import type { SeriesCounts } from "./countByMetric.ts"
import { splitDense } from "./metricParts.ts"
import { hasSeveralMetrics, leavesOf, type SeriesPart } from "./SeriesPart.ts"
import { extentText, type GridRange, pointCount } from "./TimeGrid.ts"
import { initialSize, type WindowSize } from "./WindowSize.ts"
import type { WindowContext } from "./windowRequests.ts"

/** More queries would take longer than they save. */
const MAX_COUNTED_PARTS = 100

/**
 * The size of the first window of a range. If the number of metrics would make that window small, asks how many series they have,
 * and splits the parts that have very many. Never fails: without the numbers, the window is small.
 */
export const firstSize = Effect.fnUntraced(function* (
  { limits, permits, series, source, stream }: Omit<WindowContext, "size">,
  range: GridRange
) {
  const { mostPoints, targetSamples } = limits
  const { bounds, countSeries } = source
  const { firstPoints, samplesPerPoint } = bounds
  const parts = leavesOf(series)
  const metrics = largest(parts.map(({ metrics }) => metrics?.length ?? 1))
  const small = initialSize(bounds, { mostPoints, metrics, targetSamples })
  const wanted = Math.min(firstPoints, mostPoints, pointCount(range))
  if (countSeries === undefined || small.points >= wanted || parts.length > MAX_COUNTED_PARTS) return small
  const lastOfFirst = range.firstMillis + (wanted - 1) * range.stepMillis
  const times = new Set([lastOfFirst, range.lastMillis])
  const counts = yield* countAt(parts, times, (timeMillis, part) =>
    permits.withPermit(countSeries(timeMillis, part))
  ).pipe(
    Effect.catch(({ message }) =>
      Effect.as(Effect.logDebug(`${stream}: its series could not be counted. ${message}`), noCounts)
    )
  )
  if (counts.size === 0) return small
  /** A metric that has no series at that time may have some in the window. */
  const densityOf = (metric: string) => (counts.get(metric) ?? 1) * samplesPerPoint
  for (const part of parts) splitDense(part, densityOf, wanted, targetSamples)
  const all = leavesOf(series)
  const most = largest(
    all.map(({ metrics = [] }) => sum(metrics.map(densityOf))),
    samplesPerPoint
  )
  const points = Math.max(1, Math.min(firstPoints, mostPoints, Math.floor(targetSamples / most)))
  yield* Effect.logDebug(
    `${stream}: ${pluralize(sum(counts.values()), "series", "series")} of ${pluralize(counts.size, "metric")} in ${pluralize(all.length, "part")}. Beginning with ${extentText({ points, stepMillis: range.stepMillis })} at once.`
  )
  return { ...small, points } satisfies WindowSize
})

const noCounts: SeriesCounts = new Map()

const sum = (counts: Iterable<number>): number => {
  let sum = 0
  for (const count of counts) sum += count
  return sum
}

/** There may be more of them than a function has arguments. */
const largest = (numbers: ReadonlyArray<number>, least = 1): number =>
  numbers.reduce((a, b) => Math.max(a, b), least)

/** The numbers of series at the first of some times at which there are any. */
const countAt = Effect.fnUntraced(function* (
  parts: ReadonlyArray<SeriesPart>,
  times: Iterable<number>,
  countSeries: (timeMillis: number, part: SeriesPart) => Effect.Effect<SeriesCounts, PrometheusError>
) {
  for (const timeMillis of times) {
    const counts = new Map<string, number>()
    for (const part of parts.filter(hasSeveralMetrics)) {
      for (const [metric, count] of yield* countSeries(timeMillis, part)) counts.set(metric, count)
    }
    if (counts.size > 0) return counts
  }
  return noCounts
})
