/** A complete sync without a platform: discovers the streams, reads them, and writes them to the destination. */
import { Clock, Effect, Exit, Fiber, Scope, Stream } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import {
  type Contents,
  Destination,
  type DestinationError,
  emptyContents,
  layerStates,
  type StreamWriter,
  type SyncMode,
  syncKindOf
} from "../destinations/Destination.ts"
import { isIncluded } from "../promql/MetricFilter.ts"
import { recycle } from "../samples/Arena.ts"
import { discoverNames, noMetrics } from "../sync/Discovery.ts"
import { read } from "../sync/Read.ts"
import type { ReadEvent } from "../sync/ReadEvent.ts"
import { listSome } from "../text/listSome.ts"
import { pluralize } from "../text/pluralize.ts"
import { steadyMillis } from "../text/steadyMillis.ts"
import { fitSettings } from "./filledDestination.ts"
import { isChanging, Progress, type RunSummary, type StreamSummary } from "./Progress.ts"
import { type Confirm, guardEnd, guardRefresh, type Replaced } from "./refreshGuard.ts"
import { curveLimits, StreamTally } from "./StreamTally.ts"

/** The options of a run. */
export interface RunOptions {
  readonly mode: SyncMode
  /** The address of the source without secrets, and the destination as the user named it. */
  readonly source: string
  readonly destination: string
  /** Whether the destination replaces rows that are read again. */
  readonly replacesRows: boolean
  /** Whether values are kept for charts, or only for sparklines. */
  readonly hasCharts: boolean
  /** Whether the user gave a step. If not, the run uses the step of the destination. */
  readonly isStepGiven: boolean
  /** Whether a full refresh may leave the destination with fewer rows or a later first row. */
  readonly mayShrink: boolean
  /** Asks the user to confirm that. */
  readonly confirm: Confirm
  /** Masks secrets. A server or a proxy may repeat them in a response, and errors quote it. */
  readonly mask: (text: string) => string
}

/** A stream with the scope of its writer, which may not be open yet. */
interface Counted {
  readonly scope: Scope.Closeable
  readonly tally: StreamTally
}

/** A stream during a read. */
interface OpenStream extends Counted {
  readonly writer: StreamWriter
  /** The rows that a refresh replaces, if it must not have fewer. */
  readonly replaced: Replaced | undefined
}

type EventOf<Tag extends ReadEvent["_tag"]> = Extract<ReadEvent, { readonly _tag: Tag }>

/** The rows that a run has committed so far, and their streams. */
interface Saved {
  rows: number
  readonly streams: Set<string>
}

/**
 * Discovers the metrics and reads all of them into the destination. In the result, a failed stream has an `error`; its
 * committed rows stay. An interrupt logs what was saved, once that is certain.
 */
export const run = (options: RunOptions) =>
  Effect.suspend(() => {
    const saved: Saved = { rows: 0, streams: new Set() }
    return Effect.scoped(runInto(options, saved)).pipe(
      Effect.onInterrupt(() => Effect.logWarning(stoppedText(options, saved)))
    )
  })

/** The metrics to read. Fails if there are none. */
export const namesToRead = Effect.gen(function* () {
  const { names, unmatched } = yield* discoverNames
  return names.length === 0 ? yield* noMetrics(yield* ConnectorConfig, unmatched) : names
})

/** The most names in a warning. */
const MAX_NAMES = 5

/** Warns of streams in the destination that the run would read, but whose metrics the server has no longer. */
const warnOfGone = Effect.fnUntraced(function* (names: ReadonlyArray<string>, destinationName: string) {
  const { metrics } = yield* ConnectorConfig
  const { streams } = yield* Destination
  const present = new Set(names)
  const gone = streams().filter((name) => isIncluded(metrics, name) && !present.has(name))
  if (gone.length === 0) return
  yield* Effect.logWarning(
    `${destinationName} has ${pluralize(gone.length, "stream")} that the server does not have in the range any more: ${listSome(gone.toSorted(), MAX_NAMES)}. ${gone.length === 1 ? "The metric was" : "The metrics were"} removed or renamed, or the data has expired. Existing rows stay.`
  )
})

const stoppedText = ({ destination, mode }: RunOptions, { rows, streams }: Saved): string =>
  rows === 0
    ? `Stopped: nothing new was saved in ${destination}. The same command starts again.`
    : `Stopped: ${pluralize(rows, "new row")} of ${pluralize(streams.size, "stream")} ${rows === 1 ? "is" : "are"} saved in ${destination}. The same command resumes${mode.startsWith("full_refresh") ? " the refresh" : " from there"}.`

