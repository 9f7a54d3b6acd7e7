/** Selects the streams to show if there are too many. */
import type { StreamSummary } from "../run/Progress.ts"

/**
 * At most `mostFailed` failed streams, and then other streams up to `most` in all. There are more than `most` only if more of
 * them failed. They stay in the order of the run.
 */
export const selectStreams = (streams: ReadonlyArray<StreamSummary>, most: number, mostFailed: number) => {
  const failed = failedOf(streams).length
  // A line that says "one more" is as long as the line of that stream.
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
