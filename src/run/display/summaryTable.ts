/** What a run did, for people: a table of the streams, what failed, totals, and how to look into the result. */

import { counted } from "../../counted.ts"
import { largest } from "../../largest.ts"
import type { RunSummary, StreamSummary } from "../Progress.ts"
import { table } from "../table.ts"
import type { Paint } from "./Appearance.ts"
import { byteText, durationText, grouped, rounded, timeText } from "./figures.ts"
import { mostTelling, sparkline } from "./sparkline.ts"
import { fitted, printable, textWidth, wrapped } from "./textWidth.ts"

/** How many streams have a row, unless more of them failed. */
const MOST_ROWS = 40

/** Names are cut to this where the terminal is narrow. */
const SHORTEST_NAME = 10

export interface TableOptions {
  /** Of the terminal; undefined where lines may be of any length. */
  readonly columns: number | undefined
  readonly paint: Paint
  /** How many streams may have a row, 40 unless told. Those that failed have one anyway. */
  readonly mostRows?: number
}

/** All of it, as one text of several lines. */
export const summaryText = (run: RunSummary, options: TableOptions): string => {
  const { paint } = options
  const width = options.columns === undefined ? Infinity : Math.max(1, options.columns - 1)
  const told = run.streams.filter(({ error, rows }) => error !== undefined || rows > 0)
  const { left, shown } = chosen(told, options.mostRows ?? MOST_ROWS)
  const lines: Array<string> = []
  if (shown.length > 0) {
    const [header, ...rows] = fittingTable(shown, width).split("\n")
    lines.push(paint("quiet", header!))
    for (const [index, line] of rows.entries()) {
      lines.push(shown[index]!.error === undefined ? line : paint("bad", line))
    }
  }
  if (left.length > 0) {
    const rows = sum(left, (stream) => stream.rows)
    lines.push(
      paint("quiet", fitted(`… and ${grouped(left.length)} more with ${counted(rows, "row")}`, width))
    )
  }
  const silent = run.streams.length - told.length
  if (silent > 0 && told.length > 0) {
    lines.push(paint("quiet", fitted(`${counted(silent, "stream")} had nothing new`, width)))
  }
  const failed = run.streams.filter(({ error }) => error !== undefined)
  if (failed.length > 0) {
    lines.push("")
    for (const { error, name } of failed) {
      const [first, ...rest] = wrapped(`FAILED ${printable(name)}: ${printable(error!)}`, width)
      lines.push(paint("bad", first!), ...rest)
    }
  }
  if (lines.length > 0) lines.push("")
  lines.push(...wrapped(totalText(run), width))
  if (failed.length > 0) lines.push(...wrapped(failureText(failed.length, run.streams.length), width))
  // In one piece, however long: it is to be copied.
  if (run.rows > 0 || run.bytes > 0) lines.push("", "Look into it:", `  ${paint("strong", run.lookInto)}`)
  return lines.join("\n")
}

const sum = <A>(items: ReadonlyArray<A>, of: (item: A) => number): number =>
  items.reduce((total, item) => total + of(item), 0)

/** The streams with a row, in the order of the run: all that failed, then as many others as there is room for. */
const chosen = (streams: ReadonlyArray<StreamSummary>, most: number) => {
  // A line that says "one more" is as long as that one.
  const limit = streams.length <= most ? streams.length : most - 1
  let room = limit - streams.filter(({ error }) => error !== undefined).length
  const shown: Array<StreamSummary> = []
  const left: Array<StreamSummary> = []
  for (const stream of streams) {
    if (stream.error !== undefined) shown.push(stream)
    else if (room > 0) {
      room--
      shown.push(stream)
    } else left.push(stream)
  }
  return { shown, left }
}

/** What there is room for: from all columns to the name and the rows. */
interface Layout {
  readonly columns: ReadonlyArray<Column>
  readonly spark: number
}

type Column = "STREAM" | "SERIES" | "ROWS" | "FIRST" | "LAST" | "TIME" | "VALUES"

const all = ["STREAM", "SERIES", "ROWS", "FIRST", "LAST", "TIME", "VALUES"] as const

const without = (...columns: ReadonlyArray<Column>): ReadonlyArray<Column> =>
  all.filter((column) => !columns.includes(column))

const layouts: ReadonlyArray<Layout> = [
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
      return printable(stream.name)
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
      const curve = mostTelling(stream.curves)
      return curve === undefined ? "" : sparkline(curve, spark)
    }
  }
}

/** With as many columns as fit, names cut rather than more than the times left out. */
const fittingTable = (streams: ReadonlyArray<StreamSummary>, width: number): string => {
  let text = ""
  for (const layout of layouts) {
    const rows = streams.map((stream) => layout.columns.map((column) => cellOf(stream, column, layout.spark)))
    text = table(layout.columns, rows, numbers)
    const excess = widthOf(text) - width
    if (excess <= 0) return text
    const widest = largest(rows.map(([name]) => textWidth(name!)))
    const room = widest - excess
    if (room >= Math.min(widest, Math.max(SHORTEST_NAME, Math.floor(width * 0.3)))) {
      return table(
        layout.columns,
        rows.map(([name, ...cells]) => [fitted(name!, room), ...cells]),
        numbers
      )
    }
  }
  return text
    .split("\n")
    .map((line) => fitted(line, width))
    .join("\n")
}

const widthOf = (text: string): number => largest(text.split("\n").map(textWidth))

/** One sentence about the whole. */
const totalText = ({ bytes, destination, rows, seconds, streams }: RunSummary): string => {
  const series = sum(streams, (stream) => stream.series)
  const speed = seconds > 0 && rows > 0 ? ` (${rounded(rows / seconds)} rows/s)` : ""
  const retries = sum(streams, (stream) => stream.retries)
  const retried =
    retries === 0
      ? ""
      : ` The server had to be asked again ${retries === 1 ? "once" : `${grouped(retries)} times`}.`
  return `${counted(rows, "new row")} of ${counted(series, "series")} in ${counted(streams.length, "stream")}, in ${durationText(seconds)}${speed}; ${printable(destination)} has ${byteText(bytes)}.${retried}`
}

const failureText = (failed: number, streams: number): string =>
  `${grouped(failed)} of ${counted(streams, "stream")} failed. Run again to go on where ${failed === 1 ? "it" : "each"} stopped.`
