/**
 * Tracks the samples that a window has emitted. If a response breaks off, the window is requested again, and only the rest is
 * emitted. It also rejects samples that were not requested.
 */
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import { labelText } from "../promql/Matcher.ts"
import { partOf, type SampleBlock, type Series } from "../samples/Sample.ts"
import { METRIC_NAME } from "../samples/Series.ts"
import { SeriesTable } from "./SeriesTable.ts"
import { type GridRange, isRawRange } from "./TimeGrid.ts"

/** The latest time of each series. Floats and histograms are in two lists. */
const latestTimes = () => ({ floats: new SeriesTable(), histograms: new SeriesTable() })

/** One per window, for as long as the window is read. */
export class WindowLedger {
  /** The only metric names that series may have; undefined if they may have any name. */
  private readonly metrics: ReadonlySet<string> | undefined
  /** The name of the previous block's series. */
  private metric = ""
  /** Whether there are several metrics. */
  private readonly countsMetrics: boolean
  /** The number of samples in the current response by metric, if there are several. */
  readonly samplesByMetric = new Map<string, number>()
  /** The series of the previous block, whose name has been checked. */
  private series: Series | undefined
  /** The samples that earlier attempts emitted. */
  private readonly emitted = latestTimes()
  /** The samples of the current attempt. */
  private seen = latestTimes()
  /** The times that its samples may have. */
  private expected: GridRange
  /** The number of samples in the current response, including repeated ones. */
  samples = 0
  /** The number of samples that have been emitted. */
  emittedSamples = 0
  /** The time of the earliest sample. */
  earliestMillis = Number.POSITIVE_INFINITY
  /** The time of the latest emitted sample. */
  latestMillis = Number.NEGATIVE_INFINITY

  constructor(expected: GridRange, metrics?: ReadonlySet<string>) {
    this.expected = expected
    this.metrics = metrics
    this.countsMetrics = (metrics?.size ?? 0) > 1
  }

  /** Starts another attempt, for the window or for a part of it. */
  begin(expected: GridRange): void {
    this.expected = expected
    this.samples = 0
    this.samplesByMetric.clear()
    this.emitted.floats.raiseAll(this.seen.floats)
    this.emitted.histograms.raiseAll(this.seen.histograms)
    this.seen = latestTimes()
  }

  /**
   * The part of a block that has not been emitted yet; undefined if there is none. Returns an error for samples that were not
   * requested, and for repeated or unordered ones.
   */
  accept(block: SampleBlock): SampleBlock | PrometheusError | undefined {
    this.samples += block.length
    if (block.series !== this.series) {
      if (!this.isRequested(block.series)) {
        return unexpected(block, block.times[0]!, "which is not of the requested metric")
      }
      this.series = block.series
    }
    if (this.countsMetrics) {
      this.samplesByMetric.set(this.metric, (this.samplesByMetric.get(this.metric) ?? 0) + block.length)
    }
    const { id } = block.series
    const kind = block._tag === "HistogramBlock" ? "histograms" : "floats"
    const seen = this.seen[kind]
    const previous = seen.get(id) ?? Number.NEGATIVE_INFINITY
    const last = lastTime(block, previous, this.expected)
    if (typeof last !== "number") return last
    this.latestMillis = Math.max(this.latestMillis, last)
    this.earliestMillis = Math.min(this.earliestMillis, block.times[0] ?? Number.POSITIVE_INFINITY)
    seen.raise(id, last)
    const emitted = this.emitted[kind]
    if (emitted.size === 0) {
      this.emittedSamples += block.length
      return block
    }
    const until = emitted.get(id) ?? Number.NEGATIVE_INFINITY
    const { times } = block
    let skip = 0
    while (skip < block.length && times[skip]! <= until) skip++
    this.emittedSamples += block.length - skip
    return skip === block.length ? undefined : skip === 0 ? block : partOf(block, skip, block.length)
  }

  private isRequested({ labels }: Series): boolean {
    if (this.metrics === undefined) return true
    this.metric = labels.find(([name]) => name === METRIC_NAME)?.[1] ?? ""
    return this.metrics.has(this.metric)
  }
}

/** The time of a block's last sample, if all samples are grid points after `previous`, in order. */
const lastTime = (
  block: SampleBlock,
  previous: number,
  { firstMillis, lastMillis, stepMillis }: GridRange
): number | PrometheusError => {
  const { length, times } = block
  // The plus makes this a number for V8. Without it, every time is stored as an object.
  let last = +previous
  let interval = stepMillis
  for (let i = 0; i < length; i++) {
    const time = times[i]!
    // Usually as long after a point of the grid as another one was, which avoids the division.
    if (time - last === interval && time <= lastMillis) {
      last = time
      continue
    }
    if (time < firstMillis || time > lastMillis || (time - firstMillis) % stepMillis !== 0) {
      return unexpected(
        block,
        time,
        isRawRange({ stepMillis }) ? "which is not in the requested range" : "which is not a requested point"
      )
    }
    if (time <= last) return unexpected(block, time, "which comes twice or out of order")
    if (last >= firstMillis) interval = time - last
    last = time
  }
  return last
}

const unexpected = (block: SampleBlock, time: number, what: string): PrometheusError => {
  const at = Number.isFinite(time) && Math.abs(time) < 8.64e15 ? new Date(time).toISOString() : String(time)
  return new PrometheusError({
    reason: "UnexpectedSample",
    summary: `The server returned a sample of ${labelText(block.series.labels, 200)} at ${at}, ${what}.`
  })
}
