/** Discovery: the metrics of the configured range, each with its labels and its metadata. */
import { Effect, Option } from "effect"
import { ConfigError, ConnectorConfig } from "../config/ConnectorConfig.ts"
import type { TimeRange } from "../prometheus/api.ts"
import { findMetadata, type MetricMetadata } from "../prometheus/Metadata.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import { hasLabel, ofMetric } from "../promql/Matcher.ts"
import { isIncluded } from "../promql/MetricFilter.ts"
import { formatSecond, formatTime } from "../text/formatTime.ts"
import { pluralize } from "../text/pluralize.ts"
import { warnOfClock, warnOfConnection } from "./syncWarnings.ts"
import { SERVER_LOOKBACK_MILLIS } from "./TimeGrid.ts"

/** A metric that can be read. */
export interface DiscoveredMetric {
  readonly name: string
  /** Sorted, without `__name__` and labels that the configuration excludes. */
  readonly labels: ReadonlyArray<string>
  readonly metadata: MetricMetadata | undefined
}

const DAY_MILLIS = 86_400_000

/** No destination supports a longer name, and no exporter has one. */
const MAX_NAME_CHARACTERS = 10_000

/** The most label columns of a metric: a server must not be able to create a table of a million columns. */
const MAX_LABEL_COLUMNS = 1000

/** The range in which metrics are discovered. If the configured range is in the future, the last day before now. */
export const discoveryRange = (
  settings: Pick<ConnectorConfig["Service"], "startMillis" | "endMillis">,
  nowMillis: number
): TimeRange => {
  const endMillis = Math.min(
    nowMillis,
    Option.getOrElse(settings.endMillis, () => nowMillis)
  )
  const startMillis = settings.startMillis <= endMillis ? settings.startMillis : endMillis - DAY_MILLIS
  return { startMillis: Math.max(0, startMillis - SERVER_LOOKBACK_MILLIS), endMillis }
}

/** Nothing can be read, most likely because of a mistake in the configuration. */
export const noMetrics = ({ baseUrl }: Pick<ConnectorConfig["Service"], "baseUrl">): ConfigError =>
  new ConfigError({
    message: `No metric of ${baseUrl} has data in the configured range. Check start_date and end_date, and whether metrics and selector leave any.`
  })

/** The names of the selected metrics, the range in which they were discovered, and the server's clock. */
export const discoverNames = Effect.gen(function* () {
  const settings = yield* ConnectorConfig
  const client = yield* PrometheusClient
  const clock = yield* client.clock
  const now = clock.nowMillis
  const range = discoveryRange(settings, now)
  if (settings.startMillis > now) {
    yield* Effect.logWarning(
      `start_date is ${formatTime(settings.startMillis)}, but the server's clock shows ${formatSecond(now)}: nothing can be read before that date. Metrics of the last day are listed instead.`
    )
  }
  const names = yield* inParts(range, (part) => client.metricNames(part))
  const usable = names.filter(({ length }) => length <= MAX_NAME_CHARACTERS)
  if (usable.length < names.length) {
    yield* Effect.logWarning(
      `Left out: ${pluralize(names.length - usable.length, "metric")} whose name has more than ${MAX_NAME_CHARACTERS} characters.`
    )
  }
  return { clock, range, names: usable.filter((name) => isIncluded(settings.metrics, name)).sort() }
})

/** Discovers all metrics with their labels and metadata. */
export const discover = Effect.gen(function* () {
  const { excludedLabels, labelColumns } = yield* ConnectorConfig
  const client = yield* PrometheusClient
  yield* warnOfConnection
  const { clock, names, range } = yield* discoverNames
  yield* warnOfClock(clock)
  const [metadata, labels] = yield* Effect.all(
    // With one object for all labels, their names are not needed.
    [
      client.metadata,
      labelColumns ? labelsByMetric(names, range) : Effect.succeed(new Map<string, Labels>())
    ],
    { concurrency: 2 }
  )
  return yield* Effect.forEach(
    names,
    Effect.fnUntraced(function* (name) {
      const all = (labels.get(name) ?? []).filter((label) => !excludedLabels.has(label))
      if (all.length > MAX_LABEL_COLUMNS) {
        yield* Effect.logWarning(
          `${name} has ${pluralize(all.length, "label")}. The first ${MAX_LABEL_COLUMNS} have columns of their own, the others are found in other_labels.`
        )
      }
      const metric: DiscoveredMetric = {
        name,
        labels: all.toSorted().slice(0, MAX_LABEL_COLUMNS),
        metadata: findMetadata(metadata, name)
      }
      return metric
    })
  )
})

