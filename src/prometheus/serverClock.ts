/**
 * Checks whether the server's clock is plausible. Reads follow that clock, so a wrong one must be reported: after a sync up to
 * a time far in the future, later syncs read nothing.
 */
import { formatSecond } from "../text/formatTime.ts"

/** Synchronized clocks differ by seconds. */
const TOLERANCE_MILLIS = 86_400_000

/** Three clocks at the same moment, in milliseconds since the epoch. */
export interface ClockReading {
  /** The result of the server's `time()`. */
  readonly serverMillis: number
  /** The `Date` of that response, which a proxy may have written. */
  readonly dateMillis: number | undefined
  /** This machine's clock. */
  readonly ownMillis: number
}

/** The time that reads follow, and what is wrong with it. */
export interface ServerClock {
  readonly nowMillis: number
  /** What is wrong with the server's clock, if anything is, in sentences. */
  readonly problem: string | undefined
  /** Whether it is ahead of another clock by more than a day. */
  readonly isAhead: boolean
}

/**
 * Compares the clocks. The server's time is used unless both others contradict it: if it is more than a day ahead of its own
 * `Date` and of this machine, the `Date` is used.
 */
export const judgeClock = (
  server: string,
  { dateMillis, ownMillis, serverMillis }: ClockReading
): ServerClock => {
  const others = [
    { what: "the Date header of its response", millis: dateMillis },
    { what: "this machine's clock", millis: ownMillis }
  ].flatMap(({ millis, what }) =>
    millis === undefined ? [] : [{ what: `${what} (${formatSecond(millis)})`, off: serverMillis - millis }]
  )
  const ahead = others.filter(({ off }) => off > TOLERANCE_MILLIS)
  const behind = others.filter(({ off }) => off < -TOLERANCE_MILLIS)
  const isAhead = ahead.length > 0
  if (!isAhead && behind.length === 0) return { nowMillis: serverMillis, problem: undefined, isAhead }
  const isRefuted = dateMillis !== undefined && ahead.length === 2
  const differences = [
    ...ahead.map(({ what }) => `ahead of ${what}`),
    ...behind.map(({ what }) => `behind ${what}`)
  ]
  const consequence = isRefuted
    ? "Samples are read only up to the time of that header. Correct the server's clock."
    : isAhead
      ? "Check both clocks: if the server's is wrong, later syncs read nothing until that time."
      : "Check both clocks: samples after the server's time are not read."
  return {
    nowMillis: isRefuted ? dateMillis : serverMillis,
    problem: `The clock of ${server} shows ${formatSecond(serverMillis)}, more than a day ${differences.join(" and ")}. ${consequence}`,
    isAhead
  }
}
