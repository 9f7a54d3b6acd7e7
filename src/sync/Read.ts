/**
 * The read program: streams of metrics, each read window by window, as one Effect `Stream` of events.
 *
 * The windows of a stream come in order, and each ends with a checkpoint. The next windows are requested while one is consumed.
 * Several streams are read concurrently, with a limit on concurrent queries.
 */
import { Array as Arr, Effect, Latch, Option, Ref, Schedule, Scope, Semaphore, Stream } from "effect"
import { type ConfigError, ConnectorConfig } from "../config/ConnectorConfig.ts"
import { retryPolicy } from "../prometheus/http/retryPolicy.ts"
import type { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { allSourcesRespond } from "./allSourcesRespond.ts"
import { BlockSource, type StreamSource } from "./BlockSource.ts"
import { Damage } from "./Damage.ts"
import { firstSize } from "./firstWindow.ts"
import { makePlan } from "./makePlan.ts"
import type { StreamPlan, StreamRequest } from "./plan.ts"
import type { ReadEvent, ReadOptions } from "./ReadEvent.ts"
import { readTables } from "./readTables.ts"
import { SeriesPart } from "./SeriesPart.ts"
import type { StateReader } from "./StateStore.ts"
import { definitionOf } from "./StreamDefinition.ts"
import * as sources from "./sources.ts"
import { type GridRange, isRawRange, pointCount, takePoints } from "./TimeGrid.ts"
import { type WindowEvent, windowEvents } from "./Window.ts"
import { LimitsByBounds, searchedPoints } from "./WindowSize.ts"
import { requestAhead, type WindowContext } from "./windowRequests.ts"

/** How many streams keep the server busy with this many concurrent queries: while one starts with small windows, others end. */
const streamsFor = (queries: number): number => (queries === 1 ? 1 : queries + 1)

/**
 * Reads streams. A failed stream ends with `Failed` and does not affect the others. Only a failure that
 * concerns all of them (the server cannot be reached, credentials are refused) fails the read.
 *
 * A damaged state of any stream fails before the first request.
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
      const plans = yield* makePlan(requests, options)
      const tables = plans.flatMap((plan) => {
        const definition = definitionOf(settings, plan.stream)
        return definition._tag === "Table" ? [{ plan, table: definition.table }] : []
      })
      if (tables.length === 0) return readPlanned(plans, options)
      const isTable = new Set(tables.map(({ plan }) => plan))
      // First, because a snapshot has the time of the plan.
      return Stream.concat(
        readTables(tables, options),
        readPlanned(
          plans.filter((plan) => !isTable.has(plan)),
          options
        )
      )
    })
  ).pipe(Stream.provide(sources.layer))

/** Reads a plan from the `BlockSource`. */
export const readPlanned = (
  streams: ReadonlyArray<StreamPlan>,
  options: ReadOptions = {}
): Stream.Stream<ReadEvent, PrometheusError, ConnectorConfig | BlockSource> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const settings = yield* ConnectorConfig
      const { concurrency } = settings
      const shared = {
        permits: yield* Semaphore.make(concurrency),
        limits: new LimitsByBounds(settings)
      }
      return Stream.fromIterable(streams.map((plan) => readStream(plan, shared, options))).pipe(
        Stream.flatten({ concurrency: options.concurrentStreams ?? streamsFor(concurrency), bufferSize: 1 })
      )
    })
  )

/** How many windows of a stream are requested ahead of the one that is consumed. */
const LOOK_AHEAD = 2

/** A pause between two requests of one stream spares a server that responds from memory. */
const pacing = Schedule.spaced("10 millis").pipe(
  Schedule.modifyDelay(({ attempt, duration }) => Effect.succeed(attempt === 1 ? 0 : duration))
)

