/** The interactive output of `discover`: a table of the streams of a server. */
import type { DiscoveredStream } from "../sync/Discovery.ts"
import { fittingLines } from "../terminal/table.ts"
import { truncate } from "../terminal/textWidth.ts"
import { pluralize } from "../text/pluralize.ts"
import { printable, printableName } from "../text/printable.ts"

/** The maximum width of a description, or of a list of labels. */
const MAX_CELL = 60

/** A narrower cell is not worth showing. */
const MIN_CELL = 10

/** A table for a terminal of `columns`. The description is truncated first and then omitted, followed by the labels. */
export const metricsTable = (metrics: ReadonlyArray<DiscoveredStream>, columns: number): string => {
  const rows = metrics.map((stream) => {
    const [type, description] = describe(stream)
    return [printableName(stream.name), cell(type), cell(labelList(stream.labels)), cell(description)]
  })
  const header = ["STREAM", "TYPE", "LABELS", "DESCRIPTION"]
  const firstColumns = (count: number) => () => ({
    header: header.slice(0, count),
    rows: rows.map((row) => row.slice(0, count)),
    ...(count > 2 ? { cut: { column: header[count - 1]!, least: MIN_CELL } } : {})
  })
  return fittingLines([4, 3, 2].map(firstColumns), Math.max(1, columns - 1)).join("\n")
}

/** The type and the help of a metric, or what a stream is otherwise. */
const describe = ({
  expression,
  group,
  metadata,
  table
}: DiscoveredStream): readonly [type: string, description: string] => {
  if (expression !== undefined) return ["query", expression]
  if (group !== undefined) return ["group", `${pluralize(group.metrics, "metric")}: ${group.patterns}`]
  if (table !== undefined) return ["table", ""]
  return [metadata?.type ?? "", metadata?.help ?? ""]
}

const cell = (text: string): string => truncate(printable(text, 4 * MAX_CELL), MAX_CELL)

/** As many labels as a cell can show, and one more. A metric may have any number of labels. */
const labelList = (labels: ReadonlyArray<string>): string =>
  labels
    .slice(0, MAX_CELL)
    .map((label) => printable(label, 4 * MAX_CELL))
    .join(", ")
