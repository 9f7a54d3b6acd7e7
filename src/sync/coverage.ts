/**
 * Which points of a grid have been read: spans of whole seconds, both ends included, in the order of time and apart from
 * each other. A start that was moved back leaves a gap before what has been read, and one that was moved forward a gap in it.
 */
import type { GridRange } from "./TimeGrid.ts"

/** The points from first to last. */
export type Span = Pick<GridRange, "firstSeconds" | "lastSeconds">

/** The parts of a range that have not been read, in the order of time. */
export const uncovered = (range: GridRange, covered: ReadonlyArray<Span>): ReadonlyArray<GridRange> => {
  const { stepSeconds } = range
  const gaps: Array<GridRange> = []
  let firstSeconds = range.firstSeconds
  for (const span of covered) {
    if (span.firstSeconds > range.lastSeconds) break
    const lastSeconds = span.firstSeconds - stepSeconds
    if (lastSeconds >= firstSeconds) gaps.push({ firstSeconds, lastSeconds, stepSeconds })
    firstSeconds = Math.max(firstSeconds, span.lastSeconds + stepSeconds)
  }
  if (firstSeconds <= range.lastSeconds) {
    gaps.push({ firstSeconds, lastSeconds: range.lastSeconds, stepSeconds })
  }
  return gaps
}

/** What has been read once `span` has been, too. Spans that touch become one. */
export const cover = (covered: ReadonlyArray<Span>, span: Span, stepSeconds: number): ReadonlyArray<Span> => {
  const touches = (other: Span): boolean =>
    other.firstSeconds <= span.lastSeconds + stepSeconds &&
    other.lastSeconds >= span.firstSeconds - stepSeconds
  const joined = covered.filter(touches).reduce<Span>(
    (a, b) => ({
      firstSeconds: Math.min(a.firstSeconds, b.firstSeconds),
      lastSeconds: Math.max(a.lastSeconds, b.lastSeconds)
    }),
    span
  )
  return [...covered.filter((other) => !touches(other)), joined].sort(
    (a, b) => a.firstSeconds - b.firstSeconds
  )
}
