/** `query_range`: the server evaluates the points of the grid. */
import { Effect, Stream } from "effect"
import type { Backend } from "../prometheus/Backend.ts"
import type { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { render } from "../promql/Matcher.ts"
import type { SampleBlock } from "../samples/Sample.ts"
import { SeriesCache } from "../samples/Series.ts"
import type { StreamSource } from "./BlockSource.ts"
import type { Reading } from "./metricSources.ts"
import { querySource } from "./querySource.ts"
import type { QueryStream } from "./StreamDefinition.ts"
import type { SeriesIndex } from "./seriesIndex.ts"
import type { GridRange } from "./TimeGrid.ts"
import { gridBounds } from "./WindowSize.ts"

/** Sends range queries for one stream. Their responses share the series. */
const evaluator = (client: PrometheusClient["Service"]) => {
  const series = new SeriesCache()
  return ({ firstMillis, lastMillis, stepMillis }: GridRange, expression: string, lookbackMillis?: number) =>
    client.queryRange({
      query: expression,
      startMillis: firstMillis,
      endMillis: lastMillis,
      stepMillis,
      ...(lookbackMillis === undefined ? {} : { lookbackMillis }),
      series
    })
}

/** Evaluates the points of the series that satisfy matchers. */
export const queryRangeReading = (
  client: PrometheusClient["Service"],
  backend: Effect.Effect<Backend>
): Reading => {
  const query = evaluator(client)
  return {
    bounds: gridBounds,
    expect: (range) => range,
    request: (range, matchers) =>
      Effect.flatMap(backend, ({ latestSample }) => query(range, latestSample(render(matchers)))),
    mayMoveStart: Effect.map(backend, ({ mayMoveStart }) => mayMoveStart),
    closeTo: (point, matchers) => {
      const selector = render(matchers)
      const samples = (expression: string, lookbackMillis?: number) =>
        Effect.scoped(
          Effect.flatMap(query(point, expression, lookbackMillis), (response) =>
            Stream.runCollect(Stream.take(response, MAX_CLOSE))
          )
        )
      // Whatever its look-back, a server that evaluates this finds a sample at that very time.
      const atPoint = samples(`last_over_time(${selector}[1ms])`)
      return Effect.flatMap(backend, ({ latestSample, lookbackMillis }) =>
        latestSample(selector) === selector
          ? findClose((lookbackMillis) => samples(selector, lookbackMillis), atPoint, lookbackMillis)
          : Effect.orElseSucceed(atPoint, () => [])
      )
    }
  }
}

/** The source of a query. */
export const openQuery = (
  query: QueryStream,
  client: PrometheusClient["Service"],
  { backend, index }: { readonly backend: Effect.Effect<Backend>; readonly index: SeriesIndex }
): StreamSource =>
  querySource(query, {
    evaluate: evaluator(client),
    index: (range, matchers) => index(range, { matchers, selector: [] }),
    mayMoveStart: Effect.map(backend, ({ mayMoveStart }) => mayMoveStart),
    missing: client.missingSource
  })

/** The most samples at one point: a series may have a float and a histogram. */
const MAX_CLOSE = 16

type Found = Effect.Effect<ReadonlyArray<SampleBlock>, PrometheusError>

/**
 * Looks for samples with ever longer look-backs, until some are found or the server refuses. They are the latest ones, so the
 * full look-back would find the same. `atPoint` finds samples at the very time of the point, on servers that know no look-back
 * per query.
 */
const findClose = Effect.fnUntraced(function* (
  within: (lookbackMillis: number) => Found,
  atPoint: Found,
  maximum: number
): Effect.fn.Return<ReadonlyArray<SampleBlock>> {
  const look = (found: Found) => Effect.catch(found, () => Effect.undefined)
  let empty = 0
  for (let lookback = 1000; lookback < maximum; lookback *= 2) {
    const found = yield* look(within(lookback))
    if (found === undefined) {
      if (empty === 0) return (yield* look(atPoint)) ?? []
      // Some may be between the last two look-backs.
      for (let refused = lookback; refused - empty > 1000; ) {
        const middle = Math.floor((empty + refused) / 2)
        const between = yield* look(within(middle))
        if (between === undefined) refused = middle
        else if (between.length > 0) return between
        else empty = middle
      }
      return []
    }
    if (found.length > 0) return found
    empty = lookback
  }
  return []
})
