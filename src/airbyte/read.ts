/** The verb `read`: the events of a read as messages. */
import { Clock, Duration, Effect, Stream } from "effect"
import { ConnectorConfig } from "../ConnectorConfig.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { jsonLine } from "../records/jsonLine.ts"
import { type LineFrame, RecordEncoder, shapeOf } from "../records/RecordEncoder.ts"
import { type ReadEvent, read as readStreams } from "../sync/Read.ts"
import { StateStore } from "../sync/StateStore.ts"
import { stateMessage } from "./AirbyteState.ts"
import type { ConfiguredStream } from "./Catalog.ts"
import { type Failure, toFailure, traceError } from "./failures.ts"
import { Output } from "./Output.ts"
import { FULL_REFRESH_COMPLETE, type RateLimited, type StreamStatus } from "./Protocol.ts"

/** What is known of a stream while it is read. */
interface OpenStream {
  readonly encoder: RecordEncoder
  frame: LineFrame
  /** When the frame was made: records of the same moment share it. */
  frameMillis: number
  /** Records since the last STATE, and in all. */
  sinceState: number
  total: number
}

const frameOf = (stream: string, emittedAt: number): LineFrame => ({
  before: `{"type":"RECORD","record":{"stream":${jsonLine(stream)},"emitted_at":${emittedAt},"data":`,
  after: "}}\n"
})

/**
 * Reads the configured streams. Answers whether all were read whole; what was not has been told by then.
 */
export const read = Effect.fnUntraced(function* (streams: ReadonlyArray<ConfiguredStream>) {
  const settings = yield* ConnectorConfig
  const output = yield* Output
  const store = yield* StateStore
  const open = new Map<string, OpenStream>()
  const failed: Array<{ readonly name: string; readonly failure: Failure }> = []
  const properties = new Map(streams.map((stream) => [stream.name, stream.properties]))

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

  const onEvent = Effect.fnUntraced(function* (event: ReadEvent) {
    const name = event.stream
    const stream = open.get(name)
    if (event._tag === "Started") {
      const encoder = new RecordEncoder(shapeOf(properties.get(name) ?? [], settings.labelColumns))
      open.set(name, { encoder, frame: frameOf(name, 0), frameMillis: 0, sinceState: 0, total: 0 })
      yield* status(name, "STARTED")
    } else if (stream !== undefined) {
      yield* onOpen(event, stream)
    }
  })

  const onOpen = Effect.fnUntraced(function* (event: ReadEvent, stream: OpenStream) {
    const name = event.stream
    switch (event._tag) {
      case "Running":
        return yield* status(name, "RUNNING")
      case "Samples": {
        const now = yield* Clock.currentTimeMillis
        if (now !== stream.frameMillis) {
          stream.frame = frameOf(name, now)
          stream.frameMillis = now
        }
        for (const block of event.blocks) {
          stream.encoder.encode(block, stream.frame, output.buffer())
          stream.sinceState += block.length
        }
        break
      }
      case "Checkpoint":
        yield* store.save(name, event.state, stream.sinceState)
        yield* Effect.logDebug(`${name}: ${stream.sinceState} records up to ${event.state.time}.`)
        stream.total += stream.sinceState
        stream.sinceState = 0
        break
      case "Completed":
        if (event.mode === "full_refresh") {
          output.message(stateMessage(name, { [FULL_REFRESH_COMPLETE]: true }, 0))
        }
        yield* Effect.logInfo(`${name}: ${stream.total} records.`)
        yield* status(name, "COMPLETE")
        open.delete(name)
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
    yield* output.relieve
  })

  const outcome = yield* readStreams(streams, { onRetry }).pipe(
    Stream.runForEach(onEvent),
    Effect.catchTag(["PrometheusError", "ConfigError"], (error) => Effect.succeed(error))
  )
  if (outcome !== undefined) {
    for (const name of open.keys()) yield* status(name, "INCOMPLETE")
    const before =
      failed.length === 0 ? "" : ` Before that, ${failed.map(({ name }) => name).join(", ")} failed.`
    const failure = toFailure(outcome)
    yield* traceError({ ...failure, message: failure.message + before })
    return false
  }
  if (failed.length > 0) {
    const transient = failed.some(({ failure }) => failure.failureType === "transient_error")
    yield* traceError({
      message: `${failed.length} of ${streams.length} streams failed: ${failed.map(({ name }) => name).join(", ")}. ${failed[0]!.failure.message}`,
      failureType: transient ? "transient_error" : failed[0]!.failure.failureType
    })
    return false
  }
  return true
})
