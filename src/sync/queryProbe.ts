/** Evaluates the expressions of queries at some points: for the labels of their results, and for errors before a sync. */
import { Effect, Stream } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { retryPolicy } from "../prometheus/http/retryPolicy.ts"
import { serverTimeout } from "../prometheus/load/serverTimeout.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import { recycle } from "../samples/Arena.ts"
import { METRIC_NAME } from "../samples/Series.ts"
import { formatTime } from "../text/formatTime.ts"
import { pluralize } from "../text/pluralize.ts"
import { gridToRead } from "./plan.ts"
import { definitionOf, type QueryStream } from "./StreamDefinition.ts"
import { type GridRange, gridRange, halve, pointCount } from "./TimeGrid.ts"

/** The maximum number of points of the range at which an expression is evaluated for its labels. */
const PROBES = 24

/** The maximum number of different labels to keep: a server may return anything. */
const MAX_LABELS = 10_000

/** What an expression returned. */
interface Found {
  readonly labels: ReadonlySet<string>
  readonly series: number
  /** Why some of the points fail. */
  readonly failure?: PrometheusError
}

/** An error of a query, with the name of the query. If the expression is wrong, the error says where, if that is known. */
export const aboutQuery = (
  { expression: { doubt }, name }: QueryStream,
  error: PrometheusError
): PrometheusError => {
  if (error.reason === "FailedExpression") {
    return error.saying(`The expression of the query ${name} fails: ${error.summary}`)
  }
  return error.reason === "InvalidQuery"
    ? new PrometheusError({
        reason: error.reason,
        summary: `The expression of the query ${name} is not valid: ${error.summary}`,
        advice:
          doubt === undefined
            ? "Correct the expression, or check whether this server supports it."
            : `Correct the expression, or check whether this server supports it. It stops being valid PromQL at ${doubt}.`
      })
    : error
}

/** Errors that name the query. */
const isNamed = ({ reason }: PrometheusError): boolean =>
  reason === "InvalidQuery" || reason === "FailedExpression"

/** The same, for any error that does not concern all streams. */
const namingQuery = (query: QueryStream, error: PrometheusError): PrometheusError =>
  isNamed(error) || error.policy.onExhausted === "sync"
    ? error
    : error.saying(`The query ${query.name}: ${error.summary}`)

/** The same, of an expression that was evaluated at one point. */
export const failingAt = (query: QueryStream, error: PrometheusError, millis: number): PrometheusError => {
  const named = aboutQuery(query, error)
  return error.policy.failsAtPoints
    ? named.saying(`${named.summary} It fails at ${formatTime(millis)}.`)
    : named
}

/** Logs that a sync will fail at a point. */
export const warnOfFailure = (failure: PrometheusError): Effect.Effect<void> =>
  Effect.logWarning(
    failure.saying(`${failure.summary} A sync reads this stream only up to this point.`).message
  )

/** The labels of the result at the points of a range, in one request. */
const evaluate = Effect.fnUntraced(function* (
  query: QueryStream,
  { firstMillis, lastMillis, stepMillis }: GridRange
) {
  const { maxRetries, requestTimeoutMillis } = yield* ConnectorConfig
  const client = yield* PrometheusClient
  return yield* client
    .queryRange({
      query: query.expression.text,
      startMillis: firstMillis,
      endMillis: lastMillis,
      stepMillis
    })
    .pipe(
      Effect.flatMap(
        Stream.runFold(
          () => ({ labels: new Set<string>(), series: 0 }),
          (found, block) => {
            found.series++
            for (const [label] of block.series.labels) {
              if (found.labels.size < MAX_LABELS) found.labels.add(label)
            }
            recycle(block)
            return found
          }
        )
      ),
      serverTimeout(requestTimeoutMillis, () =>
        Effect.fail(
          new PrometheusError({
            reason: "Timeout",
            summary: `The result of the query ${query.name} did not arrive within ${requestTimeoutMillis / 1000} s.`
          })
        )
      ),
      Effect.scoped,
      Effect.retry(retryPolicy(maxRetries, `${query.name}: `)),
      Effect.mapError((error) =>
        firstMillis === lastMillis ? failingAt(query, error, lastMillis) : aboutQuery(query, error)
      ),
      Effect.map((found): Found => found)
    )
})

