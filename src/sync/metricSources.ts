/** The sources of metrics and groups, however their samples are requested: their series, their beginning, why they are empty. */
import { Context, Effect } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { type Matcher, ofMetric, render } from "../promql/Matcher.ts"
import type { StreamSource } from "./BlockSource.ts"
import { type BeginningHints, firstPoint, firstPointOfGroup } from "./beginning.ts"
import { countByMetric } from "./countByMetric.ts"
import { makeExplainer } from "./explainEmpty.ts"
import { groupSource } from "./groupSource.ts"
import { listedOnce } from "./listedOnce.ts"
import type { GroupStream, MetricStream } from "./StreamDefinition.ts"
import type { SeriesIndex } from "./seriesIndex.ts"

/** How samples are requested. The matchers are all that the series must satisfy, those of the stream included. */
export interface Reading
  extends Pick<StreamSource, "bounds" | "expect" | "request" | "closeTo" | "mayMoveStart"> {}

/** Makes the sources of one server, which share what the first streams show. */
export const makeMetricSources = Effect.fnUntraced(function* (index: SeriesIndex) {
  const settings = yield* ConnectorConfig
  const client = yield* PrometheusClient
  const backend = yield* Effect.cached(client.backend)
  const services = Context.make(PrometheusClient, client).pipe(Context.add(ConnectorConfig, settings))
  const hints: BeginningHints = {}
  /** Searches for groups may be slow where those for metrics are not. */
  const groupHints: BeginningHints = {}
  const explain = yield* makeExplainer
  const groups = Effect.provide(yield* listedOnce, services)

  return (definition: MetricStream | GroupStream, reading: Reading): StreamSource => {
    const { matchers: own, name } = definition
    /** The parts of a group have matchers of their metrics. */
    const base = definition._tag === "Group" ? [] : [ofMetric(name)]
    const all = (matchers: ReadonlyArray<Matcher>) => [...base, ...matchers, ...own]
    const source: StreamSource = {
      ...reading,
      metrics: new Set([name]),
      request: (range, matchers) => reading.request(range, all(matchers)),
      closeTo: (point, matchers) => reading.closeTo(point, all(matchers)),
      countSeries: (timeMillis, { matchers, metrics }) =>
        Effect.provide(
          Effect.flatMap(backend, ({ latestSample }) =>
            countByMetric(latestSample(render(all(matchers))), timeMillis, new Set(metrics))
          ),
          services
        ),
      missing: client.missingSource,
      index: (range) => index(range, { matchers: base, selector: own }),
      explainEmpty: (range) => explain(name, range),
      beginning: (range) => Effect.provide(firstPoint(name, range, hints), services)
    }
    if (definition._tag === "Metric") return source
    return groupSource(source, {
      group: name,
      metrics: Effect.map(groups, (groups) => groups.get(name) ?? []),
      kind: Effect.map(backend, ({ kind }) => kind),
      beginning: (lists, range) =>
        Effect.provide(firstPointOfGroup(name, lists, range, groupHints), services),
      explain
    })
  }
})
