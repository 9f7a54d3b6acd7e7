/** A whole sync for a person: finds the streams, reads them, and puts them into the destination. */
import { Clock, Effect, Exit, Option, Scope, Stream } from "effect"
import { ConnectorConfig } from "../ConnectorConfig.ts"
import { recycle } from "../prometheus/Arena.ts"
import { steadyMillis } from "../steadyMillis.ts"
import { discoverNames, noMetrics } from "../sync/Discovery.ts"
import { type ReadEvent, read } from "../sync/Read.ts"
import { type GridRange, pointCount } from "../sync/TimeGrid.ts"
import { Destination, layerStates, type StreamWriter, type SyncMode, syncKindOf } from "./Destination.ts"
import { type Curve, Progress, type RunSummary, type StreamSummary } from "./Progress.ts"
import { curveLimits, StreamTally } from "./StreamTally.ts"

/** What a run is told. */
export interface RunOptions {
  readonly mode: SyncMode
  /** The source as people know it, and the destination as they named it. */
  readonly source: string
  readonly destination: string
  /** Whether values are kept for charts, or only for small pictures. */
  readonly hasCharts: boolean
}

/** What is known of a stream while it is read. */
interface OpenStream {
  readonly writer: StreamWriter
  /** Holds what the writer has open. */
  readonly scope: Scope.Closeable
  readonly tally: StreamTally
  readonly range: GridRange
  /** How many points of the range have been committed. */
  points: number
}

/**
 * Finds the metrics and reads them all into the destination. Answers what became of it; a stream that failed has an `error`
 * there, and what it had committed holds.
 */
export const run = Effect.fnUntraced(function* (options: RunOptions) {
  const settings = yield* ConnectorConfig
  const { hasCharts, mode, source } = options
  const destination = yield* Destination
  const progress = yield* Progress
  const startedAt = yield* Clock.currentTimeMillis
  const begunAt = yield* steadyMillis
  const { names } = yield* discoverNames
  if (names.length === 0) return yield* noMetrics(settings)
  yield* progress.begin({
    source,
    destination: options.destination,
    stepSeconds: settings.stepSeconds,
    streams: names
  })

  const scope = yield* Effect.scope
  const limits = curveLimits(names.length, hasCharts)
  const open = new Map<string, OpenStream>()
  const ended: Array<StreamSummary> = []

  const begin = Effect.fnUntraced(function* (name: string, range: GridRange) {
    const streamScope = yield* Scope.fork(scope)
    const writer = yield* Scope.provide(destination.open(name, mode), streamScope)
    open.set(name, {
      writer,
      scope: streamScope,
      tally: new StreamTally({
        name,
        stepSeconds: settings.stepSeconds,
        startedAt: yield* steadyMillis,
        limits
      }),
      range,
      points: 0
    })
    yield* progress.started(name, pointCount(range))
  })

  const end = Effect.fnUntraced(function* (name: string, stream: OpenStream, error: string | undefined) {
    open.delete(name)
    // What is not committed goes; and what was may be written to the disk only now.
    yield* Scope.close(stream.scope, Exit.void)
    const summary = stream.tally.summary(yield* steadyMillis, error)
    ended.push(summary)
    yield* progress.ended(summary)
  })

  const onEvent = Effect.fnUntraced(function* (event: ReadEvent) {
    const name = event.stream
    if (event._tag === "Started") return yield* begin(name, event.range)
    const stream = open.get(name)
    if (stream === undefined) return
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
        stream.tally.commit()
        const points = pointCount({ ...stream.range, lastSeconds: event.lastSeconds })
        stream.points = Math.min(pointCount(stream.range), points)
        return yield* progress.committed(name, stream.points)
      }
      case "Completed":
        yield* stream.writer.complete
        return yield* end(name, stream, undefined)
      case "Failed":
        return yield* end(name, stream, event.error.message)
    }
  })

  const requests = names.map((name) => ({
    name,
    mode: syncKindOf(mode),
    generationId: Option.none()
  }))
  const events = read(requests, {
    onRetry: (name, error, delay) => {
      open.get(name)?.tally.retry()
      return progress.retrying(name, error, delay)
    }
  }).pipe(Stream.provide(layerStates(mode)))
  yield* Stream.runForEach(events, onEvent)

  const order = new Map(names.map((name, index) => [name, index]))
  ended.sort((a, b) => order.get(a.name)! - order.get(b.name)!)
  // Before the time is taken: this is where the last of it is put into its place.
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
    lookInto: destination.lookInto(mostInteresting(ended)?.name ?? names[0]!),
    streams: ended
  }
  yield* progress.finish(summary)
  return summary
}, Effect.scoped)

/** The first stream of which there is something to see, whose values change if there is one. */
const mostInteresting = (streams: ReadonlyArray<StreamSummary>): StreamSummary | undefined => {
  const whole = streams.filter(({ error }) => error === undefined)
  const filled = whole.filter(({ rows }) => rows > 0)
  // Of one that failed there may be nothing at all.
  return filled.find(({ curves }) => curves.some(isChanging)) ?? filled[0] ?? whole[0]
}

const isChanging = ({ values }: Curve): boolean =>
  values.some((value) => Number.isFinite(value) && value !== values[0])
