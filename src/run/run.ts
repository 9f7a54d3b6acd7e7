/** A complete sync without a platform: discovers the streams, reads them, and writes them to the destination. */
import { Clock, Effect, Exit, Scope, Stream } from "effect"
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
import { recycle } from "../samples/recycle.ts"
import { discoverNames, noMetrics } from "../sync/Discovery.ts"
import { read } from "../sync/Read.ts"
import type { ReadEvent } from "../sync/ReadEvent.ts"
import { pluralize } from "../text/pluralize.ts"
import { steadyMillis } from "../text/steadyMillis.ts"
import { fitSettings } from "./filledDestination.ts"
import { type Curve, Progress, type RunSummary, type StreamSummary } from "./Progress.ts"
import { type Confirm, guardEnd, guardRefresh, type Replaced } from "./refreshGuard.ts"
import { curveLimits, StreamTally } from "./StreamTally.ts"

/** The options of a run. */
export interface RunOptions {
  readonly mode: SyncMode
  /** The address of the source without secrets, and the destination as the user named it. */
  readonly source: string
  readonly destination: string
  /** Whether values are kept for charts, or only for sparklines. */
  readonly hasCharts: boolean
  /** Whether the user gave a step. If not, the run uses the step of the destination. */
  readonly isStepGiven: boolean
  /** Whether a full refresh may leave the destination with fewer rows or a later first row. */
  readonly mayShrink: boolean
  /** Asks the user to confirm that. */
  readonly confirm: Confirm
}

/** The state of a stream during a read. */
interface OpenStream {
  readonly writer: StreamWriter
  /** The scope of the writer. */
  readonly scope: Scope.Closeable
  readonly tally: StreamTally
  /** The rows that a refresh replaces, if it must not have fewer. */
  readonly replaced: Replaced | undefined
}

/** The number of rows that a run has committed so far. */
interface Kept {
  rows: number
  readonly streams: Set<string>
}

/**
 * Discovers the metrics and reads all of them into the destination. In the result, a failed stream has an `error`; its
 * committed rows stay. An interrupt logs what was saved, once that is certain.
 */
export const run = (options: RunOptions) =>
  Effect.suspend(() => {
    const kept: Kept = { rows: 0, streams: new Set() }
    return Effect.scoped(runInto(options, kept)).pipe(
      Effect.onInterrupt(() => Effect.logWarning(stoppedText(options, kept)))
    )
  })

/** The metrics to read. Fails if there are none. */
export const namesToRead = Effect.gen(function* () {
  const { names } = yield* discoverNames
  return names.length === 0 ? yield* noMetrics(yield* ConnectorConfig) : names
})

const stoppedText = ({ destination, mode }: RunOptions, { rows, streams }: Kept): string =>
  rows === 0
    ? `Stopped: nothing new was saved in ${destination}. The same command starts again.`
    : `Stopped: ${pluralize(rows, "new row")} of ${pluralize(streams.size, "stream")} ${rows === 1 ? "is" : "are"} saved in ${destination}. The same command resumes${mode.startsWith("full_refresh") ? " the refresh" : " from there"}.`

