/** What `discover` shows people: a table of the metrics of a server. */
import { largest } from "../../largest.ts"
import type { DiscoveredMetric } from "../../sync/Discovery.ts"
import { shortened, table } from "../table.ts"
import { fitted, printable, textWidth } from "./textWidth.ts"

/** More of a help text than this, or of many labels, is not worth a second line. */
const CELL_CHARACTERS = 60

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
    printable(name),
    metadata?.type ?? "",
    printable(shortened(labels.join(", "), CELL_CHARACTERS)),
    printable(shortened(metadata?.help ?? "", CELL_CHARACTERS))
  ])
  for (const column of cuttable) {
    const excess = widest(table(header, rows).split("\n")) - width
    if (excess <= 0) break
    const room = widest(rows.map((row) => row[column]!)) - excess
    rows = rows.map((row) => row.with(column, room < FEWEST_CHARACTERS ? "" : fitted(row[column]!, room)))
  }
  return table(header, rows)
    .split("\n")
    .map((line) => fitted(line, width))
    .join("\n")
}

const widest = (texts: ReadonlyArray<string>): number => largest(texts.map(textWidth))
