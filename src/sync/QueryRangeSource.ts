/** A source that uses `query_range`: the server evaluates the points of the grid. */
import { Context, Effect, Layer } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { isBareName, type Matcher, metricSelector, ofMetric } from "../promql/Matcher.ts"
import { SeriesCache } from "../samples/Series.ts"
import { formatTime } from "../text/formatTime.ts"
import { BlockSource } from "./BlockSource.ts"
import { firstTime } from "./beginning.ts"
import type { PartIndex } from "./SeriesPart.ts"
import type { GridRange } from "./TimeGrid.ts"
import { MAX_POINTS } from "./WindowSize.ts"

/** How long the beginning of a metric is searched for, before all is read. */
const BEGINNING_MILLIS = 60_000

export const layer: Layer.Layer<BlockSource, never, ConnectorConfig | PrometheusClient> = Layer.effect(
  BlockSource,
  Effect.gen(function* () {
    const settings = yield* ConnectorConfig
    const client = yield* PrometheusClient
    // Asked for with the first window: a read that cannot begin sends no request.
    const backend = yield* Effect.cached(client.backend)
    const services = Context.make(PrometheusClient, client).pipe(Context.add(ConnectorConfig, settings))
    /** Where another metric begins. Often all metrics of a server begin at the same time. */
    let guess: number | undefined
    const beginningOf = Effect.fnUntraced(function* (metric: string, range: GridRange) {
      const { firstMillis, lastMillis, stepMillis } = range
      const { lookbackMillis } = yield* backend
      const found = yield* firstTime(
        metric,
        { startMillis: Math.max(0, firstMillis - lookbackMillis), endMillis: lastMillis },
        // Less than a window, which costs one request.
        (MAX_POINTS / 2) * stepMillis,
        guess
      ).pipe(
        Effect.provide(services),
        Effect.timeout(BEGINNING_MILLIS),
        Effect.tapError((error) =>
          Effect.logDebug(`${metric}: its first sample was not found. ${error.message}`)
        ),
        Effect.orElseSucceed(() => firstMillis)
      )
      const beginning = Math.max(
        firstMillis,
        Math.min(lastMillis, Math.ceil(found / stepMillis) * stepMillis)
      )
      if (beginning > firstMillis) {
        if (beginning < lastMillis) guess = found
        yield* Effect.logDebug(
          `${metric}: no samples from ${formatTime(firstMillis)} to ${formatTime(beginning)}. Reading on from there.`
        )
      }
      return beginning
    })
    return BlockSource.of({
      open: (metric) => {
        const series = new SeriesCache()
        return {
          metric,
          expect: (range) => range,
          request: ({ firstMillis, lastMillis, stepMillis }, matchers) =>
            Effect.flatMap(backend, ({ latestSample }) =>
              client.queryRange({
                query: latestSample(metricSelector(metric, [...matchers, ...settings.matchers])),
                startMillis: firstMillis,
                endMillis: lastMillis,
                stepMillis,
                series
              })
            ),
          index: (range) =>
            indexOf(
              client,
              metric,
              range,
              Effect.map(backend, (known) => known.lookbackMillis)
            ),
          beginning: (range) => beginningOf(metric, range)
        }
      }
    })
  })
)

/** Lists the series of a metric in a range. */
const indexOf = (
  client: PrometheusClient["Service"],
  metric: string,
  { firstMillis, lastMillis }: GridRange,
  lookback: Effect.Effect<number>
): PartIndex => {
  const range = Effect.map(lookback, (millis) => ({
    startMillis: Math.max(0, firstMillis - millis),
    endMillis: lastMillis
  }))
  /** A server that refuses to search that many series can still list the names or values of all metrics. */
  const narrowed = (
    matchers: ReadonlyArray<Matcher>,
    list: (matchers?: ReadonlyArray<Matcher>) => Effect.Effect<ReadonlyArray<string>, PrometheusError>
  ) =>
    Effect.catchIf(
      list([ofMetric(metric), ...matchers]),
      ({ policy }) => policy.action === "split",
      () => list()
    )
  return {
    labelNames: (matchers) =>
      Effect.map(
        narrowed(matchers, (matchers) =>
          Effect.flatMap(range, (range) => client.labelNames(range, matchers))
        ),
        // Some servers cannot list the values of other labels.
        (names) => names.filter(isBareName)
      ),
    labelValues: (label, matchers) =>
      narrowed(matchers, (matchers) =>
        Effect.flatMap(range, (range) => client.labelValues(label, range, matchers))
      )
  }
}
