/** The progress of a stream, for a platform's progress bar and for the log. */
import { type GridRange, pointCount } from "../sync/TimeGrid.ts"

/** The estimated total of a stream in this sync, if the rest is as dense as the part that has been read. */
export interface Estimate {
  readonly records: number
  readonly bytes: number
}

/** An estimate is reported again once it differs from the last one by this share. */
const REPORTED_CHANGE = 0.1

/** The minimum time between two progress logs of one stream. */
const LOG_MILLIS = 10_000

/** The counters of one stream during a read. */
export class StreamProgress {
  /** Records, and the bytes of their lines, so far. */
  records = 0
  bytes = 0
  /** Records since the last checkpoint. */
  sinceState = 0
  readonly #range: GridRange
  #firstOfWindow: number
  #reported: Estimate | undefined
  #loggedMillis: number

  /** `steadyMillis` is a monotonic time, here and below. */
  constructor(range: GridRange, steadyMillis: number) {
    this.#range = range
    this.#firstOfWindow = range.firstMillis
    this.#loggedMillis = steadyMillis
  }

  add(records: number, bytes: number): void {
    this.records += records
    this.bytes += bytes
    this.sinceState += records
  }

  /** Ends a window at the grid point `lastMillis`. Returns its number of records and its range. */
  endWindow(lastMillis: number): { readonly records: number; readonly range: GridRange } {
    const window = {
      records: this.sinceState,
      range: { ...this.#range, firstMillis: this.#firstOfWindow, lastMillis }
    }
    this.#firstOfWindow = lastMillis + this.#range.stepMillis
    this.sinceState = 0
    return window
  }

  /** The share of the stream's range that has been read, from 0 to 1. */
  get share(): number {
    const points = pointCount(this.#range)
    return points === 0 ? 1 : pointCount({ ...this.#range, lastMillis: this.#doneMillis }) / points
  }

  /** The estimate, if it has changed since the last one. Called after each window. */
  newEstimate(): Estimate | undefined {
    const share = this.share
    const estimate = { records: Math.round(this.records / share), bytes: Math.round(this.bytes / share) }
    const reported = this.#reported
    if (
      reported !== undefined &&
      Math.abs(estimate.records - reported.records) <= REPORTED_CHANGE * reported.records
    )
      return undefined
    this.#reported = estimate
    return estimate
  }

  /** Whether a progress log is due. Returns true at most once every 10 s. */
  isLogDue(steadyMillis: number): boolean {
    if (steadyMillis - this.#loggedMillis < LOG_MILLIS) return false
    this.#loggedMillis = steadyMillis
    return true
  }

  get #doneMillis(): number {
    return this.#firstOfWindow - this.#range.stepMillis
  }
}
