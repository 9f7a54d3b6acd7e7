/** What a stream contains, by its name: the series of a metric, of an expression or of several metrics, or a table. */
import type { Settings } from "../config/ConnectorConfig.ts"
import { type Sampling, type TableName, tableStreamName } from "../config/StreamSettings.ts"
import type { Expression } from "../promql/Expression.ts"
import type { Matcher } from "../promql/Matcher.ts"
import type { MetricFilter } from "../promql/MetricFilter.ts"
import { type Layout, layoutOfKind, type StreamKind } from "../samples/Layout.ts"
import { RAW_STEP_MILLIS } from "./TimeGrid.ts"

/** All series of one metric that satisfy the matchers. */
export interface MetricStream {
  readonly _tag: "Metric"
  readonly name: string
  readonly stepSeconds: number
  readonly sampling: Sampling
  readonly matchers: ReadonlyArray<Matcher>
}

/** The series of a PromQL expression. */
export interface QueryStream {
  readonly _tag: "Query"
  readonly name: string
  readonly stepSeconds: number
  readonly expression: Expression
}

/** All series of several metrics that satisfy the matchers. */
export interface GroupStream {
  readonly _tag: "Group"
  readonly name: string
  readonly stepSeconds: number
  readonly sampling: Sampling
  readonly matchers: ReadonlyArray<Matcher>
  readonly metrics: MetricFilter
}

/** One of Prometheus' own tables. */
export interface TableStream {
  readonly _tag: "Table"
  readonly name: string
  /** A second: exemplars are read in windows of seconds. */
  readonly stepSeconds: 1
  readonly table: TableName
  /** They select exemplars. */
  readonly matchers: ReadonlyArray<Matcher>
}

export type StreamDefinition = MetricStream | QueryStream | GroupStream | TableStream

/** The settings that define streams. */
export type DefiningSettings = Pick<
  Settings,
  "stepSeconds" | "sampling" | "matchers" | "queries" | "groups" | "overrides" | "tables"
>

/** The rows of tables have times of their own, to the second. */
const TABLE_STEP = 1

/** The definition of a stream. A stream whose name is not that of a query, a group or a table is a metric. */
export const definitionOf = (settings: DefiningSettings, name: string): StreamDefinition => {
  const { groups, matchers, overrides, queries, sampling, stepSeconds, tables } = settings
  const query = queries.find((query) => query.name === name)
  if (query !== undefined) {
    const { expression } = query
    return { _tag: "Query", name, expression, stepSeconds: query.stepSeconds ?? stepSeconds }
  }
  const group = groups.find((group) => group.name === name)
  if (group !== undefined) {
    return { _tag: "Group", name, stepSeconds, sampling, matchers, metrics: group.metrics }
  }
  const table = tables.find((table) => tableStreamName(table) === name)
  if (table !== undefined) {
    const own = table === "exemplars" ? matchers : []
    return { _tag: "Table", name, stepSeconds: TABLE_STEP, table, matchers: own }
  }
  const override = overrideOf(overrides, name)
  return {
    _tag: "Metric",
    name,
    stepSeconds: override?.stepSeconds ?? stepSeconds,
    sampling: override?.sampling ?? sampling,
    matchers: override?.matchers ?? matchers
  }
}

/** Whether a stream has every stored sample instead of one data point per step. */
export const isRaw = (definition: StreamDefinition): boolean =>
  "sampling" in definition && definition.sampling === "raw"

/** The step of a stream's grid. Stored samples may have any time: their grid has every millisecond. */
export const stepMillisOf = (definition: StreamDefinition): number =>
  isRaw(definition) ? RAW_STEP_MILLIS : definition.stepSeconds * 1000

/** The step of streams that have none of their own, in seconds. Undefined if all of their stored samples are read. */
export const generalStepOf = ({
  sampling,
  stepSeconds
}: Pick<DefiningSettings, "sampling" | "stepSeconds">): number | undefined =>
  sampling === "raw" ? undefined : stepSeconds

/** The step of a stream that replaces the general one; undefined if the stream has none. */
export const ownStepOf = (
  {
    groups,
    overrides,
    queries,
    tables
  }: Pick<DefiningSettings, "groups" | "overrides" | "queries" | "tables">,
  name: string
): number | undefined => {
  const query = queries.find((query) => query.name === name)
  if (query !== undefined) return query.stepSeconds
  if (tables.some((table) => tableStreamName(table) === name)) return TABLE_STEP
  return groups.some((group) => group.name === name) ? undefined : overrideOf(overrides, name)?.stepSeconds
}

/** The matchers that an override gives a metric in place of the general ones. */
export const ownMatchersOf = ({ overrides }: Pick<DefiningSettings, "overrides">, metric: string) =>
  overrideOf(overrides, metric)?.matchers

/** The selector of the series of a metric. */
export const selectorOfMetric = (
  settings: Pick<DefiningSettings, "overrides" | "matchers">,
  metric: string
): ReadonlyArray<Matcher> => ownMatchersOf(settings, metric) ?? settings.matchers

/** The first override that matches a metric applies. */
const overrideOf = (overrides: DefiningSettings["overrides"], metric: string) =>
  overrides.find(({ metrics }) => metrics.test(metric))

/** What a stream contains. */
export const kindOf = (settings: DefiningSettings, name: string): StreamKind =>
  kinds[definitionOf(settings, name)._tag]

const kinds: Readonly<Record<StreamDefinition["_tag"], StreamKind>> = {
  Metric: "metric",
  Query: "query",
  Group: "group",
  Table: "table"
}

/** How the labels of a stream become columns, in records and in all destinations. */
export const layoutOf = (settings: DefiningSettings & Pick<Settings, "labelColumns">, name: string): Layout =>
  layoutOfKind(kindOf(settings, name), settings.labelColumns)
