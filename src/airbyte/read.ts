/** The verb `read`: the events of a read as messages. */
import { Cause, Clock, Duration, Effect, Stream } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { jsonLine } from "../records/jsonLine.ts"
import { type LineFrame, RecordEncoder, shapeOf } from "../records/RecordEncoder.ts"
import { recycle } from "../samples/Arena.ts"
import { read as readStreams } from "../sync/Read.ts"
import type { ReadEvent } from "../sync/ReadEvent.ts"
import { StateStore } from "../sync/StateStore.ts"
import { pointCount, rangeText } from "../sync/TimeGrid.ts"
import { pluralize } from "../text/pluralize.ts"
import { steadyMillis } from "../text/steadyMillis.ts"
import { stateMessage } from "./AirbyteState.ts"
import type { ConfiguredStream } from "./Catalog.ts"
import { type Failure, toFailure, traceError } from "./failures.ts"
import { Output } from "./Output.ts"
import { FULL_REFRESH_COMPLETE, type RateLimited, type StreamStatus } from "./Protocol.ts"
import { type Estimate, StreamProgress } from "./StreamProgress.ts"

/** A stream during a read. */
interface OpenStream {
  readonly encoder: RecordEncoder
  readonly progress: StreamProgress
  frame: LineFrame
  /** When the frame was made. */
  frameMillis: number
}

/**
 * Records emitted within this time have the same `emitted_at`, because rendering the frame of a series' lines costs as much as
 * a line.
 */
const FRAME_MILLIS = 100

/** The most streams named by the last message. Each stream has a message of its own. */
const MAX_SHOWN_STREAMS = 1000

const namesOf = (streams: ReadonlyArray<{ readonly name: string }>): string => {
  const names = streams.slice(0, MAX_SHOWN_STREAMS).map(({ name }) => name)
  return streams.length === names.length
    ? names.join(", ")
    : `${names.join(", ")} and ${streams.length - names.length} more`
}

/** The most labels that a warning names. */
const MAX_SHOWN_LABELS = 20

const frameOf = (stream: string, emittedAt: number): LineFrame => ({
  before: `{"type":"RECORD","record":{"stream":${jsonLine(stream)},"emitted_at":${emittedAt},"data":`,
  after: "}}\n"
})

/**
 * Reads the configured streams. Returns whether all were read completely. Each failure has already been reported.
 */
