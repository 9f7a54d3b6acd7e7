/** Counts the series and rows of a metric on the server, which is far cheaper for it than sending the samples. */
import { Context, Effect, Stream } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { sumOf } from "../destinations/contents.ts"
import type { Contents } from "../destinations/Destination.ts"
import { retryPolicy } from "../prometheus/http/retryPolicy.ts"
import { serverTimeout } from "../prometheus/load/serverTimeout.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import { countOf } from "../promql/Expression.ts"
import { metricSelector, render } from "../promql/Matcher.ts"
import { numberAt, type SampleBlock, textAt } from "../samples/Sample.ts"
import { type BeginningHints, firstPoint } from "../sync/beginning.ts"
import { listedGroups } from "../sync/listedGroups.ts"
import { listedOnce } from "../sync/listedOnce.ts"
import { cutNames, nameLimitsOf } from "../sync/metricParts.ts"
import { failingAt } from "../sync/queryProbe.ts"
import { ofMetrics } from "../sync/SeriesPart.ts"
import {
  definitionOf,
  type GroupStream,
  type QueryStream,
  type StreamDefinition
} from "../sync/StreamDefinition.ts"
import { type GridRange, halve, isRawRange, pointCount, takePoints } from "../sync/TimeGrid.ts"
import { gridBounds, searchedPoints } from "../sync/WindowSize.ts"
import { beginning } from "../text/excerpt.ts"
import { largest } from "../text/largest.ts"

/** No server has more series, and sums stay exact. */
const MAX_COUNT = 1e12

/** The metrics of groups. Each list of them takes many requests. */
const Groups = Context.Reference<typeof listedGroups>("source-prometheus/run/Groups", {
  defaultValue: () => listedGroups
})

