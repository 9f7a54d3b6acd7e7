/** The live picture of a run: a line per stream and a total line, fitted to the terminal. */
import type { StreamSummary } from "../run/Progress.ts"
import type { Paint, Size } from "../terminal/Appearance.ts"
import { maxWidth, padEnd, textWidth, truncate, wrap } from "../terminal/textWidth.ts"
import { aboutText, durationText, grouped, rounded } from "../text/figures.ts"
import { pluralize } from "../text/pluralize.ts"
import { printable, printableName } from "../text/printable.ts"
import {
  type ActiveStream,
  doneOf,
  doneOfAll,
  type RunState,
  remainingSeconds,
  samplesPerSecond
} from "./RunState.ts"

/** A terminal with fewer columns has no space for bars. */
const NARROW = 44

/** The width of a bar if there is enough space. */
const MAX_BAR = 32

/** Columns that stay free: on Ctrl-C, a terminal writes `^C` after the picture, which must not wrap a line. */
const SPARE = 3

/** Wider names are truncated if other columns need the space. */
const MAX_NAME = 48

/**
 * The picture. It has fewer lines than the terminal has rows, and each line is narrower than the terminal. One line counts the
 * streams that are not shown. `rate` is in samples per second.
 */
export const liveLines = (
  state: RunState,
  now: number,
  rate: number,
  { columns, rows }: Size,
  paint: Paint
): ReadonlyArray<string> => {
  const width = columns - SPARE
  const height = rows - 1
  if (width < 1 || height < 1) return []
  const active = Array.from(state.active.values())
  // Reserve the last line for the total, and one for the number of streams that are not shown.
  const room = height - 1
  const shown = active.length <= room ? active : active.slice(0, Math.max(0, room - 1))
  const more = active.length - shown.length
  const layout = layoutOf(
    shown.map(({ name }) => name),
    totalName(state),
    width
  )
  const lines = shown.map((stream) => streamLine(stream, now, layout, paint))
  if (more > 0 && room > 0) lines.push(paint("quiet", truncate(`… and ${more} more`, width)))
  return [...lines, totalLine(state, now, rate, layout, paint)]
}

interface Layout {
  readonly width: number
  readonly name: number
  /** 0 means no bar. */
  readonly bar: number
}

const layoutOf = (names: ReadonlyArray<string>, total: string, width: number): Layout => {
  const widest = Math.max(maxWidth(names.map(printableName)), textWidth(total))
  const name = Math.min(widest, MAX_NAME, Math.max(12, Math.floor(width * 0.4)), width)
  const bar = width < NARROW ? 0 : Math.min(MAX_BAR, Math.floor(width * 0.25))
  return { width, name, bar }
}

/** A text, and the colour to apply after it is fitted. */
type LinePart = readonly [text: string, paint: (text: string) => string]

const GAP = 2

/** Joins the parts that fit side by side. The first one is truncated to fit, and so are the others if `cuts`. */
const row = (parts: ReadonlyArray<LinePart>, width: number, cuts: boolean): string => {
  let line = ""
  let used = 0
  for (const [text, paint] of parts) {
    const gap = used === 0 ? 0 : GAP
    const room = width - used - gap
    if (room <= 0 || (!cuts && used > 0 && textWidth(text) > room)) break
    const fit = truncate(text, room)
    line += " ".repeat(gap) + paint(fit)
    used += gap + textWidth(fit)
  }
  return line
}

const asIs = (text: string): string => text

/** The name of a line, its bar and its percentage. */
const doneParts = (
  name: string,
  done: number,
  layout: Layout,
  paint: Paint,
  paintName = asIs
): ReadonlyArray<LinePart> => {
  const filled = Math.round(done * layout.bar)
  const bar = "━".repeat(filled).padEnd(layout.bar, "─")
  const paintBar = (text: string) => paint("good", text.slice(0, filled)) + paint("quiet", text.slice(filled))
  return [
    [padEnd(truncate(printableName(name), layout.name), layout.name), paintName],
    ...(layout.bar === 0 ? [] : [[bar, paintBar] as const]),
    [`${Math.floor(done * 100)} %`.padStart(5), asIs]
  ]
}

const streamLine = (stream: ActiveStream, now: number, layout: Layout, paint: Paint): string => {
  const { name, samples, waiting } = stream
  const isWaiting = waiting !== undefined && waiting.until > now
  const state = isWaiting
    ? `waiting ${aboutText(Math.ceil((waiting.until - now) / 1000))}: ${printable(waiting.reason)}`
    : samples === 0
      ? "querying"
      : pluralize(samples, "sample")
  return row(
    [
      ...doneParts(name, doneOf(stream), layout, paint),
      [state, (text) => paint(isWaiting ? "waiting" : "quiet", text)]
    ],
    layout.width,
    true
  )
}

