/**
 * Turns the chunks of a series into blocks. Chunks come in the order of their first samples and may overlap. Samples outside the
 * range are left out, and stale markers unless they are asked for. Of samples with the same time, the first is kept.
 */
import type { ArenaBlock } from "../../samples/Arena.ts"
import type { Histogram, HistogramBlock, NumberBlock, SampleBlock, Series } from "../../samples/Sample.ts"
import type { TimeRange } from "../RangeQuery.ts"
import { HIGH, isStale } from "./BitReader.ts"
import { COLUMN_SAMPLES, FloatColumns, type FloatTarget } from "./FloatColumns.ts"
import type { OnHistogram } from "./histogramChunk.ts"
import { oversized } from "./RemoteReadError.ts"
import { lateTime } from "./sampleTimes.ts"
import { staleHistogram } from "./staleMarkers.ts"

/** A block is complete with this many samples. The columns of float blocks have at least twice as many. */
const BLOCK_SAMPLES = 4096

/** A block of histograms is complete with this many buckets too. */
const BLOCK_BUCKETS = 20_000

/** The most buckets of a chunk. Each is an object. Servers begin another chunk long before. */
const MAX_CHUNK_BUCKETS = 2_000_000

/** Float samples that are held back: a later chunk may overlap them. */
interface FloatRun {
  readonly kind: "float"
  columns: FloatColumns
  from: number
  to: number
  /** Where the latest chunk begins: no later chunk begins before it. */
  latest: number
}

/** The same for histograms. */
interface HistogramRun {
  readonly kind: "histogram"
  times: Array<number>
  histograms: Array<Histogram>
  latest: number
}

type Run = FloatRun | HistogramRun

/** One held sample, while overlapping chunks are merged. */
type Item =
  | { readonly time: number; readonly high: number; readonly low: number }
  | { readonly time: number; readonly histogram: Histogram }

/** Merges the chunks of one series after the other. */
export class SampleMerger {
  private readonly range: TimeRange
  private readonly keepStaleMarkers: boolean
  private series: Series | undefined
  /** Runs in the order of time, which do not overlap. */
  private held: Array<Run> = []
  /** The number of samples and buckets that the last merge left in them. */
  private mergedSize = 0
  /** The samples of chunks that overlap the runs or each other. They are merged together: see `wait`. */
  private waiting: Array<Item> = []
  private waitingSize = 0
  /** The first time of the first of them, and the last of all. */
  private waitingFirst = 0
  private waitingLast = Number.NEGATIVE_INFINITY
  private columns = new FloatColumns(0)
  /** The index after the used part of the columns. */
  private next = 0
  private blocks: Array<SampleBlock> = []
  /** The time of the last sample in a block. */
  private emitted = Number.NEGATIVE_INFINITY

  constructor(range: TimeRange, keepStaleMarkers = false) {
    this.range = range
    this.keepStaleMarkers = keepStaleMarkers
  }

  /** Starts another series. All chunks of the one before have been added. */
  begin(series: Series): void {
    this.finish()
    this.series = series
    this.emitted = Number.NEGATIVE_INFINITY
  }

  /** To be called after the last chunk of a series. */
  finish(): void {
    this.merge()
    this.emitBefore(Number.POSITIVE_INFINITY)
  }

  /** To be called at the end of the response. */
  end(): void {
    this.finish()
    this.columns.retire()
    this.columns = new FloatColumns(0)
    this.next = 0
  }

  /** The blocks that are complete, each once. */
  take(): ReadonlyArray<SampleBlock> {
    const { blocks } = this
    this.blocks = []
    return blocks
  }

  /** Adds a chunk of floats. `decode` writes them to the place it is given, and returns their number. */
  addFloats(decode: (room: (samples: number) => FloatTarget) => number): void {
    let start = this.next
    const count = decode((samples) => {
      start = this.reserve(samples)
      return { columns: this.columns, start }
    })
    if (count === 0) return
    const { columns } = this
    // Chunks are in the order of their first samples, whether or not those are left out.
    const first = columns.times[start]!
    const end = this.keep(columns, start, start + count)
    if (end === start) return
    this.checkOrder(first)
    const last = this.held.at(-1)
    if (last === undefined || first > Math.max(lastTime(last), this.waitingLast)) {
      this.next = end
      if (
        last?.kind === "float" &&
        this.held.length === 1 &&
        last.columns === columns &&
        last.to === start &&
        this.waiting.length === 0
      ) {
        last.to = end
        last.latest = start
        if (start - last.from >= BLOCK_SAMPLES) {
          this.emitFloats(last, last.from, start)
          last.from = start
        }
      } else {
        this.finish()
        this.held.push({ kind: "float", columns, from: start, to: end, latest: start })
      }
    } else this.wait(first, itemsOf({ kind: "float", columns, from: start, to: end, latest: start }, first))
  }

