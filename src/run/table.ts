/** Tables for a terminal: columns with two spaces between them. */
import { largest } from "../largest.ts"
import { padded, paddedLeft, textWidth } from "./display/textWidth.ts"

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
  const widths = columns.map((_, column) => largest(lines.map((line) => textWidth(line[column]!))))
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

/** A text on one line of at most so many characters. */
export const shortened = (text: string, length: number): string => {
  const line = text.replace(/\s+/g, " ").trim()
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`
}