/** Requests wait although nothing is wrong. */
const LIMITED = "limited by the load budget"

const totalName = ({ ended, failed, streams }: RunState): string =>
  `${grouped(ended)} of ${pluralize(streams, "stream")}${failed === 0 ? "" : `, ${grouped(failed)} failed`}`

const totalLine = (state: RunState, now: number, rate: number, layout: Layout, paint: Paint): string => {
  const remaining = remainingSeconds(state, now)
  const strong = (text: string) => paint("strong", text)
  const parts: ReadonlyArray<LinePart> = [
    ...doneParts(totalName(state), doneOfAll(state), layout, paint, strong),
    ...(remaining === undefined ? [] : [[`${aboutText(remaining)} left`, asIs] as const]),
    ...(state.isLimited ? [[LIMITED, (text: string) => paint("waiting", text)] as const] : []),
    [`${rounded(rate)} samples/s`, (text) => paint("quiet", text)],
    [pluralize(state.samples, "sample"), (text) => paint("quiet", text)]
  ]
  return row(parts, layout.width, false)
}

/** The progress of a run in one line, for terminals that cannot redraw. */
export const progressLine = (state: RunState, now: number): string => {
  const remaining = remainingSeconds(state, now)
  return [
    `${totalName(state)} (${Math.floor(doneOfAll(state) * 100)} %)`,
    pluralize(state.samples, "sample"),
    `${rounded(samplesPerSecond(state, now))} samples/s`,
    ...(remaining === undefined ? [] : [`${aboutText(remaining)} left`]),
    ...(state.isLimited ? [LIMITED] : [])
  ].join(", ")
}

/** The indentation of the further lines of an error. */
const INDENT = 4

/**
 * The permanent line of a stream that has ended. `nameWidth` is the width of its name. On a terminal of `columns` an error may
 * take several lines. The further ones are indented, so that a server's text cannot look like a line of the program.
 */
export const endedLine = (
  stream: StreamSummary,
  nameWidth: number,
  paint: Paint,
  columns = Number.POSITIVE_INFINITY
): string => {
  // A wider name is truncated only if there is no space.
  const room = Math.max(nameWidth, columns - ENDED_COLUMNS)
  const name = padEnd(
    truncate(printableName(stream.name), nameWidth < MAX_NAME ? nameWidth : room),
    nameWidth
  )
  if (stream.error !== undefined) {
    const kept =
      stream.rows === 0
        ? ""
        : ` ${pluralize(stream.rows, "row")} before that ${stream.rows === 1 ? "is" : "are"} saved.`
    const [first, ...rest] = wrap(
      `✗ ${name}  FAILED: ${printable(stream.error)}${kept}`,
      Math.max(INDENT + MIN_NAME, columns - 1) - INDENT
    )
    return [paint("bad", first!), ...rest.map((line) => " ".repeat(INDENT) + line)].join("\n")
  }
  const retries = stream.retries === 0 ? "" : `  ${pluralize(stream.retries, "retry", "retries")}`
  if (stream.notice !== undefined) {
    const [first, ...rest] = wrap(
      `! ${name}  no rows: ${printable(stream.notice)}`,
      Math.max(INDENT + MIN_NAME, columns - 1) - INDENT
    )
    return [first!, ...rest.map((line) => " ".repeat(INDENT) + line)].join("\n")
  }
  // The rows of a table have no series.
  const series = stream.series === 0 ? "" : `${grouped(stream.series)} series`
  const result =
    stream.rows === 0
      ? "nothing new"
      : `${series.padStart(12)}  ${pluralize(stream.rows, "row").padStart(15)}`
  return `${paint("good", "✓")} ${name}  ${result}  ${paint("quiet", durationText(stream.seconds) + retries)}`
}

/** The usual width of such a line without the name. */
const ENDED_COLUMNS = 42

/** Names are not truncated below this width. */
const MIN_NAME = 12

/** The width of names in the permanent lines on a terminal with this many columns. */
export const nameWidthOf = (names: ReadonlyArray<string>, columns = Number.POSITIVE_INFINITY): number =>
  Math.min(MAX_NAME, Math.max(MIN_NAME, columns - ENDED_COLUMNS), maxWidth(names.map(printableName)))
