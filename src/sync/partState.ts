/**
 * The state of a stream whose parts are read by several processes, in any order. It lists the ranges that have been read, and
 * its time is before the first gap.
 */
import { formatTime } from "../text/formatTime.ts"
import { intersection, type Span, union, without } from "./coverage.ts"
import { encodeSpans, MAX_SPANS, type StateDetails, StreamState, samplingFields } from "./StreamState.ts"
import { afterCursor, type GridRange } from "./TimeGrid.ts"

/** A part that has been read. */
export interface PartResult {
  /** All points of the sync, from its configured start. */
  readonly grid: GridRange
  /** The points that the part has read, in the order of time. */
  readonly covered: ReadonlyArray<Span>
  /** The points that the server could not return, or only some series of them, in the order of time. */
  readonly holes?: ReadonlyArray<Span>
  /** Whether the part also reads points again that were read before, for late samples. */
  readonly isReread: boolean
  /** How late samples may be: such points at the end of the grid are read again by the next sync. */
  readonly lookbackMillis?: number
  /** What a detailed state lists beside the ranges. */
  readonly details: StateDetails
}

/**
 * The state after a part; undefined if the part must not be committed. Nearly always another process has read all of its points.
 * Otherwise rows of two steps would be mixed, or the state would have too many ranges: then the part stays unread.
 */
export const withPart = (state: StreamState | undefined, part: PartResult): StreamState | undefined => {
  const { covered, details, grid, holes = [], isReread, lookbackMillis = 0 } = part
  const { firstMillis, lastMillis, stepMillis } = grid
  if (state !== undefined && state.stepMillis !== stepMillis) return undefined
  const before = readBefore(state, grid)
  const mayHaveRows = union(before, state?.again ?? [], stepMillis)
  const isNew =
    without(covered, before, stepMillis).length + without(holes, mayHaveRows, stepMillis).length > 0
  if (!isReread && !isNew) return undefined

  const read = union(before, covered, stepMillis)
  const requested = union(covered, holes, stepMillis)
  const maybeLate = afterCursor(grid, lastMillis, lookbackMillis)
  const again = union(
    without(state?.again ?? [], requested, stepMillis),
    union(without(holes, before, stepMillis), intersection(requested, [maybeLate]), stepMillis),
    stepMillis
  )
  if (read.length > MAX_SPANS || again.length > MAX_SPANS) return undefined

  // The start may have been moved forward, and the ranges of an end that was moved back are before the state's time.
  const cursorMillis = Math.max(state?.timeMillis ?? Number.NEGATIVE_INFINITY, firstMillis - stepMillis)
  const around = read.find(
    (span) => span.firstMillis <= cursorMillis + stepMillis && span.lastMillis >= cursorMillis
  )
  return new StreamState({
    time: formatTime(around?.lastMillis ?? cursorMillis),
    ...samplingFields(stepMillis),
    version: 1,
    read: encodeSpans(read),
    ...(again.length === 0 ? {} : { read_again: encodeSpans(again) }),
    ...details
  })
}

/** The ranges of a part that may have rows, which those of the part replace. */
export const overlapWith = (
  state: StreamState | undefined,
  { covered, grid, holes = [] }: PartResult
): ReadonlyArray<Span> =>
  intersection(
    union(covered, holes, grid.stepMillis),
    union(readBefore(state, grid), state?.again ?? [], grid.stepMillis)
  )

/** The ranges that a state has read. One without a list has read everything up to its time. */
const readBefore = (state: StreamState | undefined, { firstMillis }: GridRange): ReadonlyArray<Span> => {
  if (state === undefined) return []
  const { timeMillis } = state
  return state.read === undefined
    ? [{ firstMillis: Math.min(firstMillis, timeMillis), lastMillis: timeMillis }]
    : state.covered
}
