/** The sources of all streams of a server: which samples a stream has decides how they are requested. */
import { Effect, Layer } from "effect"
import type { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { BlockSource } from "./BlockSource.ts"
import { makeEitherApi } from "./eitherApi.ts"
import { makeMetricSources } from "./metricSources.ts"
import { openQuery, queryRangeReading } from "./queryRange.ts"
import { makeSeriesIndex } from "./seriesIndex.ts"
import { makeStoredSamples } from "./storedSamples.ts"

export const layer: Layer.Layer<BlockSource, never, ConnectorConfig | PrometheusClient> = Layer.effect(
  BlockSource,
  Effect.gen(function* () {
    const client = yield* PrometheusClient
    // Asked for with the first window: a read that cannot begin sends no request.
    const backend = yield* Effect.cached(client.backend)
    const index = makeSeriesIndex(
      client,
      Effect.map(backend, ({ lookbackMillis }) => lookbackMillis)
    )
    const open = yield* makeMetricSources(index)
    const storedSamples = yield* makeStoredSamples
    const eitherApi = yield* makeEitherApi
    return BlockSource.of({
      open: (definition) => {
        if (definition._tag === "Query") return openQuery(definition, client, { backend, index })
        if (definition._tag === "Table")
          throw new Error(`${definition.name} is a table, which has no samples.`)
        return open(
          definition,
          definition.sampling === "raw"
            ? storedSamples()
            : eitherApi(definition.name, queryRangeReading(client, backend))
        )
      }
    })
  })
)
