/**
 * One window of one stream. It is requested ahead of time. If the response breaks off, the rest is requested again. If the
 * server refuses the window for its size, it is split by time, down to a single point, and then by series. In every case each
 * sample is emitted once.
 */
import {
  type Array as Arr,
  Effect,
  type Exit,
  type Latch,
  type Pull,
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
import { type Halves, MAX_SPLIT_DEPTH, type SeriesPart, split } from "./SeriesPart.ts"
import { type GridRange, halve, pointCount, rangeText } from "./TimeGrid.ts"
import { WindowLedger } from "./WindowLedger.ts"
import { afterRefusal, afterResponse, type WindowSize } from "./WindowSize.ts"

/** The most splits of the series of a stream. Each split adds a request to every window. */
const MAX_SPLITS = 2000

/** The state that the windows of a stream share. */
export interface WindowContext {
  /** The stream's name, for logs and spans. */
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
  /** The server has sent its first response. */
  | { readonly _tag: "Responded" }
  | { readonly _tag: "Samples"; readonly blocks: ReadonlyArray<SampleBlock> }
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
  const { source } = context
  const ledger = new WindowLedger(source.expect(requested.range), source.metric)
  let ahead: RequestedWindow["response"] | undefined = requested.response
  /** Whether the server timed out, even on retries. */
  let isSlow = false

  const withResponded = (events: Stream.Stream<WindowEvent, PrometheusError>) =>
    Effect.map(Ref.getAndSet(context.hasResponded, true), (before) =>
      before ? events : Stream.concat(Stream.succeed<WindowEvent>({ _tag: "Responded" }), events)
    )

  /** The samples of one request, without those that an earlier attempt emitted. */
  const attempt = (range: GridRange, part: SeriesPart): Stream.Stream<WindowEvent, PrometheusError> =>
    Stream.unwrap(
      Effect.suspend(() => {
        const response = ahead ?? request(context, range, part, requested)
        ahead = undefined
        ledger.begin(source.expect(range))
        return Effect.flatMap(response, (blocks) => withResponded(accepted(ledger, blocks)))
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
      yield* learn((size) => afterRefusal(size, points))
      return earlierAndLater(range, part)
    }
    const halves = yield* splitSeries(range, part, refusal)
    if (halves !== undefined) {
      yield* log(`Requesting its series ${selectorText(halves[0].matchers.slice(-1))} apart from the others.`)
      return bothHalves(range, part, halves)
    }
    if (points === 1) return yield* tooMuch(range, part, refusal)
    yield* learn((size) => afterRefusal(size, points))
    return earlierAndLater(range, part)
  })

  const splitSeries = Effect.fnUntraced(function* (
    range: GridRange,
    part: SeriesPart,
    refusal: PrometheusError
  ) {
    const limitReached = Effect.fnUntraced(function* () {
      // Each split adds a matcher.
      if (part.matchers.length >= MAX_SPLIT_DEPTH) return `${MAX_SPLIT_DEPTH} times, one part from another`
      const splits = yield* Ref.getAndUpdate(context.splits, (splits) => splits + 1)
      return splits >= MAX_SPLITS ? pluralize(MAX_SPLITS, "time") : undefined
    })
    const limit = yield* limitReached()
    if (limit !== undefined) {
      return yield* new PrometheusError({
        reason: refusal.reason,
        summary: `${refusal.summary} Its series were split ${limit}, and that is the limit.`
      })
    }
    return yield* context.permits.withPermit(split(part, source.index(range))).pipe(
      Effect.catchIf(
        (error) => error.policy.onExhausted === "stream",
        (error) =>
          Effect.fail(
            new PrometheusError({
              reason: refusal.reason,
              summary: `${refusal.summary} Its series could not be requested in parts, since the server did not list them: ${error.summary}`
            })
          )
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

/** Fails because even the smallest part is refused. */
const tooMuch = (range: GridRange, part: SeriesPart, refusal: PrometheusError): PrometheusError =>
  new PrometheusError({
    reason: refusal.reason,
    summary: `${refusal.summary} It does so even for one point of one series, at ${formatTime(range.lastMillis)}${part.matchers.length === 0 ? "" : ` of ${selectorText(part.matchers)}`}.`
  })

/** Emits the samples of a response that are new. If responses keep breaking off, any event counts as progress. */
const accepted = (ledger: WindowLedger, response: Response): Stream.Stream<WindowEvent, PrometheusError> =>
  Stream.transformPull(response, (pull) => {
    const next: Pull.Pull<Arr.NonEmptyReadonlyArray<WindowEvent>, PrometheusError> = Effect.flatMap(
      pull,
      (blocks) => {
        const fresh: Array<SampleBlock> = []
        for (const block of blocks) {
          const result = ledger.accept(block)
          if (result instanceof PrometheusError) return Effect.fail(result)
          if (result !== undefined) fresh.push(result)
        }
        return fresh.length === 0 ? next : Effect.succeed([{ _tag: "Samples", blocks: fresh }])
      }
    )
    return Effect.succeed(next)
  })
