/** The points of a grid by remote read: the server sends its stored samples, and the points are evaluated here. */
import { Effect, type Scope, Stream } from "effect"
import type { Lookback } from "../prometheus/Backend.ts"
import type { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { ExternalLabels } from "../prometheus/remoteRead/externalLabels.ts"
import { GridEvaluator, storedRange } from "../prometheus/remoteRead/GridEvaluator.ts"
import type { Matcher } from "../promql/Matcher.ts"
import type { SampleBlock } from "../samples/Sample.ts"
import type { SeriesCache } from "../samples/Series.ts"
import type { Response } from "./BlockSource.ts"
import type { GridRange } from "./TimeGrid.ts"

/** How many samples the server sent, and how many points they made. */
export interface StoredCounts {
  readonly stored: number
  readonly points: number
}

export interface StoredGridOptions {
  readonly range: GridRange
  /** All of the series' matchers. */
  readonly matchers: ReadonlyArray<Matcher>
  readonly lookback: Lookback
  /** Labels that the server adds to the series, and that are dropped again. */
  readonly externalLabels: ExternalLabels
  readonly series: SeriesCache
  /** Called after the last point. */
  readonly onEnd: (counts: StoredCounts) => void
}

/** Requests a range. The effect ends when the response begins. */
export const storedGrid = (
  client: PrometheusClient["Service"],
  { externalLabels, lookback, matchers, onEnd, range, series }: StoredGridOptions
): Effect.Effect<Response, PrometheusError, Scope.Scope> =>
  Effect.map(
    client.remoteRead({
      ...storedRange(range, lookback),
      matchers,
      externalLabels,
      series,
      keepStaleMarkers: true
    }),
    (samples) => evaluated(samples, new GridEvaluator(range, lookback), onEnd)
  )

const evaluated = (
  samples: Response,
  evaluator: GridEvaluator,
  onEnd: StoredGridOptions["onEnd"]
): Response => {
  const last = Stream.suspend(() => {
    const blocks: ReadonlyArray<SampleBlock> = evaluator.finish()
    onEnd(evaluator)
    return Stream.fromIterable(blocks)
  })
  return Stream.chunks(samples).pipe(
    Stream.flatMap((blocks) => Stream.fromIterable(evaluator.push(blocks))),
    Stream.concat(last)
  )
}
