/** How the labels of a stream's series become columns of its records. Each stream has a layout of its own. */
import { METRIC_NAME } from "./Series.ts"

export interface Layout {
  /**
   * The column for labels without a column of their own: `other_labels` beside the columns of other labels, or `labels` for all of
   * them, which is never null.
   */
  readonly rest: "other_labels" | "labels"
  /**
   * Where records have the metric's name. `omitted`: nowhere, because the stream has the same name. `column`: in the column
   * `metric`. `label`: in a label like the others.
   */
  readonly metricName: "omitted" | "column" | "label"
}

/** What a stream contains: the series of one metric, of an expression or of several metrics, or the rows of a table. */
export const streamKinds = ["metric", "query", "group", "table"] as const
export type StreamKind = (typeof streamKinds)[number]

/** The column for the metric's name. Only streams of several metrics have it. They have no columns for labels. */
export const METRIC_COLUMN = "metric"

/** The layout of the series of one metric. `labelColumns`: one column per label, or otherwise one object for all labels. */
export const layoutOfMetric = (labelColumns: boolean): Layout => ({
  rest: labelColumns ? "other_labels" : "labels",
  metricName: "omitted"
})

/** The layout of the series of an expression, which may have any name or none. `labelColumns` as for a metric. */
export const layoutOfQuery = (labelColumns: boolean): Layout => ({
  ...layoutOfMetric(labelColumns),
  metricName: "label"
})

/** The layout of series of several metrics, whose labels differ. */
export const layoutOfGroup: Layout = { rest: "labels", metricName: "column" }

/** The layout of a stream that has series. */
export const layoutOfKind = (kind: StreamKind, labelColumns: boolean): Layout => {
  if (kind === "group") return layoutOfGroup
  return kind === "query" ? layoutOfQuery(labelColumns) : layoutOfMetric(labelColumns)
}

/** Whether labels have columns of their own, or the metric's name has one. */
export const hasNamedColumns = ({ metricName, rest }: Layout): boolean =>
  rest === "other_labels" || metricName === "column"

/** The column of a label in a layout; undefined if it has none. `columnOf` returns its column in a layout with label columns. */
export const columnIn =
  ({ metricName, rest }: Layout, columnOf: (label: string) => string | undefined) =>
  (label: string): string | undefined => {
    if (label === METRIC_NAME && metricName === "column") return METRIC_COLUMN
    return rest === "labels" ? undefined : columnOf(label)
  }
