/**
 * The points of a grid that have been read, as disjoint spans in the order of time, both ends included. A start that was moved
 * back leaves a gap before them, and one that was moved forward leaves a gap between them.
 */
import type { GridRange } from "./TimeGrid.ts"

/** The points from first to last. */
export type Span = Pick<GridRange, "firstMillis" | "lastMillis">

/** The unread parts of a range, in the order of time. */
export const uncovered = (range: GridRange, covered: ReadonlyArray<Span>): ReadonlyArray<GridRange> => {
  const { stepMillis } = range
  const gaps: Array<GridRange> = []
  let firstMillis = range.firstMillis
  for (const span of covered) {
    if (span.firstMillis > range.lastMillis) break
    // The spans may have another step, but a gap is on the grid of the range.
    const lastMillis = (Math.ceil(span.firstMillis / stepMillis) - 1) * stepMillis
    if (lastMillis >= firstMillis) gaps.push({ firstMillis, lastMillis, stepMillis })
    firstMillis = Math.max(firstMillis, (Math.floor(span.lastMillis / stepMillis) + 1) * stepMillis)
  }
  if (firstMillis <= range.lastMillis) {
    gaps.push({ firstMillis, lastMillis: range.lastMillis, stepMillis })
  }
  return gaps
}

/** Adds `span` to the spans that have been read. Adjacent spans are merged. */
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

/** All points of both, as disjoint spans in order. */
export const union = (
  spans: ReadonlyArray<Span>,
  more: ReadonlyArray<Span>,
  stepMillis: number
): ReadonlyArray<Span> => {
  const joined: Array<{ firstMillis: number; lastMillis: number }> = []
  for (const { firstMillis, lastMillis } of [...spans, ...more].sort(
    (a, b) => a.firstMillis - b.firstMillis
  )) {
    const before = joined.at(-1)
    if (before === undefined || firstMillis > before.lastMillis + stepMillis)
      joined.push({ firstMillis, lastMillis })
    else before.lastMillis = Math.max(before.lastMillis, lastMillis)
  }
  return joined
}

/** The points of spans that are not among others. */
export const without = (
  spans: ReadonlyArray<Span>,
  others: ReadonlyArray<Span>,
  stepMillis: number
): ReadonlyArray<Span> =>
  others.length === 0
    ? spans
    : spans.flatMap((span) =>
        uncovered({ ...span, stepMillis }, others).map(({ firstMillis, lastMillis }) => ({
          firstMillis,
          lastMillis
        }))
      )

/** The points that are in both. Each list is disjoint and in order. */
export const intersection = (
  spans: ReadonlyArray<Span>,
  others: ReadonlyArray<Span>
): ReadonlyArray<Span> => {
  const both: Array<Span> = []
  for (let i = 0, j = 0; i < spans.length && j < others.length; ) {
    const [a, b] = [spans[i]!, others[j]!]
    const firstMillis = Math.max(a.firstMillis, b.firstMillis)
    const lastMillis = Math.min(a.lastMillis, b.lastMillis)
    if (firstMillis <= lastMillis) both.push({ firstMillis, lastMillis })
    if (a.lastMillis < b.lastMillis) i++
    else j++
  }
  return both
}
