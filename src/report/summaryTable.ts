/** The summary of a run for people: a table of the streams, errors, totals, and how to query the result. */
import type { RunSummary, StreamSummary } from "../run/Progress.ts"
import type { RunCost } from "../run/RunCost.ts"
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

/** The complete summary as one text of several lines, for a terminal of `columns`. */
export const summaryText = (
  run: RunSummary,
  { columns, paint }: { readonly columns: number; readonly paint: Paint }
): string => {
  const width = Math.max(1, columns - 1)
  const notable = run.streams.filter(({ error, rows }) => error !== undefined || rows > 0)
  const { left, shown } = selectStreams(notable, MAX_ROWS, MAX_FAILED)
  const lines: Array<string> = []
  if (shown.length > 0) {
    const [header, ...rows] = streamLines(shown, width)
    lines.push(paint("quiet", header!))
    for (const [index, line] of rows.entries()) {
      lines.push(shown[index]!.error === undefined ? line : paint("bad", line))
    }
  }
  if (left.length > 0) lines.push(paint("quiet", truncate(leftText(left), width)))
  const quiet = run.streams.length - notable.length - run.streams.filter(hasNotice).length
  if (quiet > 0 && notable.length > 0) {
    lines.push(paint("quiet", truncate(`${pluralize(quiet, "stream")} had nothing new`, width)))
  }
  const noticed = run.streams.filter(hasNotice)
  if (noticed.length > 0) {
    lines.push("")
    const indent = width < 8 ? 0 : INDENT
    for (const { name, notice } of noticed.slice(0, MAX_ROWS)) {
      const [first, ...rest] = wrap(`NO ROWS ${printableName(name)}: ${printable(notice!)}`, width - indent)
      lines.push(first!, ...rest.map((line) => " ".repeat(indent) + line))
    }
    if (noticed.length > MAX_ROWS) {
      lines.push(truncate(`… and ${grouped(noticed.length - MAX_ROWS)} more without rows`, width))
    }
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
  lines.push(...wrap(totalText(run), width), ...wrap(costText(run.cost), width))
  if (failed.length > 0) lines.push(...wrap(failureText(failed.length, run.streams.length), width))
  // On one line of any length, because users copy it.
  if (run.rows > 0 || run.bytes > 0)
    lines.push("", "Query it:", `  ${paint("strong", visible(run.previewCommand))}`)
  return lines.join("\n")
}

/** Whether there is something to say about its lack of rows. */
const hasNotice = ({ error, notice }: StreamSummary): boolean => error === undefined && notice !== undefined

const sum = <A>(items: ReadonlyArray<A>, of: (item: A) => number): number =>
  items.reduce((total, item) => total + of(item), 0)

const leftText = (left: ReadonlyArray<StreamSummary>): string => {
  const rows = sum(left, (stream) => stream.rows)
  const failed = failedOf(left).length
  return `… and ${grouped(left.length)} more with ${pluralize(rows, "row")}${failed === 0 ? "" : `, ${grouped(failed)} of them failed`}`
}

/** The columns with their cells. The last one has `spark` characters. */
const cells = {
  STREAM: ({ name }: StreamSummary) => printableName(name),
  // The rows of a table have no series.
  SERIES: ({ rows, series }: StreamSummary) => (series === 0 && rows > 0 ? "" : grouped(series)),
  ROWS: ({ rows }: StreamSummary) => grouped(rows),
  FIRST: ({ span }: StreamSummary) => (span === undefined ? "" : timeText(span[0])),
  LAST: ({ span }: StreamSummary) => (span === undefined ? "" : timeText(span[1])),
  TIME: ({ seconds }: StreamSummary) => durationText(seconds),
  VALUES: ({ curves }: StreamSummary, spark: number) => {
    const curve = selectCurve(curves)
    return curve === undefined ? "" : sparkline(curve, spark)
  }
}

type Column = keyof typeof cells

const numbers: ReadonlyArray<Column> = ["SERIES", "ROWS", "TIME"]

/** The layouts, from all columns down to the name and the rows. */
const layouts: ReadonlyArray<{ readonly spark: number; readonly columns: ReadonlyArray<Column> }> = [
  { spark: 24, columns: ["STREAM", "SERIES", "ROWS", "FIRST", "LAST", "TIME", "VALUES"] },
  { spark: 12, columns: ["STREAM", "SERIES", "ROWS", "FIRST", "LAST", "TIME", "VALUES"] },
  { spark: 12, columns: ["STREAM", "SERIES", "ROWS", "LAST", "TIME", "VALUES"] },
  { spark: 12, columns: ["STREAM", "SERIES", "ROWS", "TIME", "VALUES"] },
  { spark: 12, columns: ["STREAM", "SERIES", "ROWS", "VALUES"] },
  { spark: 0, columns: ["STREAM", "SERIES", "ROWS"] },
  { spark: 0, columns: ["STREAM", "ROWS"] }
]

/** As many columns as fit. Names are truncated before columns other than the times are omitted. */
const streamLines = (streams: ReadonlyArray<StreamSummary>, width: number): ReadonlyArray<string> => {
  const cut = { column: "STREAM", least: Math.max(MIN_NAME, Math.floor(width * 0.3)) }
  const tables = layouts.map(({ columns: header, spark }) => () => ({
    header,
    rows: streams.map((stream) => header.map((column) => cells[column](stream, spark))),
    numbers,
    cut
  }))
  return fittingLines(tables, width)
}

/** The result of the run in one sentence. */
const totalText = ({ bytes, destination, rows, seconds, streams }: RunSummary): string => {
  const series = sum(streams, (stream) => stream.series)
  const speed = seconds > 0 && rows > 0 ? ` (${rounded(rows / seconds)} rows/s)` : ""
  const retries = sum(streams, (stream) => stream.retries)
  const retried =
    retries === 0 ? "" : ` ${pluralize(retries, "request")} ${retries === 1 ? "was" : "were"} retried.`
  const of = series === 0 && rows > 0 ? "" : ` of ${pluralize(series, "series", "series")}`
  return `${pluralize(rows, "new row")}${of} in ${pluralize(streams.length, "stream")}, in ${durationText(seconds)}${speed}; ${printable(destination)} has ${byteText(bytes)}.${retried}`
}

/** What the run cost the server. */
const costText = ({ bytes, requests, samples, serverCpuSeconds }: RunCost): string => {
  const cpu =
    serverCpuSeconds === undefined
      ? ""
      : ` The server used ${durationText(serverCpuSeconds)} of CPU time during the run.`
  return `Cost: ${pluralize(requests, "request")}, ${byteText(bytes)} received, ${pluralize(samples, "sample")}.${cpu}`
}

const failureText = (failed: number, streams: number): string =>
  `${grouped(failed)} of ${pluralize(streams, "stream")} failed. Run again to resume where ${failed === 1 ? "it" : "each"} stopped.`
