/**
 * The holes of a stream: points that the server cannot return although it returns others. A damaged chunk or block in its
 * storage does that. Everything else is read; the holes are reported.
 */
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { render, selectorText } from "../promql/Matcher.ts"
import { formatTime } from "../text/formatTime.ts"
import { pluralize } from "../text/pluralize.ts"
import { cover, type Span } from "./coverage.ts"
import type { SeriesPart } from "./SeriesPart.ts"
import { type GridRange, isRawRange, pointCount, rangeText } from "./TimeGrid.ts"
import type { WindowBounds } from "./WindowSize.ts"

/** Points of some series that the server cannot return. */
interface Hole {
  readonly range: GridRange
  /** A selector of the series; empty for all of the stream. */
  readonly series: string
  readonly refusal: PrometheusError
}

/** If more series are damaged at one point, the remaining ones are not split any further. */
const MAX_SERIES = 16

/** The most holes that a message names, and the most that are kept. */
const MAX_SHOWN = 5
const MAX_KEPT = 1000

/** The holes of one stream during a read. */
export class Damage {
  private readonly longHolePoints: number
  private readonly latest = new Map<string, Hole>()
  /** Holes after which their series had an answer again. */
  private readonly closed: Array<Hole> = []
  private dropped = 0
  /** The times of all holes. */
  spans: ReadonlyArray<Span> = []
  private firstRefusal: PrometheusError | undefined
  /** How many parts of the series had no answer at a point. */
  private readonly refusedAt = { millis: Number.NaN, parts: 0 }
  /** The parts that were split to find the holes, from the whole to its parts. */
  splits: ReadonlyArray<SeriesPart> = []

  constructor({ longHolePoints }: WindowBounds) {
    this.longHolePoints = longHolePoints
  }

  get isEmpty(): boolean {
    return this.firstRefusal === undefined
  }

  /** The first point that is missing, in milliseconds; infinity if none is. */
  get firstMillis(): number {
    return this.spans[0]?.firstMillis ?? Number.POSITIVE_INFINITY
  }

  /** Adds points that the server refuses to return. */
  add(range: GridRange, { matchers }: SeriesPart, refusal: PrometheusError): void {
    this.firstRefusal ??= refusal
    this.spans = cover(this.spans, range, range.stepMillis)
    if (range.firstMillis !== this.refusedAt.millis) {
      this.refusedAt.millis = range.firstMillis
      this.refusedAt.parts = 0
    }
    this.refusedAt.parts++
    const key = render(matchers)
    const before = this.latest.get(key)
    if (before !== undefined && isNext(before.range, range)) {
      this.latest.set(key, { ...before, range: { ...before.range, lastMillis: range.lastMillis } })
      return
    }
    if (before !== undefined) {
      if (this.closed.length < MAX_KEPT) this.closed.push(before)
      else this.dropped++
    }
    this.latest.set(key, { range, series: matchers.length === 0 ? "" : selectorText(matchers), refusal })
  }

  /** Whether the points right before a range are a long hole. */
  isLongBefore(range: GridRange, { matchers }: SeriesPart): boolean {
    const before = this.latest.get(render(matchers))
    return (
      before !== undefined && isNext(before.range, range) && pointCount(before.range) >= this.longHolePoints
    )
  }

  /** Whether so many series are damaged at a point that the remaining ones are not split any further. */
  isWideAt(millis: number): boolean {
    return this.refusedAt.millis === millis && this.refusedAt.parts >= MAX_SERIES
  }

  /** The error of a stream that has been read around its holes. */
  error(stream: string): PrometheusError {
    const refusal = this.firstRefusal!
    return refusal.saying(
      `${refusal.summary} The rest of ${stream} was read, but ${this.text}. The server returns other points of it, so its data may be damaged there. The state stays before ${formatTime(this.firstMillis)}. To go on without these points, set damaged_data to skip.`
    )
  }

  /** What is missing, for a sentence. */
  get text(): string {
    const holes = [...this.closed, ...this.latest.values()].toSorted(
      (a, b) => a.range.firstMillis - b.range.firstMillis
    )
    const shown = holes.slice(0, MAX_SHOWN).map(({ range, series }) => {
      const points = pointCount(range)
      const where = points === 1 ? `at ${formatTime(range.firstMillis)}` : `from ${rangeText(range)}`
      const what = isRawRange(range) ? "the samples" : pluralize(points, "point")
      return `not ${what} ${where}${series === "" ? "" : ` of ${series}`}`
    })
    const more = holes.length - shown.length + this.dropped
    return [...shown, ...(more > 0 ? [`not ${pluralize(more, "more range")}`] : [])].join(", ")
  }
}

const isNext = (before: GridRange, range: GridRange): boolean =>
  before.stepMillis === range.stepMillis && before.lastMillis + before.stepMillis === range.firstMillis
