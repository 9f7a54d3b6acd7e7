/** Tables for a terminal: columns separated by two spaces. */
import { maxWidth, padEnd, padStart, textWidth, truncate } from "./textWidth.ts"

/** Wider cells overflow their column: one cell of thousands of characters would widen all others. */
const MAX_COLUMN = 200

export interface Table {
  readonly header: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<string>>
  /** Columns that are aligned at their right. */
  readonly numbers?: ReadonlyArray<string>
  /** The column whose cells may be truncated, and their minimum width. */
  readonly cut?: { readonly column: string; readonly least: number }
}

/** A header line and a line per row. Columns without content are omitted. */
export const tableLines = ({ header, numbers = [], rows }: Table): ReadonlyArray<string> => {
  const columns = [...header.keys()].filter((column) => rows.some((row) => row[column] !== ""))
  const lines = [header, ...rows].map((row) => columns.map((column) => row[column]!))
  const widths = columns.map((_, column) =>
    Math.min(MAX_COLUMN, maxWidth(lines.map((line) => line[column]!)))
  )
  const pads = columns.map((column) => (numbers.includes(header[column]!) ? padStart : padEnd))
  return lines.map((line) =>
    line
      .map((cell, column) => pads[column]!(cell, widths[column]!))
      .join("  ")
      .trimEnd()
  )
}

/**
 * The lines of the first table that fits, or can be truncated to fit. Otherwise the last table, with each line truncated.
 * Tables are built lazily.
 */
export const fittingLines = (tables: ReadonlyArray<() => Table>, columns: number): ReadonlyArray<string> => {
  let lines: ReadonlyArray<string> = []
  for (const make of tables) {
    const table = make()
    lines = tableLines(table)
    const excess = maxWidth(lines) - columns
    if (excess <= 0) return lines
    if (table.cut === undefined) continue
    const { least, rows } = { ...table, ...table.cut }
    const cutColumn = table.header.indexOf(table.cut.column)
    const longest = maxWidth(rows.map((row) => row[cutColumn]!))
    const room = longest - excess
    const cut = (length: number) =>
      tableLines({
        ...table,
        rows: rows.map((row) => row.with(cutColumn, truncate(row[cutColumn]!, length)))
      })
    // The header is not truncated: the column is at least as wide.
    if (room >= Math.min(longest, Math.max(least, textWidth(table.cut.column)))) return cut(room)
    lines = cut(least)
  }
  return lines.map((line) => truncate(line, columns))
}
