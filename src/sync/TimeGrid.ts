/**
 * The grid of time that all data points lie on: the multiples of the step since the Unix epoch.
 *
 * Syncs, windows and other tools agree on it without knowing of each other. Pure arithmetic on whole seconds.
 */
import { formatTime } from "../text/formatTime.ts"

/** The grid points from first to last, both included. Empty if last is before first. */
export interface GridRange {
  readonly firstSeconds: number
  readonly lastSeconds: number
  readonly stepSeconds: number
}

/** How many points a range has. */
export const pointCount = ({ firstSeconds, lastSeconds, stepSeconds }: GridRange): number =>
  Math.max(0, Math.floor((lastSeconds - firstSeconds) / stepSeconds) + 1)

/** The points in a closed range of time. */
export const gridRange = (startMillis: number, endMillis: number, stepSeconds: number): GridRange => {
  const stepMillis = stepSeconds * 1000
  return {
    firstSeconds: Math.ceil(startMillis / stepMillis) * stepSeconds,
    lastSeconds: Math.floor(endMillis / stepMillis) * stepSeconds,
    stepSeconds
  }
}

/** What remains of a range after a cursor: the points later than `cursorMillis − lookbackMillis`. */
export const afterCursor = (range: GridRange, cursorMillis: number, lookbackMillis: number): GridRange => {
  const stepMillis = range.stepSeconds * 1000
  const next = (Math.floor((cursorMillis - lookbackMillis) / stepMillis) + 1) * range.stepSeconds
  return { ...range, firstSeconds: Math.max(range.firstSeconds, next) }
}

/** The first `points` points of a range, and what is left of it. */
export const takePoints = (
  range: GridRange,
  points: number
): readonly [taken: GridRange, rest: GridRange] => {
  const lastSeconds = Math.min(range.lastSeconds, range.firstSeconds + (points - 1) * range.stepSeconds)
  return [
    { ...range, lastSeconds },
    { ...range, firstSeconds: lastSeconds + range.stepSeconds }
  ]
}

/** Two halves of a range of at least two points; the first is the longer one. */
export const halve = (range: GridRange): readonly [GridRange, GridRange] =>
  takePoints(range, Math.ceil(pointCount(range) / 2))

/** A range for a person: its first and last point. */
export const rangeText = ({ firstSeconds, lastSeconds }: GridRange): string =>
  `${formatTime(firstSeconds * 1000)} to ${formatTime(lastSeconds * 1000)}`
