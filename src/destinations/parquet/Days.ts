/** The UTC days of samples. Each day has its own folder of Parquet files. */
import type { TimedBlock } from "../contents.ts"
import type { Contents } from "../Destination.ts"

/** Milliseconds. */
export const DAY = 86_400_000

/** The first and the last time of some rows, in milliseconds. */
export type TimeSpan = Pick<Contents, "firstMillis" | "lastMillis">

/** The days of appended samples, by their midnight in milliseconds. */
export class Days {
  private spans = new Map<number, { firstMillis: number; lastMillis: number }>()

  get isEmpty(): boolean {
    return this.spans.size === 0
  }

  /** Adds a block, which is in the order of time. */
  add({ length, times }: TimedBlock): void {
    for (let from = 0; from < length; ) {
      const first = times[from]!
      const midnight = Math.floor(first / DAY) * DAY
      const next = midnight + DAY
      let to = length
      // Most blocks are within one day.
      if (times[length - 1]! >= next) {
        to = from + 1
        while (times[to]! < next) to++
      }
      this.widen(midnight, first, times[to - 1]!)
      from = to
    }
  }

  /** Moves all days of another object to this one. */
  take(other: Days): void {
    for (const [midnight, { firstMillis, lastMillis }] of other.spans) {
      this.widen(midnight, firstMillis, lastMillis)
    }
    other.spans.clear()
  }

  /** Returns the days in the order of time, and removes them. */
  drain(): ReadonlyArray<readonly [midnight: number, span: TimeSpan]> {
    const days = [...this.spans].sort(([a], [b]) => a - b)
    this.spans = new Map()
    return days
  }

  private widen(midnight: number, firstMillis: number, lastMillis: number): void {
    const span = this.spans.get(midnight)
    if (span === undefined) {
      this.spans.set(midnight, { firstMillis, lastMillis })
      return
    }
    span.firstMillis = Math.min(span.firstMillis, firstMillis)
    span.lastMillis = Math.max(span.lastMillis, lastMillis)
  }
}
