/**
 * The read program: streams of metrics, each paginated over step windows, as one Effect `Stream` of events.
 *
 * Within a metric's stream, windows come in order and each ends with a checkpoint; the next window is asked for
 * while this one is consumed. Several metrics are read side by side; a bounded number of queries is under way.
 */
import {
  type Duration,
  Effect,
  Latch,
  type Option as Maybe,
  Option,
  Ref,
  Schedule,
  Scope,
  Semaphore,
  Stream
} from "effect"
import { type ConfigError, ConnectorConfig } from "../config/ConnectorConfig.ts"
import { retryPolicy } from "../prometheus/http/retryPolicy.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { isBareName, metricSelector, ofMetric, render } from "../promql/Matcher.ts"
import type { SampleBlock } from "../samples/Sample.ts"
import { SeriesCache } from "../samples/Series.ts"
import { formatTime } from "../text/formatTime.ts"
import { cover, uncovered } from "./coverage.ts"
import { type PartIndex, SeriesPart } from "./SeriesPart.ts"
import { StateReader } from "./StateReader.ts"
import type { Checkpoint } from "./StateStore.ts"
import { encodeSpans, labelsDigest, StreamState } from "./StreamState.ts"
import { futureStates, warnOfClock, warnOfConnection } from "./syncWarnings.ts"
import { afterCursor, type GridRange, gridRange, pointCount, takePoints } from "./TimeGrid.ts"
import { askAhead, type WindowContext, type WindowEvent, windowEvents } from "./Window.ts"
import { initial } from "./WindowSize.ts"

/** One stream to read: all series of one metric. */
export interface StreamRequest {
  /** The name of the stream, which is the name of the metric. */
  readonly name: string
  readonly mode: "full_refresh" | "incremental"
  /** Numbers a full refresh, where the platform does that: its checkpoints are only good for itself. */
  readonly generationId?: Maybe.Option<number>
}

/** What happens while reading, in the order in which it must be told. */
export type ReadEvent =
  /**
   * A stream begins. It will request so many `points` of `range`, which are all but where a start was moved. `isResumed`: it
   * continues from the state that was saved.
   */
  | {
      readonly _tag: "Started"
      readonly stream: string
      readonly isResumed: boolean
      readonly range: GridRange
      readonly points: number
    }
  /** The server has answered this stream for the first time, or there was nothing to ask. */
  | { readonly _tag: "Running"; readonly stream: string }
  /** Samples, each exactly once. */
  | { readonly _tag: "Samples"; readonly stream: string; readonly blocks: ReadonlyArray<SampleBlock> }
  /**
   * All samples up to the grid point `lastMillis` have been emitted, of `points` points in this read. Once they are written,
   * the checkpoint is what to save: `StateStore.save` takes it.
   */
  | (Checkpoint & {
      readonly _tag: "Checkpoint"
      readonly lastMillis: number
      readonly points: number
    })
  | { readonly _tag: "Completed"; readonly stream: string; readonly mode: StreamRequest["mode"] }
  /** This stream ends here; what was checkpointed holds. */
  | { readonly _tag: "Failed"; readonly stream: string; readonly error: PrometheusError }

/** How streams are read. */
export interface ReadOptions {
  /** How many streams are read side by side: enough to keep the server busy, unless told. */
  readonly concurrentStreams?: number
  /** Called before a stream waits to ask again, because of `error`. */
  readonly onRetry?: (stream: string, error: PrometheusError, delay: Duration.Duration) => Effect.Effect<void>
  /**
   * Whether states remember the range, the selector and the excluded labels that they stand for, so that a start that was moved back makes an
   * incremental read ask for what lies before, and nothing twice. Without, a read resumes after the time of a state alone.
   */
  readonly detailedStates?: boolean
  /** Asked before each event of a stream: one that nobody wants any more is not read further, and has no end. */
  readonly isAbandoned?: (stream: string) => boolean
}

/** How many streams keep the server busy with so many queries at a time: while one begins, with small windows, others end. */
const sideBySide = (queries: number): number => (queries === 1 ? 1 : queries + 1)

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
): Stream.Stream<
  ReadEvent,
  PrometheusError | ConfigError,
  ConnectorConfig | PrometheusClient | StateReader
> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const settings = yield* ConnectorConfig
      const client = yield* PrometheusClient
      const store = yield* StateReader
      const states = yield* Effect.forEach(requests, (request) => store.load(request.name))
      yield* warnOfConnection
      const clock = yield* client.clock
      yield* warnOfClock(clock)
      const range = readRange(settings, clock.nowMillis)
      const used = requests.map(
        (request, index) => [request.name, usableState(request, range, states[index]!)] as const
      )
      const late = futureStates(used, clock.nowMillis)
      if (late !== undefined) yield* Effect.logWarning(late)
      const permits = yield* Semaphore.make(settings.concurrency)
      const proven = yield* Ref.make(0)
      const reader = makeReader(client, settings, permits, proven, options)
      return Stream.fromIterable(
        requests.map((request, index) => reader(request, range, states[index]!))
      ).pipe(
        Stream.flatten({
          concurrency: options.concurrentStreams ?? sideBySide(settings.concurrency),
          bufferSize: 1
        })
      )
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
  return gridRange(settings.startMillis, end, settings.stepSeconds * 1000)
}

