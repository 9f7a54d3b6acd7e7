/** How far a stream has got: what a platform's progress bar, and a person who watches the log, are told of it. */
import { type GridRange, pointCount } from "../sync/TimeGrid.ts"

/** How much a sync will have read of a stream, if the rest is as dense as what has been read. */
export interface Estimate {
  readonly records: number
  readonly bytes: number
}

/** An estimate is told again once it differs from the last by this share. */
const NEWS = 0.1

/** The least time between two lines of progress about one stream. */
const LOG_MILLIS = 10_000

/** What is counted of one stream while it is read. */
export class StreamProgress {
  /** Records, and the bytes of their lines, so far. */
  records = 0
  bytes = 0
  /** Records since the last checkpoint. */
  sinceState = 0
  readonly #range: GridRange
  #firstOfWindow: number
  #told: Estimate | undefined
  #loggedMillis: number

  /** Both here and below `steadyMillis` are by a clock that nobody sets. */
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

  /** Ends a window with the grid point `lastMillis`; answers what it was. */
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

  /** What the whole will be, where that is news. Asked after a window. */
  newEstimate(): Estimate | undefined {
    const share = this.share
    const estimate = { records: Math.round(this.records / share), bytes: Math.round(this.bytes / share) }
    const told = this.#told
    if (told !== undefined && Math.abs(estimate.records - told.records) <= NEWS * told.records)
      return undefined
    this.#told = estimate
    return estimate
  }

  /** Whether the log has been silent for so long that a line of progress is due. Answers true once in that time. */
  isLogDue(steadyMillis: number): boolean {
    if (steadyMillis - this.#loggedMillis < LOG_MILLIS) return false
    this.#loggedMillis = steadyMillis
    return true
  }

  get #doneMillis(): number {
    return this.#firstOfWindow - this.#range.stepMillis
  }
}
