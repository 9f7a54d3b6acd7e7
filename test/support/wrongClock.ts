/** A wrong clock that only one process sees: Node options for `ChildOptions.nodeOptions`. */

/** The error of a process's clock. */
export interface ClockError {
  /** How far the clock is ahead of the correct time, in milliseconds. */
  readonly millis: number
  /** Readings alternate between more than that ahead and behind, like a clock that is constantly adjusted. */
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
  { what: "alternating between hours ahead and hours behind", error: { millis: 6 * hour, swings: true } }
]

const day = 24 * hour

/** Whether a check fails because the server's clock seems too far ahead of that clock. */
export const refusesServer = ({ millis }: ClockError): boolean => millis < -day

/** The messages of a run, without emission times and without warnings about a different clock. */
export const withoutOwnTime = (stdout: string): string =>
  stdout
    .replace(/"emitted_at":\d+/g, '"emitted_at":0')
    .replace(/^\{"type":"LOG","log":\{"level":"WARN","message":"The clock of .*\n/gm, "")

/** Node options for a wrong clock. */
export const clockOff = ({ millis, swings }: ClockError): ReadonlyArray<string> => {
  const preload = new URL("./wrongClockPreload.ts", import.meta.url)
  preload.searchParams.set("millis", `${millis}`)
  if (swings === true) preload.searchParams.set("swings", "")
  return ["--import", preload.href]
}