/** The state to go on from, if it is one for this request: a refresh goes on only from itself, on the same grid. */
const usableState = (
  request: StreamRequest,
  fullRange: GridRange,
  saved: Maybe.Option<StreamState>
): Maybe.Option<StreamState> =>
  Option.filter(
    saved,
    (state) =>
      (request.mode === "incremental" && state.full_refresh !== true) ||
      (request.mode === "full_refresh" &&
        state.full_refresh === true &&
        state.step * 1000 === fullRange.stepMillis &&
        // What was read of a refresh must not reach back behind a start that was moved forward since.
        (state.covered[0]?.firstMillis ?? fullRange.firstMillis) >= fullRange.firstMillis &&
        state.generation_id === generationOf(request))
  )

/**
 * The parts of the grid points to read that a stream has not read yet, by the state that was saved, in the order of time.
 * Where states are not detailed, or all but the end has been read, there is one part or none.
 */
export const remainingRanges = (
  request: StreamRequest,
  settings: Pick<ConnectorConfig["Service"], "lookbackMillis">,
  fullRange: GridRange,
  saved: Maybe.Option<StreamState>,
  { detailedStates = false }: Pick<ReadOptions, "detailedStates"> = {}
): ReadonlyArray<GridRange> =>
  Option.match(usableState(request, fullRange, saved), {
    onNone: () => [fullRange],
    onSome: (state) => {
      const lookbackMillis = request.mode === "incremental" ? settings.lookbackMillis : 0
      const tail = afterCursor(fullRange, state.timeMillis, lookbackMillis)
      const gaps =
        detailedStates && state.read !== undefined
          ? uncovered({ ...fullRange, lastMillis: tail.firstMillis - tail.stepMillis }, state.covered)
          : []
      return [...gaps, tail]
    }
  }).filter((range) => pointCount(range) > 0)

const generationOf = ({ generationId = Option.none() }: StreamRequest): number | undefined =>
  Option.getOrUndefined(generationId)

/** Makes the reader of one stream, out of what all streams of a read share. */
const makeReader =
  (
    client: PrometheusClient["Service"],
    settings: ConnectorConfig["Service"],
    permits: Semaphore.Semaphore,
    proven: Ref.Ref<number>,
    { detailedStates = false, isAbandoned, onRetry = () => Effect.void }: ReadOptions
  ) =>
  (
    request: StreamRequest,
    fullRange: GridRange,
    saved: Maybe.Option<StreamState>
  ): Stream.Stream<ReadEvent, PrometheusError> => {
    const stream = request.name
    const resumed = usableState(request, fullRange, saved)
    const ranges = remainingRanges(request, settings, fullRange, saved, { detailedStates })
    const details = {
      selector: settings.matchers.length === 0 ? "" : render(settings.matchers),
      excluded_labels: labelsDigest(settings.excludedLabels)
    }

    /** After all up to a grid point of one of the ranges, which are read one after the other. */
    const checkpointAt = (lastMillis: number, recordCount: number): ReadEvent => {
      const done = ranges
        .filter(({ firstMillis }) => firstMillis <= lastMillis)
        .map((range) => ({ ...range, lastMillis: Math.min(range.lastMillis, lastMillis) }))
      const covered = done.reduce(
        (covered, range) => cover(covered, range, range.stepMillis),
        Option.match(resumed, { onNone: () => [], onSome: (state) => state.covered })
      )
      const state = stateAt(request, resumed, fullRange.stepMillis, lastMillis)
      return {
        _tag: "Checkpoint",
        stream,
        lastMillis,
        points: done.reduce((sum, range) => sum + pointCount(range), 0),
        recordCount,
        state: detailedStates ? new StreamState({ ...state, read: encodeSpans(covered), ...details }) : state
      }
    }

    const running: ReadEvent = { _tag: "Running", stream }

    const makeReadEvents = () => {
      let recordCount = 0
      return (event: WindowEvent): ReadEvent => {
        switch (event._tag) {
          case "Answered":
            return running
          case "Samples":
            for (const { length } of event.blocks) recordCount += length
            return { ...event, stream }
          case "Whole": {
            const checkpoint = checkpointAt(event.lastMillis, recordCount)
            recordCount = 0
            return checkpoint
          }
        }
      }
    }

    const windows = Effect.gen(function* () {
      const scope = yield* Effect.scope
      const series = new SeriesCache()
      const context: WindowContext = {
        stream,
        ask: ({ firstMillis, lastMillis, stepMillis }, { matchers }) =>
          client.queryRange({
            query: metricSelector(stream, [...matchers, ...settings.matchers]),
            startMillis: firstMillis,
            endMillis: lastMillis,
            stepMillis,
            series
          }),
        series: new SeriesPart(),
        index: (range) => partIndex(client, stream, range),
        permits,
        splits: yield* Ref.make(0),
        retries: retryPolicy(settings.maxRetries, `${stream}: `).pipe(
          Schedule.tap(({ duration, input }) => onRetry(stream, input, duration))
        ),
        size: yield* Ref.make(initial),
        proven,
        learned: yield* Latch.make(),
        answered: yield* Ref.make(false)
      }
      return Stream.fromIterable(ranges).pipe(
        Stream.flatMap((range) => nextWindows(range, context)),
        Stream.schedule(pacing),
        Stream.mapEffect((range) => Scope.provide(askAhead(context, range), scope), {
          concurrency: LOOK_AHEAD
        }),
        Stream.flatMap((asked) => windowEvents(context, asked)),
        Stream.map(makeReadEvents())
      )
    })

    const range = hull(ranges) ?? {
      ...fullRange,
      firstMillis: fullRange.lastMillis + fullRange.stepMillis
    }
    const points = ranges.reduce((sum, range) => sum + pointCount(range), 0)
    const started: ReadEvent = {
      _tag: "Started",
      stream,
      isResumed: Option.isSome(resumed),
      range,
      points
    }
    const completed: ReadEvent = { _tag: "Completed", stream, mode: request.mode }
    const events =
      points === 0
        ? Stream.make(running, checkpointAt(pointCount(fullRange) === 0 ? 0 : fullRange.lastMillis, 0))
        : Stream.unwrap(windows)
    return Stream.succeed(started).pipe(
      Stream.concat(events),
      Stream.concat(Stream.succeed(completed)),
      Stream.catchIf(
        (error) => error.policy.onExhausted === "stream",
        (error) => Stream.succeed<ReadEvent>({ _tag: "Failed", stream, error })
      ),
      (events) => (isAbandoned === undefined ? events : Stream.takeUntil(events, () => isAbandoned(stream)))
    )
  }

