/**
 * Counts the rows of a stream during a read, for its summary. Uncommitted rows do not count, because they may be lost.
 *
 * The cost of a block does not depend on its length, unless it belongs to one of the few series whose values are kept.
 */
import { ContentsTally, sumOf } from "../destinations/contents.ts"
import { type Contents, emptyContents } from "../destinations/Destination.ts"
import { labelText } from "../promql/Matcher.ts"
import { parseFloatApproximately } from "../samples/parseFloat64.ts"
import type { SampleBlock, Series } from "../samples/Sample.ts"
import { METRIC_NAME } from "../samples/Series.ts"
import type { RowBlock } from "../samples/TableRow.ts"
import { isRawRange } from "../sync/TimeGrid.ts"
import type { StreamSummary } from "./Progress.ts"
import { ThinCurve } from "./ThinCurve.ts"

/** How many values of a stream are kept for charts. */
interface CurveLimits {
  /** The number of series. The first ones are kept. */
  readonly series: number
  /** The number of points of each series. A gap is a point too. */
  readonly points: number
}

/** The stream that is counted. */
interface TalliedStream {
  readonly name: string
  readonly stepMillis: number
  /** Milliseconds on the same clock as the argument of `summary`. */
  readonly startedAt: number
  readonly limits: CurveLimits
}

/** Stored samples have no step. A chart has a gap where a series has no sample for Prometheus' default look-back. */
const RAW_SLOT_MILLIS = 300_000

/** The points of all streams of a run: 16 bytes each in memory, and about the same in a report. */
const MAX_CURVE_POINTS = 400_000

/** With fewer points a curve has no shape. */
const MIN_CURVE_POINTS = 16

/** The limits of each of `streams` streams, for charts or only for sparklines. */
export const curveLimits = (streams: number, hasCharts: boolean): CurveLimits => {
  const share = Math.floor(MAX_CURVE_POINTS / Math.max(1, streams))
  // No one looks at the charts of that many streams.
  if (share < MIN_CURVE_POINTS) return { series: 0, points: MIN_CURVE_POINTS }
  if (!hasCharts) {
    const series = share < 4 * MIN_CURVE_POINTS ? 1 : 4
    return { series, points: Math.min(64, Math.floor(share / series)) }
  }
  const series = Math.max(1, Math.min(8, Math.floor(share / 250)))
  return { series, points: Math.max(32, Math.min(500, Math.floor(share / series))) }
}

/** The values of a kept series: committed ones, and those of the current window. */
interface Shown {
  readonly label: string
  committed?: ThinCurve | undefined
  pending?: ThinCurve | undefined
}

export class StreamTally {
  readonly stream: TalliedStream
  private readonly series = new Set<string>()
  private readonly pendingSeries = new Set<string>()
  private readonly shown = new Map<string, Shown>()
  private readonly pending = new ContentsTally()
  /** The committed rows. */
  contents: Contents = emptyContents
  private retries = 0
  /** Why there are no rows. */
  notice: string | undefined
  /** The series of the last block, because the next block often has the same one. */
  private lastSeries: Series | undefined

  constructor(stream: TalliedStream) {
    this.stream = stream
  }

  /** Adds a block of the current window. The block may be recycled afterwards. */
  add(block: SampleBlock): void {
    const { length, series, times } = block
    if (length === 0) return
    if (series !== this.lastSeries) {
      this.lastSeries = series
      if (!this.series.has(series.id)) this.pendingSeries.add(series.id)
    }
    this.pending.add(block)
    const curve = this.curveOf(block)
    if (curve === undefined) return
    switch (block._tag) {
      case "TextBlock": {
        const { bytes, ends, starts } = block
        for (let i = 0; i < length; i++) {
          curve.add(times[i]!, parseFloatApproximately(bytes, starts[i]!, ends[i]!))
        }
        break
      }
      case "NumberBlock":
        for (let i = 0; i < length; i++) curve.add(times[i]!, block.values[i]!)
        break
      case "HistogramBlock":
        for (let i = 0; i < length; i++) curve.add(times[i]!, Number(block.histograms[i]!.count))
    }
  }

  /** Adds rows of a table, which have no series. */
  addRows(block: RowBlock): void {
    if (block.length > 0) this.pending.add(block)
  }

  /** Commits everything added since the last commit. Returns the number of its rows. */
  commit(): number {
    const added = this.pending.take()
    this.contents = sumOf([this.contents, added])
    for (const id of this.pendingSeries) this.series.add(id)
    this.pendingSeries.clear()
    this.lastSeries = undefined
    for (const shown of this.shown.values()) {
      if (shown.committed === undefined) shown.committed = shown.pending
      else if (shown.pending !== undefined) shown.committed.merge(shown.pending)
      shown.pending = undefined
    }
    return added.rows
  }

  /** Forgets everything added since the last commit. */
  discard(): void {
    this.pending.take()
    this.pendingSeries.clear()
    this.lastSeries = undefined
    for (const [key, shown] of this.shown) {
      shown.pending = undefined
      if (shown.committed === undefined) this.shown.delete(key)
    }
  }

  /** Counts a retried request. */
  retry(): void {
    this.retries++
  }

  /** The result of the committed rows, at a time in milliseconds. `error` is the reason if the stream failed. */
  summary(now: number, error?: string): StreamSummary {
    const { firstMillis, lastMillis, rows } = this.contents
    return {
      name: this.stream.name,
      error,
      notice: this.notice,
      series: this.series.size,
      rows,
      span: firstMillis === null || lastMillis === null ? undefined : [firstMillis, lastMillis],
      seconds: (now - this.stream.startedAt) / 1000,
      retries: this.retries,
      curves: Array.from(this.shown.values()).flatMap(({ committed, label }) =>
        committed === undefined ? [] : [{ label, ...committed.points() }]
      )
    }
  }

  /** The curve of a block's values, if its series is kept. */
  private curveOf({ _tag, series }: SampleBlock): ThinCurve | undefined {
    const { limits, stepMillis } = this.stream
    // A series may have both kinds, whose values are unrelated.
    const suffix = _tag === "HistogramBlock" ? " count" : ""
    const key = series.id + suffix
    let shown = this.shown.get(key)
    if (shown === undefined) {
      if (this.shown.size >= limits.series) return undefined
      shown = { label: labelText(series.labels.filter(([name]) => name !== METRIC_NAME)) + suffix }
      this.shown.set(key, shown)
    }
    shown.pending ??= new ThinCurve(isRawRange({ stepMillis }) ? RAW_SLOT_MILLIS : stepMillis, limits.points)
    return shown.pending
  }
}
