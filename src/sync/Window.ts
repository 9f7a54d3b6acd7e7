/**
 * One window of one stream. It is requested ahead of time. If the response breaks off, the rest is requested again. If the
 * server refuses the window for its size, it is split by time, down to a single point, and then by series. In every case each
 * sample is emitted once.
 */
import {
  Effect,
  type Exit,
  type Latch,
  Ref,
  Schedule,
  Scope,
  type Semaphore,
  Stream,
  type Tracer
} from "effect"
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import { selectorText } from "../promql/Matcher.ts"
import type { SampleBlock } from "../samples/Sample.ts"
import { formatTime } from "../text/formatTime.ts"
import { pluralize } from "../text/pluralize.ts"
import type { Response, StreamSource } from "./BlockSource.ts"
import type { ReadEvent } from "./ReadEvent.ts"
import { type Halves, MAX_SPLIT_DEPTH, type SeriesPart, split } from "./SeriesPart.ts"
import { type GridRange, halve, pointCount, rangeText } from "./TimeGrid.ts"
import { WindowLedger } from "./WindowLedger.ts"
import { afterRefusal, afterResponse, type WindowSize } from "./WindowSize.ts"

/** The most splits of the series of a stream. Each split adds a request to every window. */
const MAX_SPLITS = 2000

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
  /** The most samples in a response to any stream. */
  readonly largestResponse: Ref.Ref<number>
  /** Opened whenever `size` is updated. */
  readonly sizeLearned: Latch.Latch
  /** Whether the server has responded to this stream: only the first response emits an event. */
  readonly hasResponded: Ref.Ref<boolean>
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

/** The events of a window. */
export type WindowEvent =
  | Extract<ReadEvent, { readonly _tag: "Running" | "Samples" }>
  /** All samples up to and including this grid point have been emitted, and no later ones. */
  | { readonly _tag: "WindowCompleted"; readonly lastMillis: number }

/**
 * Requests a range once a permit is free. The permit is released when the response begins: the server has then evaluated the
 * query, and can evaluate another one while this response is read. Only waiting for the server holds a permit.
 */
const request = (
  { permits, source }: WindowContext,
  range: GridRange,
  { matchers }: SeriesPart,
  { scope, span }: Pick<RequestedWindow, "scope" | "span">
) =>
  permits.withPermit(Scope.provide(source.request(range, matchers), scope)).pipe(Effect.withParentSpan(span))

/** Requests a window. Ends when its response begins, or its request fails. */
export const requestAhead = Effect.fnUntraced(function* (context: WindowContext, range: GridRange) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const span = yield* Scope.provide(
    Effect.makeSpanScoped("Read.window", {
      attributes: { stream: context.stream, range: rangeText(range), points: pointCount(range) }
    }),
    scope
  )
  const part = context.series.first
  yield* Effect.logDebug(
    `${context.stream}: requesting ${pluralize(pointCount(range), "point")}, ${rangeText(range)}.`
  )
  const response = yield* Effect.exit(request(context, range, part, { scope, span }))
  return { part, range, response, scope, span } satisfies RequestedWindow
})

