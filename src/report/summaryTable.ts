/** The summary of a run for people: a table of the streams, errors, totals, and how to query the result. */

import type { RunSummary, StreamSummary } from "../run/Progress.ts"
import type { Paint } from "../terminal/Appearance.ts"
import { fittingLines } from "../terminal/table.ts"
import { truncate, wrap } from "../terminal/textWidth.ts"
import { byteText, durationText, grouped, rounded, timeText } from "../text/figures.ts"
import { pluralize } from "../text/pluralize.ts"
import { printable, printableName, visible } from "../text/printable.ts"
import { failedOf, selectStreams } from "./selectStreams.ts"
import { selectCurve, sparkline } from "./sparkline.ts"

/** The most streams with a row, unless more of them failed. */
const MAX_ROWS = 40

/** The most failed streams with a row. */
const MAX_FAILED = 200

/** The indentation of the further lines of an error. */
const INDENT = 2

/** On a narrow terminal, names are truncated down to this width. */
const MIN_NAME = 10

export interface TableOptions {
  /** The width of the terminal; undefined if lines may have any length. */
  readonly columns: number | undefined
  readonly paint: Paint
  /** The most streams with a row, 40 by default. Up to 200 failed streams have a row in any case. */
  readonly mostRows?: number
}

/** The complete summary as one text of several lines. */
export const summaryText = (run: RunSummary, options: TableOptions): string => {
  const { paint } = options
  const width = options.columns === undefined ? Infinity : Math.max(1, options.columns - 1)
  const notable = run.streams.filter(({ error, rows }) => error !== undefined || rows > 0)
  const { left, shown } = selectStreams(notable, options.mostRows ?? MAX_ROWS, MAX_FAILED)
  const lines: Array<string> = []
  if (shown.length > 0) {
    const [header, ...rows] = streamLines(shown, width)
    lines.push(paint("quiet", header!))
    for (const [index, line] of rows.entries()) {
      lines.push(shown[index]!.error === undefined ? line : paint("bad", line))
    }
  }
  if (left.length > 0) {
    lines.push(paint("quiet", truncate(leftText(left), width)))
  }
  const quiet = run.streams.length - notable.length
  if (quiet > 0 && notable.length > 0) {
    lines.push(paint("quiet", truncate(`${pluralize(quiet, "stream")} had nothing new`, width)))
  }
  const failed = failedOf(run.streams)
  if (failed.length > 0) {
    lines.push("")
    // A terminal of a few columns has no space for it.
    const indent = width < 8 ? 0 : INDENT
    const named = failed.length <= MAX_FAILED ? failed : failed.slice(0, MAX_FAILED - 1)
    for (const { error, name } of named) {
      const [first, ...rest] = wrap(`FAILED ${printableName(name)}: ${printable(error!)}`, width - indent)
      // A server's text in it must not look like a line of the program.
      lines.push(paint("bad", first!), ...rest.map((line) => " ".repeat(indent) + line))
    }
    if (named.length < failed.length) {
      lines.push(paint("bad", truncate(`… and ${grouped(failed.length - named.length)} more`, width)))
    }
  }
  if (lines.length > 0) lines.push("")
  lines.push(...wrap(totalText(run), width))
  if (failed.length > 0) lines.push(...wrap(failureText(failed.length, run.streams.length), width))
  // On one line of any length, because users copy it.
  if (run.rows > 0 || run.bytes > 0)
    lines.push("", "Query it:", `  ${paint("strong", visible(run.previewCommand))}`)
  return lines.join("\n")
}

const sum = <A>(items: ReadonlyArray<A>, of: (item: A) => number): number =>
  items.reduce((total, item) => total + of(item), 0)

const leftText = (left: ReadonlyArray<StreamSummary>): string => {
  const rows = sum(left, (stream) => stream.rows)
  const failed = failedOf(left).length
  return `… and ${grouped(left.length)} more with ${pluralize(rows, "row")}${failed === 0 ? "" : `, ${grouped(failed)} of them failed`}`
}

/** The layouts, from all columns down to the name and the rows. */
interface Layout {
  readonly columns: ReadonlyArray<Column>
  readonly spark: number
}

type Column = "STREAM" | "SERIES" | "ROWS" | "FIRST" | "LAST" | "TIME" | "VALUES"

const all = ["STREAM", "SERIES", "ROWS", "FIRST", "LAST", "TIME", "VALUES"] as const

const without = (...columns: ReadonlyArray<Column>): ReadonlyArray<Column> =>
  all.filter((column) => !columns.includes(column))

const layouts: readonly [Layout, ...ReadonlyArray<Layout>] = [
  { columns: all, spark: 24 },
  { columns: all, spark: 12 },
  { columns: without("FIRST"), spark: 12 },
  { columns: without("FIRST", "LAST"), spark: 12 },
  { columns: without("FIRST", "LAST", "TIME"), spark: 12 },
  { columns: without("FIRST", "LAST", "TIME", "VALUES"), spark: 0 },
  { columns: ["STREAM", "ROWS"], spark: 0 }
]

const numbers: ReadonlyArray<Column> = ["SERIES", "ROWS", "TIME"]

const cellOf = (stream: StreamSummary, column: Column, spark: number): string => {
  switch (column) {
    case "STREAM":
      return printableName(stream.name)
    case "SERIES":
      return grouped(stream.series)
    case "ROWS":
      return grouped(stream.rows)
    case "FIRST":
      return stream.span === undefined ? "" : timeText(stream.span[0])
    case "LAST":
      return stream.span === undefined ? "" : timeText(stream.span[1])
    case "TIME":
      return durationText(stream.seconds)
    case "VALUES": {
      const curve = selectCurve(stream.curves)
      return curve === undefined ? "" : sparkline(curve, spark)
    }
  }
}

/** As many columns as fit. Names are truncated before columns other than the times are omitted. */
const streamLines = (streams: ReadonlyArray<StreamSummary>, width: number): ReadonlyArray<string> => {
  const tableOf =
    ({ columns, spark }: Layout) =>
    () => ({
      header: columns,
      rows: streams.map((stream) => columns.map((column) => cellOf(stream, column, spark))),
      numbers,
      cut: { column: "STREAM", least: Math.max(MIN_NAME, Math.floor(width * 0.3)) }
    })
  const [first, ...others] = layouts
  return fittingLines([tableOf(first), ...others.map(tableOf)], width)
}

/** The result of the run in one sentence. */
const totalText = ({ bytes, destination, rows, seconds, streams }: RunSummary): string => {
  const series = sum(streams, (stream) => stream.series)
  const speed = seconds > 0 && rows > 0 ? ` (${rounded(rows / seconds)} rows/s)` : ""
  const retries = sum(streams, (stream) => stream.retries)
  const retried =
    retries === 0 ? "" : ` ${pluralize(retries, "request")} ${retries === 1 ? "was" : "were"} retried.`
  return `${pluralize(rows, "new row")} of ${pluralize(series, "series", "series")} in ${pluralize(streams.length, "stream")}, in ${durationText(seconds)}${speed}; ${printable(destination)} has ${byteText(bytes)}.${retried}`
}

const failureText = (failed: number, streams: number): string =>
  `${grouped(failed)} of ${pluralize(streams, "stream")} failed. Run again to resume where ${failed === 1 ? "it" : "each"} stopped.`
