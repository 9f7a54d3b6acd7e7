/**
 * The read program: streams of metrics, each paginated over step windows, as one Effect `Stream` of events.
 *
 * Within a metric's stream, windows come in order and each ends with a checkpoint; the next window is asked for
 * while this one is consumed. Several metrics are read side by side; a bounded number of queries is under way.
 */
import {
  type Duration,
  Effect,
  type Exit,
  type Option as Maybe,
  Option,
  Ref,
  Schedule,
  Scope,
  Semaphore,
  Stream
} from "effect"
import { type ConfigError, ConnectorConfig } from "../ConnectorConfig.ts"
import { metricSelector } from "../prometheus/Matcher.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { PrometheusError } from "../prometheus/PrometheusError.ts"
import { retryPolicy } from "../prometheus/retryPolicy.ts"
import type { SampleBlock } from "../prometheus/Sample.ts"
import { StateStore } from "./StateStore.ts"
import { formatTime, StreamState } from "./StreamState.ts"
import { afterCursor, type GridRange, gridRange, halve, pointCount, takePoints } from "./TimeGrid.ts"
import { WindowLedger } from "./WindowLedger.ts"
import { afterAnswer, afterRefusal, initial } from "./WindowSize.ts"

/** One stream to read: all series of one metric. */
export interface StreamRequest {
  /** The name of the stream, which is the name of the metric. */
  readonly name: string
  readonly mode: "full_refresh" | "incremental"
  /** Numbers a full refresh, where the platform does that: its checkpoints are only good for itself. */
  readonly generationId: Maybe.Option<number>
}

/** What happens while reading, in the order in which it must be told. */
export type ReadEvent =
  /** A stream begins; `range` is what it will ask for. */
  | { readonly _tag: "Started"; readonly stream: string; readonly range: GridRange }
  /** The server has answered this stream for the first time, or there was nothing to ask. */
  | { readonly _tag: "Running"; readonly stream: string }
  /** Samples, each exactly once. */
  | { readonly _tag: "Samples"; readonly stream: string; readonly blocks: ReadonlyArray<SampleBlock> }
  /** All samples up to the state have been handed on. */
  | { readonly _tag: "Checkpoint"; readonly stream: string; readonly state: StreamState }
  | { readonly _tag: "Completed"; readonly stream: string; readonly mode: StreamRequest["mode"] }
  /** This stream ends here; what was checkpointed holds. */
  | { readonly _tag: "Failed"; readonly stream: string; readonly error: PrometheusError }

/** How streams are read. */
export interface ReadOptions {
  /** How many streams are read side by side: as many as there are queries at a time, unless told. */
  readonly concurrentStreams?: number
  /** Called before a stream waits to ask again, because of `error`. */
  readonly onRetry?: (stream: string, error: PrometheusError, delay: Duration.Duration) => Effect.Effect<void>
}

/** How many windows of one stream are asked for ahead of the one that is consumed. */
const LOOK_AHEAD = 2

/** A pause between two requests of one stream, so that a server that answers from memory is not stormed. */
const pacing = Schedule.spaced("10 millis").pipe(
  Schedule.modifyDelay(({ attempt, duration }) => Effect.succeed(attempt === 1 ? 0 : duration))
)

/**
 * Reads streams. A stream that fails ends with `Failed` and leaves the others alone; only a failure that concerns
 * them all (the server cannot be reached, credentials are refused) fails the whole read.
 *
 * Damaged state of any stream fails before the first request.
 */
export const read = (
  requests: ReadonlyArray<StreamRequest>,
  options: ReadOptions = {}
): Stream.Stream<ReadEvent, PrometheusError | ConfigError, ConnectorConfig | PrometheusClient | StateStore> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const settings = yield* ConnectorConfig
      const client = yield* PrometheusClient
      const store = yield* StateStore
      const states = yield* Effect.forEach(requests, (request) => store.load(request.name))
      const now = yield* client.now
      const range = readRange(settings, now)
      const permits = yield* Semaphore.make(settings.concurrency)
      const reader = makeReader(client, settings, permits, options.onRetry ?? (() => Effect.void))
      return Stream.fromIterable(
        requests.map((request, index) => reader(request, range, states[index]!))
      ).pipe(Stream.flatten({ concurrency: options.concurrentStreams ?? settings.concurrency }))
    })
  )

