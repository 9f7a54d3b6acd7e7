/**
 * Evaluates the points of a grid from stored samples, by Prometheus' rules for a selector: the value of a point is the latest
 * sample of the series in the look-back before it, a float or a histogram, and there is none if that is a stale marker. A NaN
 * that is not a marker is a value.
 */
import { recycle } from "../../samples/Arena.ts"
import type { Histogram, HistogramBlock, NumberBlock, SampleBlock, Series } from "../../samples/Sample.ts"
import type { Lookback } from "../Backend.ts"
import { isStaleAt, staleHistogram, wordsOf } from "./staleMarkers.ts"

/** The points `firstMillis`, `firstMillis + stepMillis`, … up to and including `lastMillis`. */
export interface Grid {
  readonly firstMillis: number
  readonly lastMillis: number
  readonly stepMillis: number
}

/** A block is complete with this many samples. */
const BLOCK_SAMPLES = 4096

/** The columns of float blocks, which several series share. */
const COLUMN_SAMPLES = 8192

/** A block of histograms is complete with this many buckets too. */
const BLOCK_BUCKETS = 20_000

/** The range of stored samples that a grid needs, both ends included. */
export const storedRange = (
  { firstMillis, lastMillis }: Grid,
  { isLeftOpen, lookbackMillis }: Lookback
): { readonly startMillis: number; readonly endMillis: number } => ({
  startMillis: firstMillis - lookbackMillis + (isLeftOpen ? 1 : 0),
  endMillis: lastMillis
})

/**
 * Takes the stored samples of one series after the other, each in the order of time and with its stale markers, and makes blocks
 * of points.
 */
export class GridEvaluator {
  private readonly grid: Grid
  /** The greatest age of a sample at its point. */
  private readonly maxAge: number
  private series: Series | undefined
  /** The first point whose sample is not decided yet. */
  private point: number
  /** The latest sample: its time, and either a float or a histogram. The time is −∞ if there is none, or a marker. */
  private time = Number.NEGATIVE_INFINITY
  private value = 0
  private histogram: Histogram | undefined
  private times = new Float64Array(256)
  private values = new Float64Array(256)
  /** The floats that are not in a block yet: from `from` to `next` in the columns. */
  private from = 0
  private next = 0
  private histogramTimes: Array<number> = []
  private histograms: Array<Histogram> = []
  private buckets = 0
  private blocks: Array<SampleBlock> = []
  /** How many stored samples and markers it has taken, and how many points it has made. */
  stored = 0
  points = 0

  constructor(grid: Grid, { isLeftOpen, lookbackMillis }: Lookback) {
    this.grid = grid
    this.maxAge = isLeftOpen ? lookbackMillis - 1 : lookbackMillis
    this.point = grid.firstMillis
  }

  /** Takes the next samples, and recycles their blocks. Returns the blocks of points that they completed. */
  push(blocks: ReadonlyArray<SampleBlock>): ReadonlyArray<SampleBlock> {
    for (const block of blocks) {
      if (block.series !== this.series) this.begin(block.series)
      this.stored += block.length
      if (block._tag === "NumberBlock") this.addFloats(block)
      else if (block._tag === "HistogramBlock") this.addHistograms(block)
      else throw new Error("Stored samples are numbers.")
      recycle(block)
    }
    return this.take()
  }

  /** To be called after the last samples. Returns the last blocks. */
  finish(): ReadonlyArray<SampleBlock> {
    this.end()
    return this.take()
  }

  private take(): ReadonlyArray<SampleBlock> {
    const { blocks } = this
    this.blocks = []
    return blocks
  }

  private begin(series: Series): void {
    this.end()
    this.series = series
    this.point = this.grid.firstMillis
    this.time = Number.NEGATIVE_INFINITY
    this.histogram = undefined
  }

