/** How many series each of several metrics has at a point, by one query whose response has one number for each metric. */
import { Effect, Stream } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { serverTimeout } from "../prometheus/load/serverTimeout.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import { recycle } from "../samples/Arena.ts"
import { numberAt } from "../samples/Sample.ts"
import { METRIC_NAME } from "../samples/Series.ts"

/** The number of series by metric. Metrics without any are left out. */
export type SeriesCounts = ReadonlyMap<string, number>

/** A read does not need the numbers, so they are not waited for longer than this. */
const MAX_WAIT_MILLIS = 60_000

/**
 * Counts the series that an expression selects at a time, by the metrics of these names. The request is not retried. The numbers
 * are estimates: series come and go.
 */
export const countByMetric = Effect.fnUntraced(function* (
  expression: string,
  timeMillis: number,
  names: ReadonlySet<string>
) {
  const { requestTimeoutMillis } = yield* ConnectorConfig
  const client = yield* PrometheusClient
  return yield* client
    .queryRange({
      query: `count by (${METRIC_NAME}) (${expression})`,
      startMillis: timeMillis,
      endMillis: timeMillis,
      stepMillis: 1000
    })
    .pipe(
      Effect.flatMap(
        Stream.runFold(
          () => new Map<string, number>(),
          (counts, block) => {
            const name = block.series.labels.find(([label]) => label === METRIC_NAME)?.[1] ?? ""
            if (block._tag !== "HistogramBlock" && block.length > 0 && names.has(name)) {
              const count = numberAt(block, 0)
              if (count > 0 && Number.isFinite(count)) counts.set(name, count)
            }
            recycle(block)
            return counts
          }
        )
      ),
      Effect.map((counts): SeriesCounts => counts),
      serverTimeout(Math.min(MAX_WAIT_MILLIS, requestTimeoutMillis), () => Effect.fail(tooSlow)),
      Effect.scoped
    )
})

const tooSlow = new PrometheusError({
  reason: "Timeout",
  summary: "The server did not count the series of the metrics in time."
})