const runInto = Effect.fnUntraced(function* (options: RunOptions, saved: Saved) {
  const { mask, mode, source } = options
  const destination = yield* Destination
  const progress = yield* Progress
  const startedAt = yield* Clock.currentTimeMillis
  const begunAt = yield* steadyMillis
  const names = yield* namesToRead
  const settings = yield* fitSettings(names, options)
  const stepMillis = settings.stepSeconds * 1000
  const withSettings = Effect.provideService(ConnectorConfig, settings)
  const guarded =
    mode === "full_refresh_overwrite" && !options.mayShrink
      ? yield* withSettings(guardRefresh(names, options.destination, options.confirm))
      : new Map<string, Contents>()
  yield* warnOfGone(names, options.destination)
  yield* progress.begin(names)

  const runScope = yield* Effect.scope
  const limits = curveLimits(names.length, options.hasCharts)
  const open = new Map<string, OpenStream>()
  const ended = new Map<string, StreamSummary>()

  const end = Effect.fnUntraced(function* ({ scope, tally }: Counted, error?: string) {
    const { name } = tally.stream
    open.delete(name)
    // Closing the scope discards uncommitted rows and may persist pending commits.
    yield* Scope.close(scope, Exit.void)
    const summary = tally.summary(yield* steadyMillis, error === undefined ? undefined : mask(error))
    ended.set(name, summary)
    yield* progress.ended(summary)
  })

  /** An error of the destination ends its stream, and no other. */
  const orEnd = <R>(stream: Counted, effect: Effect.Effect<void, DestinationError, R>) =>
    Effect.catchIf(
      effect,
      ({ isFatal }) => isFatal !== true,
      ({ message }) => end(stream, message)
    )

  const begin = Effect.fnUntraced(function* ({ isResumed, points, stream: name }: EventOf<"Started">) {
    const scope = yield* Scope.fork(runScope)
    const tally = new StreamTally({ name, stepMillis, startedAt: yield* steadyMillis, limits })
    const before = guarded.get(name)
    const opened = Effect.gen(function* () {
      const replaced = before && {
        before,
        resumed: isResumed ? yield* destination.contents(name, "refresh") : emptyContents
      }
      const writer = yield* Scope.provide(destination.open(name, mode, isResumed), scope)
      open.set(name, { writer, scope, tally, replaced })
      yield* progress.started(name, points)
    })
    yield* orEnd({ scope, tally }, opened)
  })

  const onEvent = Effect.fnUntraced(function* (event: ReadEvent) {
    if (event._tag === "Started") return yield* begin(event)
    const stream = open.get(event.stream)
    if (stream !== undefined) yield* orEnd(stream, onOpen(event, stream))
  })

  const complete = Effect.fnUntraced(function* (name: string, stream: OpenStream) {
    const { replaced, tally, writer } = stream
    if (replaced !== undefined) yield* guardEnd(name, replaced, tally.contents, stepMillis)
    yield* writer.complete
    yield* end(stream)
  })

  /** One stream is completed while others are read: its last rows may take long to write and sync. */
  let completing: Fiber.Fiber<void, DestinationError> | undefined
  const completed = Effect.suspend(() => (completing === undefined ? Effect.void : Fiber.join(completing)))

  const onOpen = Effect.fnUntraced(function* (
    event: Exclude<ReadEvent, EventOf<"Started">>,
    stream: OpenStream
  ) {
    const { tally, writer } = stream
    const name = event.stream
    switch (event._tag) {
      case "Running":
        return
      case "Samples": {
        yield* writer.write(event.blocks)
        let samples = 0
        for (const block of event.blocks) {
          tally.add(block)
          samples += block.length
          recycle(block)
        }
        return yield* progress.wrote(name, samples)
      }
      case "Checkpoint": {
        yield* writer.commit(event.state)
        const rows = tally.commit()
        saved.rows += rows
        if (rows > 0) saved.streams.add(name)
        return yield* progress.committed(name, event.points)
      }
      case "Completed":
        tally.notice = event.notice === undefined ? undefined : mask(event.notice)
        yield* completed
        completing = yield* Effect.forkIn(orEnd(stream, complete(name, stream)), runScope)
        return
      case "Failed":
        return yield* end(stream, event.error.message)
    }
  })

  const events = read(
    names.map((name) => ({ name, mode: syncKindOf(mode) })),
    {
      detailedStates: true,
      checkpointsPastHoles: options.replacesRows && mode === "incremental_append_deduped",
      // A stream that failed in the destination is not read any further.
      isAbandoned: (name) => ended.has(name),
      onRetry: (name, error, delay) => {
        open.get(name)?.tally.retry()
        return progress.retrying(name, mask(error.summary), delay)
      }
    }
  ).pipe(Stream.provide(layerStates(mode)))
  yield* withSettings(Stream.runForEach(events, onEvent))
  yield* completed

  // Before the end time is taken, because this moves the last files into place.
  const bytes = yield* destination.bytes
  const streams = names.flatMap((name) => ended.get(name) ?? [])
  return {
    source,
    destination: options.destination,
    mode,
    stepSeconds: settings.stepSeconds,
    startedAt,
    seconds: ((yield* steadyMillis) - begunAt) / 1000,
    rows: saved.rows,
    bytes,
    previewCommand: destination.previewCommand(streamToPreview(streams)?.name ?? names[0]!),
    streams
  } satisfies RunSummary
})

/** The first stream with rows, preferably one whose values change. */
const streamToPreview = (streams: ReadonlyArray<StreamSummary>): StreamSummary | undefined => {
  const completed = streams.filter(({ error }) => error === undefined)
  const filled = completed.filter(({ rows }) => rows > 0)
  // A failed stream may have no rows.
  return filled.find(({ curves }) => curves.some(isChanging)) ?? filled[0] ?? completed[0]
}
