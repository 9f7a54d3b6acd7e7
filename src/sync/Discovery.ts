/** Discovery: the metrics of the configured range and the configured queries, each with its labels. */
import { Effect, Option } from "effect"
import { ConfigError, ConnectorConfig } from "../config/ConnectorConfig.ts"
import { type TableName, tableStreamName } from "../config/StreamSettings.ts"
import { serverTimeout } from "../prometheus/load/serverTimeout.ts"
import { findMetadata, type MetricMetadata } from "../prometheus/Metadata.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { TimeRange } from "../prometheus/RangeQuery.ts"
import { hasLabel, type Matcher, ofMetric } from "../promql/Matcher.ts"
import { exactNames, excludesAll, isIncluded } from "../promql/MetricFilter.ts"
import { formatSecond, formatTime } from "../text/formatTime.ts"
import { pluralize } from "../text/pluralize.ts"
import { allSourcesRespond } from "./allSourcesRespond.ts"
import { groupMetrics, groupOf, nameClash, patternsText } from "./groups.ts"
import {
  addNames,
  addNamesOfParts,
  DAY_MILLIS,
  firstParts,
  type ListOptions,
  lengthOf,
  NameSet,
  namesIn,
  type PartLists,
  tooMany,
  warnOfLimit
} from "./listNames.ts"
import { queryLabels } from "./queryProbe.ts"
import { ownMatchersOf, selectorOfMetric } from "./StreamDefinition.ts"
import { warnOfClock, warnOfConnection } from "./syncWarnings.ts"
import { unlistedNames, unmatchedPatterns, youngNames } from "./unlistedNames.ts"

/** A stream that can be read. */
export interface DiscoveredStream {
  readonly name: string
  /** Sorted, without labels that the configuration excludes. Only a query has the label `__name__`, if its result has it. */
  readonly labels: ReadonlyArray<string>
  readonly metadata: MetricMetadata | undefined
  /** The PromQL expression of a query. */
  readonly expression?: string
  /** The patterns of a group, and how many metrics it has. */
  readonly group?: { readonly patterns: string; readonly metrics: number }
  /** The table, if it is one of the server's own. */
  readonly table?: TableName
}

/** No destination supports a longer name, and no exporter has one. */
const MAX_NAME_CHARACTERS = 10_000

/** The most label columns of a metric: a server must not be able to create a table of a million columns. */
const MAX_LABEL_COLUMNS = 1000

/**
 * The range in which metrics are discovered: that of the points, and the server's look-back before it. If the configured range
 * is in the future, the last day before now.
 */
export const discoveryRange = (
  settings: Pick<ConnectorConfig["Service"], "startMillis" | "endMillis">,
  nowMillis: number,
  lookbackMillis: number
): TimeRange => {
  const endMillis = Math.min(
    nowMillis,
    Option.getOrElse(settings.endMillis, () => nowMillis)
  )
  const startMillis = settings.startMillis <= endMillis ? settings.startMillis : endMillis - DAY_MILLIS
  return { startMillis: Math.max(0, startMillis - lookbackMillis), endMillis }
}

/**
 * Nothing can be read, most likely because of a mistake in the configuration. `unmatched` says which patterns select nothing.
 */
export const noMetrics = (
  { baseUrl }: Pick<ConnectorConfig["Service"], "baseUrl">,
  unmatched: ReadonlyArray<string> = []
): ConfigError =>
  new ConfigError({
    message: [
      `No metric of ${baseUrl} has data in the configured range.`,
      ...unmatched,
      "Check start_date and end_date, and whether metrics and selector leave any."
    ].join(" ")
  })

/** The names of the metrics to read, and how they were found. */
export interface DiscoveredNames {
  /** Sorted and distinct. */
  readonly names: ReadonlyArray<string>
  /** For each pattern that selects no metric, a sentence that names it and similar metrics. */
  readonly unmatched: ReadonlyArray<string>
  readonly range: TimeRange
  readonly clock: Effect.Success<PrometheusClient["Service"]["clock"]>
  /** How the server lists the parts of the range; undefined if they were not needed. */
  readonly lists: PartLists | undefined
  /** Whether the server lists no names: those of the configuration are used. */
  readonly isUnlisted: boolean
}

/** How long a check waits for lists that it can do without, and from how many names on it does without them. */
const QUICK_MILLIS = 10_000
const QUICK_NAMES = 20_000