const runInto = Effect.fnUntraced(function* (options: RunOptions, kept: Kept) {
  const { hasCharts, mode, source } = options
  const destination = yield* Destination
  const progress = yield* Progress
  const startedAt = yield* Clock.currentTimeMillis
  const begunAt = yield* steadyMillis
  const names = yield* namesToRead
  const settings = yield* fitSettings(names, options)
  const withSettings = Effect.provideService(ConnectorConfig, settings)
  const guarded =
    mode === "full_refresh_overwrite" && !options.mayShrink
      ? yield* withSettings(guardRefresh(names, options.destination, options.confirm))
      : new Map<string, Contents>()
  yield* progress.begin({
    source,
    destination: options.destination,
    stepSeconds: settings.stepSeconds,
    streams: names
  })

  const scope = yield* Effect.scope
  const limits = curveLimits(names.length, hasCharts)
  const open = new Map<string, OpenStream>()
  /** Streams that failed in the destination and are not read any further. */
  const abandoned = new Set<string>()
  const ended: Array<StreamSummary> = []

  const end = Effect.fnUntraced(function* (
    name: string,
    { scope, tally }: Pick<OpenStream, "scope" | "tally">,
    error: string | undefined
  ) {
    open.delete(name)
    // Closing the scope discards uncommitted rows and may persist pending commits.
    yield* Scope.close(scope, Exit.void)
    const summary = tally.summary(yield* steadyMillis, error)
    ended.push(summary)
    yield* progress.ended(summary)
  })

  /** An error of the destination ends its stream, and no other. */
  const orEnd = <R>(
    name: string,
    stream: Pick<OpenStream, "scope" | "tally">,
    effect: Effect.Effect<void, DestinationError, R>
  ) =>
    Effect.catchIf(
      effect,
      ({ isFatal }) => isFatal !== true,
      ({ message }) => {
        abandoned.add(name)
        return end(name, stream, message)
      }
    )

  const begin = Effect.fnUntraced(function* ({
    isResumed,
    points,
    stream: name
  }: Extract<ReadEvent, { readonly _tag: "Started" }>) {
    const streamScope = yield* Scope.fork(scope)
    const tally = new StreamTally({
      name,
      stepMillis: settings.stepSeconds * 1000,
      startedAt: yield* steadyMillis,
      limits
    })
    const before = guarded.get(name)
    const opened = Effect.gen(function* () {
      const replaced =
        before === undefined
          ? undefined
          : { before, resumed: isResumed ? yield* destination.contents(name, "refresh") : emptyContents }
      const writer = yield* Scope.provide(destination.open(name, mode, isResumed), streamScope)
      open.set(name, { writer, scope: streamScope, tally, replaced })
    })
    yield* orEnd(name, { scope: streamScope, tally }, opened)
    if (open.has(name)) yield* progress.started(name, points)
  })

  const onEvent = Effect.fnUntraced(function* (event: ReadEvent) {
    const name = event.stream
    if (event._tag === "Started") return yield* begin(event)
    const stream = open.get(name)
    if (stream !== undefined) yield* orEnd(name, stream, onOpen(event, stream))
  })

  const onOpen = Effect.fnUntraced(function* (
    event: Exclude<ReadEvent, { readonly _tag: "Started" }>,
    stream: OpenStream
  ) {
    const name = event.stream
    switch (event._tag) {
      case "Running":
        return
      case "Samples": {
        yield* stream.writer.write(event.blocks)
        let samples = 0
        for (const block of event.blocks) {
          stream.tally.add(block)
          samples += block.length
          recycle(block)
        }
        return yield* progress.wrote(name, samples)
      }
      case "Checkpoint": {
        yield* stream.writer.commit(event.state)
        const rows = stream.tally.commit()
        if (rows > 0) {
          kept.rows += rows
          kept.streams.add(name)
        }
        return yield* progress.committed(name, event.points)
      }
      case "Completed":
        if (stream.replaced !== undefined)
          yield* guardEnd(name, stream.replaced, stream.tally.kept, settings.stepSeconds * 1000)
        yield* stream.writer.complete
        return yield* end(name, stream, undefined)
      case "Failed":
        return yield* end(name, stream, event.error.message)
    }
  })

  const requests = names.map((name) => ({ name, mode: syncKindOf(mode) }))
  const events = read(requests, {
    detailedStates: true,
    isAbandoned: (name) => abandoned.has(name),
    onRetry: (name, error, delay) => {
      open.get(name)?.tally.retry()
      return progress.retrying(name, error, delay)
    }
  }).pipe(Stream.provide(layerStates(mode)))
  yield* withSettings(Stream.runForEach(events, onEvent))

  const order = new Map(names.map((name, index) => [name, index]))
  ended.sort((a, b) => order.get(a.name)! - order.get(b.name)!)
  // Before the end time is taken, because this moves the last files into place.
  const bytes = yield* destination.bytes
  const summary: RunSummary = {
    source,
    destination: options.destination,
    mode,
    stepSeconds: settings.stepSeconds,
    startedAt,
    seconds: ((yield* steadyMillis) - begunAt) / 1000,
    rows: ended.reduce((sum, { rows }) => sum + rows, 0),
    bytes,
    previewCommand: destination.previewCommand(streamToPreview(ended)?.name ?? names[0]!),
    streams: ended
  }
  yield* progress.finish(summary)
  return summary
})

/** The first stream with rows, preferably one whose values change. */
const streamToPreview = (streams: ReadonlyArray<StreamSummary>): StreamSummary | undefined => {
  const completed = streams.filter(({ error }) => error === undefined)
  const filled = completed.filter(({ rows }) => rows > 0)
  // A failed stream may have no rows.
  return filled.find(({ curves }) => curves.some(isChanging)) ?? filled[0] ?? completed[0]
}

const isChanging = ({ values }: Curve): boolean =>
  values.some((value) => Number.isFinite(value) && value !== values[0])
