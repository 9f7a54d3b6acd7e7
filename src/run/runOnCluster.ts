/** A run whose parts are read by the workers of a cluster. */
import { Clock, Effect } from "effect"
import { type PartDone, type PartFailed, PartQueue } from "../cluster/PartQueue.ts"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { DestinationError } from "../destinations/Destination.ts"
import { SharedDestination } from "../destinations/SharedDestination.ts"
import { pointCount } from "../sync/TimeGrid.ts"
import { pluralize } from "../text/pluralize.ts"
import { steadyMillis } from "../text/steadyMillis.ts"
import { fitSettings, sharedStatesIn } from "./filledDestination.ts"
import { Progress, type RunSummary, type StreamSummary } from "./Progress.ts"
import { type PlannedStream, planParts } from "./planParts.ts"
import { streamToPreview } from "./readInto.ts"
import { namesToRead, type RunOptions, warnOfGone } from "./run.ts"

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
  const startedAt = yield* Clock.currentTimeMillis
  const begunAt = yield* steadyMillis
  const names = yield* namesToRead
  const settings = yield* fitSettings(names, { ...options, mode }, yield* sharedStatesIn(shared))
  yield* warnOfGone(names, yield* shared.streams, destination)
  const planned = yield* Effect.provideService(
    planParts(names, options.lengthMillis),
    ConnectorConfig,
    settings
  )
  const total = planned.reduce((sum, { parts }) => sum + parts.length, 0)
  let ended = 0
  yield* Effect.logInfo(`${pluralize(total, "part")} of ${pluralize(names.length, "stream")} to read.`)
  yield* progress.begin(names)

  const submitStream = Effect.fnUntraced(function* ({ parts, stream }: PlannedStream) {
    const tally = new PartsTally(stream, yield* steadyMillis)
    const points = parts.reduce((sum, { range }) => sum + pointCount(range), 0)
    let isStarted = false
    const onStart = Effect.suspend(() => {
      if (isStarted || tally.error !== undefined) return Effect.void
      isStarted = true
      return progress.started(stream, points)
    })
    yield* Effect.forEach(
      parts,
      Effect.fnUntraced(function* (part) {
        // Such an error would fail the other parts too.
        if (tally.error !== undefined) return
        const result = yield* Effect.result(
          queue.submit(part, {
            onStart,
            onRetry: (error, delay) => {
              tally.retry()
              return progress.retrying(stream, mask(error.message), delay)
            }
          })
        )
        ended++
        if (result._tag === "Failure") return yield* onFailure(tally, result.failure)
        tally.add(result.success, pointCount(part.range))
        yield* progress.wrote(stream, result.success.rows)
        yield* progress.committed(stream, tally.points)
      }),
      { concurrency: "unbounded", discard: true }
    )
    const summary = tally.summary(yield* steadyMillis, mask)
    yield* progress.ended(summary)
    return summary
  })

  const submitted = Effect.forEach(planned, submitStream, { concurrency: "unbounded" })
  const stopped = Effect.suspend(() =>
    Effect.logWarning(
      `Stopped: ${pluralize(ended, "part")} of ${total} ended. Workers finish the parts that they have begun, and the same command continues.`
    )
  )
  const streams = yield* Effect.raceFirst(submitted, queue.lost).pipe(Effect.onInterrupt(() => stopped))
  yield* queue.end

  const bytes = yield* shared.bytes
  return {
    source,
    destination,
    mode,
    stepSeconds: settings.stepSeconds,
    startedAt,
    seconds: ((yield* steadyMillis) - begunAt) / 1000,
    rows: streams.reduce((sum, { rows }) => sum + rows, 0),
    bytes,
    previewCommand: shared.previewCommand(streamToPreview(streams)?.name ?? names[0]!),
    streams
  } satisfies RunSummary
})

/** A failure ends its stream, or the run if no stream can be read. */
const onFailure = (tally: PartsTally, { isFatal, message }: PartFailed) =>
  Effect.suspend(() => {
    tally.error ??= message
    return isFatal ? new DestinationError({ message, isFatal: true }) : Effect.void
  })

/** The parts of one stream that have ended. */
class PartsTally {
  readonly #name: string
  readonly #startedAt: number
  error: string | undefined
  points = 0
  #rows = 0
  /** Workers count the series of their parts. Most of these are the same. */
  #series = 0
  #retries = 0
  #span: StreamSummary["span"]
  #notice: string | undefined

  constructor(name: string, startedAt: number) {
    this.#name = name
    this.#startedAt = startedAt
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

  summary(now: number, mask: (text: string) => string): StreamSummary {
    const { error } = this
    return {
      name: this.#name,
      error: error === undefined ? undefined : mask(error),
      notice: this.#rows > 0 || this.#notice === undefined ? undefined : mask(this.#notice),
      series: this.#series,
      rows: this.#rows,
      span: this.#span,
      seconds: (now - this.#startedAt) / 1000,
      retries: this.#retries,
      curves: []
    }
  }
}
