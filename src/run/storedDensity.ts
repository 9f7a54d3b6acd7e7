/** How densely samples are stored, from one small request: a run reads all of them, or computes its points from them. */
import { Effect, Stream } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { serverTimeout } from "../prometheus/load/serverTimeout.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { metricSelector, ofMetric } from "../promql/Matcher.ts"
import { recycle } from "../samples/Arena.ts"
import { numberAt } from "../samples/Sample.ts"
import { definitionOf } from "../sync/StreamDefinition.ts"
import { rawBounds } from "../sync/WindowSize.ts"

/** The time before a point in which samples are counted. */
const WINDOW_MILLIS = 600_000

/** An estimate does not need it, so it is not waited for longer than this. */
const MAX_WAIT_MILLIS = 10_000

/** The bytes of a stored sample in a response, with its share of the labels and of the chunk. Typical ones take 2 to 8. */
export const STORED_SAMPLE_BYTES = 5

/** Samples per series and millisecond. If the server shows none: those of the usual scrape interval. */
export const storedDensity = Effect.fnUntraced(function* (stream: string, atMillis: number) {
  const definition = definitionOf(yield* ConnectorConfig, stream)
  // The metrics of a group may be too many for this.
  if (definition._tag !== "Metric") return rawBounds.samplesPerPoint
  const { queryRange } = yield* PrometheusClient
  const counts = `count_over_time(${metricSelector(definition.name, definition.matchers)}[${WINDOW_MILLIS / 1000}s])`
  const mean = yield* queryRange({
    query: `avg(${counts})`,
    startMillis: atMillis,
    endMillis: atMillis,
    stepMillis: 1000
  }).pipe(
    Effect.flatMap(
      Stream.runFold(
        () => 0,
        (found, block) => (block._tag === "HistogramBlock" || block.length === 0 ? found : numberAt(block, 0))
      )
    ),
    serverTimeout(MAX_WAIT_MILLIS, () => Effect.succeed(0)),
    Effect.scoped,
    Effect.orElseSucceed(() => 0)
  )
  if (mean >= 1 && mean <= WINDOW_MILLIS) return mean / WINDOW_MILLIS
  return (yield* remoteDensity(stream, atMillis)) ?? rawBounds.samplesPerPoint
})

/** Samples per series and millisecond, by a remote read. Undefined if the server does not offer that, or has none there. */
export const remoteDensity = Effect.fnUntraced(function* (stream: string, atMillis: number) {
  const definition = definitionOf(yield* ConnectorConfig, stream)
  if (definition._tag !== "Metric") return undefined
  const { remoteRead } = yield* PrometheusClient
  const { samples, series } = yield* remoteRead({
    matchers: [ofMetric(definition.name), ...definition.matchers],
    startMillis: atMillis - WINDOW_MILLIS + 1,
    endMillis: atMillis
  }).pipe(
    Effect.flatMap(
      Stream.runFold(
        () => ({ samples: 0, series: new Set<string>() }),
        (found, block) => {
          found.samples += block.length
          found.series.add(block.series.id)
          recycle(block)
          return found
        }
      )
    ),
    serverTimeout(MAX_WAIT_MILLIS, () => Effect.succeed(nothing)),
    Effect.scoped,
    Effect.orElseSucceed(() => nothing)
  )
  return samples === 0 ? undefined : samples / series.size / WINDOW_MILLIS
})

const nothing = { samples: 0, series: new Set<string>() }
