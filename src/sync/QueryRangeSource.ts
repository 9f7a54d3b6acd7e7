/** A source that uses `query_range`: the server evaluates the points of the grid. */
import { Context, Effect, Layer } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { isBareName, type Matcher, metricSelector, ofMetric } from "../promql/Matcher.ts"
import { SeriesCache } from "../samples/Series.ts"
import { BlockSource } from "./BlockSource.ts"
import { type BeginningHints, firstPoint } from "./beginning.ts"
import { makeExplainer } from "./explainEmpty.ts"
import type { PartIndex } from "./SeriesPart.ts"
import type { GridRange } from "./TimeGrid.ts"

/** How many labels whose names are not plain are tried. Each costs a request. */
const MAX_PROBED = 50

export const layer: Layer.Layer<BlockSource, never, ConnectorConfig | PrometheusClient> = Layer.effect(
  BlockSource,
  Effect.gen(function* () {
    const settings = yield* ConnectorConfig
    const client = yield* PrometheusClient
    // Asked for with the first window: a read that cannot begin sends no request.
    const backend = yield* Effect.cached(client.backend)
    /** Labels whose names are not plain, and whether the server takes them in paths and selectors. */
    const selectable = new Map<string, boolean>()
    const services = Context.make(PrometheusClient, client).pipe(Context.add(ConnectorConfig, settings))
    const hints: BeginningHints = {}
    const explain = yield* makeExplainer
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
          index: (range) => {
            const index = Effect.map(backend, ({ lookbackMillis }) =>
              indexOf(client, metric, range, lookbackMillis, selectable)
            )
            return {
              labelNames: (matchers) => Effect.flatMap(index, ({ labelNames }) => labelNames(matchers)),
              labelValues: (label, matchers) =>
                Effect.flatMap(index, ({ labelValues }) => labelValues(label, matchers))
            }
          },
          explainEmpty: (range) => explain(metric, range),
          beginning: (range) => Effect.provide(firstPoint(metric, range, hints), services)
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
  lookbackMillis: number,
  selectable: Map<string, boolean>
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
  const labelValues: PartIndex["labelValues"] = (label, matchers) =>
    narrowed(matchers, (matchers) => client.labelValues(label, range, matchers))
  /**
   * Older servers store names that are not plain, as `k8s.pod`, but refuse them in selectors, and list no values under their
   * escaped form.
   */
  const isSelectable = Effect.fnUntraced(function* (label: string) {
    const known = selectable.get(label)
    if (known !== undefined) return known
    const values = yield* Effect.orElseSucceed(labelValues(label, []), () => [])
    selectable.set(label, values.length > 0)
    return values.length > 0
  })
  return {
    labelNames: (matchers) =>
      Effect.flatMap(
        narrowed(matchers, (matchers) => client.labelNames(range, matchers)),
        (names) => {
          const others = names.filter((name) => !isBareName(name)).slice(0, MAX_PROBED)
          return Effect.map(Effect.filter(others, isSelectable), (more) => [
            ...names.filter(isBareName),
            ...more
          ])
        }
      ),
    labelValues
  }
}