/** The samples of a requested window, and its progress. Must be run to release the window. */
export const windowEvents = (
  context: WindowContext,
  requested: RequestedWindow
): Stream.Stream<WindowEvent, PrometheusError> => {
  const { source, stream } = context
  const ledger = new WindowLedger(source.expect(requested.range), source.metric)
  let ahead: RequestedWindow["response"] | undefined = requested.response
  /** Whether the server timed out, even on retries. */
  let isSlow = false

  /** The samples of one request, without those that an earlier attempt emitted. */
  const attempt = (range: GridRange, part: SeriesPart): Stream.Stream<WindowEvent, PrometheusError> =>
    Stream.unwrap(
      Effect.gen(function* () {
        const response = ahead ?? request(context, range, part, requested)
        ahead = undefined
        ledger.begin(source.expect(range))
        const samples = accepted(stream, ledger, yield* response)
        return (yield* Ref.getAndSet(context.hasResponded, true))
          ? samples
          : Stream.concat(Stream.succeed<WindowEvent>({ _tag: "Running", stream }), samples)
      })
    )

  const learn = (update: (size: WindowSize) => WindowSize) =>
    Effect.andThen(Ref.update(context.size, update), context.sizeLearned.open)

  const learnFromResponse = (range: GridRange) =>
    Effect.flatMap(
      Ref.updateAndGet(context.largestResponse, (largest) => Math.max(largest, ledger.samples)),
      (largest) => learn((size) => afterResponse(size, pointCount(range), ledger.samples, largest))
    )

  const completed = (range: GridRange, part: SeriesPart): Stream.Stream<WindowEvent> =>
    Stream.suspend(() =>
      part !== context.series ||
      // If a window broke off and was then split, it may have emitted later samples already.
      ledger.latestMillis > range.lastMillis
        ? Stream.empty
        : Stream.succeed<WindowEvent>({ _tag: "WindowCompleted", lastMillis: range.lastMillis })
    )

  const bothHalves = (
    range: GridRange,
    part: SeriesPart,
    [some, others]: Halves
  ): Stream.Stream<WindowEvent, PrometheusError> =>
    events(range, some).pipe(Stream.concat(events(range, others)), Stream.concat(completed(range, part)))

  const earlierAndLater = (range: GridRange, part: SeriesPart) => {
    const [earlier, later] = halve(range)
    return Stream.concat(events(earlier, part), events(later, part))
  }

  /** Continues with smaller parts after a refusal. Fails with the refusal if the window cannot be split. */
  const inParts = Effect.fnUntraced(function* (range: GridRange, part: SeriesPart, refusal: PrometheusError) {
    // It was requested before an earlier window was split.
    if (part.halves !== undefined) return events(range, part)
    const points = pointCount(range)
    if (refusal.policy.action === "retry") {
      // The server may be too slow for a large query. But if it has never responded, the size is not the reason.
      if (points === 1 || !(yield* Ref.get(context.hasResponded))) return yield* refusal
      isSlow = true
    }
    const log = (what: string) => Effect.logInfo(`${context.stream}: ${refusal.summary} ${what}`)
    if (points > 1 && refusal.policy.splitBy === "time") {
      yield* log(`Requesting ${pluralize(Math.ceil(points / 2), "point")} at once instead of ${points}.`)
    } else {
      const halves = yield* splitSeries(range, part, refusal)
      if (halves !== undefined) {
        yield* log(
          `Requesting its series ${selectorText(halves[0].matchers.slice(-1))} apart from the others.`
        )
        return bothHalves(range, part, halves)
      }
      if (points === 1) {
        const series = part.matchers.length === 0 ? "" : ` of ${selectorText(part.matchers)}`
        const what = `one point of one series, at ${formatTime(range.lastMillis)}${series}`
        return yield* because(refusal, `It does so even for ${what}.`)
      }
    }
    yield* learn((size) => afterRefusal(size, points))
    return earlierAndLater(range, part)
  })

  const splitSeries = Effect.fnUntraced(function* (
    range: GridRange,
    part: SeriesPart,
    refusal: PrometheusError
  ) {
    const limitReached = (times: string) =>
      because(refusal, `Its series were split ${times}, and that is the limit.`)
    // Each split adds a matcher.
    if (part.matchers.length >= MAX_SPLIT_DEPTH) {
      return yield* limitReached(`${MAX_SPLIT_DEPTH} times, one part from another`)
    }
    const splits = yield* Ref.getAndUpdate(context.splits, (splits) => splits + 1)
    if (splits >= MAX_SPLITS) return yield* limitReached(pluralize(MAX_SPLITS, "time"))
    return yield* Effect.mapError(context.permits.withPermit(split(part, source.index(range))), (error) =>
      error.policy.onExhausted === "sync"
        ? error
        : because(
            refusal,
            `Its series could not be requested in parts, since the server did not list them: ${error.summary}`
          )
    )
  })

  const events = (range: GridRange, part: SeriesPart): Stream.Stream<WindowEvent, PrometheusError> =>
    Stream.unwrap(
      Effect.map(Ref.get(context.size), ({ limit }) => {
        // It would be refused again.
        if (ahead === undefined && pointCount(range) > limit) return earlierAndLater(range, part)
        const isAhead = ahead !== undefined && part === requested.part
        if (!isAhead && part.halves !== undefined) return bothHalves(range, part, part.halves)
        return attempt(range, part).pipe(
          Stream.retry(
            Schedule.while(
              context.retries,
              ({ input }) =>
                // It has already been retried. A smaller request is more likely to succeed.
                !(isSlow && input.policy.splitBy !== undefined && pointCount(range) > 1)
            )
          ),
          Stream.concat(Stream.fromEffectDrain(Effect.suspend(() => learnFromResponse(range)))),
          Stream.concat(completed(range, part)),
          Stream.catchIf(
            (error) => error.policy.splitBy !== undefined,
            (error) => Stream.unwrap(inParts(range, part, error))
          )
        )
      })
    )

  return events(requested.range, context.series).pipe(
    Stream.onExit((exit) => Scope.close(requested.scope, exit))
  )
}

/** A refusal after which the request could not be made smaller, and why. */
const because = ({ reason, summary }: PrometheusError, why: string): PrometheusError =>
  new PrometheusError({ reason, summary: `${summary} ${why}` })

/** Emits the samples of a response that are new. If responses keep breaking off, any event counts as progress. */
const accepted = (stream: string, ledger: WindowLedger, response: Response) =>
  Stream.chunks(response).pipe(
    Stream.mapEffect((blocks) => {
      const fresh: Array<SampleBlock> = []
      for (const block of blocks) {
        const result = ledger.accept(block)
        if (result instanceof PrometheusError) return Effect.fail(result)
        if (result !== undefined) fresh.push(result)
      }
      return Effect.succeed<WindowEvent>({ _tag: "Samples", stream, blocks: fresh })
    }),
    Stream.filter((event) => event._tag === "Samples" && event.blocks.length > 0)
  )
