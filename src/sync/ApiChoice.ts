/** What a read has learned about remote read of one stream, for `api: auto`. */
import { MIN_SAMPLES } from "./gridApi.ts"
import { type GridRange, pointCount } from "./TimeGrid.ts"

/** After so many trials without a result, or so many failed requests, the stream is read with `query_range`. */
const MAX_TRIALS = 3
const MAX_FAILURES = 3

/** What all streams of a read share. */
export interface SharedChoice {
  /** Why no stream can be read by remote read. */
  refusal: string | undefined
}

/** The state of one stream. */
export class ApiChoice {
  private readonly shared: SharedChoice
  private state: "untried" | "trying" | "accepted" | "refused" = "untried"
  private trials = 0
  private failures = 0
  /** Requests that begin up to this time repeat one that failed, or a part of it. */
  private failedUntil = Number.NEGATIVE_INFINITY
  /** The number of samples per point in the latest response. */
  samplesPerPoint = 0

  constructor(shared: SharedChoice) {
    this.shared = shared
  }

  /** Whether to request a range by remote read. */
  takes({ firstMillis }: GridRange): boolean {
    return this.state === "accepted" && this.shared.refusal === undefined && firstMillis > this.failedUntil
  }

  /** Whether a range is worth a trial. */
  isWorthTrial(range: GridRange): boolean {
    const { samplesPerPoint, shared, state } = this
    return (
      state === "untried" &&
      shared.refusal === undefined &&
      samplesPerPoint * pointCount(range) >= MIN_SAMPLES
    )
  }

  beginTrial(): void {
    this.state = "trying"
    this.trials++
  }

  /** The trial ended. Without a result, another one may follow, up to a maximum. */
  endTrial(): void {
    if (this.state === "trying") this.state = this.trials < MAX_TRIALS ? "untried" : "refused"
  }

  accept(): void {
    this.state = "accepted"
  }

  refuse(): void {
    this.state = "refused"
  }

  /** A request up to a time failed by remote read. Others may not. */
  failed(lastMillis: number, mayPass: boolean): void {
    this.failures++
    this.failedUntil = Math.max(this.failedUntil, lastMillis)
    if (!mayPass || this.failures >= MAX_FAILURES) this.refuse()
  }

  /** Whether later ranges are still requested by remote read. */
  get takesMore(): boolean {
    return this.state === "accepted"
  }
}
