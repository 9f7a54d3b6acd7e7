/** Which metrics are in which group. Their series are only in the stream of the group. */
import { ConfigError, type Settings } from "../config/ConnectorConfig.ts"
import { type GroupSettings, tableStreamName } from "../config/StreamSettings.ts"
import { isIncluded } from "../promql/MetricFilter.ts"

/** The group of a metric: the first one whose patterns match its name; undefined if it has a stream of its own. */
export const groupOf = ({ groups }: Pick<Settings, "groups">, metric: string): GroupSettings | undefined =>
  groups.find(({ metrics }) => isIncluded(metrics, metric))

/** The metrics of each group, and those with a stream of their own, in the order of their names. */
export interface GroupedMetrics {
  readonly ungrouped: ReadonlyArray<string>
  /** Only groups that have metrics. */
  readonly groups: ReadonlyMap<string, ReadonlyArray<string>>
}

/** Assigns metrics to groups. All of them must be included already. */
export const groupMetrics = (
  settings: Pick<Settings, "groups">,
  metrics: ReadonlyArray<string>
): GroupedMetrics => {
  if (settings.groups.length === 0) return { ungrouped: metrics, groups: new Map() }
  const ungrouped: Array<string> = []
  const groups = new Map<string, Array<string>>()
  for (const { name } of settings.groups) groups.set(name, [])
  for (const metric of metrics) {
    const group = groupOf(settings, metric)
    ;(group === undefined ? ungrouped : groups.get(group.name)!).push(metric)
  }
  for (const [name, members] of groups) if (members.length === 0) groups.delete(name)
  return { ungrouped, groups }
}

/** The patterns of a group in one line: `node_*, but not node_scrape_*`. */
export const patternsText = ({ metrics: { exclude, include } }: Pick<GroupSettings, "metrics">): string => {
  const list = (patterns: GroupSettings["metrics"]["include"]) => patterns.map(({ text }) => text).join(", ")
  const all = include.length === 0 ? "*" : list(include)
  return exclude.length === 0 ? all : `${all}, but not ${list(exclude)}`
}

/**
 * The error if the stream of a query, a group or a table has the name of a metric with a stream of its own; undefined otherwise.
 * Destinations do not distinguish names that differ only in upper and lower case.
 */
export const nameClash = (
  { groups, queries, tables }: Pick<Settings, "groups" | "queries" | "tables">,
  metrics: ReadonlyArray<string>
): ConfigError | undefined => {
  const named = [
    ...queries.map(({ name }) => [name, "query"] as const),
    ...groups.map(({ name }) => [name, "group"] as const),
    ...tables.map((table) => [tableStreamName(table), "table"] as const)
  ]
  if (named.length === 0) return undefined
  const byName = new Map(metrics.map((metric) => [metric.toLowerCase(), metric]))
  const clashes = named.flatMap(([name, kind]) => {
    const metric = byName.get(name.toLowerCase())
    return metric === undefined ? [] : [{ kind, text: `the ${kind} ${name} and the metric ${metric}` }]
  })
  if (clashes.length === 0) return undefined
  const [{ kind }] = clashes as [(typeof clashes)[number]]
  const isOne = clashes.length === 1
  const exclude = `xclude the ${isOne ? "metric" : "metrics"} with metrics.exclude.`
  // The names of tables are fixed.
  const advice = clashes.every(({ kind }) => kind === "table")
    ? `E${exclude}`
    : `Give the ${isOne ? `${kind} another name` : "queries and groups other names"}, or e${exclude}`
  return new ConfigError({
    message: `Streams would have the same name: ${clashes.map(({ text }) => text).join("; ")}. ${advice}`
  })
}