/** The grid points to read at a time that the server's clock shows. */
export const readRange = (
  settings: Pick<
    ConnectorConfig["Service"],
    "startMillis" | "endMillis" | "settleDelayMillis" | "stepSeconds"
  >,
  nowMillis: number
): GridRange => {
  const settled = nowMillis - settings.settleDelayMillis
  const end = Option.match(settings.endMillis, {
    onNone: () => settled,
    onSome: (end) => Math.min(end, settled)
  })
  return gridRange(settings.startMillis, end, settings.stepSeconds)
}

/** The state to go on from, if it is one for this request. */
const usableState = (request: StreamRequest, saved: Maybe.Option<StreamState>): Maybe.Option<StreamState> =>
  Option.filter(
    saved,
    (state) =>
      (request.mode === "incremental" && state.full_refresh !== true) ||
      (request.mode === "full_refresh" &&
        state.full_refresh === true &&
        (Option.isNone(request.generationId) ||
          state.generation_id === undefined ||
          state.generation_id === request.generationId.value))
  )

interface AskedWindow {
  readonly range: GridRange
  /** Holds the permit and the connection of the window. */
  readonly scope: Scope.Closeable
  /** The first answer, asked for ahead of time. */
  readonly answer: Exit.Exit<Stream.Stream<SampleBlock, PrometheusError>, PrometheusError>
}

const makeReader =
  (
    client: PrometheusClient["Service"],
    settings: ConnectorConfig["Service"],
    permits: Semaphore.Semaphore,
    onRetry: NonNullable<ReadOptions["onRetry"]>
  ) =>
  (
    request: StreamRequest,
    fullRange: GridRange,
    saved: Maybe.Option<StreamState>
  ): Stream.Stream<ReadEvent, PrometheusError> =>
    Stream.unwrap(
      Effect.gen(function* () {
        const stream = request.name
        const query = metricSelector(stream, settings.matchers)
        const resumed = usableState(request, saved)
        const range = Option.match(resumed, {
          onNone: () => fullRange,
          onSome: (state) =>
            afterCursor(
              fullRange,
              state.timeMillis,
              request.mode === "incremental" ? settings.lookbackMillis : 0
            )
        })
        const retries = retryPolicy(settings.maxRetries).pipe(
          Schedule.tap(({ duration, input }) => onRetry(stream, input, duration))
        )
        const streamScope = yield* Effect.scope
        const size = yield* Ref.make(initial)

        const checkpointAt = (seconds: number): ReadEvent => ({
          _tag: "Checkpoint",
          stream,
          state: stateAt(request, resumed, range, seconds)
        })

        /** Asks for a range; the connection lives as long as `scope`, or until the next request of that window. */
        const ask = (range: GridRange, scope: Scope.Scope) =>
          client
            .queryRange({
              query,
              startSeconds: range.firstSeconds,
              endSeconds: range.lastSeconds,
              stepSeconds: range.stepSeconds
            })
            .pipe(Scope.provide(scope))

        // The permit is held until the window is done, its retries and parts included: a window can then never wait
        // for one that stands behind it.
        const askAhead = Effect.fnUntraced(function* (range: GridRange) {
          const scope = yield* Scope.fork(streamScope)
          yield* Semaphore.takeScoped(permits, 1).pipe(Scope.provide(scope))
          const answer = yield* Effect.exit(ask(range, scope))
          return { answer, range, scope } satisfies AskedWindow
        })

        const windowEvents = (asked: AskedWindow): Stream.Stream<ReadEvent, PrometheusError> => {
          const ledger = new WindowLedger(asked.range)
          let ahead: AskedWindow["answer"] | undefined = asked.answer

          const attempt = (range: GridRange): Stream.Stream<ReadonlyArray<SampleBlock>, PrometheusError> =>
            Stream.unwrap(
              Effect.suspend(() => {
                const answer = ahead ?? ask(range, asked.scope)
                ahead = undefined
                ledger.begin(range)
                return answer
              })
            ).pipe(
              Stream.mapArrayEffect((blocks) =>
                Effect.map(acceptAll(ledger, blocks), (accepted) => [accepted])
              ),
              Stream.filter((blocks) => blocks.length > 0)
            )

          const events = (range: GridRange): Stream.Stream<ReadEvent, PrometheusError> => {
            const points = pointCount(range)
            const learn = Ref.update(size, (size) => afterAnswer(size, points, ledger.samples))
            return attempt(range).pipe(
              Stream.retry(retries),
              Stream.map((blocks): ReadEvent => ({ _tag: "Samples", stream, blocks })),
              Stream.concat(Stream.fromEffectDrain(learn)),
              // Of a window that broke off and was then split, later samples may have been handed on already.
              Stream.concat(
                Stream.suspend(() =>
                  ledger.latestMillis > range.lastSeconds * 1000
                    ? Stream.empty
                    : Stream.succeed(checkpointAt(range.lastSeconds))
                )
              ),
              Stream.catchIf(
                (error) => error.verdict.ending === "split" && points > 1,
                (error) => {
                  const [earlier, later] = halve(range)
                  return Stream.unwrap(
                    Effect.logInfo(
                      `${stream}: ${error.summary} Asking for ${pointCount(earlier)} points at once instead of ${points}.`
                    ).pipe(
                      Effect.andThen(Ref.update(size, (size) => afterRefusal(size, points))),
                      Effect.as(Stream.concat(events(earlier), events(later)))
                    )
                  )
                }
              )
            )
          }
          return events(asked.range).pipe(Stream.onExit((exit) => Scope.close(asked.scope, exit)))
        }

        const windows = Stream.paginate(range, (rest) =>
          Effect.map(Ref.get(size), ({ points }) => {
            const [window, next] = takePoints(rest, points)
            return [[window], pointCount(next) === 0 ? Option.none() : Option.some(next)] as const
          })
        )

        const started: ReadEvent = { _tag: "Started", stream, range }
        const completed: ReadEvent = { _tag: "Completed", stream, mode: request.mode }
        const events =
          pointCount(range) === 0
            ? Stream.succeed(checkpointAt(pointCount(fullRange) === 0 ? 0 : fullRange.lastSeconds))
            : windows.pipe(
                Stream.schedule(pacing),
                Stream.mapEffect(askAhead, { concurrency: LOOK_AHEAD }),
                Stream.flatMap(windowEvents)
              )
        return Stream.succeed(started).pipe(
          Stream.concat(announceFirstAnswer(stream, events)),
          Stream.concat(Stream.succeed(completed)),
          Stream.catchIf(
            (error) => error.verdict.finally === "stream",
            (error) => Stream.succeed<ReadEvent>({ _tag: "Failed", stream, error })
          )
        )
      })
    )