/** From the first point of the first range to the last one of the last. */
const hull = (ranges: ReadonlyArray<GridRange>): GridRange | undefined => {
  const first = ranges[0]
  return first === undefined ? undefined : { ...first, lastMillis: ranges.at(-1)!.lastMillis }
}

/** A point of the grid shows samples that are older, by as much as the server looks back: five minutes mostly. */
const LOOKBACK_MILLIS = 3_600_000

/** What series of a metric there are in a range. */
const partIndex = (
  client: PrometheusClient["Service"],
  metric: string,
  { firstMillis, lastMillis }: GridRange
): PartIndex<PrometheusError> => {
  const range = {
    startMillis: Math.max(0, firstMillis - LOOKBACK_MILLIS),
    endMillis: lastMillis
  }
  /** Who refuses to look through that many series can still say what there is of all metrics. */
  const orElse = <A>(
    lookUp: Effect.Effect<A, PrometheusError>,
    fallback: Effect.Effect<A, PrometheusError>
  ) =>
    Effect.catchIf(
      lookUp,
      ({ policy }) => policy.action === "split",
      () => fallback
    )
  return {
    labelNames: (matchers) =>
      Effect.map(
        orElse(client.labelNames(range, [ofMetric(metric), ...matchers]), client.labelNames(range)),
        // Not every server can be asked for the values of the others.
        (names) => names.filter(isBareName)
      ),
    labelValues: (label, matchers) =>
      orElse(
        client.labelValues(label, range, [ofMetric(metric), ...matchers]),
        client.labelValues(label, range)
      )
  }
}

/**
 * Cuts a range into windows, each as large as it is to be when its turn comes. While windows grow, each waits for what
 * the one before it teaches: asked for ahead, it would only be as small.
 */
const nextWindows = (range: GridRange, { learned, size }: WindowContext): Stream.Stream<GridRange> =>
  Stream.paginate(
    range,
    Effect.fnUntraced(function* (rest) {
      if (rest !== range) yield* learned.await
      const { isGrowing, points } = yield* Ref.get(size)
      if (isGrowing) yield* learned.close
      const [window, next] = takePoints(rest, points)
      return [[window], pointCount(next) === 0 ? Option.none() : Option.some(next)] as const
    })
  )

/** The state after the grid point `lastMillis`; it never goes back behind the one that was resumed. */
const stateAt = (
  request: StreamRequest,
  resumed: Maybe.Option<StreamState>,
  stepMillis: number,
  lastMillis: number
): StreamState => {
  const generation = request.mode === "full_refresh" ? generationOf(request) : undefined
  const isBehind = Option.isSome(resumed) && resumed.value.timeMillis >= lastMillis
  return new StreamState({
    time: isBehind ? resumed.value.time : formatTime(lastMillis),
    step: isBehind ? resumed.value.step : stepMillis / 1000,
    version: 1,
    ...(request.mode === "full_refresh" ? { full_refresh: true } : {}),
    ...(generation === undefined ? {} : { generation_id: generation })
  })
}
