/**
 * Finds where the samples of a metric begin, so that empty years before them cost a handful of requests instead of thousands of
 * empty windows.
 *
 * The index of series says where to look, and costs the server no samples. But it may be cut, or lack what is not in a block yet.
 * So nothing is skipped before a query has confirmed that it is empty. Such a query costs nothing if it is.
 */
import { Effect } from "effect"
import type { TimeRange } from "../prometheus/api.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { ofMetric } from "../promql/Matcher.ts"
import { samplePresence } from "./samplePresence.ts"

/** In how many parts the skipped range is checked. */
const PARTS = 64

/** Indexes know series by blocks of hours, so a search for minutes finds nothing more. */
const LEAST_MILLIS = 300_000

/**
 * The earliest time of a closed range at which the metric may have a sample: never later than the first one, and at most about
 * `exactMillis` earlier. The end of the range if there is none. `guess` is a time at which it may begin: that of another metric.
 */
export const firstTime = Effect.fnUntraced(function* (
  metric: string,
  range: TimeRange,
  exactMillis: number,
  guess?: number
) {
  const { endMillis, startMillis } = range
  const from = yield* firstListed(metric, range, Math.max(LEAST_MILLIS, exactMillis), guess)
  if (from <= startMillis) return startMillis
  return yield* firstPresent(metric, { startMillis, endMillis: from - 1 }, Math.min(from, endMillis))
})

/** The earliest time at which the index lists the metric, or somewhat earlier. */
const firstListed = Effect.fnUntraced(function* (
  metric: string,
  { endMillis, startMillis }: TimeRange,
  exactMillis: number,
  guess?: number
) {
  const client = yield* PrometheusClient
  const isListed = (startMillis: number, endMillis: number) =>
    Effect.map(client.metricNames({ startMillis, endMillis }, [ofMetric(metric)]), ({ length }) => length > 0)
  /** Nothing is listed before `low`, and something between `low` and `high`, unless nothing is listed at all. */
  let low = startMillis
  let high = endMillis
  if (guess !== undefined && guess > startMillis && guess < endMillis) {
    if (yield* isListed(startMillis, guess - 1)) high = guess
    else {
      low = guess
      const near = Math.min(endMillis, guess + exactMillis)
      if (yield* isListed(guess, near)) high = near
    }
  }
  while (high - low > exactMillis) {
    const middle = low + Math.floor((high - low) / 2)
    if (yield* isListed(low, middle)) high = middle
    else low = middle
  }
  return low
})

/** The beginning of the first part of a range that has samples, or `otherwise`. */
const firstPresent = Effect.fnUntraced(function* (metric: string, range: TimeRange, otherwise: number) {
  const first = (range: TimeRange) =>
    Effect.map(samplePresence([ofMetric(metric)], range, PARTS), (presence) => presence.get(metric)?.[0])
  const part = yield* first(range)
  if (part === undefined) return otherwise
  // Without the samples of the later parts, the server can say it more exactly. If not, the part is exact enough.
  const smaller = yield* Effect.orElseSucceed(first(part), () => undefined)
  return (smaller ?? part).startMillis
})