/** Reads the parts of one stream in the order of time, each window by window. */
const readStream = (
  plan: StreamPlan,
  shared: Pick<WindowContext, "permits"> & { readonly limits: LimitsByBounds },
  { checkpointsPastHoles = false, isAbandoned = () => false, onRetry = () => Effect.void }: ReadOptions
): Stream.Stream<ReadEvent, PrometheusError, ConnectorConfig | BlockSource> => {
  const { mode, parts, points, range, stream } = plan
  /** Says why the stream has no samples, until it has some. */
  let explainEmpty: StreamSource["explainEmpty"]
  const explained = Effect.suspend(() =>
    explainEmpty === undefined ? Effect.undefined : shared.permits.withPermit(explainEmpty(range))
  )

  const windows = Effect.gen(function* () {
    const settings = yield* ConnectorConfig
    const { damagedData, maxRetries } = settings
    const source = (yield* BlockSource).open(definitionOf(settings, stream))
    const scope = yield* Effect.scope
    const damage = new Damage(source.bounds)
    const series = yield* source.series ?? Effect.succeed(new SeriesPart())
    const unsized: Omit<WindowContext, "size"> = {
      permits: shared.permits,
      limits: shared.limits.of(source.bounds),
      stream,
      source,
      series,
      splits: yield* Ref.make(0),
      retries: retryPolicy(maxRetries, `${stream}: `).pipe(
        Schedule.tap(({ duration, input }) => onRetry(stream, input, duration))
      ),
      sizeLearned: yield* Latch.make(),
      hasResponded: yield* Ref.make(false),
      damage,
      lastMillis: range.lastMillis,
      answered: {}
    }
    const context: WindowContext = { ...unsized, size: yield* Ref.make(yield* firstSize(unsized, range)) }
    explainEmpty = source.explainEmpty
    /** A source of the server may be away without a word in the responses. */
    const checkSources = allSourcesRespond(source.missing)
    let recordCount = 0
    const quiet = new Quiet()
    const count = (event: WindowEvent): void => {
      if (event._tag !== "Samples") return
      for (const { length } of event.blocks) recordCount += length
      quiet.end()
      explainEmpty = undefined
    }
    /** None at a checkpoint that must not be saved. */
    const toReadEvent = Effect.fnUntraced(function* (
      event: WindowEvent
    ): Effect.fn.Return<ReadEvent | undefined, PrometheusError> {
      if (event._tag !== "WindowCompleted") {
        count(event)
        return event
      }
      if (recordCount === 0) quiet.windows++
      yield* checkSources
      const { lastMillis } = event
      const skipsHoles = damage.isEmpty || damagedData === "skip"
      if (!skipsHoles && !checkpointsPastHoles && lastMillis >= damage.firstMillis) return undefined
      const holes = skipsHoles ? [] : damage.spans
      const checkpoint = { ...plan.checkpointAt(lastMillis, holes), holes, recordCount }
      recordCount = 0
      return { _tag: "Checkpoint", ...checkpoint }
    })
    /** Nearly all events are samples, which need no effect. */
    const toReadEvents = (events: Arr.NonEmptyReadonlyArray<WindowEvent>) => {
      const read = events.filter(isOfRead)
      if (read.length < events.length || !Arr.isReadonlyArrayNonEmpty(read)) {
        return Effect.forEach(events, toReadEvent)
      }
      for (const event of read) count(event)
      return Effect.succeed<Arr.NonEmptyReadonlyArray<ReadEvent | undefined>>(read)
    }
    const end = Effect.suspend(() => {
      if (damage.isEmpty) return Effect.void
      if (damagedData === "fail") return Effect.fail(damage.error(stream))
      return Effect.logWarning(
        `${stream}: read without the points that the server cannot return: ${damage.text}. Later syncs do not read them again (damaged_data is skip).`
      )
    })
    yield* checkSources
    return Stream.fromIterable(parts).pipe(
      Stream.flatMap((part) => nextWindows(part.range, context, quiet)),
      Stream.schedule(pacing),
      Stream.mapEffect((range) => Scope.provide(requestAhead(context, range), scope), {
        concurrency: LOOK_AHEAD
      }),
      Stream.flatMap((requested) => windowEvents(context, requested)),
      Stream.mapArrayEffect(toReadEvents),
      Stream.filter((event) => event !== undefined),
      Stream.concat(Stream.fromEffectDrain(end))
    )
  })

  const nothing = Stream.make<Array<ReadEvent>>(
    { _tag: "Running", stream },
    { _tag: "Checkpoint", ...plan.unchangedCheckpoint, holes: [], recordCount: 0 }
  )
  const isResumed = plan.resumed !== undefined
  return Stream.succeed<ReadEvent>({ _tag: "Started", stream, isResumed, range, points }).pipe(
    Stream.concat(points === 0 ? nothing : Stream.unwrap(windows)),
    Stream.concat(
      Stream.fromEffect(
        Effect.map(
          explained,
          (notice): ReadEvent => ({
            _tag: "Completed",
            stream,
            mode,
            ...(notice === undefined ? {} : { notice })
          })
        )
      )
    ),
    Stream.withSpan("Read.stream", {
      attributes: { stream, mode, ...(isRawRange(range) ? {} : { points }) }
    }),
    Stream.catchIf(
      (error) => error.policy.onExhausted === "stream",
      (error) => Stream.succeed<ReadEvent>({ _tag: "Failed", stream, error })
    ),
    Stream.takeUntil(() => isAbandoned(stream))
  )
}

const isOfRead = (event: WindowEvent): event is Exclude<WindowEvent, { readonly _tag: "WindowCompleted" }> =>
  event._tag !== "WindowCompleted"

/** After how many empty windows between samples the next sample is searched for. */
const QUIET_WINDOWS = 4

/** How many windows in a row were empty, and when to search for the next sample. */
class Quiet {
  windows = 0
  #searchAfter = 0

  /** A part begins. If its first window is empty, its beginning is searched for. */
  begin(): void {
    this.windows = 0
    this.#searchAfter = 0
  }

  /** There are samples. */
  end(): void {
    this.windows = 0
    this.#searchAfter = QUIET_WINDOWS
  }

  get isSearchDue(): boolean {
    return this.windows >= this.#searchAfter
  }

  /** The samples are sparse: searches become rare if they do not help. */
  searched(): void {
    this.windows = 0
    this.#searchAfter = Math.max(QUIET_WINDOWS, 2 * this.#searchAfter)
  }
}

/**
 * Cuts a range into windows, each with the best size at the time of its request. While windows grow, each one waits for the
 * size learned from the previous one. Requested ahead, it would be no larger. Many points without samples are left out.
 */
const nextWindows = (
  range: GridRange,
  { permits, series, size, sizeLearned, source }: WindowContext,
  quiet: Quiet
): Stream.Stream<GridRange> =>
  Stream.paginate(
    range,
    Effect.fnUntraced(function* (rest) {
      let from = rest
      if (rest === range) quiet.begin()
      else {
        yield* sizeLearned.await
        // Of several parts, the first may be empty and others not.
        const isDue = quiet.isSearchDue && (series.halves === undefined || quiet.windows > 0)
        if (source.beginning !== undefined && isDue && pointCount(rest) > searchedPoints(source.bounds)) {
          from = { ...rest, firstMillis: yield* permits.withPermit(source.beginning(rest)) }
          quiet.searched()
        }
      }
      const { isGrowing, points } = yield* Ref.get(size)
      if (isGrowing) yield* sizeLearned.close
      const [window, next] = takePoints(from, points)
      return [[window], pointCount(next) === 0 ? Option.none() : Option.some(next)] as const
    })
  )
