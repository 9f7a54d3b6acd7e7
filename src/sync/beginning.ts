/**
 * Finds where the samples of a metric begin, so that empty years before them cost a handful of requests instead of thousands of
 * empty windows.
 *
 * The index of series says where to look, and costs the server no samples. But it may be cut, it knows series by blocks of up to
 * weeks only, and VictoriaMetrics' has no times at all for more than 40 days. So nothing is skipped before a query has shown that
 * it is empty. Such a query costs nothing if it is, and otherwise less than reading the same samples.
 */
import { Duration, Effect } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { TimeRange } from "../prometheus/RangeQuery.ts"
import { ofMetric } from "../promql/Matcher.ts"
import { formatTime } from "../text/formatTime.ts"
import { selectorOfMetric } from "./StreamDefinition.ts"
import { samplePresence } from "./samplePresence.ts"
import type { GridRange } from "./TimeGrid.ts"
import { MAX_POINTS } from "./WindowSize.ts"

/** What the search for one metric tells about the others of the same server. */
export interface BeginningHints {
  /** Where a metric began. Often all of them begin at the same time. */
  guess?: number
  /** Whether a search did not end in time: none is tried again. */
  isSlow?: boolean
  /** Whether the index listed a metric where it had no samples, so that it is of no use. */
  isIndexCoarse?: boolean
}

/** In how many parts a range is searched. */
const PARTS = 64

/** The longest block of Prometheus, by default: in the first one that lists a metric, it begins. */
const BLOCK_MILLIS = 32 * 86_400_000

/**
 * The earliest time of a closed range at which the metric may have a sample: never later than its first one, and at most about
 * `exactMillis` earlier if the server helps. The end of the range if there is none. Ends within `limit`, with what is known then.
 */
export const firstTime = Effect.fnUntraced(function* (
  metric: string,
  range: TimeRange,
  exactMillis: number,
  limit: Duration.Input,
  hints: BeginningHints = {}
) {
  const { endMillis } = range
  /** There are no samples before this time. */
  let empty = range.startMillis

  /** The first part of a range from `empty` on that has samples. If there is none, the range is known to be empty. */
  const firstPart = Effect.fnUntraced(function* (lastMillis: number) {
    const { guess } = hints
    let part = yield* presentPart(metric, { startMillis: empty, endMillis: lastMillis })
    if (part === undefined) {
      empty = Math.min(endMillis, lastMillis + 1)
      return false
    }
    empty = part.startMillis
    // The server can search a part that has samples in smaller parts.
    if (part.endMillis - part.startMillis > exactMillis) part = (yield* presentPart(metric, part)) ?? part
    empty = part.startMillis
    if (guess === undefined || Math.abs(guess - empty) > exactMillis) hints.guess = empty
    return true
  })

  const search = Effect.gen(function* () {
    const { guess } = hints
    if (guess !== undefined && guess > empty && guess < endMillis) {
      if (yield* firstPart(guess - 1)) return
      if (yield* firstPart(Math.min(endMillis, guess + exactMillis))) return
    }
    if (hints.isIndexCoarse !== true) {
      const listed = yield* firstListed(metric, { startMillis: empty, endMillis }, exactMillis)
      if (listed > empty && (yield* firstPart(listed - 1))) return
      if (empty >= endMillis - 1) return
      if (yield* firstPart(Math.min(endMillis, empty + Math.max(exactMillis, BLOCK_MILLIS)))) return
      hints.isIndexCoarse = true
    }
    while (endMillis - empty > exactMillis) {
      if (yield* firstPart(empty + Math.floor((endMillis - empty) / 2))) return
    }
  })

  yield* search.pipe(
    Effect.timeoutOption(limit),
    Effect.tap(({ _tag }) =>
      Effect.sync(() => {
        if (_tag === "None") hints.isSlow = true
      })
    ),
    Effect.tapError(({ message }) =>
      Effect.logDebug(`${metric}: where its samples begin was not found exactly. ${message}`)
    ),
    Effect.ignore
  )
  return empty
})

/** How long the beginning of a metric is searched for, before all is read. */
const LIMIT = Duration.seconds(20)

/** With fewer points, it is not worth a search where the samples begin. */
export const SEARCHED_POINTS = 2 * MAX_POINTS

/**
 * The first point of a range from which on to read, because all points before it are empty. At most the last point. Never fails:
 * without help from the server, it is the first point of the range.
 */
export const firstPoint = Effect.fnUntraced(function* (
  metric: string,
  range: GridRange,
  hints: BeginningHints
) {
  const client = yield* PrometheusClient
  const { lookbackMillis } = yield* client.backend
  const { firstMillis, lastMillis, stepMillis } = range
  if (hints.isSlow === true) return firstMillis
  const time = yield* firstTime(
    metric,
    { startMillis: Math.max(0, firstMillis - lookbackMillis), endMillis: lastMillis },
    // Less than a window, which costs one request.
    (MAX_POINTS / 2) * stepMillis,
    LIMIT,
    hints
  )
  const point = Math.max(firstMillis, Math.min(lastMillis, Math.ceil(time / stepMillis) * stepMillis))
  if (point > firstMillis) {
    yield* Effect.logDebug(
      `${metric}: no samples from ${formatTime(firstMillis)} to ${formatTime(point)}. Reading on from there.`
    )
  }
  return point
})

const presentPart = (metric: string, range: TimeRange) =>
  Effect.gen(function* () {
    const selector = selectorOfMetric(yield* ConnectorConfig, metric)
    const presence = yield* samplePresence([ofMetric(metric)], range, PARTS, selector)
    return presence.get(metric)?.[0]
  })

/** The earliest time at which the index lists the metric, or somewhat earlier; the end if it does not. */
const firstListed = Effect.fnUntraced(function* (
  metric: string,
  { endMillis, startMillis }: TimeRange,
  exactMillis: number
) {
  const client = yield* PrometheusClient
  const selector = selectorOfMetric(yield* ConnectorConfig, metric)
  const isListed = (startMillis: number, endMillis: number) =>
    Effect.map(
      client.metricNames({ startMillis, endMillis }, [ofMetric(metric)], selector),
      ({ length }) => length > 0
    )
  // It may have ended before.
  if (!(yield* isListed(startMillis, endMillis))) return endMillis
  /** Nothing is listed before `low`, and something between `low` and `high`. */
  let low = startMillis
  let high = endMillis
  while (high - low > exactMillis) {
    const middle = low + Math.floor((high - low) / 2)
    if (yield* isListed(low, middle)) high = middle
    else low = middle
  }
  return low
})
