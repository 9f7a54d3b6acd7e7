/** The tables that Prometheus has beside its samples, as streams: their names and columns. */
import { keyColumns, type TableColumn, type TableSchema } from "../../samples/TableRow.ts"

/** The tables, in the order of the documentation. */
export const tableNames = ["targets", "rules", "alerts", "metadata", "exemplars"] as const

export type TableName = (typeof tableNames)[number]

/** The names of their streams. */
export const tableStreams: ReadonlySet<string> = new Set(tableNames.map((name) => `prometheus_${name}`))

/** The tables that show the server's present state. Exemplars have times of their own. */
export type SnapshotName = Exclude<TableName, "exemplars">

const SNAPSHOT_TIME = "When the snapshot was taken, by the server's clock, UTC: the same in all its rows."

const text = (name: string, description: string): TableColumn => ({ name, kind: "text", description })
const number = (name: string, description: string): TableColumn => ({ name, kind: "number", description })
const time = (name: string, description: string): TableColumn => ({ name, kind: "time", description })
const object = (name: string, description: string): TableColumn => ({ name, kind: "object", description })

/** A value of a sample, as in the streams of metrics. */
const valueColumns = (of: string): ReadonlyArray<TableColumn> => [
  number("value", `The value of ${of}; null when it is not a finite number.`),
  text("special_value", "NaN, +Inf or -Inf, when the value is null for that reason.")
]

/** The name of each table's stream, and its columns. The rows of its blocks have a value for each of them. */
export const tableSchemas: Readonly<Record<TableName, TableSchema>> = {
  targets: {
    stream: "prometheus_targets",
    description: "The active targets: what the server scrapes, whether that succeeds, and how long it takes.",
    columns: [
      ...keyColumns("the target, from its pool, address and labels", SNAPSHOT_TIME),
      text("scrape_pool", "The scrape pool: usually the name of a job in the configuration."),
      text("scrape_url", "The URL that is scraped."),
      text("global_url", "The same URL, as other machines reach it."),
      text("health", "up, down or unknown."),
      text("last_error", "Why the last scrape failed; null if it did not."),
      time("last_scrape", "When the target was last scraped; null if it has not been scraped yet."),
      number("last_scrape_duration_seconds", "How long the last scrape took."),
      text("scrape_interval", "How often it is scraped, such as 15s."),
      text("scrape_timeout", "How long a scrape may take, such as 10s."),
      object("labels", "The labels of the target."),
      object("discovered_labels", "Its labels before relabeling.")
    ]
  },
  rules: {
    stream: "prometheus_rules",
    description: "The recording and alerting rules, with their groups, and whether they can be evaluated.",
    columns: [
      ...keyColumns("the rule, from its file, group, type, name, query and labels", SNAPSHOT_TIME),
      text("rule_group", "The name of its group."),
      text("file", "The file of its group."),
      text("type", "alerting or recording."),
      text("name", "The name of the alert, or of the recorded metric."),
      text("query", "Its expression."),
      text("state", "Alerting rules only: inactive, pending or firing."),
      text("health", "ok, err or unknown."),
      text("last_error", "Why the last evaluation failed; null if it did not."),
      number("duration_seconds", "Alerting rules only: how long an alert is pending before it fires."),
      number(
        "keep_firing_for_seconds",
        "Alerting rules only: how long an alert keeps firing after its condition has cleared."
      ),
      {
        name: "active_alerts",
        kind: "count",
        description: "Alerting rules only: the number of pending and firing alerts."
      },
      object("labels", "The labels that the rule adds."),
      object("annotations", "Alerting rules only: the templates of its annotations."),
      time("last_evaluation", "When it was last evaluated; null if it has not been evaluated yet."),
      number("evaluation_time_seconds", "How long the last evaluation took."),
      number("group_interval_seconds", "How often its group is evaluated.")
    ]
  },
  alerts: {
    stream: "prometheus_alerts",
    description: "The alerts that are pending or firing.",
    columns: [
      ...keyColumns("the alert, from its labels", SNAPSHOT_TIME),
      text("name", "The name of the alert: its label alertname."),
      text("state", "pending or firing."),
      time("active_at", "When its condition became true."),
      time(
        "keep_firing_since",
        "When its condition cleared; since then, only keep_firing_for keeps it firing."
      ),
      ...valueColumns("its expression"),
      object("labels", "The labels of the alert."),
      object("annotations", "Its annotations.")
    ]
  },
  metadata: {
    stream: "prometheus_metadata",
    description: "The type, help text and unit of each metric family that the server currently scrapes.",
    columns: [
      ...keyColumns("the entry, from all of its columns", SNAPSHOT_TIME),
      text(
        "metric",
        "The metric family: the name of a metric, without suffixes such as _bucket, _sum and _count."
      ),
      text("type", "counter, gauge, histogram, gaugehistogram, summary, info, stateset or unknown."),
      text("help", "The help text."),
      text("unit", "The unit; null if there is none.")
    ]
  },
  exemplars: {
    stream: "prometheus_exemplars",
    description: "Exemplars: single observations of a series, with labels of their own such as a trace ID.",
    columns: [
      ...keyColumns(
        "the exemplar without its time, from the labels of its series and its own",
        "The exemplar's time, UTC."
      ),
      text("metric", "The name of the metric."),
      ...valueColumns("the exemplar"),
      text("series_id", "The identity of its series: series_id of the metric's stream."),
      object("labels", "The labels of its series, without the name of the metric."),
      object("exemplar_labels", "The labels of the exemplar, such as trace_id.")
    ]
  }
}
