/**
 * Whether a server's clock is plausible. It is the one that counts, but a wrong one must be reported: a sync
 * that reads up to a time far in the future leaves a state after which later syncs read nothing.
 */
import { formatTime } from "../text/formatTime.ts"

/** Clocks of machines that are kept right differ by seconds. */
const TOLERANCE_MILLIS = 86_400_000

/** Three clocks at the same moment, in milliseconds since the epoch. */
export interface ClockReading {
  /** What the server's `time()` returned. */
  readonly serverMillis: number
  /** The `Date` of that response, which a proxy may have written. */
  readonly dateMillis: number | undefined
  /** What this machine shows. */
  readonly ownMillis: number
}

/** The time to work with. */
export interface ServerClock {
  readonly nowMillis: number
  /** What is wrong with the server's clock, if anything is, in sentences. */
  readonly problem: string | undefined
  /** Whether it is ahead of another clock by more than a day. */
  readonly isAhead: boolean
}

/**
 * Compares the clocks. The server's counts unless both others contradict it: if it is more than a day ahead of its own
 * `Date` and of this machine too, the `Date` counts.
 */
export const judgeClock = (
  server: string,
  { dateMillis, ownMillis, serverMillis }: ClockReading
): ServerClock => {
  const others = [
    { what: "the Date header of its response", millis: dateMillis },
    { what: "this machine's clock", millis: ownMillis }
  ].flatMap(({ millis, what }) =>
    millis === undefined ? [] : [{ what: `${what} (${shown(millis)})`, off: serverMillis - millis }]
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
    ? "Samples are read only up to the time of that header. Set the server's clock."
    : isAhead
      ? "Check both clocks: if the server's is the wrong one, later syncs read nothing until its time has come."
      : "Check both clocks: samples after the server's time are not read."
  return {
    nowMillis: isRefuted ? dateMillis : serverMillis,
    problem: `The clock of ${server} shows ${shown(serverMillis)}, more than a day ${differences.join(" and ")}. ${consequence}`,
    isAhead
  }
}

/** Rounded down to seconds. */
const shown = (millis: number): string => formatTime(Math.floor(millis / 1000) * 1000)
