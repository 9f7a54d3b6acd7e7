/** A run whose parts are read by the workers of a cluster. */
import { Effect } from "effect"
import { type PartDone, type PartFailed, PartQueue } from "../cluster/PartQueue.ts"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { DestinationError } from "../destinations/Destination.ts"
import { SharedDestination } from "../destinations/SharedDestination.ts"
import type { SyncPart } from "../sync/parts.ts"
import { generalStepOf } from "../sync/StreamDefinition.ts"
import { pointCount } from "../sync/TimeGrid.ts"
import { pluralize } from "../text/pluralize.ts"
import { steadyMillis } from "../text/steadyMillis.ts"
import { fitSettings } from "./filledDestination.ts"
import { Progress, type StreamSummary } from "./Progress.ts"
import { type PlannedStream, planParts } from "./planParts.ts"
import { noCost, sumOfCosts } from "./RunCost.ts"
import { namesToRead, type RunOptions, refuseTables, warnOfGone } from "./run.ts"
import { beginRun } from "./summarize.ts"

/** The options of a run on a cluster. Its mode is `incremental_append_deduped`. */
export interface OnClusterOptions
  extends Pick<RunOptions, "source" | "destination" | "isStepGiven" | "mask"> {
  /** The length of the parts of streams that have none yet; undefined to derive it from the number of their series. */
  readonly lengthMillis?: number | undefined
}

const mode = "incremental_append_deduped"

/**
 * Submits all parts and waits for their ends. In the result, a failed stream has an `error`; its committed parts stay. Parts that
 * workers have begun continue if this run stops.
 */
export const runOnCluster = Effect.fnUntraced(function* (options: OnClusterOptions) {
  const { destination, mask, source } = options
  const shared = yield* SharedDestination
  const queue = yield* PartQueue
  const progress = yield* Progress
  const summarize = yield* beginRun
  yield* refuseTables
  const names = yield* namesToRead
  const saved = yield* shared.streams
  const settings = yield* fitSettings(names, { ...options, mode }, saved)
  yield* warnOfGone(names, saved, destination)
  const planned = yield* Effect.provideService(
    planParts(names, options.lengthMillis),
    ConnectorConfig,
    settings
  )
  const total = planned.reduce((sum, { parts }) => sum + parts.length, 0)
  let ended = 0
  let costs = noCost
  yield* Effect.logInfo(`${pluralize(total, "part")} of ${pluralize(names.length, "stream")} to read.`)
  yield* progress.begin(names)

  const tallies = new Map(planned.map((stream) => [stream.stream, new PartsTally(stream)]))
  const submitPart = Effect.fnUntraced(function* (part: SyncPart) {
    const { stream } = part
    const tally = tallies.get(stream)!
    const onStart = Effect.gen(function* () {
      if (tally.start(yield* steadyMillis)) yield* progress.started(stream, tally.pointsToRead)
    })
    const result = yield* Effect.result(
      queue.submit(part, {
        // Such an error would fail the other parts too.
        isWanted: () => tally.error === undefined,
        onStart,
        onRetry: (error, delay) => {
          tally.retry()
          return progress.retrying(stream, mask(error.message), delay)
        }
      })
    )
    ended++
    if (result._tag === "Failure") yield* onFailure(tally, result.failure)
    else if (result.success !== undefined) {
      tally.add(result.success, pointCount(part.range))
      costs = sumOfCosts([costs, result.success.cost ?? noCost])
      yield* progress.wrote(stream, result.success.rows)
      yield* progress.committed(stream, tally.points)
    }
    if (tally.end(yield* steadyMillis)) yield* progress.ended(tally.summary(mask))
  })

  const turns = inTurns(planned, Math.max(LEAST_STREAMS, (yield* queue.workers).slots))
  const submitted = Effect.forEach(turns, submitPart, { concurrency: "unbounded", discard: true })
  const stopped = Effect.suspend(() =>
    Effect.logWarning(
      `Stopped: ${pluralize(ended, "part")} of ${total} ended. Workers finish the parts that they have begun, and the same command continues.`
    )
  )
  for (const { parts, stream } of planned) {
    if (parts.length === 0) yield* progress.ended(tallies.get(stream)!.summary(mask))
  }
  yield* Effect.raceFirst(submitted, queue.lost).pipe(Effect.onInterrupt(() => stopped))
  yield* queue.end

  const streams = Array.from(tallies.values(), (tally) => tally.summary(mask))
  const rows = streams.reduce((sum, stream) => sum + stream.rows, 0)
  const stepSeconds = generalStepOf(settings)
  return yield* summarize({
    source,
    destination,
    mode,
    stepSeconds,
    rows,
    streams,
    place: shared,
    costElsewhere: costs
  })
})