/** Lists the metrics of groups at most once for all counts of an effect. */
export const withGroupsOnce = <A, E, R>(counting: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(listedOnce, (groups) => Effect.provideService(counting, Groups, groups))

/**
 * Counts the series of a metric at the points of a range, which must not be more than one query returns. Points without series
 * are omitted. Times are milliseconds. With `windowMillis`, counts the stored samples of that time before each point instead.
 */
export const seriesCounts = Effect.fnUntraced(function* (
  stream: string,
  range: GridRange,
  windowMillis?: number
): Effect.fn.Return<Counted, PrometheusError, ConnectorConfig | PrometheusClient> {
  const definition = definitionOf(yield* ConnectorConfig, stream)
  if (definition._tag === "Query") return yield* countResults(definition, range)
  if (definition._tag !== "Group") return yield* countSeries(stream, definition, range, windowMillis)
  const { kind } = yield* Effect.flatMap(PrometheusClient, ({ backend }) => backend)
  const metrics = (yield* yield* Groups).get(stream) ?? []
  const counted = yield* Effect.forEach(cutNames(metrics, nameLimitsOf(kind)), (list) =>
    countMetrics(definition, list, range, windowMillis)
  )
  return sumOfCounts(counted)
})

/** The counts of series at some points. */
interface Counted {
  readonly times: ReadonlyArray<number>
  readonly counts: ReadonlyArray<number>
  /** Why the expression fails at the next point. Later points are not counted. */
  readonly failure?: PrometheusError
}

/** Counts the series of an expression up to the first point at which it fails, if there is one. */
const countResults = (
  query: QueryStream,
  range: GridRange
): Effect.Effect<Counted, PrometheusError, ConnectorConfig | PrometheusClient> =>
  Effect.catchIf(
    countSeries(query.name, query, range),
    ({ policy }) => policy.failsAtPoints === true,
    (error) =>
      Effect.gen(function* () {
        if (pointCount(range) === 1) {
          return { times: [], counts: [], failure: failingAt(query, error, range.lastMillis) }
        }
        const [earlier, later] = halve(range)
        const first = yield* countResults(query, earlier)
        if (first.failure !== undefined) return first
        const second = yield* countResults(query, later)
        return {
          ...second,
          times: [...first.times, ...second.times],
          counts: [...first.counts, ...second.counts]
        }
      })
  )

const sumOfCounts = (counted: ReadonlyArray<Counted>): Counted => {
  const sums = new Map<number, number>()
  for (const { counts, times } of counted) {
    for (const [i, time] of times.entries()) sums.set(time, (sums.get(time) ?? 0) + counts[i]!)
  }
  const times = [...sums.keys()].sort((a, b) => a - b)
  return { times, counts: times.map((time) => sums.get(time)!) }
}

/** Counts the series of some metrics of a group. If the server refuses, counts fewer metrics at once. */
const countMetrics = (
  group: GroupStream,
  metrics: ReadonlyArray<string>,
  range: GridRange,
  windowMillis?: number
): Effect.Effect<Counted, PrometheusError, ConnectorConfig | PrometheusClient> =>
  Effect.catchIf(
    countSeries(
      group.name,
      { ...group, matchers: [ofMetrics(metrics), ...group.matchers] },
      range,
      windowMillis
    ),
    ({ policy }) => policy.action === "split" && metrics.length > 1,
    () => {
      const middle = Math.ceil(metrics.length / 2)
      return Effect.map(
        Effect.forEach([metrics.slice(0, middle), metrics.slice(middle)], (half) =>
          countMetrics(group, half, range, windowMillis)
        ),
        sumOfCounts
      )
    }
  )

const countSeries = Effect.fnUntraced(function* (
  stream: string,
  definition: StreamDefinition,
  range: GridRange,
  windowMillis?: number
) {
  const settings = yield* ConnectorConfig
  const client = yield* PrometheusClient
  const { latestSample } = yield* client.backend
  const { firstMillis, lastMillis, stepMillis } = range
  const most = pointCount(range)
  return yield* client
    .queryRange({
      query: countExpression(definition, latestSample, windowMillis),
      startMillis: firstMillis,
      endMillis: lastMillis,
      stepMillis
    })
    .pipe(
      Effect.flatMap(
        Stream.runFoldEffect(
          () => ({ times: [] as Array<number>, counts: [] as Array<number> }),
          (found, block) => addCounts(stream, found, block, most)
        )
      ),
      serverTimeout(settings.requestTimeoutMillis, () =>
        Effect.fail(
          new PrometheusError({
            reason: "Timeout",
            summary: `The number of series of ${stream} did not arrive within ${settings.requestTimeoutMillis / 1000} s.`
          })
        )
      ),
      Effect.scoped,
      Effect.retry(retryPolicy(settings.maxRetries, `${stream}: `))
    )
})

/** The expression for the number of series of a stream at each point, or of the samples in a window before it. */
const countExpression = (
  definition: StreamDefinition,
  latestSample: (selector: string) => string,
  windowMillis?: number
): string => {
  if (definition._tag === "Query") return countOf(definition.expression)
  const selector =
    definition._tag === "Group"
      ? // The matchers name some of its metrics.
        render(definition.matchers)
      : metricSelector(definition.name, definition._tag === "Table" ? [] : definition.matchers)
  return windowMillis === undefined
    ? `count(${latestSample(selector)})`
    : `sum(count_over_time(${selector}[${windowMillis}ms]))`
}

/** The number of points, spread over the range, at which the series of a metric are counted. */
const PROBES = 48

/**
 * Counts the series of a metric at some points of a range, by one query, and if stored samples are read, how many each has.
 * `perPoint` is the mean number of samples for each point of the range.
 */
export const probe = Effect.fnUntraced(function* (metric: string, range: GridRange) {
  const every = Math.max(1, Math.ceil(pointCount(range) / PROBES))
  const probes = Math.ceil(pointCount(range) / every)
  const stepMillis = range.stepMillis * every
  const lastMillis = range.firstMillis + (probes - 1) * stepMillis
  const probed: GridRange = { ...range, lastMillis, stepMillis }
  const found = yield* seriesCounts(metric, probed)
  const samplesPerSeries = isRawRange(range) ? yield* samplesPerMilli(metric, found) : 1
  // The server omits points without series.
  const series = found.counts.reduce((sum, count) => sum + count, 0) / probes
  return { ...found, probed, samplesPerSeries, perPoint: series * samplesPerSeries }
})

/** How many samples each series has in a millisecond, from a time at which there are most series. */
const samplesPerMilli = Effect.fnUntraced(function* (metric: string, { counts, times }: Counted) {
  const most = largest(counts)
  if (most === 0) return 0
  const { backend } = yield* PrometheusClient
  const { lookbackMillis } = yield* backend
  // At the first one, the series may have begun just before.
  const best = times.filter((_, i) => counts[i] === most)
  const time = best[Math.floor(best.length / 2)]!
  const point = { firstMillis: time, lastMillis: time, stepMillis: 1000 }
  const { counts: samples } = yield* seriesCounts(metric, point, lookbackMillis)
  return (samples[0] ?? 0) / most / lookbackMillis
})

/** Adds the counts of a block. Rejects invalid counts, and more counts than requested, because the server may return anything. */
const addCounts = (
  metric: string,
  found: { readonly times: Array<number>; readonly counts: Array<number> },
  block: SampleBlock,
  most: number
) => {
  const wrong = (what: string) =>
    Effect.fail(
      new PrometheusError({
        reason: "UnexpectedSample",
        summary: `The series of ${metric} cannot be counted: the server returned ${what}.`
      })
    )
  if (block._tag === "HistogramBlock") return wrong("a histogram for their number")
  if (found.counts.length + block.length > most) return wrong(`more than the ${most} requested numbers`)
  for (let i = 0; i < block.length; i++) {
    const count = numberAt(block, i)
    if (!Number.isInteger(count) || count < 0 || count > MAX_COUNT) {
      return wrong(`${beginning(textAt(block, i), 40)} for their number`)
    }
    found.times.push(block.times[i]!)
    found.counts.push(count)
  }
  return Effect.succeed(found)
}

/** After how many empty windows the next row is searched for again. */
const QUIET_WINDOWS = 8

/** Counts the rows of a metric at the points of a range. Empty years cost few queries. */
export const serverRows = Effect.fnUntraced(function* (
  metric: string,
  range: GridRange,
  hints: BeginningHints = {}
) {
  if (isRawRange(range)) return yield* storedRows(metric, range)
  const isMetric = definitionOf(yield* ConnectorConfig, metric)._tag === "Metric"
  const windows: Array<Contents> = []
  /** How many windows in a row were empty. The first empty one is reason enough. */
  let quiet = QUIET_WINDOWS - 1
  for (let rest = range; pointCount(rest) > 0; ) {
    const [window, next] = takePoints(rest, gridBounds.mostPoints)
    const counted = yield* count(metric, window)
    windows.push(counted)
    quiet = counted.rows > 0 ? 0 : quiet + 1
    rest = next
    if (
      isMetric &&
      quiet > 0 &&
      quiet % QUIET_WINDOWS === 0 &&
      pointCount(next) > searchedPoints(gridBounds)
    ) {
      rest = { ...next, firstMillis: yield* firstPoint(metric, next, hints) }
    }
  }
  return sumOf(windows)
})

/** The shortest time whose stored samples are counted together. */
const MIN_SLOT_MILLIS = 3_600_000

/**
 * Counts the stored samples of a range in slots of equal length. The times of the first and the last one are those of the ends
 * of their slots.
 */
const storedRows = Effect.fnUntraced(function* (metric: string, range: GridRange) {
  const { kind } = yield* Effect.flatMap(PrometheusClient, ({ backend }) => backend)
  const before = range.firstMillis - 1
  const total = range.lastMillis - before
  const slot = Math.min(total, Math.max(MIN_SLOT_MILLIS, Math.ceil(total / gridBounds.mostPoints)))
  const slots = Math.floor(total / slot)
  const full = { firstMillis: before + slot, lastMillis: before + slots * slot, stepMillis: slot }
  const rest = total - slots * slot
  const all = [
    { points: full, length: slot },
    ...(rest === 0
      ? []
      : [
          {
            points: { firstMillis: range.lastMillis, lastMillis: range.lastMillis, stepMillis: 1000 },
            length: rest
          }
        ])
  ]
  const counted = yield* Effect.forEach(all, ({ length, points }) =>
    Effect.map(
      // Version 2 also counts a sample at the left end of a window.
      count(
        metric,
        points,
        kind === "prometheus2" || kind === "prometheus" ? Math.max(1, length - 1) : length
      ),
      ({ firstMillis, ...contents }) => ({
        ...contents,
        firstMillis: firstMillis === null ? null : firstMillis - length + 1
      })
    )
  )
  return sumOf(counted)
})

/**
 * Counts in one query. If the server refuses, the range is split in halves. Fails if the expression of a query fails at a point,
 * since the rows after it cannot be counted.
 */
const count = (
  metric: string,
  range: GridRange,
  windowMillis?: number
): Effect.Effect<Contents, PrometheusError, ConnectorConfig | PrometheusClient> =>
  seriesCounts(metric, range, windowMillis).pipe(
    Effect.flatMap(({ counts, failure, times }) =>
      failure === undefined
        ? Effect.succeed({
            rows: counts.reduce((sum, count) => sum + count, 0),
            firstMillis: times[counts.findIndex((count) => count > 0)] ?? null,
            lastMillis: times[counts.findLastIndex((count) => count > 0)] ?? null
          })
        : Effect.fail(failure)
    ),
    Effect.catchIf(
      ({ policy }) => policy.action === "split" && policy.failsAtPoints !== true && pointCount(range) > 1,
      () =>
        Effect.map(
          Effect.forEach(halve(range), (half) => count(metric, half, windowMillis)),
          sumOf
        )
    )
  )
