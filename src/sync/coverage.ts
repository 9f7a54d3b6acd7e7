/**
 * Which points of a grid have been read: spans, both ends included, in the order of time and apart from each other. A start that was
 * moved back leaves a gap before them, and one that was moved forward a gap between them.
 */
import type { GridRange } from "./TimeGrid.ts"

/** The points from first to last. */
export type Span = Pick<GridRange, "firstMillis" | "lastMillis">

/** The parts of a range that have not been read, in the order of time. */
export const uncovered = (range: GridRange, covered: ReadonlyArray<Span>): ReadonlyArray<GridRange> => {
  const { stepMillis } = range
  const gaps: Array<GridRange> = []
  let firstMillis = range.firstMillis
  for (const span of covered) {
    if (span.firstMillis > range.lastMillis) break
    // The spans may be of another step: a gap is on the grid of the range.
    const lastMillis = (Math.ceil(span.firstMillis / stepMillis) - 1) * stepMillis
    if (lastMillis >= firstMillis) gaps.push({ firstMillis, lastMillis, stepMillis })
    firstMillis = Math.max(firstMillis, (Math.floor(span.lastMillis / stepMillis) + 1) * stepMillis)
  }
  if (firstMillis <= range.lastMillis) {
    gaps.push({ firstMillis, lastMillis: range.lastMillis, stepMillis })
  }
  return gaps
}

/** What has been read once `span` has been read, too. Spans that touch become one. */
export const cover = (covered: ReadonlyArray<Span>, span: Span, stepMillis: number): ReadonlyArray<Span> => {
  const touches = (other: Span): boolean =>
    other.firstMillis <= span.lastMillis + stepMillis && other.lastMillis >= span.firstMillis - stepMillis
  const joined = covered.filter(touches).reduce<Span>(
    (a, b) => ({
      firstMillis: Math.min(a.firstMillis, b.firstMillis),
      lastMillis: Math.max(a.lastMillis, b.lastMillis)
    }),
    span
  )
  return [...covered.filter((other) => !touches(other)), joined].sort((a, b) => a.firstMillis - b.firstMillis)
}