/** What of some blocks has not been handed on before. */
const acceptAll = (
  ledger: WindowLedger,
  blocks: ReadonlyArray<SampleBlock>
): Effect.Effect<ReadonlyArray<SampleBlock>, PrometheusError> =>
  Effect.suspend(() => {
    const accepted: Array<SampleBlock> = []
    for (const block of blocks) {
      const result = ledger.accept(block)
      if (result instanceof PrometheusError) return Effect.fail(result)
      if (result !== undefined) accepted.push(result)
    }
    return Effect.succeed(accepted)
  })

/** Puts `Running` before the first event that only an answer can cause. */
const announceFirstAnswer = <E, R>(
  stream: string,
  events: Stream.Stream<ReadEvent, E, R>
): Stream.Stream<ReadEvent, E, R> =>
  Stream.suspend(() => {
    let announced = false
    return Stream.mapArray(events, (chunk) => {
      if (announced) return chunk
      announced = true
      return [{ _tag: "Running", stream }, ...chunk] as const
    })
  })

/** The state after the grid point `seconds`; it never goes back behind the one that was resumed. */
const stateAt = (
  request: StreamRequest,
  resumed: Maybe.Option<StreamState>,
  range: GridRange,
  seconds: number
): StreamState => {
  const isBehind = Option.isSome(resumed) && resumed.value.timeMillis >= seconds * 1000
  return new StreamState({
    time: isBehind ? resumed.value.time : formatTime(seconds * 1000),
    step: isBehind ? resumed.value.step : range.stepSeconds,
    version: 1,
    ...(request.mode === "full_refresh" ? { full_refresh: true } : {}),
    ...(request.mode === "full_refresh" && Option.isSome(request.generationId)
      ? { generation_id: request.generationId.value }
      : {})
  })
}