/**
 * What names are for: all streams, a check, which does not wait for everything, or the groups that are being read. The samples of a
 * metric that is missing in its group would never be read.
 */
type Purpose = "streams" | "check" | "groups"

/**
 * Finds the names of the metrics to read. All of them, whatever the server's lists lack: see `listNames.ts`. Metrics that are
 * included by their exact name are found without being listed.
 */
const discoverWith = Effect.fnUntraced(function* (
  purpose: Purpose
): Effect.fn.Return<DiscoveredNames, PrometheusError, ConnectorConfig | PrometheusClient> {
  const settings = yield* ConnectorConfig
  const client = yield* PrometheusClient
  // An earlier discovery has logged it. Warnings of incomplete lists are repeated.
  const warn = (text: string) => (purpose === "groups" ? Effect.void : Effect.logWarning(text))
  const clock = yield* client.clock
  const now = clock.nowMillis
  const backend = yield* client.backend
  const range = discoveryRange(settings, now, backend.lookbackMillis)
  if (settings.startMillis > now) {
    yield* warn(
      `start_date is ${formatTime(settings.startMillis)}, but the server's clock shows ${formatSecond(now)}: nothing can be read before that date. Metrics of the last day are listed instead.`
    )
  }
  if (excludesAll(settings.metrics)) {
    return { clock, range, names: [], unmatched: [], lists: undefined, isUnlisted: false }
  }
  const exact = exactNames(settings.metrics)
  const all = new NameSet()
  const request = (part: TimeRange) => client.metricNames(part)
  const accepted = yield* addNames(all, range, request).pipe(
    Effect.catchIf(
      (error) => isAboutLists(error) && exact.isComplete,
      (error) => Effect.succeed(error)
    ),
    Effect.mapError((error) =>
      error.policy.action === "split"
        ? new PrometheusError({
            reason: error.reason,
            summary: error.summary,
            advice: `${error.policy.advice} Or name each metric in metrics.include without patterns: then no list is needed.`
          })
        : error
    )
  )
  if (typeof accepted !== "boolean") {
    yield* warn(
      `${accepted.summary} The metrics of metrics.include are read without a list of all metrics, because each is named exactly.`
    )
    const names = exact.names.toSorted()
    return { clock, range, names, unmatched: [], lists: undefined, isUnlisted: true }
  }
  yield* allSourcesRespond(client.missingSource)
  yield* warnOfLimit("metrics", all.names.size, backend)

  const more = addUnlisted({ all, accepted, exact, range }, { isStrict: purpose === "groups" })
  const lists =
    purpose !== "check"
      ? yield* more
      : all.names.size > QUICK_NAMES
        ? undefined
        : yield* serverTimeout(QUICK_MILLIS, () => Effect.undefined)(more)

  const usable = [...all.names].filter(({ length }) => length <= MAX_NAME_CHARACTERS)
  if (usable.length < all.names.size) {
    yield* warn(
      `Left out: ${pluralize(all.names.size - usable.length, "metric")} whose name has more than ${MAX_NAME_CHARACTERS} characters.`
    )
  }
  // Metrics in a group have no selector of their own.
  const names = (purpose === "groups" ? usable : yield* withOwnSelectors(usable, range, purpose))
    .filter((name) => isIncluded(settings.metrics, name))
    .sort()
  const unmatched = unmatchedPatterns(settings.metrics, usable)
  if (names.length > 0) yield* Effect.forEach(unmatched, warn)
  return { clock, range, names, unmatched, lists, isUnlisted: false }
})

/** Names that the server lists in a range. */
interface Listed {
  readonly all: NameSet
  readonly range: TimeRange
  /** Whether the server accepted the range. Otherwise its parts have been listed. */
  readonly accepted: boolean
  /** The metrics that are included by name. */
  readonly exact: ReturnType<typeof exactNames>
  /** Selects the series of the metrics, in place of the configured selector. */
  readonly selector?: ReadonlyArray<Matcher>
}

