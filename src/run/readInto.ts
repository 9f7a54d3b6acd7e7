/** Writes the events of a read into a destination, with progress and totals: what runs of all kinds share. */
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import type { Contents, DestinationError } from "../destinations/Destination.ts"
import { recycle } from "../samples/Arena.ts"
import type { SampleBlock } from "../samples/Sample.ts"
import type { RowBlock } from "../samples/TableRow.ts"
import type { ReadEvent, ReadOptions } from "../sync/ReadEvent.ts"
import { steadyMillis } from "../text/steadyMillis.ts"
import { isChanging, Progress, type StreamSummary } from "./Progress.ts"
import { curveLimits, StreamTally } from "./StreamTally.ts"

export type EventOf<Tag extends ReadEvent["_tag"]> = Extract<ReadEvent, { readonly _tag: Tag }>

/**
 * `committed`: all samples written so far are part of the destination, now or soon. `pending`: a later checkpoint commits them.
 * `discarded`: another process has written the same ones.
 */
export type CommitOutcome = "committed" | "pending" | "discarded"

/** Writes one stream of a run. */
export interface StreamSink {
  /** Appends samples, which the caller may recycle afterwards. */
  readonly write: (blocks: ReadonlyArray<SampleBlock>) => Effect.Effect<void, DestinationError>
  /** The same for the rows of a table. Only the sink of a table has it. */
  readonly writeRows?: (blocks: ReadonlyArray<RowBlock>) => Effect.Effect<void, DestinationError>
  /** Handles a checkpoint. */
  readonly checkpoint: (event: EventOf<"Checkpoint">) => Effect.Effect<CommitOutcome, DestinationError>
  /** Commits what a later checkpoint would have committed, in a stream that fails. Without it, nothing ever is `pending`. */
  readonly commitPending?: Effect.Effect<CommitOutcome, DestinationError>
  /** Ends a stream that was read completely. `committed` are the rows of this run. */
  readonly complete: (committed: Contents) => Effect.Effect<void, DestinationError>
}

/** The rows that a run has committed so far, and their streams. */
export interface Saved {
  rows: number
  readonly streams: Set<string>
}

export const nothingSaved = (): Saved => ({ rows: 0, streams: new Set() })

/** What is read, and where it goes. */
export interface Reading<E, R> {
  readonly names: ReadonlyArray<string>
  readonly stepMillisOf: (stream: string) => number
  /** Whether values are kept for charts, or only for sparklines. */
  readonly hasCharts: boolean
  readonly mask: (text: string) => string
  /** Opens a stream. The scope closes when it has ended. */
  readonly open: (event: EventOf<"Started">) => Effect.Effect<StreamSink, DestinationError, Scope.Scope>
  readonly events: (
    options: Required<Pick<ReadOptions, "isAbandoned" | "onRetry">>
  ) => Stream.Stream<ReadEvent, E, R>
}

/** A stream with the scope of its sink, which may not be open yet. */
interface Counted {
  readonly scope: Scope.Closeable
  readonly tally: StreamTally
}

/** A stream during a read. */
interface OpenStream extends Counted {
  readonly sink: StreamSink
}

/** Reads all streams. In the result, a failed stream has an `error`; its committed rows stay. `saved` counts meanwhile. */
export const readInto = Effect.fnUntraced(function* <E, R>(reading: Reading<E, R>, saved: Saved) {
  const { hasCharts, mask, names, stepMillisOf } = reading
  const progress = yield* Progress
  yield* progress.begin(names)

  const runScope = yield* Effect.scope
  const limits = curveLimits(names.length, hasCharts)
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

  const begin = Effect.fnUntraced(function* (event: EventOf<"Started">) {
    const { points, stream: name } = event
    const scope = yield* Scope.fork(runScope)
    const tally = new StreamTally({
      name,
      stepMillis: stepMillisOf(name),
      startedAt: yield* steadyMillis,
      limits
    })
    const opened = Effect.gen(function* () {
      const sink = yield* Scope.provide(reading.open(event), scope)
      open.set(name, { sink, scope, tally })
      yield* progress.started(name, points)
    })
    yield* orEnd({ scope, tally }, opened)
  })

  const onEvent = Effect.fnUntraced(function* (event: ReadEvent) {
    if (event._tag === "Started") return yield* begin(event)
    const stream = open.get(event.stream)
    if (stream !== undefined) yield* orEnd(stream, onOpen(event, stream))
  })

  /** One stream is completed while others are read: its last rows may take long to write and sync. */
  let completing: Fiber.Fiber<void, DestinationError> | undefined
  const completed = Effect.suspend(() => (completing === undefined ? Effect.void : Fiber.join(completing)))

  /** Counts the rows of a stream that are committed now. */
  const count = ({ tally }: OpenStream, outcome: CommitOutcome) => {
    if (outcome === "committed") {
      const rows = tally.commit()
      saved.rows += rows
      if (rows > 0) saved.streams.add(tally.stream.name)
    } else if (outcome === "discarded") tally.discard()
  }

  const onOpen = Effect.fnUntraced(function* (
    event: Exclude<ReadEvent, EventOf<"Started">>,
    stream: OpenStream
  ) {
    const { sink, tally } = stream
    const name = event.stream
    switch (event._tag) {
      case "Running":
        return
      case "Samples": {
        yield* sink.write(event.blocks)
        let samples = 0
        for (const block of event.blocks) {
          tally.add(block)
          samples += block.length
          recycle(block)
        }
        return yield* progress.wrote(name, samples)
      }
      case "Rows": {
        if (sink.writeRows !== undefined) yield* sink.writeRows(event.blocks)
        for (const block of event.blocks) tally.addRows(block)
        return yield* progress.wrote(
          name,
          event.blocks.reduce((sum, { length }) => sum + length, 0)
        )
      }
      case "Checkpoint": {
        count(stream, yield* sink.checkpoint(event))
        return yield* progress.committed(name, event.points)
      }
      case "Completed":
        tally.notice = event.notice === undefined ? undefined : mask(event.notice)
        yield* completed
        completing = yield* Effect.forkIn(
          orEnd(stream, Effect.andThen(sink.complete(tally.contents), end(stream))),
          runScope
        )
        return
      case "Failed":
        // Later runs would fail at the same point.
        if (event.error.policy.failsAtPoints && sink.commitPending !== undefined) {
          count(stream, yield* sink.commitPending)
        }
        return yield* end(stream, event.error.message)
    }
  })

  const events = reading.events({
    // A stream that failed in the destination is not read any further.
    isAbandoned: (name) => ended.has(name),
    onRetry: (name, error, delay) => {
      open.get(name)?.tally.retry()
      return progress.retrying(name, mask(error.summary), delay)
    }
  })
  yield* Stream.runForEach(events, onEvent)
  yield* completed
  return names.flatMap((name) => ended.get(name) ?? [])
})

/** The first stream with rows, preferably one whose values change. */
export const streamToPreview = (streams: ReadonlyArray<StreamSummary>): StreamSummary | undefined => {
  const completed = streams.filter(({ error }) => error === undefined)
  const filled = completed.filter(({ rows }) => rows > 0)
  // A failed stream may have no rows.
  return filled.find(({ curves }) => curves.some(isChanging)) ?? filled[0] ?? completed[0]
}
