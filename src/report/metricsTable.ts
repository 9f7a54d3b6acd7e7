/** What `discover` shows people: a table of the metrics of a server. */
import type { DiscoveredMetric } from "../sync/Discovery.ts"
import { table } from "../terminal/table.ts"
import { fitted, widestOf } from "../terminal/textWidth.ts"
import { printable, printableName } from "../text/printable.ts"

/** More columns of a help text than this, or of many labels, are not worth a second line. */
const CELL_COLUMNS = 60

/** Less than this of one says nothing. */
const FEWEST_CHARACTERS = 10

const header = ["METRIC", "TYPE", "LABELS", "HELP"]

/** The columns that are cut where the terminal is narrow, the first one first. */
const cuttable = [header.indexOf("HELP"), header.indexOf("LABELS")]

/** `columns` is the width of the terminal, if there is one. */
export const metricsTable = (
  metrics: ReadonlyArray<DiscoveredMetric>,
  columns: number | undefined
): string => {
  const width = columns === undefined ? Infinity : Math.max(1, columns - 1)
  let rows = metrics.map(({ labels, metadata, name }) => [
    printableName(name),
    cell(metadata?.type ?? ""),
    cell(labelList(labels)),
    cell(metadata?.help ?? "")
  ])
  for (const column of cuttable) {
    const excess = widestOf(table(header, rows).split("\n")) - width
    if (excess <= 0) break
    const room = widestOf(rows.map((row) => row[column]!)) - excess
    rows = rows.map((row) => row.with(column, room < FEWEST_CHARACTERS ? "" : fitted(row[column]!, room)))
  }
  return table(header, rows)
    .split("\n")
    .map((line) => fitted(line, width))
    .join("\n")
}

const cell = (text: string): string => fitted(printable(text, 4 * CELL_COLUMNS), CELL_COLUMNS)

/** As many labels as a cell can show, and one more: a metric may have any number. */
const labelList = (labels: ReadonlyArray<string>): string =>
  labels
    .slice(0, CELL_COLUMNS)
    .map((label) => printable(label, 4 * CELL_COLUMNS))
    .join(", ")
