/**
 * One step window of one stream: asked for ahead of time, asked again where the answer breaks off, and in parts where
 * the server refuses it for its size. Whatever happens, each sample is handed on once.
 */
import {
  type Array as Arr,
  Effect,
  type Exit,
  type Latch,
  type Pull,
  Ref,
  type Schedule,
  Scope,
  type Semaphore,
  Stream
} from "effect"
import { counted } from "../counted.ts"
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { SampleBlock } from "../prometheus/Sample.ts"
import { type GridRange, halve, pointCount, rangeText } from "./TimeGrid.ts"
import { WindowLedger } from "./WindowLedger.ts"
import { afterAnswer, afterRefusal, type WindowSize } from "./WindowSize.ts"

/** What an answer is: samples as they arrive. */
export type Answer = Stream.Stream<SampleBlock, PrometheusError>

/** What the windows of one stream share. */
export interface WindowContext {
  /** The stream's name, for those who read logs. */
  readonly stream: string
  /** Asks for a range; the scope holds the connection. */
  readonly ask: (range: GridRange) => Effect.Effect<Answer, PrometheusError, Scope.Scope>
  /** How many queries, of all streams, the server may be asked to work on. */
  readonly permits: Semaphore.Semaphore
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
  | { readonly _tag: "Whole"; readonly lastSeconds: number }

/**
 * Asks for a range once the server may be asked. The permit is given back when the answer begins: by then the server has
 * done its work, and works on another window while this one is read. Who holds one waits for the server alone.
 */
const ask = ({ ask, permits }: WindowContext, range: GridRange, scope: Scope.Scope) =>
  permits.withPermit(Scope.provide(ask(range), scope))

/** Asks for a window. Ends when its answer begins, or could not be had. */
export const askAhead = Effect.fnUntraced(function* (context: WindowContext, range: GridRange) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  yield* Effect.logDebug(
    `${context.stream}: asking for ${counted(pointCount(range), "point")}, ${rangeText(range)}.`
  )
  const answer = yield* Effect.exit(ask(context, range, scope))
  return { answer, range, scope } satisfies AskedWindow
})

/** The samples of a window that has been asked for, and how far it has got. Must be run to be released. */
export const windowEvents = (
  context: WindowContext,
  asked: AskedWindow
): Stream.Stream<WindowEvent, PrometheusError> => {
  const ledger = new WindowLedger(asked.range)
  let ahead: AskedWindow["answer"] | undefined = asked.answer

  const told = (events: Stream.Stream<WindowEvent, PrometheusError>) =>
    Effect.map(Ref.getAndSet(context.answered, true), (before) =>
      before ? events : Stream.concat(Stream.succeed<WindowEvent>({ _tag: "Answered" }), events)
    )

  /** One request's samples, without those that an earlier one has brought. */
  const attempt = (range: GridRange): Stream.Stream<WindowEvent, PrometheusError> =>
    Stream.unwrap(
      Effect.suspend(() => {
        const answer = ahead ?? ask(context, range, asked.scope)
        ahead = undefined
        ledger.begin(range)
        return Effect.flatMap(answer, (blocks) => told(accepted(ledger, blocks)))
      })
    )

  const learn = (update: (size: WindowSize) => WindowSize) =>
    Effect.andThen(Ref.update(context.size, update), context.learned.open)

  const learnFrom = (range: GridRange) =>
    Effect.flatMap(
      Ref.updateAndGet(context.proven, (proven) => Math.max(proven, ledger.samples)),
      (proven) => learn((size) => afterAnswer(size, pointCount(range), ledger.samples, proven))
    )

  const whole = (range: GridRange): Stream.Stream<WindowEvent> =>
    Stream.unwrap(
      Effect.as(
        learnFrom(range),
        // Of a window that broke off and was then split, later samples may have been handed on already.
        ledger.latestMillis > range.lastSeconds * 1000
          ? Stream.empty
          : Stream.succeed<WindowEvent>({ _tag: "Whole", lastSeconds: range.lastSeconds })
      )
    )

  const halves = (
    range: GridRange,
    refusal: PrometheusError
  ): Stream.Stream<WindowEvent, PrometheusError> => {
    const points = pointCount(range)
    const [earlier, later] = halve(range)
    return Stream.unwrap(
      Effect.logInfo(
        `${context.stream}: ${refusal.summary} Asking for ${counted(pointCount(earlier), "point")} at once instead of ${points}.`
      ).pipe(
        Effect.andThen(learn((size) => afterRefusal(size, points))),
        Effect.as(Stream.concat(events(earlier), events(later)))
      )
    )
  }

  const events = (range: GridRange): Stream.Stream<WindowEvent, PrometheusError> =>
    attempt(range).pipe(
      Stream.retry(context.retries),
      Stream.concat(Stream.suspend(() => whole(range))),
      Stream.catchIf(
        (error) => error.verdict.ending === "split" && pointCount(range) > 1,
        (error) => halves(range, error)
      )
    )

  return events(asked.range).pipe(Stream.onExit((exit) => Scope.close(asked.scope, exit)))
}

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
