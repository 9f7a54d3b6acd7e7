/** The number of rows of a metric on the server. */
import { Effect } from "effect"
import type { ConnectorConfig } from "../config/ConnectorConfig.ts"
import type { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { type GridRange, halve, pointCount, takePoints } from "../sync/TimeGrid.ts"
import { MAX_POINTS } from "../sync/WindowSize.ts"
import { seriesCounts } from "./seriesCounts.ts"

/** A number of rows, and the times of the first and the last one. */
export interface ServerRows {
  readonly rows: number
  readonly firstMillis: number | null
  readonly lastMillis: number | null
}

const none: ServerRows = { rows: 0, firstMillis: null, lastMillis: null }

const add = (a: ServerRows, b: ServerRows): ServerRows => ({
  rows: a.rows + b.rows,
  firstMillis: a.firstMillis ?? b.firstMillis,
  lastMillis: b.lastMillis ?? a.lastMillis
})

/** Counts the rows of a metric at the points of a range. If the server refuses, the range is split in halves. */
export const serverRows = Effect.fnUntraced(function* (metric: string, range: GridRange) {
  const count = (
    part: GridRange
  ): Effect.Effect<ServerRows, PrometheusError, ConnectorConfig | PrometheusClient> =>
    seriesCounts(metric, part).pipe(
      Effect.map(({ counts, times }) => ({
        rows: counts.reduce((sum, count) => sum + count, 0),
        firstMillis: times[counts.findIndex((count) => count > 0)] ?? null,
        lastMillis: times[counts.findLastIndex((count) => count > 0)] ?? null
      })),
      Effect.catchIf(
        ({ policy }) => policy.action === "split" && pointCount(part) > 1,
        () => {
          const [earlier, later] = halve(part)
          return Effect.zipWith(
            count(earlier),
            Effect.suspend(() => count(later)),
            add
          )
        }
      )
    )

  let sum = none
  for (let rest = range; pointCount(rest) > 0; ) {
    const [window, next] = takePoints(rest, MAX_POINTS)
    sum = add(sum, yield* count(window))
    rest = next
  }
  return sum
})