type Labels = ReadonlyArray<string>

/** The most characters of all names from several parts of a range. A single response has no more. */
const MAX_CHARACTERS = 64 * 1024 * 1024

/** The most pairs of a metric and a label: a hundred thousand metrics with a hundred labels. */
const MAX_PAIRS = 10_000_000

const tooMany = (what: string) =>
  new PrometheusError({ reason: "Oversized", summary: `The server lists ${what}.` })

/**
 * Requests names. Servers that count the matching series may refuse a long range. Both halves are then requested, down to a
 * day, because some servers index names by day.
 */
const inParts = Effect.fnUntraced(function* (
  range: TimeRange,
  request: (part: TimeRange) => Effect.Effect<ReadonlyArray<string>, PrometheusError>
): Effect.fn.Return<ReadonlyArray<string>, PrometheusError> {
  const { endMillis, startMillis } = range
  const middle = startMillis + Math.floor((endMillis - startMillis) / 2)
  const isTooLong = ({ policy }: PrometheusError) =>
    policy.action === "split" && middle - startMillis >= DAY_MILLIS
  const all = yield* Effect.catchIf(request(range), isTooLong, () => Effect.undefined)
  if (all !== undefined) return all
  const earlier = yield* inParts({ startMillis, endMillis: middle }, request)
  const later = yield* inParts({ startMillis: middle, endMillis }, request)
  const names = [...new Set([...earlier, ...later])]
  const characters = names.reduce((sum, { length }) => sum + length, 0)
  if (characters <= MAX_CHARACTERS) return names
  return yield* tooMany("more names in all parts of the range than fit into memory")
})

/**
 * The labels of each metric, with as few requests as possible: one per metric, or one per label for all metrics that have it.
 * Servers have thousands of metrics, and a hundred labels.
 */
const labelsByMetric = Effect.fnUntraced(function* (names: ReadonlyArray<string>, range: TimeRange) {
  const client = yield* PrometheusClient
  const { concurrency, excludedLabels } = yield* ConnectorConfig
  const labelsOf = Effect.fnUntraced(function* (name: string) {
    const labels = yield* Effect.catchIf(
      inParts(range, (part) => client.labelNames(part, [ofMetric(name)])),
      ({ policy }) => policy.action === "split",
      // It can still be read: its labels share one column.
      ({ summary }) =>
        Effect.as(
          Effect.logWarning(
            `The labels of ${name} are not known, so that they have no columns of their own and are found in other_labels: ${summary}`
          ),
          []
        )
    )
    return [name, labels] as const
  })
  const byMetric = Effect.map(Effect.forEach(names, labelsOf, { concurrency }), (labels) => new Map(labels))
  const byLabel = Effect.fnUntraced(function* (all: Labels) {
    const labels = new Map(names.map((name): readonly [string, Array<string>] => [name, []]))
    let pairs = 0
    const addLabel = Effect.fnUntraced(function* (label: string) {
      for (const name of yield* client.metricNames(range, [hasLabel(label)])) {
        labels.get(name)?.push(label)
        pairs++
      }
      if (pairs > MAX_PAIRS) return yield* tooMany(`more than ${MAX_PAIRS} labels of metrics`)
    })
    yield* Effect.forEach(all, addLabel, { concurrency, discard: true })
    return labels
  })
  if (names.length <= 2) return yield* byMetric
  const known = yield* Effect.catchIf(client.labelNames(range), isTooWide, () => Effect.undefined)
  const all = known?.filter((label) => !excludedLabels.has(label))
  if (all === undefined || all.length >= names.length) return yield* byMetric
  return yield* Effect.catchIf(byLabel(all), isTooWide, () => byMetric)
})

/** Some services only accept requests that name one metric. */
const isTooWide = ({ reason, policy }: PrometheusError): boolean =>
  reason === "Refused" || policy.action === "split"
