/**
 * What has been handed on of one window, so that an answer that breaks off can be asked for again and only
 * the rest of it follows. It also checks that the server answered what it was asked.
 */
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { SampleBlock } from "../prometheus/Sample.ts"
import type { GridRange } from "./TimeGrid.ts"

/** How far a series has got; times in milliseconds. */
interface Progress {
  /** The last sample that this attempt's answer had. */
  readonly attempt: number
  readonly seen: number
  /** The last sample that has been handed on, by whichever attempt. */
  readonly done: number
}

/** One per window; it lives as long as the window is read. */
export class WindowLedger {
  private readonly progress = new Map<string, Progress>()
  private attempt = 0
  private range: GridRange
  /** Samples of the present attempt, those not handed on again included. */
  samples = 0
  /** The time of the latest sample that has been handed on. */
  latestMillis = Number.NEGATIVE_INFINITY

  constructor(range: GridRange) {
    this.range = range
  }

  /** Another request begins, for this window or for a part of it. */
  begin(range: GridRange): void {
    this.range = range
    this.attempt++
    this.samples = 0
  }

  /**
   * The part of a block that has not been handed on yet; undefined if there is none.
   *
   * Answers an error for samples that were not asked for, and for any that come twice or out of order within
   * one answer.
   */
  accept(block: SampleBlock): SampleBlock | PrometheusError | undefined {
    this.samples += block.length
    // Floats and histograms of a series come as two lists, each from its start.
    const key = block._tag === "FloatBlock" ? block.series.id : `${block.series.id}h`
    const before = this.progress.get(key)
    const done = before?.done ?? Number.NEGATIVE_INFINITY
    let last = before?.attempt === this.attempt ? before.seen : Number.NEGATIVE_INFINITY
    const { times } = block
    const firstMillis = this.range.firstSeconds * 1000
    const lastMillis = this.range.lastSeconds * 1000
    const stepMillis = this.range.stepSeconds * 1000
    for (let i = 0; i < block.length; i++) {
      const time = times[i]!
      // Nearly always the point after the last one, which saves the remainder.
      if (time - last === stepMillis && time <= lastMillis) {
        last = time
        continue
      }
      if (time < firstMillis || time > lastMillis || (time - firstMillis) % stepMillis !== 0) {
        return unexpected(block, time, "which is none of the points that it was asked for")
      }
      if (time <= last) return unexpected(block, time, "which comes twice or out of order")
      last = time
    }
    this.latestMillis = Math.max(this.latestMillis, last)
    this.progress.set(key, { attempt: this.attempt, seen: last, done: Math.max(last, done) })
    let skip = 0
    while (skip < block.length && times[skip]! <= done) skip++
    return skip === block.length ? undefined : skip === 0 ? block : dropFirst(block, skip)
  }
}

const dropFirst = (block: SampleBlock, count: number): SampleBlock => {
  const common = { length: block.length - count, times: block.times.subarray(count) }
  return block._tag === "FloatBlock"
    ? { ...block, ...common, starts: block.starts.subarray(count), ends: block.ends.subarray(count) }
    : { ...block, ...common, histograms: block.histograms.slice(count) }
}

const unexpected = (block: SampleBlock, time: number, what: string): PrometheusError => {
  const labels = block.series.labels.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(",")
  const at = Number.isFinite(time) && Math.abs(time) < 8.64e15 ? new Date(time).toISOString() : String(time)
  return new PrometheusError({
    reason: "UnexpectedSample",
    summary: `The server answered a sample of {${labels.slice(0, 200)}} at ${at}, ${what}.`
  })
}