/** Adds what a list may lack. Returns the lists of the parts, if they were needed. */
const addUnlisted = Effect.fnUntraced(function* (
  { accepted, all, exact, range, selector }: Listed,
  { isStrict }: ListOptions
): Effect.fn.Return<PartLists | undefined, PrometheusError, ConnectorConfig | PrometheusClient> {
  const { concurrency } = yield* ConnectorConfig
  const client = yield* PrometheusClient
  const missing = exact.names.filter((name) => !all.names.has(name))
  if (exact.isComplete && missing.length === 0) return undefined
  const request = (part: TimeRange) => client.metricNames(part, [], selector)
  const lists =
    exact.isComplete || !accepted
      ? undefined
      : yield* addNamesOfParts(all, range, request, { concurrency, isStrict })
  yield* all.add(
    yield* unlistedNames(
      missing.filter((name) => !all.names.has(name)),
      range,
      selector
    )
  )
  if (!exact.isComplete) yield* all.add(yield* youngNames(all.names, range, { isStrict }, selector))
  return accepted ? lists : { isCut: false, parts: [range] }
})

type StreamSettings = Pick<ConnectorConfig["Service"], "groups" | "queries" | "tables">

/** How many streams of each kind will be read, as a part of a sentence. */
export const streamsText = (settings: StreamSettings, metrics: ReadonlyArray<string>): string => {
  const { groups, ungrouped } = groupMetrics(settings, metrics)
  const { queries, tables } = settings
  const kinds = [
    ...(groups.size > 0
      ? [`${pluralize(groups.size, "group")} (${pluralize(metrics.length - ungrouped.length, "metric")})`]
      : []),
    ...(queries.length > 0 ? [pluralize(queries.length, "query", "queries")] : []),
    ...(tables.length > 0 ? [pluralize(tables.length, "table")] : [])
  ]
  const all =
    ungrouped.length > 0 || kinds.length === 0 ? [pluralize(ungrouped.length, "metric"), ...kinds] : kinds
  return [all.slice(0, -1).join(", "), ...all.slice(-1)].filter((text) => text !== "").join(" and ")
}

/** Logs a warning for each group without metrics, which has no stream. */
const warnOfEmptyGroups = Effect.fnUntraced(function* (
  metrics: ReadonlyArray<string>,
  found: ReadonlyMap<string, unknown>
) {
  const { groups } = yield* ConnectorConfig
  for (const group of groups.filter(({ name }) => !found.has(name))) {
    const unmatched = unmatchedPatterns(group.metrics, metrics)
    const why = unmatched.length > 0 ? unmatched : ["Groups before it may have them, or exclude leaves none."]
    yield* Effect.logWarning(`The group ${group.name} has no metrics, and thus no stream. ${why.join(" ")}`)
  }
})

/**
 * The names of all streams to read: the metrics outside of groups, the groups with metrics, the queries and the tables. Fails if
 * two streams would have the same name.
 */
export const streamNames = Effect.fnUntraced(function* (metrics: ReadonlyArray<string>) {
  const settings = yield* ConnectorConfig
  const { groups, ungrouped } = groupMetrics(settings, metrics)
  const clash = nameClash(settings, ungrouped)
  if (clash !== undefined) return yield* clash
  yield* warnOfEmptyGroups(metrics, groups)
  const queries = settings.queries.map(({ name }) => name)
  return [...ungrouped, ...groups.keys(), ...queries, ...settings.tables.map(tableStreamName)]
})

/** The names of the selected metrics, the range in which they were discovered, and the server's clock. */
export const discoverNames = discoverWith("streams")

/** The same for a check, which does not wait for everything. */
export const discoverNamesQuickly = discoverWith("check")

/** The same for the groups that are being read. Fails if a list may be incomplete. */
export const discoverNamesOfGroups = discoverWith("groups")

/**
 * Replaces the names of metrics with their own selector: only those that this selector matches stay or are added. Metrics of groups
 * have none.
 */
const withOwnSelectors = Effect.fnUntraced(function* (
  names: ReadonlyArray<string>,
  range: TimeRange,
  purpose: Purpose
) {
  const settings = yield* ConnectorConfig
  const client = yield* PrometheusClient
  const { isComplete, names: exactly } = exactNames(settings.metrics)
  const ownOf = (name: string) =>
    groupOf(settings, name) === undefined ? ownMatchersOf(settings, name) : undefined
  const kept = new Set(names.filter((name) => ownOf(name) === undefined))
  for (const { matchers } of settings.overrides) {
    if (matchers === undefined) continue
    const all = new NameSet()
    const exact = { isComplete, names: exactly.filter((name) => ownOf(name) === matchers) }
    const accepted = yield* Effect.catchIf(
      addNames(all, range, (part) => client.metricNames(part, [], matchers)),
      (error) => isAboutLists(error) && isComplete,
      // Reading them will show which of them have series.
      () => Effect.as(all.add(exact.names), undefined)
    )
    if (accepted !== undefined && purpose !== "check") {
      yield* addUnlisted({ all, accepted, exact, range, selector: matchers }, { isStrict: false })
    }
    for (const name of all.names) {
      if (name.length <= MAX_NAME_CHARACTERS && ownOf(name) === matchers) kept.add(name)
    }
  }
  return [...kept]
})