export const read = Effect.fnUntraced(function* (streams: ReadonlyArray<ConfiguredStream>) {
  const settings = yield* ConnectorConfig
  const output = yield* Output
  const store = yield* StateStore
  const open = new Map<string, OpenStream>()
  let total = 0
  const failed: Array<{ readonly name: string; readonly failure: Failure }> = []
  const declared = new Map(streams.map((stream) => [stream.name, stream]))

  const status = Effect.fnUntraced(function* (name: string, status: StreamStatus, reason?: RateLimited) {
    output.message({
      type: "TRACE",
      trace: {
        type: "STREAM_STATUS",
        emitted_at: yield* Clock.currentTimeMillis,
        stream_status: {
          stream_descriptor: { name },
          status,
          ...(reason === undefined ? {} : { reasons: [reason] as const })
        }
      }
    })
  })

  const onRetry = Effect.fnUntraced(function* (
    name: string,
    error: PrometheusError,
    delay: Duration.Duration
  ) {
    if (error.reason !== "RateLimited") return
    const now = yield* Clock.currentTimeMillis
    yield* status(name, "RUNNING", {
      type: "RATE_LIMITED",
      rate_limited: { quota_reset: Math.ceil(now + Duration.toMillis(delay)) }
    })
  })

  const estimate = Effect.fnUntraced(function* (name: string, { bytes, records }: Estimate) {
    output.message({
      type: "TRACE",
      trace: {
        type: "ESTIMATE",
        emitted_at: yield* Clock.currentTimeMillis,
        estimate: { name, type: "STREAM", row_estimate: records, byte_estimate: bytes }
      }
    })
  })

  const onEvent = Effect.fnUntraced(function* (event: ReadEvent) {
    const name = event.stream
    const now = yield* Clock.currentTimeMillis
    if (event._tag === "Started") {
      const encoder = new RecordEncoder(shapeOf(declared.get(name)!, settings.labelColumns))
      const progress = new StreamProgress(event.range, yield* steadyMillis)
      open.set(name, { encoder, frame: frameOf(name, now), frameMillis: now, progress })
      yield* status(name, "STARTED")
      const points = pointCount(event.range)
      return yield* Effect.logInfo(
        points === 0
          ? `${name}: nothing new to read yet.`
          : `${name}: reading ${pluralize(points, "point")}, ${rangeText(event.range)}, one every ${event.range.stepMillis / 1000} s.`
      )
    }
    const stream = open.get(name)
    if (stream !== undefined) yield* onOpen(event, stream, now)
  })

  /** Without the list of discovered labels, a deselected label cannot be omitted. The user must know that it is written. */
  const warnOfLabels = Effect.fnUntraced(function* (name: string, { labelsWithoutColumn }: RecordEncoder) {
    const { discoveredLabels, properties } = declared.get(name)!
    if (discoveredLabels !== undefined || properties.length === 0 || labelsWithoutColumn.length === 0) return
    const labels = labelsWithoutColumn.slice(0, MAX_SHOWN_LABELS).map((label) => label.slice(0, 100))
    const more = labelsWithoutColumn.length - labels.length
    yield* Effect.logWarning(
      `${name}: labels without a column were written to other_labels: ${labels.join(", ")}${more === 0 ? "" : ` and ${more} more`}. The catalog does not list the labels that were discovered, so a deselected label cannot be distinguished from a new one. Refresh the schema of the source, or add labels that must not be replicated to exclude_labels.`
    )
  })

  const onOpen = Effect.fnUntraced(function* (event: ReadEvent, stream: OpenStream, now: number) {
    const name = event.stream
    const { progress } = stream
    switch (event._tag) {
      case "Running":
        return yield* status(name, "RUNNING")
      case "Samples": {
        // The clock may have been set back.
        if (Math.abs(now - stream.frameMillis) >= FRAME_MILLIS) {
          stream.frame = frameOf(name, now)
          stream.frameMillis = now
        }
        for (const block of event.blocks) {
          for (const part of stream.encoder.parts(block)) {
            const buffer = output.buffer()
            const before = buffer.length
            stream.encoder.encode(part, stream.frame, buffer)
            progress.add(part.length, buffer.length - before)
            // Write each part before encoding the next one, while it is still in the processor's cache.
            if (output.isFull()) yield* output.flushIfFull
          }
          recycle(block)
        }
        return
      }
      case "Checkpoint": {
        const window = progress.endWindow(event.lastMillis)
        yield* store.save(event)
        const news = progress.newEstimate()
        if (news !== undefined) yield* estimate(name, news)
        yield* Effect.logDebug(`${name}: ${pluralize(window.records, "record")}, ${rangeText(window.range)}.`)
        if (progress.share < 1 && progress.isLogDue(yield* steadyMillis)) {
          yield* Effect.logInfo(
            `${name}: ${pluralize(progress.records, "record")} so far, up to ${event.state.time} (${Math.floor(100 * progress.share)} %).`
          )
        }
        break
      }
      case "Completed":
        if (event.mode === "full_refresh") {
          output.message(stateMessage(name, { [FULL_REFRESH_COMPLETE]: true }, 0))
        }
        yield* warnOfLabels(name, stream.encoder)
        yield* Effect.logInfo(`${name}: complete, ${pluralize(progress.records, "record")}.`)
        yield* status(name, "COMPLETE")
        open.delete(name)
        total += progress.records
        break
      case "Failed": {
        const failure = { ...toFailure(event.error), stream: name }
        failed.push({ failure, name })
        open.delete(name)
        yield* traceError(failure)
        yield* status(name, "INCOMPLETE")
        break
      }
    }
    yield* output.flushIfFull
  })

  /** Ends every stream with a status, however the read ends. */
  const abandon = Effect.suspend(() => Effect.forEach(open.keys(), (name) => status(name, "INCOMPLETE")))

  const outcome = yield* readStreams(streams, { onRetry }).pipe(
    Stream.runForEach(onEvent),
    Effect.onError((cause) => (Cause.hasDies(cause) ? abandon : Effect.void)),
    Effect.catchTag(["PrometheusError", "ConfigError", "StateStoreError"], (error) => Effect.succeed(error))
  )
  if (outcome !== undefined) {
    yield* abandon
    const before = failed.length === 0 ? "" : ` Before that, ${namesOf(failed)} failed.`
    const failure = toFailure(outcome)
    yield* traceError({ ...failure, message: failure.message + before })
    return false
  }
  if (failed.length > 0) {
    const transient = failed.some(({ failure }) => failure.failureType === "transient_error")
    yield* traceError({
      message: `${failed.length} of ${streams.length} streams failed: ${namesOf(failed)}. ${failed[0]!.failure.message}`,
      failureType: transient ? "transient_error" : failed[0]!.failure.failureType
    })
    return false
  }
  yield* Effect.logInfo(`Read ${pluralize(total, "record")} of ${pluralize(streams.length, "stream")}.`)
  return true
})
