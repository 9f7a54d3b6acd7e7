/**
 * Finds where the samples of a metric, or of a group, begin, so that empty years before them cost a handful of requests instead of thousands of
 * empty windows.
 *
 * The index of series says where to look, and costs the server no samples. But it may be cut, it knows series by blocks of up to
 * weeks only, and VictoriaMetrics' has no times at all for more than 40 days. So nothing is skipped before a query has shown that
 * it is empty. Such a query costs nothing if it is, and otherwise less than reading the same samples.
 */
import { Duration, Effect } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { serverTimeout } from "../prometheus/load/serverTimeout.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { TimeRange } from "../prometheus/RangeQuery.ts"
import { type Matcher, ofMetric } from "../promql/Matcher.ts"
import { formatTime } from "../text/formatTime.ts"
import { ofMetrics } from "./SeriesPart.ts"
import { selectorOfMetric } from "./StreamDefinition.ts"
import { samplePresence } from "./samplePresence.ts"
import type { GridRange } from "./TimeGrid.ts"
import { boundsOf } from "./WindowSize.ts"

/** What the search for one stream shows about the others of the same server. */
export interface BeginningHints {
  /** Where a stream began. Often all of them begin at the same time. */
  guess?: number
  /** Whether a search did not end in time: none is tried again. */
  isSlow?: boolean
  /** Whether the index listed series where they had no samples, so that it is of no use. */
  isIndexCoarse?: boolean
}

type Asked<A> = Effect.Effect<A, PrometheusError, ConnectorConfig | PrometheusClient>

/** The series whose beginning is searched. */
interface Searched {
  /** The name of the stream. */
  readonly name: string
  /** The first part of a range that has samples. */
  readonly presentPart: (range: TimeRange) => Asked<TimeRange | undefined>
  /** Whether the index lists any of the series in a range. */
  readonly isListed: (range: TimeRange) => Asked<boolean>
}

/** In how many parts a range is searched. */
const PARTS = 64

/** The longest block of Prometheus, by default: in the first one that lists a metric, it begins. */
const BLOCK_MILLIS = 32 * 86_400_000

/**
 * The earliest time of a closed range at which the series may have a sample: never later than its first one, and at most about
 * `exactMillis` earlier if the server helps. The end of the range if there is none. Ends within `limit`, with what is known then.
 */
