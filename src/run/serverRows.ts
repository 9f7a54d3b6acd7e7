/** The number of rows of a metric on the server. */
import { Effect } from "effect"
import type { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { sumOf } from "../destinations/contents.ts"
import type { Contents } from "../destinations/Destination.ts"
import type { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { type GridRange, halve, pointCount, takePoints } from "../sync/TimeGrid.ts"
import { MAX_POINTS } from "../sync/WindowSize.ts"
import { seriesCounts } from "./seriesCounts.ts"

/** Counts the rows of a metric at the points of a range. */
export const serverRows = Effect.fnUntraced(function* (metric: string, range: GridRange) {
  const windows: Array<Contents> = []
  for (let rest = range; pointCount(rest) > 0; ) {
    const [window, next] = takePoints(rest, MAX_POINTS)
    windows.push(yield* count(metric, window))
    rest = next
  }
  return sumOf(windows)
})

/** Counts in one query. If the server refuses, the range is split in halves. */
const count = (
  metric: string,
  range: GridRange
): Effect.Effect<Contents, PrometheusError, ConnectorConfig | PrometheusClient> =>
  seriesCounts(metric, range).pipe(
    Effect.map(({ counts, times }) => ({
      rows: counts.reduce((sum, count) => sum + count, 0),
      firstMillis: times[counts.findIndex((count) => count > 0)] ?? null,
      lastMillis: times[counts.findLastIndex((count) => count > 0)] ?? null
    })),
    Effect.catchIf(
      ({ policy }) => policy.action === "split" && pointCount(range) > 1,
      () =>
        Effect.map(
          Effect.forEach(halve(range), (half) => count(metric, half)),
          sumOf
        )
    )
  )
