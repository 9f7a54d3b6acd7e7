/** Tables for a terminal: columns with two spaces between them. */
import { padded, paddedLeft, widestOf } from "./textWidth.ts"

/** Wider cells stand out of their column: one of thousands of characters would make every other as wide. */
const WIDEST_COLUMN = 200

/**
 * One line per row, each column as wide as its widest cell. Columns without any content are left out; those of `numbers`
 * are aligned at their right.
 */
export const table = (
  header: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  numbers: ReadonlyArray<string> = []
): string => {
  const columns = [...header.keys()].filter((column) => rows.some((row) => row[column] !== ""))
  const lines = [header, ...rows].map((row) => columns.map((column) => row[column]!))
  const widths = columns.map((_, column) =>
    Math.min(WIDEST_COLUMN, widestOf(lines.map((line) => line[column]!)))
  )
  const pads = columns.map((column) => (numbers.includes(header[column]!) ? paddedLeft : padded))
  return lines
    .map((line) =>
      line
        .map((cell, column) => pads[column]!(cell, widths[column]!))
        .join("  ")
        .trimEnd()
    )
    .join("\n")
}
