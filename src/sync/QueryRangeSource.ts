/** A source that uses `query_range`, where the server evaluates the points of the grid, and `eitherApi` where that is configured. */
import { Context, Effect, Layer, Stream } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { isBareName, type Matcher, ofMetric, render } from "../promql/Matcher.ts"
import type { SampleBlock } from "../samples/Sample.ts"
import { SeriesCache } from "../samples/Series.ts"
import { BlockSource, type StreamSource } from "./BlockSource.ts"
import { type BeginningHints, firstPoint, firstPointOfGroup } from "./beginning.ts"
import { countByMetric } from "./countByMetric.ts"
import { makeEitherApi } from "./eitherApi.ts"
import { makeExplainer } from "./explainEmpty.ts"
import { groupSource } from "./groupSource.ts"
import { listedOnce } from "./listedOnce.ts"
import { querySource } from "./querySource.ts"
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
    /** Searches for groups may be slow where those for metrics are not. */
    const groupHints: BeginningHints = {}
    const explain = yield* makeExplainer
    const withEitherApi = yield* makeEitherApi
    const groups = Effect.provide(yield* listedOnce, services)
    return BlockSource.of({
      open: (definition) => {
        const series = new SeriesCache()
        const query = (
          { firstMillis, lastMillis, stepMillis }: GridRange,
          expression: string,
          lookbackMillis?: number
        ) =>
          client.queryRange({
            query: expression,
            startMillis: firstMillis,
            endMillis: lastMillis,
            stepMillis,
            ...(lookbackMillis === undefined ? {} : { lookbackMillis }),
            series
          })
        const indexIn = (range: GridRange, series: IndexedSeries): PartIndex => {
          const index = Effect.map(backend, ({ lookbackMillis }) =>
            indexOf(client, series, range, lookbackMillis, selectable)
          )
          return {
            labelNames: (matchers) => Effect.flatMap(index, ({ labelNames }) => labelNames(matchers)),
            labelValues: (label, matchers) =>
              Effect.flatMap(index, ({ labelValues }) => labelValues(label, matchers))
          }
        }
        const mayMoveStart = Effect.map(backend, ({ mayMoveStart }) => mayMoveStart)
        if (definition._tag === "Query") {
          return querySource(definition, {
            evaluate: query,
            index: (range, matchers) => indexIn(range, { matchers, selector: [] }),
            mayMoveStart,
            missing: client.missingSource
          })
        }
        const { name: metric } = definition
        const own = "matchers" in definition ? definition.matchers : []
        /** The parts of a group have matchers of their metrics. */
        const base = definition._tag === "Group" ? [] : [ofMetric(metric)]
        const matchersOf = (matchers: ReadonlyArray<Matcher>) => [...base, ...matchers, ...own]
        const selectorOf = (matchers: ReadonlyArray<Matcher>) => render(matchersOf(matchers))
        const byQuery: StreamSource = {
          metrics: new Set([metric]),
          expect: (range) => range,
          request: (range, matchers) =>
            Effect.flatMap(backend, ({ latestSample }) => query(range, latestSample(selectorOf(matchers)))),
          countSeries: (timeMillis, { matchers, metrics }) =>
            Effect.provide(
              Effect.flatMap(backend, ({ latestSample }) =>
                countByMetric(latestSample(selectorOf(matchers)), timeMillis, new Set(metrics))
              ),
              services
            ),
          mayMoveStart,
          closeTo: (point, matchers) => {
            const selector = selectorOf(matchers)
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
          },
          missing: client.missingSource,
          index: (range) => indexIn(range, { matchers: base, selector: own }),
          explainEmpty: (range) => explain(metric, range),
          beginning: (range) => Effect.provide(firstPoint(metric, range, hints), services)
        }
        const source = withEitherApi(byQuery, { name: metric, matchersOf })
        return definition._tag === "Group"
          ? groupSource(source, {
              group: definition.name,
              metrics: Effect.map(groups, (groups) => groups.get(definition.name) ?? []),
              kind: Effect.map(backend, ({ kind }) => kind),
              beginning: (lists, range) =>
                Effect.provide(firstPointOfGroup(definition.name, lists, range, groupHints), services),
              explain
            })
          : source
      }
    })
  })
)

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

/** The series of a stream: those that satisfy its matchers and its selector. */
interface IndexedSeries {
  readonly matchers: ReadonlyArray<Matcher>
  readonly selector: ReadonlyArray<Matcher>
}

/** Lists the series of a stream in a range. */
const indexOf = (
  client: PrometheusClient["Service"],
  { matchers: own, selector }: IndexedSeries,
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
      list([...own, ...matchers]),
      ({ policy }) => policy.action === "split",
      () => list()
    )
  const labelValues: PartIndex["labelValues"] = (label, matchers) =>
    narrowed(matchers, (matchers) => client.labelValues(label, range, matchers, selector))
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
        narrowed(matchers, (matchers) => client.labelNames(range, matchers, selector)),
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