/** Whether a server that has responded to a query cannot list its metrics, or not all of them. */
const isAboutLists = ({ policy, reason }: PrometheusError): boolean =>
  reason === "NoLabelApi" ||
  reason === "WrongPath" ||
  reason === "PartialResponse" ||
  policy.action === "split"

/** Discovers all streams with their labels and metadata, and the patterns that select no metric. */
export const discoverSelected = Effect.gen(function* () {
  const settings = yield* ConnectorConfig
  const { excludedLabels, labelColumns } = settings
  const client = yield* PrometheusClient
  yield* warnOfConnection
  const all = yield* discoverNames
  const { clock, unmatched } = all
  const { groups, ungrouped: names } = groupMetrics(settings, all.names)
  const discovered: DiscoveredNames = { ...all, names }
  yield* warnOfClock(clock)
  yield* streamNames(all.names)
  const [metadata, labels] = yield* Effect.all(
    // With one object for all labels, their names are not needed.
    [client.metadata, labelColumns ? labelsByMetric(discovered) : Effect.succeed(new Map<string, Labels>())],
    { concurrency: 2 }
  )
  yield* allSourcesRespond(client.missingSource)
  const metrics = yield* Effect.forEach(
    names,
    Effect.fnUntraced(function* (name) {
      const all = (labels.get(name) ?? []).filter((label) => !excludedLabels.has(label))
      const metric: DiscoveredStream = {
        name,
        labels: yield* limited(name, all),
        metadata: findMetadata(metadata, name)
      }
      return metric
    })
  )
  const grouped = settings.groups.flatMap((group): ReadonlyArray<DiscoveredStream> => {
    const { name } = group
    const members = groups.get(name)
    if (members === undefined) return []
    return [
      {
        name,
        labels: [],
        metadata: undefined,
        group: { patterns: patternsText(group), metrics: members.length }
      }
    ]
  })
  return {
    streams: [
      ...metrics,
      ...grouped,
      ...(yield* discoverQueries(discovered)),
      ...settings.tables.map(
        (table): DiscoveredStream => ({
          name: tableStreamName(table),
          labels: [],
          metadata: undefined,
          table
        })
      )
    ],
    metrics: all.names,
    unmatched
  }
})

/** The queries with the labels of their results. */
const discoverQueries = Effect.fnUntraced(function* ({ clock: { nowMillis } }: DiscoveredNames) {
  const settings = yield* ConnectorConfig
  return yield* Effect.forEach(
    settings.queries,
    Effect.fnUntraced(function* ({ expression, name }) {
      const labels = yield* queryLabels(settings, name, nowMillis)
      const query: DiscoveredStream = {
        name,
        labels: yield* limited(name, labels),
        metadata: undefined,
        expression: expression.text
      }
      return query
    }),
    { concurrency: settings.concurrency }
  )
})

/** The labels that have columns, sorted. */
const limited = Effect.fnUntraced(function* (name: string, labels: ReadonlyArray<string>) {
  if (labels.length > MAX_LABEL_COLUMNS) {
    yield* Effect.logWarning(
      `${name} has ${pluralize(labels.length, "label")}. The first ${MAX_LABEL_COLUMNS} have columns of their own; records have the others in other_labels.`
    )
  }
  return labels.toSorted().slice(0, MAX_LABEL_COLUMNS)
})

/** Discovers all streams with their labels and metadata. */
export const discover = Effect.map(discoverSelected, ({ streams }) => streams)

type Labels = ReadonlyArray<string>

/** The most pairs of a metric and a label: a hundred thousand metrics with a hundred labels. */
const MAX_PAIRS = 10_000_000

/**
 * The labels of each metric, with as few requests as possible: one per metric, or one per label for all metrics that have it.
 * Servers have thousands of metrics, and a hundred labels. From a server that shortens the lists of long ranges, in parts.
 */
