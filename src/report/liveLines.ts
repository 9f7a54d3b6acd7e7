/** The live picture of a run: a line per stream and one for all, fitted into a terminal. */

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

/** Fewer columns than this have no room for bars. */
const NARROW = 44

/** How wide a bar is where there is room. */
const MAX_BAR = 32

/** Columns that stay free: a terminal writes `^C` behind the picture when that is pressed, which must not break a line. */
const SPARE = 3

/** Names wider than this are cut where others need the room. */
const MAX_NAME = 48

/**
 * The picture: fewer lines than the terminal has rows, each narrower than it. Streams beyond that are counted in one
 * line. `rate` is in samples per second.
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
  // The last line is for all streams, and one may have to count the streams that are not shown.
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
  /** 0: none. */
  readonly bar: number
}

const layoutOf = (names: ReadonlyArray<string>, total: string, width: number): Layout => {
  const widest = Math.max(maxWidth(names.map(printableName)), textWidth(total))
  const name = Math.min(widest, MAX_NAME, Math.max(12, Math.floor(width * 0.4)), width)
  const bar = width < NARROW ? 0 : Math.min(MAX_BAR, Math.floor(width * 0.25))
  return { width, name, bar }
}

/** A text, and how it is coloured once it has its length. */
type LinePart = readonly [text: string, paint: (text: string) => string]

const GAP = 2

/** Puts parts side by side as far as there is room, the last one cut where it ends. */
const row = (parts: ReadonlyArray<LinePart>, width: number): string => {
  let line = ""
  let used = 0
  for (const [text, paint] of parts) {
    const gap = used === 0 ? 0 : GAP
    if (used + gap >= width) break
    const fit = truncate(text, width - used - gap)
    line += " ".repeat(gap) + paint(fit)
    used += gap + textWidth(fit)
  }
  return line
}

/** The parts that fit completely; the first one in any case. */
const fittingParts = (parts: ReadonlyArray<LinePart>, width: number): ReadonlyArray<LinePart> => {
  let end = 0
  let used = -GAP
  for (const [text] of parts) {
    used += GAP + textWidth(text)
    if (used > width) break
    end++
  }
  return parts.slice(0, Math.max(1, end))
}

const asIs = (text: string): string => text

const nameCell = (name: string, { name: width }: Layout): string =>
  padEnd(truncate(printableName(name), width), width)

const percent = (done: number): string => `${Math.floor(done * 100)} %`.padStart(5)

/** A bar is one text for `row`, coloured part by part. */
const barPart = (done: number, width: number, paint: Paint): ReadonlyArray<LinePart> => {
  if (width === 0) return []
  const filled = Math.round(done * width)
  const full = "━".repeat(filled)
  return [
    [
      full + "─".repeat(width - filled),
      (text) => paint("good", text.slice(0, filled)) + paint("quiet", text.slice(filled))
    ]
  ]
}

const streamLine = (stream: ActiveStream, now: number, layout: Layout, paint: Paint): string => {
  const done = doneOf(stream)
  const { samples, waiting } = stream
  return row(
    [
      [nameCell(stream.name, layout), asIs],
      ...barPart(done, layout.bar, paint),
      [percent(done), asIs],
      waiting !== undefined && waiting.until > now
        ? [
            `waiting ${aboutText(Math.ceil((waiting.until - now) / 1000))}: ${printable(waiting.reason)}`,
            (text) => paint("waiting", text)
          ]
        : [samples === 0 ? "querying" : pluralize(samples, "sample"), (text) => paint("quiet", text)]
    ],
    layout.width
  )
}

const totalName = ({ ended, failed, streams }: RunState): string =>
  `${grouped(ended)} of ${pluralize(streams, "stream")}${failed === 0 ? "" : `, ${grouped(failed)} failed`}`

const totalLine = (state: RunState, now: number, rate: number, layout: Layout, paint: Paint): string => {
  const done = doneOfAll(state)
  const remaining = remainingSeconds(state, now)
  const parts: ReadonlyArray<LinePart> = [
    [nameCell(totalName(state), layout), (text) => paint("strong", text)],
    ...barPart(done, layout.bar, paint),
    [percent(done), asIs],
    ...(remaining === undefined ? [] : [[`${aboutText(remaining)} left`, asIs] as const]),
    [`${rounded(rate)} samples/s`, (text) => paint("quiet", text)],
    [pluralize(state.samples, "sample"), (text) => paint("quiet", text)]
  ]
  return row(fittingParts(parts, layout.width), layout.width)
}

/** One line of a run that cannot be drawn: how far it is. */
export const progressLine = (state: RunState, now: number): string => {
  const remaining = remainingSeconds(state, now)
  return [
    `${totalName(state)} (${Math.floor(doneOfAll(state) * 100)} %)`,
    pluralize(state.samples, "sample"),
    `${rounded(samplesPerSecond(state, now))} samples/s`,
    ...(remaining === undefined ? [] : [`${aboutText(remaining)} left`])
  ].join(", ")
}

/** How far the further lines of an error are indented. */
const INDENT = 4

/**
 * The line that remains of a stream, with its name in so many columns. On a terminal of `columns` an error has several lines,
 * the further ones indented, as a server's words are not to look like a line of ours.
 */
export const endedLine = (
  stream: StreamSummary,
  nameWidth: number,
  paint: Paint,
  columns = Number.POSITIVE_INFINITY
): string => {
  // Wider ones stay as they are, unless it is for want of room.
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
  const result =
    stream.rows === 0
      ? "nothing new"
      : `${`${grouped(stream.series)} series`.padStart(12)}  ${pluralize(stream.rows, "row").padStart(15)}`
  return `${paint("good", "✓")} ${name}  ${result}  ${paint("quiet", durationText(stream.seconds) + retries)}`
}

/** What such a line has beside the name, mostly. */
const ENDED_COLUMNS = 42

/** Names are not cut to less than this. */
const MIN_NAME = 12

/** How wide the names of streams are in the lines that remain of them, on a terminal of so many columns. */
export const nameWidthOf = (names: ReadonlyArray<string>, columns = Number.POSITIVE_INFINITY): number =>
  Math.min(MAX_NAME, Math.max(MIN_NAME, columns - ENDED_COLUMNS), maxWidth(names.map(printableName)))
