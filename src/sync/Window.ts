/**
 * One step window of one stream: asked for ahead of time, asked again where the answer breaks off, and in parts where
 * the server refuses it for its size: parts of its time down to a single point, and parts of its series. Whatever
 * happens, each sample is handed on once.
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
  Stream
} from "effect"
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import { type Matcher, render } from "../promql/Matcher.ts"
import type { SampleBlock } from "../samples/Sample.ts"
import { beginning } from "../text/excerpt.ts"
import { formatTime } from "../text/formatTime.ts"
import { pluralize } from "../text/pluralize.ts"
import { type Halves, MAX_SPLIT_DEPTH, type PartIndex, type SeriesPart, split } from "./SeriesPart.ts"
import { type GridRange, halve, pointCount, rangeText } from "./TimeGrid.ts"
import { WindowLedger } from "./WindowLedger.ts"
import { afterAnswer, afterRefusal, type WindowSize } from "./WindowSize.ts"

/** So often the series of one stream are split: each window then takes one request more than that. */
const MAX_SPLITS = 2000

/** What an answer is: samples as they arrive. */
export type Answer = Stream.Stream<SampleBlock, PrometheusError>

/** What the windows of one stream share. */
export interface WindowContext {
  /** The stream's name, for those who read logs. */
  readonly stream: string
  /** Asks for a range of some series; the scope holds the connection. */
  readonly ask: (range: GridRange, part: SeriesPart) => Effect.Effect<Answer, PrometheusError, Scope.Scope>
  /** All of the stream's series, and how they have to be split: what one window learned holds for those after it. */
  readonly series: SeriesPart
  /** What series there are in a range. */
  readonly index: (range: GridRange) => PartIndex<PrometheusError>
  /** How many queries, of all streams, the server may be asked to work on. */
  readonly permits: Semaphore.Semaphore
  /** How often the stream's series have been split. */
  readonly splits: Ref.Ref<number>
  /** When a failed request is made again. */
  readonly retries: Schedule.Schedule<unknown, PrometheusError>
  /** The size of the next window, learned from each. */
  readonly size: Ref.Ref<WindowSize>
  /** Samples of the largest answer that any stream has had. */
  readonly proven: Ref.Ref<number>
  /** Opened by whatever is learned of that. */
  readonly learned: Latch.Latch
  /** Whether the server has answered anything: only the first time is told. */
  readonly answered: Ref.Ref<boolean>
}

/** A window that has been asked for. */
export interface AskedWindow {
  readonly range: GridRange
  /** The series that were asked for: all, or the first part of them. */
  readonly part: SeriesPart
  /** Holds the connections of the window. */
  readonly scope: Scope.Closeable
  readonly answer: Exit.Exit<Answer, PrometheusError>
}

/** What comes of a window. */
export type WindowEvent =
  /** The server has begun to answer, for the first time. */
  | { readonly _tag: "Answered" }
  | { readonly _tag: "Samples"; readonly blocks: ReadonlyArray<SampleBlock> }
  /** All samples up to and including this grid point have been handed on, and none that is later. */
  | { readonly _tag: "Whole"; readonly lastMillis: number }

/**
 * Asks for a range once the server may be asked. The permit is given back when the answer begins: by then the server has
 * done its work, and works on another window while this one is read. Who holds one waits for the server alone.
 */
const ask = ({ ask, permits }: WindowContext, range: GridRange, part: SeriesPart, scope: Scope.Scope) =>
  permits.withPermit(Scope.provide(ask(range, part), scope))

/** Asks for a window. Ends when its answer begins, or could not be had. */
export const askAhead = Effect.fnUntraced(function* (context: WindowContext, range: GridRange) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const part = context.series.first
  yield* Effect.logDebug(
    `${context.stream}: asking for ${pluralize(pointCount(range), "point")}, ${rangeText(range)}.`
  )
  const answer = yield* Effect.exit(ask(context, range, part, scope))
  return { answer, part, range, scope } satisfies AskedWindow
})

