/** Requests of the windows of a stream: ahead of time, in parts, and to find out whether the server answers at all. */
import {
  Effect,
  type Exit,
  type Latch,
  type Ref,
  type Schedule,
  Scope,
  type Semaphore,
  Stream,
  type Tracer
} from "effect"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { recycle } from "../samples/Arena.ts"
import type { Response, StreamSource } from "./BlockSource.ts"
import type { Damage } from "./Damage.ts"
import { leavesOf, type SeriesPart } from "./SeriesPart.ts"
import { extentText, type GridRange, isRawRange, pointCount, rangeText } from "./TimeGrid.ts"
import type { ServerLimits, WindowSize } from "./WindowSize.ts"

/** The state that the windows of a stream share. */
export interface WindowContext {
  readonly stream: string
  readonly source: StreamSource
  /** All series of the stream, and how they are split. Later windows reuse the splits of earlier ones. */
  readonly series: SeriesPart
  /** Permits for concurrent queries of all streams. */
  readonly permits: Semaphore.Semaphore
  /** How often the stream's series have been split. */
  readonly splits: Ref.Ref<number>
  /** The schedule for retries of failed requests. */
  readonly retries: Schedule.Schedule<unknown, PrometheusError>
  /** The size of the next window. Each window updates it. */
  readonly size: Ref.Ref<WindowSize>
  /** What all streams have learned about the sizes that the server accepts. */
  readonly limits: ServerLimits
  /** Opened whenever `size` is updated. */
  readonly sizeLearned: Latch.Latch
  /** Whether the server has responded to this stream: only the first response emits an event. */
  readonly hasResponded: Ref.Ref<boolean>
  /** The points that the server cannot return. */
  readonly damage: Damage
  /** The last point of the stream. */
  readonly lastMillis: number
  /** A point that the server has returned, and the series of that request. */
  readonly answered: { latest?: readonly [point: GridRange, part: SeriesPart] }
}

/** A window that has been requested. */
export interface RequestedWindow {
  readonly range: GridRange
  /** The requested series: all, or the first part of them. */
  readonly part: SeriesPart
  /** Holds the window's connections and its span. */
  readonly scope: Scope.Closeable
  readonly span: Tracer.Span
  readonly response: Exit.Exit<Response, PrometheusError>
}

/** A window of a stream. */
export interface Window {
  readonly context: WindowContext
  readonly requested: RequestedWindow
}

/**
 * Requests a range once a permit is free. The permit is released when the response begins: the server has then evaluated
 * the query, and can evaluate another one while this response is read. A remote read begins at once, and costs the server little. Only waiting for the server holds a permit, and waiting for
 * the load budget, for which any other query would have to wait too.
 */
export const request = (
  { permits, source }: WindowContext,
  range: GridRange,
  { matchers }: SeriesPart,
  { scope, span }: { readonly scope: Scope.Scope; readonly span: Tracer.Span }
) =>
  permits.withPermit(Scope.provide(source.request(range, matchers), scope)).pipe(Effect.withParentSpan(span))

/** Requests a window. Ends when its response begins, or its request fails. */
export const requestAhead = Effect.fnUntraced(function* (context: WindowContext, range: GridRange) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const span = yield* Scope.provide(
    Effect.makeSpanScoped("Read.window", {
      attributes: {
        stream: context.stream,
        range: rangeText(range),
        ...(isRawRange(range) ? {} : { points: pointCount(range) })
      }
    }),
    scope
  )
  const part = context.series.first
  yield* Effect.logDebug(
    `${context.stream}: requesting ${extentText({ points: pointCount(range), stepMillis: range.stepMillis })}, ${rangeText(range)}.`
  )
  const response = yield* Effect.exit(request(context, range, part, { scope, span }))
  return { part, range, response, scope, span } satisfies RequestedWindow
})

/**
 * Whether the server answers requests for others than some series at a point: the latest that it returned, or if there are none,
 * later points, or other series at this point.
 */
export const answersOthers = Effect.fnUntraced(function* (
  window: Window,
  range: GridRange,
  part: SeriesPart
): Effect.fn.Return<boolean, PrometheusError> {
  const { answered, lastMillis, retries, series, source } = window.context
  if (answered.latest !== undefined) {
    const [point, part] = answered.latest
    return yield* drain(window, point, part).pipe(Effect.retry(retries), succeeds)
  }
  const { leastPoints } = source.bounds
  for (let distance = leastPoints, millis = range.lastMillis; millis < lastMillis; distance *= 2) {
    millis = Math.min(lastMillis, range.lastMillis + distance * range.stepMillis)
    if (yield* answers(window, { ...range, firstMillis: millis, lastMillis: millis }, series)) return true
  }
  // One series may be damaged everywhere.
  const point = { ...range, firstMillis: range.lastMillis }
  for (const other of leavesOf(series).slice(0, PROBES)) {
    if (other !== part && (yield* answers(window, point, other))) return true
  }
  return false
})

/** How many points of a range are requested to find out whether it is a hole. */
const PROBES = 8

/** Whether the server returns none of some points of a range, but others: then the range is taken as a hole. */
export const isHole = Effect.fnUntraced(function* (window: Window, range: GridRange, part: SeriesPart) {
  const steps = pointCount(range) - 1
  for (let probe = 1; probe <= PROBES; probe++) {
    const millis = range.firstMillis + Math.ceil((steps * probe) / PROBES) * range.stepMillis
    if (yield* answers(window, { ...range, firstMillis: millis, lastMillis: millis }, part)) return false
  }
  return yield* answersOthers(window, range, part)
})

/** Requests points, and reads the response without emitting it. Returns the number of samples. */
export const drain = ({ context, requested }: Window, range: GridRange, part: SeriesPart) =>
  Effect.scoped(
    Effect.flatMap(Effect.scope, (scope) =>
      Effect.flatMap(
        request(context, range, part, { scope, span: requested.span }),
        Stream.runFold(
          () => 0,
          (samples, block) => {
            recycle(block)
            return samples + block.length
          }
        )
      )
    )
  )

/** Whether a request succeeds. Fails if no stream can be read. */
const succeeds = (effect: Effect.Effect<unknown, PrometheusError>): Effect.Effect<boolean, PrometheusError> =>
  Effect.as(effect, true).pipe(
    Effect.catchIf(
      ({ policy }) => policy.onExhausted === "stream",
      () => Effect.succeed(false)
    )
  )

export const answers = (window: Window, range: GridRange, part: SeriesPart) =>
  succeeds(drain(window, range, part))
