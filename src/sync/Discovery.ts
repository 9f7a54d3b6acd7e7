/** Which streams there are: the metrics of the configured range, each with its labels and what is known of it. */
import { Effect, Option } from "effect"
import { ConfigError, ConnectorConfig } from "../ConnectorConfig.ts"
import { findMetadata, type MetricMetadata } from "../prometheus/Metadata.ts"
import { isIncluded } from "../prometheus/MetricFilter.ts"
import { PrometheusClient, type TimeRange } from "../prometheus/PrometheusClient.ts"

/** A metric that can be read. */
export interface DiscoveredMetric {
  readonly name: string
  /** Without `__name__`, sorted. */
  readonly labels: ReadonlyArray<string>
  readonly metadata: MetricMetadata | undefined
}

/** A point of the grid shows samples that are up to five minutes older. */
const LOOKBACK_MILLIS = 300_000

const DAY_MILLIS = 86_400_000

/** The range that names are asked for. A range that lies in the future shows what there is today. */
export const discoveryRange = (
  settings: Pick<ConnectorConfig["Service"], "startMillis" | "endMillis">,
  nowMillis: number
): TimeRange => {
  const endMillis = Math.min(
    nowMillis,
    Option.getOrElse(settings.endMillis, () => nowMillis)
  )
  const startMillis = settings.startMillis <= endMillis ? settings.startMillis : endMillis - DAY_MILLIS
  return { startMillis: Math.max(0, startMillis - LOOKBACK_MILLIS), endMillis }
}

/** There is nothing to read, which is most likely a mistake. */
export const noMetrics = ({ baseUrl }: Pick<ConnectorConfig["Service"], "baseUrl">): ConfigError =>
  new ConfigError({
    message: `No metric of ${baseUrl} has data in the configured range. Check start_date and end_date, and whether metrics and selector leave any.`
  })

/** The names of the metrics that the configuration selects, and the range in which they were looked for. */
export const discoverNames = Effect.gen(function* () {
  const settings = yield* ConnectorConfig
  const client = yield* PrometheusClient
  const range = discoveryRange(settings, yield* client.now)
  const names = yield* client.metricNames(range)
  return { range, names: names.filter((name) => isIncluded(settings.metrics, name)).sort() }
})

/** Finds all metrics, their labels with a bounded number of requests at a time. */
export const discover = Effect.gen(function* () {
  const settings = yield* ConnectorConfig
  const client = yield* PrometheusClient
  const { names, range } = yield* discoverNames
  const [metadata, labels] = yield* Effect.all(
    [
      client.metadata,
      // With one object for all labels nobody needs their names.
      settings.labelColumns
        ? Effect.forEach(names, (name) => client.labelNames(name, range), {
            concurrency: settings.concurrency
          })
        : Effect.succeed(names.map((): ReadonlyArray<string> => []))
    ],
    { concurrency: 2 }
  )
  return names.map(
    (name, index): DiscoveredMetric => ({
      name,
      labels: [...labels[index]!].sort(),
      metadata: findMetadata(metadata, name)
    })
  )
})