/** At least so many streams are read at the same time, and more if workers execute more parts. */
const LEAST_STREAMS = 32

/** All parts: one of each stream in turn, of so many streams at a time. Commits to the same stream would wait for each other. */
const inTurns = (planned: ReadonlyArray<PlannedStream>, streams: number): ReadonlyArray<SyncPart> => {
  const turns: Array<SyncPart> = []
  const waiting = planned.map(({ parts }) => parts.values())
  let active = waiting.splice(0, streams)
  while (active.length > 0) {
    active = active.flatMap((parts) => {
      for (let next: typeof parts | undefined = parts; next !== undefined; next = waiting.shift()) {
        const { done, value } = next.next()
        if (done === true) continue
        turns.push(value)
        return [next]
      }
      return []
    })
  }
  return turns
}

/** A failure ends its stream, or the run if no stream can be read. */
const onFailure = (tally: PartsTally, { isFatal, message }: PartFailed) =>
  Effect.suspend(() => {
    tally.error ??= message
    return isFatal ? new DestinationError({ message, isFatal: true }) : Effect.void
  })

/** The parts of one stream that have ended. */
class PartsTally {
  readonly #name: string
  /** How many points its parts have. */
  readonly pointsToRead: number
  /** How many parts have not ended. */
  #left: number
  /** When the first one was submitted, and when the last one ended. */
  #startedAt: number | undefined
  #endedAt: number | undefined
  error: string | undefined
  points = 0
  #rows = 0
  /** Workers count the series of their parts. Most of these are the same. */
  #series = 0
  #retries = 0
  #span: StreamSummary["span"]
  #notice: string | undefined

  constructor({ parts, stream }: PlannedStream) {
    this.#name = stream
    this.#left = parts.length
    this.pointsToRead = parts.reduce((sum, { range }) => sum + pointCount(range), 0)
  }

  /** A part is submitted. Returns whether it is the first one. */
  start(now: number): boolean {
    const isFirst = this.#startedAt === undefined
    this.#startedAt ??= now
    return isFirst
  }

  /** A part has ended, or is not wanted any more. Returns whether it was the last one. */
  end(now: number): boolean {
    this.#endedAt = now
    return --this.#left === 0
  }

  retry(): void {
    this.#retries++
  }

  add({ notice, retries, rows, series, span }: PartDone, points: number): void {
    this.points += points
    this.#rows += rows
    this.#series = Math.max(this.#series, series)
    this.#retries += retries
    this.#notice = notice
    if (span === undefined) return
    const [first, last] = this.#span ?? span
    this.#span = [Math.min(first, span[0]), Math.max(last, span[1])]
  }

  summary(mask: (text: string) => string): StreamSummary {
    const { error } = this
    return {
      name: this.#name,
      error: error === undefined ? undefined : mask(error),
      notice: this.#rows > 0 || this.#notice === undefined ? undefined : mask(this.#notice),
      series: this.#series,
      rows: this.#rows,
      span: this.#span,
      seconds: ((this.#endedAt ?? 0) - (this.#startedAt ?? this.#endedAt ?? 0)) / 1000,
      retries: this.#retries,
      curves: []
    }
  }
}