/** The samples of a window that has been asked for, and how far it has got. Must be run to be released. */
export const windowEvents = (
  context: WindowContext,
  asked: AskedWindow
): Stream.Stream<WindowEvent, PrometheusError> => {
  const ledger = new WindowLedger(asked.range, context.stream)
  let ahead: AskedWindow["answer"] | undefined = asked.answer
  /** Whether the server did not answer in time, again and again. */
  let isSlow = false

  const told = (events: Stream.Stream<WindowEvent, PrometheusError>) =>
    Effect.map(Ref.getAndSet(context.answered, true), (before) =>
      before ? events : Stream.concat(Stream.succeed<WindowEvent>({ _tag: "Answered" }), events)
    )

  /** One request's samples, without those that an earlier one has brought. */
  const attempt = (range: GridRange, part: SeriesPart): Stream.Stream<WindowEvent, PrometheusError> =>
    Stream.unwrap(
      Effect.suspend(() => {
        const answer = ahead ?? ask(context, range, part, asked.scope)
        ahead = undefined
        ledger.begin(range)
        return Effect.flatMap(answer, (blocks) => told(accepted(ledger, blocks)))
      })
    )

  const learn = (update: (size: WindowSize) => WindowSize) =>
    Effect.andThen(Ref.update(context.size, update), context.learned.open)

  const learnFromAnswer = (range: GridRange) =>
    Effect.flatMap(
      Ref.updateAndGet(context.proven, (proven) => Math.max(proven, ledger.samples)),
      (proven) => learn((size) => afterAnswer(size, pointCount(range), ledger.samples, proven))
    )

  const whole = (range: GridRange, part: SeriesPart): Stream.Stream<WindowEvent> =>
    Stream.suspend(() =>
      part !== context.series ||
      // Of a window that broke off and was then split, later samples may have been handed on already.
      ledger.latestMillis > range.lastMillis
        ? Stream.empty
        : Stream.succeed<WindowEvent>({ _tag: "Whole", lastMillis: range.lastMillis })
    )

  const bothHalves = (
    range: GridRange,
    part: SeriesPart,
    [some, others]: Halves
  ): Stream.Stream<WindowEvent, PrometheusError> =>
    events(range, some).pipe(Stream.concat(events(range, others)), Stream.concat(whole(range, part)))

  const earlierAndLater = (range: GridRange, part: SeriesPart) => {
    const [earlier, later] = halve(range)
    return Stream.concat(events(earlier, part), events(later, part))
  }

  /** Goes on in smaller parts after a refusal. Fails with it where there are none. */
  const inParts = Effect.fnUntraced(function* (range: GridRange, part: SeriesPart, refusal: PrometheusError) {
    // It was asked for before an earlier window learned better.
    if (part.halves !== undefined) return events(range, part)
    const points = pointCount(range)
    if (refusal.policy.action === "retry") {
      // Maybe too slow for a large query; but not a server that has never answered any.
      if (points === 1 || !(yield* Ref.get(context.answered))) return yield* refusal
      isSlow = true
    }
    const told = (what: string) => Effect.logInfo(`${context.stream}: ${refusal.summary} ${what}`)
    if (points > 1 && refusal.policy.splitBy === "time") {
      yield* told(`Asking for ${pluralize(Math.ceil(points / 2), "point")} at once instead of ${points}.`)
      yield* learn((size) => afterRefusal(size, points))
      return earlierAndLater(range, part)
    }
    const halves = yield* splitSeries(range, part, refusal)
    if (halves !== undefined) {
      yield* told(
        `Asking for its series ${matchersText(halves[0].matchers.slice(-1))} apart from the others.`
      )
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
    return yield* context.permits.withPermit(split(part, context.index(range))).pipe(
      Effect.catchIf(
        (error) => error.policy.onExhausted === "stream",
        (error) =>
          Effect.fail(
            new PrometheusError({
              reason: refusal.reason,
              summary: `${refusal.summary} It was to be asked for fewer series at once, but could not say which there are: ${error.summary}`
            })
          )
      )
    )
  })

  const events = (range: GridRange, part: SeriesPart): Stream.Stream<WindowEvent, PrometheusError> =>
    Stream.unwrap(
      Effect.map(Ref.get(context.size), ({ limit }) => {
        // No need to have it refused again.
        if (ahead === undefined && pointCount(range) > limit) return earlierAndLater(range, part)
        const isAhead = ahead !== undefined && part === asked.part
        if (!isAhead && part.halves !== undefined) return bothHalves(range, part, part.halves)
        return attempt(range, part).pipe(
          Stream.retry(
            Schedule.while(
              context.retries,
              ({ input }) =>
                // Found out already: less is more likely to be answered than the same again.
                !(isSlow && input.policy.splitBy !== undefined && pointCount(range) > 1)
            )
          ),
          Stream.concat(Stream.fromEffectDrain(Effect.suspend(() => learnFromAnswer(range)))),
          Stream.concat(whole(range, part)),
          Stream.catchIf(
            (error) => error.policy.splitBy !== undefined,
            (error) => Stream.unwrap(inParts(range, part, error))
          )
        )
      })
    )

  return events(asked.range, context.series).pipe(Stream.onExit((exit) => Scope.close(asked.scope, exit)))
}

/** For a message: a part of many splits has a long list. */
const matchersText = (matchers: ReadonlyArray<Matcher>): string => {
  const text = render(matchers)
  return text.length > 500 ? `${beginning(text, 500)}…` : text
}

/** Even the smallest part is refused. */
const tooMuch = (range: GridRange, part: SeriesPart, refusal: PrometheusError): PrometheusError =>
  new PrometheusError({
    reason: refusal.reason,
    summary: `${refusal.summary} That is its answer even for one point of one series, at ${formatTime(range.lastMillis)}${part.matchers.length === 0 ? "" : ` of ${matchersText(part.matchers)}`}.`
  })

/** What of an answer has not been handed on before. Any event counts as progress where answers break off again and again. */
const accepted = (ledger: WindowLedger, answer: Answer): Stream.Stream<WindowEvent, PrometheusError> =>
  Stream.transformPull(answer, (pull) => {
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