  /** The latest sample is that of all points within the look-back after it. */
  private end(): void {
    if (this.series === undefined) return
    this.fillUntil(this.grid.lastMillis + 1)
    this.flushFloats()
    this.flushHistograms()
  }

  /** The loop uses local variables alone: it handles millions of samples per second. */
  private addFloats(block: NumberBlock): void {
    const { length, times, values } = block
    if (length === 0) return
    // The sample before may be a histogram.
    if (this.histogram !== undefined) this.fillUntil(times[0]!)
    this.histogram = undefined
    const { maxAge } = this
    const { lastMillis, stepMillis } = this.grid
    let { next, point, time: latest, times: pointTimes, value, values: pointValues } = this
    let words: Uint32Array | undefined
    for (let i = 0; i < length; i++) {
      const time = times[i]!
      if (time > point) {
        const end = Math.min(time - 1, lastMillis, latest + maxAge)
        for (; point <= end; point += stepMillis) {
          if (next === pointTimes.length) {
            this.next = next
            this.moreRoom()
            next = 0
            pointTimes = this.times
            pointValues = this.values
          }
          pointTimes[next] = point
          pointValues[next++] = value
        }
        // The other points before this sample have none.
        if (point < time) point += Math.ceil((time - point) / stepMillis) * stepMillis
      }
      value = values[i]!
      latest = time
      if (Number.isNaN(value)) {
        words ??= wordsOf(block)
        if (isStaleAt(words, i)) latest = Number.NEGATIVE_INFINITY
      }
    }
    this.next = next
    this.point = point
    this.time = latest
    this.value = value
  }

  private addHistograms({ histograms, length, times }: HistogramBlock): void {
    for (let i = 0; i < length; i++) {
      const time = times[i]!
      if (time > this.point) this.fillUntil(time)
      const histogram = histograms[i]!
      this.time = histogram === staleHistogram ? Number.NEGATIVE_INFINITY : time
      this.histogram = histogram
    }
  }

  /** Decides all points before a time. */
  private fillUntil(end: number): void {
    const { histogram, maxAge, time } = this
    const { lastMillis, stepMillis } = this.grid
    const last = Math.min(end - 1, lastMillis, time + maxAge)
    for (; this.point <= last; this.point += stepMillis) {
      if (histogram === undefined) this.addFloat(this.point, this.value)
      else this.addHistogram(this.point, histogram)
    }
    // The other points have no sample.
    if (this.point < end) this.point += Math.ceil((end - this.point) / stepMillis) * stepMillis
  }

  private addFloat(point: number, value: number): void {
    if (this.next === this.times.length) this.moreRoom()
    this.times[this.next] = point
    this.values[this.next++] = value
  }

  private addHistogram(point: number, histogram: Histogram): void {
    this.histogramTimes.push(point)
    this.histograms.push(histogram)
    this.buckets += histogram.buckets.length
    if (this.histograms.length === BLOCK_SAMPLES || this.buckets > BLOCK_BUCKETS) this.flushHistograms()
  }

  private moreRoom(): void {
    this.flushFloats()
    const samples = Math.min(COLUMN_SAMPLES, 2 * this.times.length)
    this.times = new Float64Array(samples)
    this.values = new Float64Array(samples)
    this.from = 0
    this.next = 0
  }

  private flushFloats(): void {
    const { from, next } = this
    if (from === next) return
    this.from = next
    this.points += next - from
    this.blocks.push({
      _tag: "NumberBlock",
      series: this.series!,
      length: next - from,
      times: this.times.subarray(from, next),
      values: this.values.subarray(from, next)
    })
  }

  private flushHistograms(): void {
    const { histograms, histogramTimes } = this
    const { length } = histograms
    if (length === 0) return
    this.histogramTimes = []
    this.histograms = []
    this.buckets = 0
    this.points += length
    this.blocks.push({
      _tag: "HistogramBlock",
      series: this.series!,
      length,
      times: Float64Array.from(histogramTimes),
      histograms
    })
  }
}
