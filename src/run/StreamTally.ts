/**
 * Counts the rows of a stream during a read, for its summary. Uncommitted rows do not count, because they may be lost.
 *
 * The cost of a block does not depend on its length, unless it belongs to one of the few series whose values are kept.
 */

import type { Contents } from "../destinations/Destination.ts"
import { labelText } from "../promql/Matcher.ts"
import { parseFloatApproximately } from "../samples/parseFloat64.ts"
import type { SampleBlock, Series } from "../samples/Sample.ts"
import { METRIC_NAME } from "../samples/Series.ts"
import type { Curve, StreamSummary } from "./Progress.ts"
import { ThinCurve } from "./ThinCurve.ts"

/** How many values of a stream are kept for charts. */
export interface CurveLimits {
  /** The number of series. The first ones are kept. */
  readonly series: number
  /** The number of points of each series. A gap is a point too. */
  readonly points: number
}

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

/** The values of a kept series: committed ones, and pending ones. */
interface Shown {
  readonly label: string
  readonly committed: ThinCurve
  readonly pending: ThinCurve
}

/** A number of rows, and the times of the first and the last one. */
interface Count {
  rows: number
  first: number
  last: number
}

const emptyContents = (): Count => ({ rows: 0, first: Infinity, last: -Infinity })

export class StreamTally {
  private readonly name: string
  private readonly stepMillis: number
  private readonly limits: CurveLimits
  private readonly startedAt: number
  private readonly series = new Set<string>()
  private readonly pendingSeries = new Set<string>()
  private readonly shown = new Map<string, Shown>()
  private committed = emptyContents()
  private pending = emptyContents()
  private retries = 0
  /** The series of the last block, because the next block often has the same one. */
  private lastSeries: Series | undefined

  /** `startedAt` is in milliseconds on the same clock as the argument of `summary`. */
  constructor(stream: {
    readonly name: string
    readonly stepMillis: number
    readonly startedAt: number
    readonly limits: CurveLimits
  }) {
    this.name = stream.name
    this.stepMillis = stream.stepMillis
    this.startedAt = stream.startedAt
    this.limits = stream.limits
  }

  /** Adds a block of the current window. The block may be recycled afterwards. */
  add(block: SampleBlock): void {
    const { length, series, times } = block
    if (length === 0) return
    if (series !== this.lastSeries) {
      this.lastSeries = series
      if (!this.series.has(series.id)) this.pendingSeries.add(series.id)
    }
    const { pending } = this
    pending.rows += length
    if (times[0]! < pending.first) pending.first = times[0]!
    if (times[length - 1]! > pending.last) pending.last = times[length - 1]!
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

  /** Commits everything added since the last commit. Returns the number of its rows. */
  commit(): number {
    const { rows } = this.pending
    for (const id of this.pendingSeries) this.series.add(id)
    this.committed = {
      rows: this.committed.rows + this.pending.rows,
      first: Math.min(this.committed.first, this.pending.first),
      last: Math.max(this.committed.last, this.pending.last)
    }
    for (const { committed, pending } of this.shown.values()) {
      committed.merge(pending)
      pending.clear()
    }
    this.discardPending()
    return rows
  }

  /** The number of committed rows. */
  get kept(): Contents {
    const { first, last, rows } = this.committed
    return { rows, firstMillis: rows === 0 ? null : first, lastMillis: rows === 0 ? null : last }
  }

  /** Discards everything added since the last commit. */
  discard(): void {
    for (const [key, { committed, pending }] of this.shown) {
      pending.clear()
      if (committed.isEmpty) this.shown.delete(key)
    }
    this.discardPending()
  }

  /** Counts a retried request. */
  retry(): void {
    this.retries++
  }

  /** The result of the committed rows, at a time in milliseconds. `error` is the reason if the stream failed. */
  summary(now: number, error?: string): StreamSummary {
    const { first, last, rows } = this.committed
    return {
      name: this.name,
      error,
      series: this.series.size,
      rows,
      span: rows === 0 ? undefined : [first, last],
      seconds: (now - this.startedAt) / 1000,
      retries: this.retries,
      curves: Array.from(this.shown.values()).flatMap(
        ({ committed, label }): ReadonlyArray<Curve> =>
          committed.isEmpty ? [] : [{ label, ...committed.points() }]
      )
    }
  }

  /** The curve of a block's values, if its series is kept. */
  private curveOf({ _tag, series }: SampleBlock): ThinCurve | undefined {
    // A series may have both kinds, whose values are unrelated.
    const key = _tag === "HistogramBlock" ? `${series.id} count` : series.id
    const shown = this.shown.get(key)
    if (shown !== undefined) return shown.pending
    if (this.shown.size >= this.limits.series) return undefined
    const label = labelText(series.labels.filter(([name]) => name !== METRIC_NAME))
    const make = () => new ThinCurve(this.stepMillis, this.limits.points)
    const added: Shown = {
      label: _tag === "HistogramBlock" ? `${label} count` : label,
      committed: make(),
      pending: make()
    }
    this.shown.set(key, added)
    return added.pending
  }

  private discardPending(): void {
    this.pendingSeries.clear()
    this.pending = emptyContents()
    this.lastSeries = undefined
  }
}