  /** Adds a chunk of histograms. `decode` passes each of them to the callback. */
  addHistograms(decode: (onHistogram: OnHistogram) => void): void {
    const { endMillis, startMillis } = this.range
    const times: Array<number> = []
    const histograms: Array<Histogram> = []
    let first = Number.POSITIVE_INFINITY
    let buckets = 0
    decode((time, layout, counts) => {
      first = Math.min(first, time)
      if (time < startMillis || time > endMillis) return
      if (counts === undefined && !this.keepStaleMarkers) return
      const histogram = counts === undefined ? staleHistogram : layout.render(counts)
      buckets += histogram.buckets.length
      if (buckets > MAX_CHUNK_BUCKETS) {
        throw oversized(`a chunk of native histograms has more than ${MAX_CHUNK_BUCKETS} buckets`)
      }
      times.push(time)
      histograms.push(histogram)
    })
    if (times.length === 0) return
    this.checkOrder(first)
    const last = this.held.at(-1)
    if (last === undefined || first > Math.max(lastTime(last), this.waitingLast)) {
      const isLong =
        last?.kind === "histogram" &&
        (last.times.length >= BLOCK_SAMPLES || bucketsOf(last.histograms) > BLOCK_BUCKETS)
      if (last?.kind === "histogram" && this.held.length === 1 && this.waiting.length === 0 && !isLong) {
        last.latest = last.times.length
        last.times.push(...times)
        last.histograms.push(...histograms)
      } else {
        this.finish()
        this.held.push({ kind: "histogram", times, histograms, latest: 0 })
      }
    } else this.wait(first, itemsOf({ kind: "histogram", times, histograms, latest: 0 }, first))
  }

  /** A chunk that begins before the end of a block cannot be merged any more. */
  private checkOrder(first: number): void {
    if (Math.max(first, this.range.startMillis) <= this.emitted) throw lateTime()
  }

  /** Room for so many samples after the held ones. Returns its first index. */
  private reserve(samples: number): number {
    const { columns, next } = this
    if (columns.capacity - next >= samples) return next
    const last = this.held.at(-1)
    const isOpen = last?.kind === "float" && this.held.length === 1 && last.columns === columns
    const kept = isOpen ? last.to - last.latest : 0
    // A response with few samples needs few bytes.
    const usual = Math.min(COLUMN_SAMPLES, Math.max(256, 2 * columns.capacity))
    this.columns = FloatColumns.of(Math.max(usual, kept + samples))
    this.next = kept
    if (isOpen) {
      this.emitFloats(last, last.from, last.latest)
      this.columns.copy(columns, last.latest, last.to, 0)
      last.columns = this.columns
      last.from = 0
      last.latest = 0
      last.to = kept
    }
    columns.retire()
    return kept
  }

  /** Removes what is not kept: what is out of the range, and stale markers. Returns the end of what is left. */
  private keep({ times, words }: FloatColumns, start: number, end: number): number {
    const { keepStaleMarkers } = this
    const { endMillis, startMillis } = this.range
    // Usually everything is kept.
    const isInside = times[start]! >= startMillis && times[end - 1]! <= endMillis
    if (isInside && (keepStaleMarkers || !hasStale(words, start, end))) return end
    let kept = start
    for (let i = start; i < end; i++) {
      const time = times[i]!
      const high = words[2 * i + HIGH]!
      const low = words[2 * i + 1 - HIGH]!
      if (time < startMillis || time > endMillis || (!keepStaleMarkers && isStale(high, low))) continue
      if (kept < i) {
        times[kept] = time
        words[2 * kept + HIGH] = high
        words[2 * kept + 1 - HIGH] = low
      }
      kept++
    }
    return kept
  }

  /**
   * Keeps the samples of a chunk until it is merged with the held ones. Merging takes time for all of them, so it waits for as many
   * as there are: with any number of overlapping chunks, every sample is then merged a few times at most.
   */
  private wait(first: number, items: ReadonlyArray<Item>): void {
    this.waitingFirst = this.waiting.length === 0 ? first : Math.min(this.waitingFirst, first)
    for (const item of items) this.waiting.push(item)
    this.waitingSize += sizeOf(items)
    this.waitingLast = Math.max(this.waitingLast, items.at(-1)!.time)
    if (this.waitingSize < Math.max(BLOCK_SAMPLES, this.mergedSize)) return
    this.merge()
    this.emitBefore(first)
    this.mergedSize = this.held.reduce((size, run) => size + sizeOfRun(run), 0)
  }

