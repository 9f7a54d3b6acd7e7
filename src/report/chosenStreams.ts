/** Which streams to show if there are too many. */
import type { StreamSummary } from "../run/Progress.ts"

export interface ChosenStreams {
  /** In the order of the run. */
  readonly shown: ReadonlyArray<StreamSummary>
  readonly left: ReadonlyArray<StreamSummary>
}

/**
 * Those that failed, as many as `mostFailed`, then as many others as there is room for. More than `most` are shown only
 * where more of them failed.
 */
export const chosenStreams = (
  streams: ReadonlyArray<StreamSummary>,
  most: number,
  mostFailed: number
): ChosenStreams => {
  const failed = failedOf(streams).length
  // A line that says "one more" is as long as that one.
  const limit = streams.length <= most ? streams.length : most - 1
  let failedRoom = failed <= mostFailed ? failed : mostFailed - 1
  let room = limit - failedRoom
  const shown: Array<StreamSummary> = []
  const left: Array<StreamSummary> = []
  for (const stream of streams) {
    const hasRoom = stream.error === undefined ? room-- > 0 : failedRoom-- > 0
    if (hasRoom) shown.push(stream)
    else left.push(stream)
  }
  return { shown, left }
}

export const failedOf = (streams: ReadonlyArray<StreamSummary>): ReadonlyArray<StreamSummary> =>
  streams.filter(({ error }) => error !== undefined)