const firstTime = Effect.fnUntraced(function* (
  searched: Searched,
  range: TimeRange,
  exactMillis: number,
  limit: Duration.Input,
  hints: BeginningHints
) {
  const { endMillis } = range
  /** There are no samples before this time. */
  let empty = range.startMillis

  /** The first part of a range from `empty` on that has samples. If there is none, the range is known to be empty. */
  const firstPart = Effect.fnUntraced(function* (lastMillis: number) {
    const { guess } = hints
    let part = yield* searched.presentPart({ startMillis: empty, endMillis: lastMillis })
    if (part === undefined) {
      empty = Math.min(endMillis, lastMillis + 1)
      return false
    }
    empty = part.startMillis
    // The server can search a part that has samples in smaller parts.
    if (part.endMillis - part.startMillis > exactMillis) part = (yield* searched.presentPart(part)) ?? part
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
      const listed = yield* firstListed(searched, { startMillis: empty, endMillis }, exactMillis)
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
    serverTimeout(limit, () =>
      Effect.sync(() => {
        hints.isSlow = true
      })
    ),
    Effect.tapError(({ message }) =>
      Effect.logDebug(`${searched.name}: where its samples begin was not found exactly. ${message}`)
    ),
    Effect.ignore
  )
  return empty
})

/** How long the beginning of a metric is searched for, before all is read. */
const LIMIT = Duration.seconds(20)

/**
 * The first point of a range from which on to read, because all points before it are empty. At most the last point. Never fails:
 * without help from the server, it is the first point of the range.
 */
export const firstPoint = (metric: string, range: GridRange, hints: BeginningHints) =>
  firstPointOf(ofOneMetric(metric), range, hints)

/** The same for the metrics of a group, in lists of names that the server accepts in a query. */
export const firstPointOfGroup = (
  name: string,
  lists: ReadonlyArray<ReadonlyArray<string>>,
  range: GridRange,
  hints: BeginningHints
) => {
  if (lists.length === 0) return Effect.succeed(range.lastMillis)
  if (lists.length > MAX_LISTS) return Effect.succeed(range.firstMillis)
  return firstPointOf(ofGroup(name, lists), range, hints)
}

const firstPointOf = Effect.fnUntraced(function* (
  searched: Searched,
  range: GridRange,
  hints: BeginningHints
) {
  const client = yield* PrometheusClient
  const { lookbackMillis } = yield* client.backend
  const { firstMillis, lastMillis, stepMillis } = range
  if (hints.isSlow === true) return firstMillis
  const time = yield* firstTime(
    searched,
    { startMillis: Math.max(0, firstMillis - lookbackMillis), endMillis: lastMillis },
    // Less than a window, which costs one request.
    (boundsOf(range).mostPoints / 2) * stepMillis,
    LIMIT,
    hints
  )
  const point = Math.max(firstMillis, Math.min(lastMillis, Math.ceil(time / stepMillis) * stepMillis))
  if (point > firstMillis) {
    yield* Effect.logDebug(
      `${searched.name}: no samples from ${formatTime(firstMillis)} to ${formatTime(point)}. Reading on from there.`
    )
  }
  return point
})

const ofOneMetric = (metric: string): Searched => {
  const selector = Effect.map(ConnectorConfig, (settings) => selectorOfMetric(settings, metric))
  return {
    name: metric,
    presentPart: (range) =>
      Effect.flatMap(selector, (selector) => firstPresent([ofMetric(metric)], range, selector)),
    isListed: Effect.fnUntraced(function* (range) {
      const client = yield* PrometheusClient
      return (yield* client.metricNames(range, [ofMetric(metric)], yield* selector)).length > 0
    })
  }
}

/** With more queries for each part of the range, the search takes longer than it saves. */
const MAX_LISTS = 32

/** Lists of names are requested in an address. With more bytes of names, all metrics are listed instead. */
const MAX_LISTED_BYTES = 2000

const ofGroup = (name: string, lists: ReadonlyArray<ReadonlyArray<string>>): Searched => {
  const names = new Set(lists.flat())
  const all = ofMetrics([...names])
  const matchers = Buffer.byteLength(all.value) <= MAX_LISTED_BYTES ? [all] : undefined
  return {
    name,
    presentPart: (range) =>
      Effect.map(
        Effect.forEach(lists, (list) => firstPresent([ofMetrics(list)], range)),
        (parts) =>
          parts.reduce(
            (first, part) =>
              first === undefined || (part !== undefined && part.startMillis < first.startMillis)
                ? part
                : first,
            undefined
          )
      ),
    isListed: Effect.fnUntraced(function* (range) {
      const client = yield* PrometheusClient
      return (yield* client.metricNames(range, matchers)).some((name) => names.has(name))
    })
  }
}

/** The first part of a range that has samples. */
const firstPresent = (
  matchers: ReadonlyArray<Matcher>,
  range: TimeRange,
  selector?: ReadonlyArray<Matcher>
) =>
  Effect.map(samplePresence(matchers, range, PARTS, selector), (presence) => {
    let first: TimeRange | undefined
    for (const [part] of presence.values()) {
      if (part !== undefined && (first === undefined || part.startMillis < first.startMillis)) first = part
    }
    return first
  })

/** The earliest time at which the index lists the series, or somewhat earlier; the end if it does not. */
const firstListed = Effect.fnUntraced(function* (
  { isListed }: Searched,
  { endMillis, startMillis }: TimeRange,
  exactMillis: number
) {
  // They may have ended before.
  if (!(yield* isListed({ startMillis, endMillis }))) return endMillis
  /** Nothing is listed before `low`, and something between `low` and `high`. */
  let low = startMillis
  let high = endMillis
  while (high - low > exactMillis) {
    const middle = low + Math.floor((high - low) / 2)
    if (yield* isListed({ startMillis: low, endMillis: middle })) high = middle
    else low = middle
  }
  return low
})
