/** The labels of the series of a stream, as the server lists them, so that a request can be split by them. */
import { Effect } from "effect"
import type { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { isBareName, type Matcher } from "../promql/Matcher.ts"
import type { PartIndex } from "./SeriesPart.ts"
import type { GridRange } from "./TimeGrid.ts"

/** How many labels whose names are not plain are tried. Each costs a request. */
const MAX_PROBED = 50

/** The series of a stream: those that satisfy its matchers and its selector. */
export interface IndexedSeries {
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

/** Lists the series of ranges. */
export type SeriesIndex = (range: GridRange, series: IndexedSeries) => PartIndex

/** Makes the index of a server, which remembers what the server accepts. `lookbackMillis`: how old the sample of a point may be. */
export const makeSeriesIndex = (
  client: PrometheusClient["Service"],
  lookbackMillis: Effect.Effect<number>
): SeriesIndex => {
  /** Labels whose names are not plain, and whether the server takes them in paths and selectors. */
  const selectable = new Map<string, boolean>()
  return (range, series) => {
    const index = Effect.map(lookbackMillis, (lookbackMillis) =>
      indexOf(client, series, range, lookbackMillis, selectable)
    )
    return {
      labelNames: (matchers) => Effect.flatMap(index, ({ labelNames }) => labelNames(matchers)),
      labelValues: (label, matchers) =>
        Effect.flatMap(index, ({ labelValues }) => labelValues(label, matchers))
    }
  }
}
