/** How densely samples are stored, from one small request: points can be computed from them. */
import { Effect, Stream } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { serverTimeout } from "../prometheus/load/serverTimeout.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { ofMetric } from "../promql/Matcher.ts"
import { recycle } from "../samples/Arena.ts"
import { definitionOf } from "../sync/StreamDefinition.ts"

/** The time before a point whose samples are read. */
const WINDOW_MILLIS = 600_000

/** An estimate does not need it, so it is not waited for longer than this. */
const MAX_WAIT_MILLIS = 10_000

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
