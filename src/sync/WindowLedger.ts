/**
 * What has been handed on of one window, so that an answer that breaks off can be asked for again and only
 * the rest of it follows. It also checks that the server answered what it was asked.
 */
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import { partOf, type SampleBlock, type Series } from "../samples/Sample.ts"
import { METRIC_NAME } from "../samples/Series.ts"
import { SeriesTable } from "./SeriesTable.ts"
import type { GridRange } from "./TimeGrid.ts"

/** The last points that series have got to, counted from the window's first. Floats and histograms come as two lists. */
class Progress {
  readonly floats = new SeriesTable()
  readonly histograms = new SeriesTable()

  of({ _tag }: SampleBlock): SeriesTable {
    return _tag === "HistogramBlock" ? this.histograms : this.floats
  }
}

/** One per window; it lives as long as the window is read. */
export class WindowLedger {
  private readonly window: GridRange
  /** The name that all series must have, if any. */
  private readonly metric: string | undefined
  /** The series of the block before, whose name has been looked at. */
  private series: Series | undefined
  /** What has been handed on by attempts before the present one. */
  private readonly done = new Progress()
  /** What the present attempt's answer had. */
  private seen = new Progress()
  private range: GridRange
  /** Samples of the present attempt, those not handed on again included. */
  samples = 0
  /** The time of the latest sample that has been handed on. */
  latestMillis = Number.NEGATIVE_INFINITY

  constructor(range: GridRange, metric?: string) {
    this.window = range
    this.metric = metric
    this.range = range
  }

  /** Another request begins, for this window or for a part of it. */
  begin(range: GridRange): void {
    this.range = range
    this.samples = 0
    this.done.floats.raise(this.seen.floats)
    this.done.histograms.raise(this.seen.histograms)
    this.seen = new Progress()
  }

  /**
   * The part of a block that has not been handed on yet; undefined if there is none.
   *
   * Answers an error for samples that were not asked for, and for any that come twice or out of order within
   * one answer.
   */
  accept(block: SampleBlock): SampleBlock | PrometheusError | undefined {
    this.samples += block.length
    if (block.series !== this.series) {
      if (!this.isAskedFor(block.series)) {
        return unexpected(block, block.times[0]!, "which is not of the metric that it was asked for")
      }
      this.series = block.series
    }
    const { id } = block.series
    const seen = this.seen.of(block)
    let last = this.timeOf(seen.get(id))
    const { times } = block
    const { firstMillis, lastMillis, stepMillis } = this.range
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
    seen.set(id, (last - this.window.firstMillis) / stepMillis)
    const earlier = this.done.of(block)
    if (earlier.size === 0) return block
    const done = this.timeOf(earlier.get(id))
    let skip = 0
    while (skip < block.length && times[skip]! <= done) skip++
    return skip === block.length ? undefined : skip === 0 ? block : partOf(block, skip, block.length)
  }

  private isAskedFor({ labels }: Series): boolean {
    if (this.metric === undefined) return true
    return labels.some(([name, value]) => name === METRIC_NAME && value === this.metric)
  }

  private timeOf(point: number | undefined): number {
    return point === undefined
      ? Number.NEGATIVE_INFINITY
      : this.window.firstMillis + point * this.window.stepMillis
  }
}

const unexpected = (block: SampleBlock, time: number, what: string): PrometheusError => {
  const labels = block.series.labels.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(",")
  const at = Number.isFinite(time) && Math.abs(time) < 8.64e15 ? new Date(time).toISOString() : String(time)
  return new PrometheusError({
    reason: "UnexpectedSample",
    summary: `The server answered a sample of {${labels.slice(0, 200)}} at ${at}, ${what}.`
  })
}
