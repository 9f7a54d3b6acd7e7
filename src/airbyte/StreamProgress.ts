/** The progress of a stream, for a platform's progress bar and for the log. */
import type { Estimate } from "./Protocol.ts"

/** An estimate is reported again once it differs from the last one by this share. */
const REPORTED_CHANGE = 0.1

/** The minimum time between two progress logs of one stream. */
const LOG_MILLIS = 10_000

/** The counters of one stream during a read. */
export class StreamProgress {
  /** Records, and the bytes of their lines, so far. */
  records = 0
  bytes = 0
  /** The share of the stream's points that has been read, from 0 to 1. */
  share = 0
  readonly #points: number
  #reportedRows: number | undefined
  #loggedMillis: number

  /** The number of points to read. `steadyMillis` is a monotonic time, here and below. */
  constructor(points: number, steadyMillis: number) {
    this.#points = points
    this.#loggedMillis = steadyMillis
  }

  add(records: number, bytes: number): void {
    this.records += records
    this.bytes += bytes
  }

  /**
   * Ends a window, after `points` points of the stream. Returns the estimated total of the stream in this sync, if the rest is as
   * dense as the part that has been read; undefined if it is close to the last estimate.
   */
  endWindow(points: number): Estimate | undefined {
    this.share = this.#points === 0 ? 1 : points / this.#points
    const row_estimate = Math.round(this.records / this.share)
    const reported = this.#reportedRows
    if (reported !== undefined && Math.abs(row_estimate - reported) <= REPORTED_CHANGE * reported) {
      return undefined
    }
    this.#reportedRows = row_estimate
    return { row_estimate, byte_estimate: Math.round(this.bytes / this.share) }
  }

  /** Whether a progress log is due. Returns true at most once every 10 s. */
  isLogDue(steadyMillis: number): boolean {
    if (steadyMillis - this.#loggedMillis < LOG_MILLIS) return false
    this.#loggedMillis = steadyMillis
    return true
  }
}