/** The same in as many requests as necessary. Points that the server refuses are left out, unless it refuses all of them. */
const evaluateInParts = (
  query: QueryStream,
  range: GridRange
): Effect.Effect<Found, PrometheusError, ConnectorConfig | PrometheusClient> =>
  Effect.catchIf(
    evaluate(query, range),
    ({ policy }) => policy.splitBy !== undefined && pointCount(range) > 1,
    () => {
      const [earlier, later] = halve(range)
      return Effect.gen(function* () {
        const parts = [
          yield* Effect.result(evaluateInParts(query, earlier)),
          yield* Effect.result(evaluateInParts(query, later))
        ]
        const found = parts.flatMap((part) => (part._tag === "Success" ? [part.success] : []))
        const failed = parts.flatMap((part) => (part._tag === "Failure" ? [part.failure] : []))
        const [failure] = failed
        if (failure !== undefined && (found.length === 0 || failure.policy.splitBy === undefined)) {
          return yield* failure
        }
        const first = failure ?? found.find((part) => part.failure !== undefined)?.failure
        return {
          labels: new Set(found.flatMap(({ labels }) => [...labels])),
          series: found.reduce((sum, { series }) => sum + series, 0),
          ...(first === undefined ? {} : { failure: first })
        }
      })
    }
  )

/** Some points of a grid, up to its last one. Of an empty grid, the last point before `nowMillis`. */
const pointsOf = (grid: GridRange, points: number, nowMillis: number): GridRange => {
  const { firstMillis, lastMillis, stepMillis } = grid
  const count = pointCount(grid)
  if (count === 0) {
    const last = gridRange(0, nowMillis, stepMillis).lastMillis
    return { firstMillis: last, lastMillis: last, stepMillis }
  }
  const every = Math.ceil(count / points) * stepMillis
  return {
    firstMillis: lastMillis - Math.floor((lastMillis - firstMillis) / every) * every,
    lastMillis,
    stepMillis: every
  }
}

type Settings = ConnectorConfig["Service"]

const queryOf = (settings: Settings, name: string): QueryStream => definitionOf(settings, name) as QueryStream

/**
 * The labels of a query's result over the configured range. Labels of series that have no value at the evaluated points are found
 * in `other_labels` later. Fails if the expression is not valid.
 */
export const queryLabels = Effect.fnUntraced(function* (settings: Settings, name: string, nowMillis: number) {
  const query = queryOf(settings, name)
  const grid = gridToRead(settings, nowMillis, query.stepSeconds * 1000)
  const range = pointsOf(grid, PROBES, nowMillis)
  const { failure, labels, series } = yield* Effect.catchIf(
    evaluateInParts(query, range),
    // The streams of others can be discovered.
    ({ policy, reason }) => policy.onExhausted === "stream" && reason !== "InvalidQuery",
    ({ summary }) =>
      Effect.as(
        Effect.logWarning(
          `The labels of the query ${name} are not known, so its records have them in other_labels: ${summary}`
        ),
        { labels: new Set<string>(), series: 1, failure: undefined }
      )
  )
  if (failure?.policy.failsAtPoints) yield* warnOfFailure(failure)
  const listed = yield* listedLabels(query, range)
  if (series === 0 && failure === undefined) {
    yield* Effect.logWarning(
      `The query ${name} has no result at any of ${pluralize(pointCount(range), "point")} from ${formatTime(range.firstMillis)} to ${formatTime(range.lastMillis)}, so ${listed.length === 0 ? "its labels are not known: its records have them in other_labels" : "some of its labels may not be known: its records have those in other_labels"}.`
    )
  }
  return [...new Set([...labels, ...listed])]
})

/** The labels of a plain selector are those of its series, which the server lists. */
const listedLabels = Effect.fnUntraced(function* (
  { expression: { matchers } }: QueryStream,
  { firstMillis, lastMillis }: GridRange
) {
  if (matchers === undefined) return []
  const { excludedLabels } = yield* ConnectorConfig
  const client = yield* PrometheusClient
  const { lookbackMillis } = yield* client.backend
  const range = { startMillis: Math.max(0, firstMillis - lookbackMillis), endMillis: lastMillis }
  const names = yield* Effect.orElseSucceed(client.labelNames(range, matchers, []), () => [])
  return [...names, METRIC_NAME].filter((label) => !excludedLabels.has(label))
})

/** Evaluates every query at its latest point. Fails if an expression is not valid. */
export const checkQueries = Effect.fnUntraced(function* (nowMillis: number) {
  const settings = yield* ConnectorConfig
  yield* Effect.forEach(
    settings.queries,
    Effect.fnUntraced(function* ({ name }) {
      const query = queryOf(settings, name)
      const grid = gridToRead(settings, nowMillis, query.stepSeconds * 1000)
      yield* Effect.catchIf(
        evaluate(query, pointsOf({ ...grid, firstMillis: grid.lastMillis }, 1, nowMillis)),
        // If a server refuses one point for an unknown reason, the expression is the most likely cause.
        ({ policy, reason }) => policy.splitBy !== undefined && !policy.failsAtPoints && reason !== "Refused",
        ({ message }) =>
          Effect.logWarning(`The query ${name} could not be evaluated at its latest point: ${message}`)
      ).pipe(Effect.mapError((error) => namingQuery(query, error)))
    }),
    { concurrency: settings.concurrency, discard: true }
  )
})
