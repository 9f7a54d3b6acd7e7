/** A source that uses `query_range`: the server evaluates the points of the grid. */
import { Effect, Layer } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { isBareName, type Matcher, metricSelector, ofMetric } from "../promql/Matcher.ts"
import { SeriesCache } from "../samples/Series.ts"
import { BlockSource } from "./BlockSource.ts"
import type { PartIndex } from "./SeriesPart.ts"
import type { GridRange } from "./TimeGrid.ts"

export const layer: Layer.Layer<BlockSource, never, ConnectorConfig | PrometheusClient> = Layer.effect(
  BlockSource,
  Effect.gen(function* () {
    const settings = yield* ConnectorConfig
    const client = yield* PrometheusClient
    const backend = yield* client.backend
    return BlockSource.of({
      open: (metric) => {
        const series = new SeriesCache()
        return {
          metric,
          expect: (range) => range,
          request: ({ firstMillis, lastMillis, stepMillis }, matchers) =>
            client.queryRange({
              query: backend.latestSample(metricSelector(metric, [...matchers, ...settings.matchers])),
              startMillis: firstMillis,
              endMillis: lastMillis,
              stepMillis,
              series
            }),
          missing: client.missingSource,
          index: (range) => indexOf(client, metric, range, backend.lookbackMillis)
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
  lookbackMillis: number
): PartIndex => {
  const range = { startMillis: Math.max(0, firstMillis - lookbackMillis), endMillis: lastMillis }
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
        narrowed(matchers, (matchers) => client.labelNames(range, matchers)),
        // Some servers cannot list the values of other labels.
        (names) => names.filter(isBareName)
      ),
    labelValues: (label, matchers) =>
      narrowed(matchers, (matchers) => client.labelValues(label, range, matchers))
  }
}
