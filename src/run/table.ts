/** Tables for a terminal: columns with two spaces between them. */

/** One line per row, each column as wide as its widest cell. Columns without any content are left out. */
export const table = (header: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const columns = [...header.keys()].filter((column) => rows.some((row) => row[column] !== ""))
  const lines = [header, ...rows].map((row) => columns.map((column) => row[column]!))
  const widths = columns.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd()
    )
    .join("\n")
}

/** A text on one line of at most so many characters. */
export const shortened = (text: string, length: number): string => {
  const line = text.replace(/\s+/g, " ").trim()
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`
}