const listLabels = Effect.fnUntraced(function* ({ isUnlisted, lists, names, range }: DiscoveredNames) {
  const client = yield* PrometheusClient
  const settings = yield* ConnectorConfig
  const { concurrency, excludedLabels } = settings
  /** The parts of the range to request: itself, and others if its list may lack some. */
  const parts = lists?.parts ?? firstParts(range)
  const beside = [range, ...parts.filter((part) => lengthOf(part) < lengthOf(range))]
  const labelsOf = (ranges: ReadonlyArray<TimeRange>) =>
    Effect.fnUntraced(function* (name: string) {
      const labels = yield* Effect.catchIf(
        namesIn(ranges, (part) =>
          client.labelNames(part, [ofMetric(name)], selectorOfMetric(settings, name))
        ),
        ({ policy }) => policy.action === "split",
        // It can still be read: its labels share one column.
        ({ summary }) =>
          Effect.as(
            Effect.logWarning(
              `The labels of ${name} are not known, so its records have them in other_labels: ${summary}`
            ),
            []
          )
      )
      return [name, labels] as const
    })
  const byMetric = (ranges: ReadonlyArray<TimeRange>) =>
    Effect.map(Effect.forEach(names, labelsOf(ranges), { concurrency }), (labels) => new Map(labels))
  const byLabel = Effect.fnUntraced(function* (all: Labels, ranges: ReadonlyArray<TimeRange>) {
    const labels = new Map(names.map((name): readonly [string, Array<string>] => [name, []]))
    let pairs = 0
    const addLabel = Effect.fnUntraced(function* (label: string) {
      const listed = yield* ranges.length === 1
        ? client.metricNames(range, [hasLabel(label)])
        : namesIn(ranges, (part) => client.metricNames(part, [hasLabel(label)]))
      for (const name of listed) {
        labels.get(name)?.push(label)
        pairs++
      }
      if (pairs > MAX_PAIRS) return yield* tooMany(`more than ${MAX_PAIRS} labels of metrics`)
    })
    yield* Effect.forEach(all, addLabel, { concurrency, discard: true })
    return labels
  })
  if (isUnlisted) return yield* byMetric([range])
  if (names.length <= 2) return yield* byMetric(beside)
  const known = new NameSet()
  const isListed = yield* Effect.catchIf(
    Effect.flatMap(client.labelNames(range), (labels) => Effect.as(known.add(labels), true)),
    isTooWide,
    () => Effect.succeed(false)
  )
  if (!isListed) return yield* byMetric(lists?.isCut === true ? beside : [range])
  const inRange = known.names.size
  yield* warnOfLimit("labels", inRange, yield* client.backend)
  if (beside.length > 1) {
    const listed = yield* Effect.forEach(
      beside.slice(1),
      (part) => Effect.catchIf(client.labelNames(part), isTooWide, () => Effect.succeed([])),
      { concurrency }
    )
    yield* known.add(listed.flat())
  }
  const ranges = lists?.isCut === true || known.names.size > inRange ? beside : [range]
  const all = [...known.names].filter((label) => !excludedLabels.has(label))
  if (all.length >= names.length) return yield* byMetric(ranges)
  return yield* Effect.catchIf(byLabel(all, ranges), isTooWide, () => byMetric(ranges))
})

/** The labels of all metrics. Those with their own selector are listed one by one. */
const listAllLabels = Effect.fnUntraced(function* (discovered: DiscoveredNames) {
  const settings = yield* ConnectorConfig
  const isOwn = (name: string) => ownMatchersOf(settings, name) !== undefined
  const own = discovered.names.filter(isOwn)
  if (own.length === 0) return yield* listLabels(discovered)
  const general = discovered.names.filter((name) => !isOwn(name))
  return new Map<string, Labels>([
    ...(general.length === 0 ? [] : yield* listLabels({ ...discovered, names: general })),
    ...(yield* listLabels({ ...discovered, names: own, isUnlisted: true }))
  ])
})

/** The labels of each metric. Those that a server does not list are found in `other_labels`. */
const labelsByMetric = (discovered: DiscoveredNames) =>
  Effect.catchIf(
    listAllLabels(discovered),
    (error) => error.reason === "NoLabelApi" || (discovered.isUnlisted && isAboutLists(error)),
    ({ summary }) =>
      Effect.as(
        Effect.logWarning(
          `The labels of the metrics are not known, so their records have them in other_labels: ${summary}`
        ),
        new Map<string, Labels>()
      )
  )

/** Some services only accept requests that name one metric. */
const isTooWide = ({ reason, policy }: PrometheusError): boolean =>
  reason === "Refused" || policy.action === "split"
