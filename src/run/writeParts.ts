/** Reads parts of streams and commits each of them, beside other processes. */
import { Effect, Exit, Option, Scope, Stream } from "effect"
import { DestinationError } from "../destinations/Destination.ts"
import { type PartWriter, SharedDestination } from "../destinations/SharedDestination.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { recycle } from "../samples/Arena.ts"
import { intersection, type Span, without } from "../sync/coverage.ts"
import type { PartResult } from "../sync/partState.ts"
import { planToRead, type SyncPart } from "../sync/parts.ts"
import { readPlanned } from "../sync/Read.ts"
import { samplingText } from "../sync/TimeGrid.ts"
import { pluralize } from "../text/pluralize.ts"
import { steadyMillis } from "../text/steadyMillis.ts"
import type { StreamSummary } from "./Progress.ts"
import type { EventOf, StreamSink } from "./readInto.ts"
import { curveLimits, StreamTally } from "./StreamTally.ts"

/** A part with more samples is committed in several steps, since a stream may have grown since its length was agreed on. */
const COMMIT_SAMPLES = 50_000_000

/** A part with more holes is not committed, because a state lists all of them. */
const MAX_HOLES = 1000

/** The sink of the parts of a stream. */
export interface PartSink extends StreamSink {
  /** Commits the points of a part that are complete, although it cannot be read to its end. */
  readonly commitPending: NonNullable<StreamSink["commitPending"]>
}

/** Writes the parts of one stream, which must be read in the same order. */
export const openParts = Effect.fnUntraced(function* (stream: string, parts: ReadonlyArray<SyncPart>) {
  const shared = yield* SharedDestination
  const streamScope = yield* Effect.scope
  let index = 0
  /** The first point that is not committed. */
  let from = parts[0]?.range.firstMillis ?? 0
  let samples = 0
  /** The last checkpoint, if it is not committed and nothing was written after it. */
  let pending: EventOf<"Checkpoint"> | undefined
  let open: { readonly scope: Scope.Closeable; readonly writer: PartWriter } | undefined

  const opened = Effect.suspend(() =>
    open === undefined
      ? Effect.gen(function* () {
          const scope = yield* Scope.fork(streamScope)
          const writer = yield* Scope.provide(shared.openPart(stream), scope)
          open = { scope, writer }
          return open
        })
      : Effect.succeed(open)
  )

  const commit = Effect.fnUntraced(function* (result: PartResult) {
    const { scope, writer } = yield* opened
    const isCommitted = yield* Effect.withSpan(writer.commit(result), "Destination.commitPart", {
      attributes: { stream },
      captureStackTrace: false
    })
    open = undefined
    samples = 0
    yield* Scope.close(scope, Exit.void)
    if (isCommitted) return "committed"
    yield* checkKnown(stream, result, shared)
    return "discarded"
  })

  /** Commits the points up to a checkpoint, if the part ends there, or if it must not wait for that. */
  const checkpoint = Effect.fnUntraced(function* (event: EventOf<"Checkpoint">, mustCommit: boolean) {
    const part = parts[index]
    if (part === undefined) return "pending"
    const { holes: all, lastMillis } = event
    const { details, grid, isReread, lookbackMillis, range } = part
    const isEnd = lastMillis >= range.lastMillis
    if (!isEnd && !mustCommit && samples < COMMIT_SAMPLES) {
      pending = event
      return "pending"
    }
    pending = undefined
    const read = { firstMillis: from, lastMillis: Math.min(lastMillis, range.lastMillis) }
    const holes = intersection(all, [read])
    if (holes.length > MAX_HOLES) return yield* tooDamaged(stream, holes)
    const covered = without([read], holes, range.stepMillis)
    const outcome = yield* commit({ grid, covered, holes, isReread, lookbackMillis, details })
    if (isEnd) index++
    from = isEnd ? (parts[index]?.range.firstMillis ?? 0) : read.lastMillis + range.stepMillis
    return outcome
  })

  const sink: PartSink = {
    // A destination cannot stop halfway.
    write: (blocks) =>
      Effect.uninterruptible(
        Effect.flatMap(opened, ({ writer }) => {
          pending = undefined
          for (const { length } of blocks) samples += length
          return writer.write(blocks)
        })
      ),
    checkpoint: (event) => Effect.uninterruptible(checkpoint(event, false)),
    commitPending: Effect.suspend(() =>
      pending === undefined ? Effect.succeed("pending") : Effect.uninterruptible(checkpoint(pending, true))
    ),
    complete: () => Effect.void
  }
  return sink
})

const tooDamaged = (stream: string, holes: ReadonlyArray<Span>) =>
  new DestinationError({
    message: `A part of ${stream} was not saved: the server cannot return ${pluralize(holes.length, "range")} of it. To leave out what it cannot return, set damaged_data to skip.`
  })

/** Fails if a part was not committed for another reason than that another process has read it. */
const checkKnown = Effect.fnUntraced(function* (
  stream: string,
  { covered, grid }: PartResult,
  { states }: SharedDestination["Service"]
) {
  // A damaged state fails the next plan.
  const state = Option.getOrUndefined(Option.flatten(yield* Effect.option(states.load(stream))))
  if (state === undefined) return
  if (state.stepMillis !== grid.stepMillis) {
    return yield* new DestinationError({
      message: `A part of ${stream} was not saved: another process has begun to write it with ${samplingText(state.stepMillis)}, but this one reads it with ${samplingText(grid.stepMillis)}. Run all processes with the same settings.`
    })
  }
  if (without(covered, state.covered, grid.stepMillis).length > 0) {
    return yield* new DestinationError({
      message: `A part of ${stream} was not saved: the stream has been read in too many separate ranges. Let the other processes fill the gaps first, and run this one again.`
    })
  }
})

/** The result of one part. The rows are those that were committed; none if another process had committed the same part. */
export type PartOutcome = Pick<StreamSummary, "rows" | "series" | "span" | "retries" | "notice">

/**
 * Reads exactly one part and commits it. Twice, at the same time, or killed half-way, it changes nothing in the result. Around
 * damaged points of the server it commits what can be read, and fails then. The settings must be those of the plan.
 */
export const executePart = Effect.fn("run.part")(function* (part: SyncPart) {
  const { grid, stream } = part
  const sink = yield* openParts(stream, [part])
  const startedAt = yield* steadyMillis
  const tally = new StreamTally({
    name: stream,
    stepMillis: grid.stepMillis,
    startedAt,
    limits: curveLimits(Number.POSITIVE_INFINITY, false)
  })
  let failure: PrometheusError | undefined
  const events = readPlanned([planToRead(stream, grid, [part])], {
    onRetry: () => Effect.sync(() => tally.retry()),
    checkpointsPastHoles: true
  })
  yield* Stream.runForEach(
    events,
    Effect.fnUntraced(function* (event) {
      if (event._tag === "Samples") {
        yield* sink.write(event.blocks)
        for (const block of event.blocks) {
          tally.add(block)
          recycle(block)
        }
      } else if (event._tag === "Checkpoint") {
        const outcome = yield* sink.checkpoint(event)
        if (outcome === "committed") tally.commit()
        else if (outcome === "discarded") tally.discard()
      } else if (event._tag === "Completed") tally.notice = event.notice
      else if (event._tag === "Failed") {
        failure = event.error
        if (failure.policy.failsAtPoints) yield* sink.commitPending
      }
    })
  )
  return failure === undefined
    ? (tally.summary(yield* steadyMillis) satisfies PartOutcome as PartOutcome)
    : yield* failure
}, Effect.scoped)
