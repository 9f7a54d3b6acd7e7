/** How many rows the server would give for a metric, counted by the server: far less work for it than to send them. */
import { Effect, Stream } from "effect"
import { ConnectorConfig } from "../ConnectorConfig.ts"
import { metricSelector } from "../prometheus/Matcher.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { retryPolicy } from "../prometheus/retryPolicy.ts"
import { valueText } from "../prometheus/Sample.ts"
import { type GridRange, halve, pointCount, takePoints } from "../sync/TimeGrid.ts"
import { MAX_POINTS } from "../sync/WindowSize.ts"

/** Rows, and the time of the first. */
export interface ServerRows {
  readonly rows: number
  readonly firstMillis: number | null
}

const none: ServerRows = { rows: 0, firstMillis: null }

const add = (a: ServerRows, b: ServerRows): ServerRows => ({
  rows: a.rows + b.rows,
  firstMillis: a.firstMillis ?? b.firstMillis
})

/** Counts the rows of a metric on the points of a range. Asks for less at once where the server refuses to look through all. */
export const serverRows = Effect.fnUntraced(function* (metric: string, range: GridRange) {
  const settings = yield* ConnectorConfig
  const client = yield* PrometheusClient
  const query = `count(${metricSelector(metric, settings.matchers)})`

  const ask = ({ firstSeconds, lastSeconds, stepSeconds }: GridRange) =>
    client.queryRange({ query, startSeconds: firstSeconds, endSeconds: lastSeconds, stepSeconds }).pipe(
      Effect.flatMap(
        Stream.runFold(
          () => none,
          (sum, block) => {
            if (block._tag !== "FloatBlock") return sum
            let { firstMillis, rows } = sum
            for (let i = 0; i < block.length; i++) {
              const count = Number(valueText(block, i))
              if (!(count > 0 && Number.isFinite(count))) continue
              rows += count
              firstMillis ??= block.times[i]!
            }
            return { rows, firstMillis }
          }
        )
      ),
      Effect.scoped,
      Effect.retry(retryPolicy(settings.maxRetries, `${metric}: `))
    )

  const count = (part: GridRange): Effect.Effect<ServerRows, PrometheusError> =>
    Effect.catchIf(
      ask(part),
      ({ verdict }) => verdict.ending === "split" && pointCount(part) > 1,
      () => {
        const [earlier, later] = halve(part)
        return Effect.zipWith(
          count(earlier),
          Effect.suspend(() => count(later)),
          add
        )
      }
    )

  let sum = none
  for (let rest = range; pointCount(rest) > 0; ) {
    const [window, next] = takePoints(rest, MAX_POINTS)
    sum = add(sum, yield* count(window))
    rest = next
  }
  return sum
})
