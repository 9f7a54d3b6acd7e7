/** Reads one stream of a plan: its parts in the order of time, each window by window. */
import { Effect, Latch, Option, Ref, Schedule, Scope, type Semaphore, Stream } from "effect"
import type { Settings } from "../config/ConnectorConfig.ts"
import { retryPolicy } from "../prometheus/http/retryPolicy.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { BlockSource } from "./BlockSource.ts"
import type { StreamPlan } from "./plan.ts"
import type { ReadEvent, ReadOptions } from "./ReadEvent.ts"
import { SeriesPart } from "./SeriesPart.ts"
import { type GridRange, pointCount, takePoints } from "./TimeGrid.ts"
import { requestAhead, type WindowContext, type WindowEvent, windowEvents } from "./Window.ts"
import { initial } from "./WindowSize.ts"

/** The state that all streams of a read share. */
export interface SharedByStreams {
  readonly settings: Pick<Settings, "maxRetries">
  readonly source: BlockSource["Service"]
  /** The number of concurrent queries. */
  readonly permits: Semaphore.Semaphore
  /** The most samples in a response to any stream. */
  readonly largestResponse: Ref.Ref<number>
  readonly options: ReadOptions
}

/** How many windows of a stream are requested ahead of the one that is consumed. */
const LOOK_AHEAD = 2

/** A pause between two requests of one stream spares a server that responds from memory. */
const pacing = Schedule.spaced("10 millis").pipe(
  Schedule.modifyDelay(({ attempt, duration }) => Effect.succeed(attempt === 1 ? 0 : duration))
)

export const readStream = (
  plan: StreamPlan,
  { largestResponse, options, permits, settings, source }: SharedByStreams
): Stream.Stream<ReadEvent, PrometheusError> => {
  const { mode, parts, points, range, stream } = plan
  const { isAbandoned, onRetry = () => Effect.void } = options
  const running: ReadEvent = { _tag: "Running", stream }

  const windows = Effect.gen(function* () {
    const scope = yield* Effect.scope
    const context: WindowContext = {
      stream,
      source: source.open(stream),
      series: new SeriesPart(),
      permits,
      splits: yield* Ref.make(0),
      retries: retryPolicy(settings.maxRetries, `${stream}: `).pipe(
        Schedule.tap(({ duration, input }) => onRetry(stream, input, duration))
      ),
      size: yield* Ref.make(initial),
      largestResponse,
      sizeLearned: yield* Latch.make(),
      hasResponded: yield* Ref.make(false)
    }
    let recordCount = 0
    const toReadEvent = (event: WindowEvent): ReadEvent => {
      switch (event._tag) {
        case "Responded":
          return running
        case "Samples":
          for (const { length } of event.blocks) recordCount += length
          return { ...event, stream }
        case "WindowCompleted": {
          const checkpoint = { ...plan.checkpointAt(event.lastMillis), recordCount }
          recordCount = 0
          return { _tag: "Checkpoint", ...checkpoint }
        }
      }
    }
    return Stream.fromIterable(parts).pipe(
      Stream.flatMap((part) => nextWindows(part.range, context)),
      Stream.schedule(pacing),
      Stream.mapEffect((range) => Scope.provide(requestAhead(context, range), scope), {
        concurrency: LOOK_AHEAD
      }),
      Stream.flatMap((requested) => windowEvents(context, requested)),
      Stream.map(toReadEvent)
    )
  })

  const nothing: ReadEvent = { _tag: "Checkpoint", ...plan.unchangedCheckpoint, recordCount: 0 }
  const isResumed = plan.resumed !== undefined
  return Stream.succeed<ReadEvent>({ _tag: "Started", stream, isResumed, range, points }).pipe(
    Stream.concat(points === 0 ? Stream.make(running, nothing) : Stream.unwrap(windows)),
    Stream.concat(Stream.succeed<ReadEvent>({ _tag: "Completed", stream, mode })),
    Stream.withSpan("Read.stream", { attributes: { stream, mode, points } }),
    Stream.catchIf(
      (error) => error.policy.onExhausted === "stream",
      (error) => Stream.succeed<ReadEvent>({ _tag: "Failed", stream, error })
    ),
    (events) => (isAbandoned === undefined ? events : Stream.takeUntil(events, () => isAbandoned(stream)))
  )
}

/**
 * Cuts a range into windows, each with the best size at the time of its request. While windows grow, each one waits for the
 * size learned from the previous one. Requested ahead, it would be no larger.
 */
const nextWindows = (range: GridRange, { size, sizeLearned }: WindowContext): Stream.Stream<GridRange> =>
  Stream.paginate(
    range,
    Effect.fnUntraced(function* (rest) {
      if (rest !== range) yield* sizeLearned.await
      const { isGrowing, points } = yield* Ref.get(size)
      if (isGrowing) yield* sizeLearned.close
      const [window, next] = takePoints(rest, points)
      return [[window], pointCount(next) === 0 ? Option.none() : Option.some(next)] as const
    })
  )
