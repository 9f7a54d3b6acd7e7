/**
 * The state of a stream whose parts are read by several processes, in any order. It lists the ranges that have been read, and
 * its time is before the first gap.
 */

import { formatTime } from "../text/formatTime.ts"
import { cover, type Span } from "./coverage.ts"
import { encodeSpans, StreamState } from "./StreamState.ts"
import type { GridRange } from "./TimeGrid.ts"

/** A part that has been read. */
export interface PartResult {
  /** All points of the sync, from its configured start. */
  readonly grid: GridRange
  /** The points that the part has read. */
  readonly covered: ReadonlyArray<Span>
  /** Whether the part also reads points again that were read before, for late samples. */
  readonly isReread: boolean
  /** What a detailed state lists beside the ranges. */
  readonly details: { readonly selector: string; readonly excluded_labels: string }
}

/** The state after a part; undefined if the part changes nothing, as all of its points have been read. */
export const withPart = (state: StreamState | undefined, part: PartResult): StreamState | undefined => {
  const { covered, details, grid, isReread } = part
  const { firstMillis, stepMillis } = grid
  const before = state?.covered ?? []
  const isKnown = ({ firstMillis, lastMillis }: Span): boolean =>
    before.some((span) => span.firstMillis <= firstMillis && lastMillis <= span.lastMillis)
  if (!isReread && covered.every(isKnown)) return undefined
  const spans = covered.reduce((spans, span) => cover(spans, span, stepMillis), before)
  const cursorMillis = state?.timeMillis ?? firstMillis - stepMillis
  // The ranges of an end that was moved back are before the cursor.
  const around = spans.find(
    (span) => span.firstMillis <= cursorMillis + stepMillis && span.lastMillis >= cursorMillis
  )
  return new StreamState({
    time: formatTime(around?.lastMillis ?? cursorMillis),
    step: stepMillis / 1000,
    version: 1,
    read: encodeSpans(spans),
    ...details
  })
}

/** The ranges of a part that a state lists as read: there may be rows of them. */
export const overlapWith = (state: StreamState | undefined, { covered }: PartResult): ReadonlyArray<Span> =>
  (state?.covered ?? []).flatMap((span) =>
    covered.flatMap((part) => {
      const firstMillis = Math.max(span.firstMillis, part.firstMillis)
      const lastMillis = Math.min(span.lastMillis, part.lastMillis)
      return firstMillis <= lastMillis ? [{ firstMillis, lastMillis }] : []
    })
  )
