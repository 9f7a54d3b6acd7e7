/** A machine whose clock is wrong, as the process alone sees it: options of Node for `ChildOptions.nodeOptions`. */

/** How far off the clock of a process is. */
export interface ClockError {
  /** What the clock shows beyond the right time, in milliseconds. */
  readonly millis: number
  /** Each look at it is now more than that ahead, now more behind: it is set all the time. */
  readonly swings?: true
}

const hour = 3_600_000
const year = 8766 * hour

/** Clocks that are wrong in every way that matters. */
export const wrongClocks: ReadonlyArray<{ readonly what: string; readonly error: ClockError }> = [
  { what: "six hours behind", error: { millis: -6 * hour } },
  { what: "six hours ahead", error: { millis: 6 * hour } },
  { what: "three years behind", error: { millis: -3 * year } },
  { what: "three years ahead", error: { millis: 3 * year } },
  { what: "set back and forth by hours all the time", error: { millis: 6 * hour, swings: true } }
]

const day = 24 * hour

/** Whether a process with that clock finds the server's too far ahead for a check to pass. */
export const refusesServer = ({ millis }: ClockError): boolean => millis < -day

/** The messages that a run printed, without when that was, and without its warnings of a clock far from its own. */
export const withoutOwnTime = (stdout: string): string =>
  stdout
    .replace(/"emitted_at":\d+/g, '"emitted_at":0')
    .replace(/^\{"type":"LOG","log":\{"level":"WARN","message":"The clock of .*\n/gm, "")

/** Starts Node with a clock that is off. */
export const clockOff = ({ millis, swings }: ClockError): ReadonlyArray<string> => {
  const preload = new URL("./wrongClockPreload.ts", import.meta.url)
  preload.searchParams.set("millis", `${millis}`)
  if (swings === true) preload.searchParams.set("swings", "")
  return ["--import", preload.href]
}