  /** Merges the waiting samples with the held ones. */
  private merge(): void {
    const { waiting, waitingFirst } = this
    if (waiting.length === 0) return
    this.emitBefore(waitingFirst)
    const held = this.held.flatMap((run) => itemsOf(run, waitingFirst))
    // The sort is stable: of samples with the same time, the one from the earliest chunk comes first.
    const sorted = [...held, ...waiting].sort((a, b) => a.time - b.time)
    this.held = runsOf(sorted.filter((item, i) => i === 0 || item.time > sorted[i - 1]!.time))
    this.mergedSize = 0
    this.waiting = []
    this.waitingSize = 0
    this.waitingLast = Number.NEGATIVE_INFINITY
  }

  /** Emits the held samples before a time. */
  private emitBefore(time: number): void {
    const { held } = this
    this.held = []
    for (const run of held) {
      if (run.kind === "float") {
        let end = run.to
        if (run.columns.times[end - 1]! >= time) {
          end = run.from
          while (run.columns.times[end]! < time) end++
        }
        this.emitFloats(run, run.from, end)
        run.from = end
        if (end < run.to) this.held.push(run)
      } else {
        const found = run.times.findIndex((own) => own >= time)
        const end = found < 0 ? run.times.length : found
        this.emitHistograms(run, end)
        if (end < run.times.length) {
          this.held.push({
            kind: "histogram",
            times: run.times.slice(end),
            histograms: run.histograms.slice(end),
            latest: 0
          })
        }
      }
    }
  }

  private emitFloats({ columns }: FloatRun, from: number, to: number): void {
    if (from === to) return
    this.emitted = columns.times[to - 1]!
    columns.hold()
    const block: ArenaBlock<NumberBlock> = {
      _tag: "NumberBlock",
      series: this.series!,
      length: to - from,
      times: columns.times.subarray(from, to),
      values: columns.values.subarray(from, to),
      arena: columns
    }
    this.blocks.push(block)
  }

  private emitHistograms({ histograms, times }: HistogramRun, to: number): void {
    if (to === 0) return
    this.emitted = times[to - 1]!
    const block: HistogramBlock = {
      _tag: "HistogramBlock",
      series: this.series!,
      length: to,
      times: Float64Array.from(times.slice(0, to)),
      histograms: histograms.slice(0, to)
    }
    this.blocks.push(block)
  }
}

const hasStale = (words: Uint32Array, start: number, end: number): boolean => {
  for (let i = start; i < end; i++) {
    if (isStale(words[2 * i + HIGH]!, words[2 * i + 1 - HIGH]!)) return true
  }
  return false
}

const lastTime = (run: Run): number =>
  run.kind === "float" ? run.columns.times[run.to - 1]! : run.times.at(-1)!

/** The number of samples and buckets. */
const sizeOf = (items: ReadonlyArray<Item>): number =>
  items.reduce((size, item) => size + 1 + ("histogram" in item ? item.histogram.buckets.length : 0), 0)

const sizeOfRun = (run: Run): number =>
  run.kind === "float" ? run.to - run.from : run.times.length + bucketsOf(run.histograms)

const bucketsOf = (histograms: ReadonlyArray<Histogram>): number =>
  histograms.reduce((sum, { buckets }) => sum + buckets.length, 0)

/** The samples of a run from a time on. */
const itemsOf = (run: Run, first: number): Array<Item> => {
  const items: Array<Item> = []
  if (run.kind === "float") {
    const { times, words } = run.columns
    for (let i = run.from; i < run.to; i++) {
      if (times[i]! < first) continue
      items.push({ time: times[i]!, high: words[2 * i + HIGH]!, low: words[2 * i + 1 - HIGH]! })
    }
  } else {
    run.times.forEach((time, i) => {
      if (time >= first) items.push({ time, histogram: run.histograms[i]! })
    })
  }
  return items
}

/** Samples as runs of one kind each. */
const runsOf = (items: ReadonlyArray<Item>): Array<Run> => {
  const runs: Array<Run> = []
  for (const [i, item] of items.entries()) {
    let run = runs.at(-1)
    if ("histogram" in item) {
      if (run?.kind !== "histogram") {
        run = { kind: "histogram", times: [], histograms: [], latest: 0 }
        runs.push(run)
      }
      run.times.push(item.time)
      run.histograms.push(item.histogram)
    } else {
      if (run?.kind !== "float") {
        let end = i
        while (end < items.length && !("histogram" in items[end]!)) end++
        run = { kind: "float", columns: new FloatColumns(end - i), from: 0, to: 0, latest: 0 }
        runs.push(run)
      }
      run.columns.set(run.to++, item.time, item.high, item.low)
    }
  }
  return runs
}
