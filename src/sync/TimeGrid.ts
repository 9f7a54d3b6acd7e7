/**
 * The time grid of all data points: the multiples of the step since the Unix epoch.
 *
 * All syncs, windows and tools therefore use the same points. Pure arithmetic on milliseconds since the epoch.
 */
import { Schema } from "effect"
import { durationText, stepText } from "../text/figures.ts"
import { formatTime } from "../text/formatTime.ts"
import { pluralize } from "../text/pluralize.ts"

/**
 * The multiples of `stepMillis` from `firstMillis` to `lastMillis`, both included, in milliseconds since the epoch. Empty if
 * last is before first.
 */
export const GridRange = Schema.Struct({
  firstMillis: Schema.Int,
  lastMillis: Schema.Int,
  stepMillis: Schema.Int.check(Schema.isGreaterThan(0))
})

export type GridRange = typeof GridRange.Type

/** The step of ranges of stored samples, which have times of their own. All other steps are whole seconds. */
export const RAW_STEP_MILLIS = 1

/** The number of points in a range. */
export const pointCount = ({ firstMillis, lastMillis, stepMillis }: GridRange): number =>
  Math.max(0, Math.floor((lastMillis - firstMillis) / stepMillis) + 1)

/** The points in a closed interval of time. */
export const gridRange = (startMillis: number, endMillis: number, stepMillis: number): GridRange => ({
  firstMillis: Math.ceil(startMillis / stepMillis) * stepMillis,
  lastMillis: Math.floor(endMillis / stepMillis) * stepMillis,
  stepMillis
})

/** The part of a range after a cursor: the points later than `cursorMillis − lookbackMillis`. */
export const afterCursor = (range: GridRange, cursorMillis: number, lookbackMillis: number): GridRange => {
  const { stepMillis } = range
  const next = (Math.floor((cursorMillis - lookbackMillis) / stepMillis) + 1) * stepMillis
  return { ...range, firstMillis: Math.max(range.firstMillis, next) }
}

/** The first `points` points of a range, and the rest of it. */
export const takePoints = (
  range: GridRange,
  points: number
): readonly [taken: GridRange, rest: GridRange] => {
  const lastMillis = Math.min(range.lastMillis, range.firstMillis + (points - 1) * range.stepMillis)
  return [
    { ...range, lastMillis },
    { ...range, firstMillis: lastMillis + range.stepMillis }
  ]
}

/** Two halves of a range of at least two points. The first half is the longer one. */
export const halve = (range: GridRange): readonly [GridRange, GridRange] =>
  takePoints(range, Math.ceil(pointCount(range) / 2))

/** A range for a message: its first and last point. */
export const rangeText = ({ firstMillis, lastMillis }: GridRange): string =>
  `${formatTime(firstMillis)} to ${formatTime(lastMillis)}`

/** Whether a range is one of stored samples. */
export const isRawRange = ({ stepMillis }: Pick<GridRange, "stepMillis">): boolean =>
  stepMillis === RAW_STEP_MILLIS

/** Which samples a range has, for a sentence: `a step of 15 s`. */
export const samplingText = (stepMillis: number): string =>
  isRawRange({ stepMillis }) ? "all stored samples" : `a step of ${stepText(stepMillis / 1000)}`

/** So many points for a message. Those of stored samples are milliseconds. */
export const extentText = ({
  points,
  stepMillis
}: {
  readonly points: number
  readonly stepMillis: number
}) => (isRawRange({ stepMillis }) ? durationText(points / 1000) : pluralize(points, "point"))
