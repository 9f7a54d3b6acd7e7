/** The verb `read`: the events of a read as messages. */
import { Cause, Clock, Duration, Effect, Stream } from "effect"
import { ConfigError, ConnectorConfig, type Settings } from "../config/ConnectorConfig.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { jsonLine } from "../records/jsonLine.ts"
import { type LineFrame, RecordEncoder, shapeOf } from "../records/RecordEncoder.ts"
import { recycle } from "../samples/Arena.ts"
import { RECORD_ID, type Row } from "../samples/TableRow.ts"
import { read as readStreams } from "../sync/Read.ts"
import type { ReadEvent } from "../sync/ReadEvent.ts"
import { StateStore } from "../sync/StateStore.ts"
import { definitionOf, layoutOf } from "../sync/StreamDefinition.ts"
import { type GridRange, isRawRange, rangeText } from "../sync/TimeGrid.ts"
import { listSome } from "../text/listSome.ts"
import { pluralize } from "../text/pluralize.ts"
import { steadyMillis } from "../text/steadyMillis.ts"
import { stateMessage } from "./AirbyteState.ts"
import type { ConfiguredStream } from "./Catalog.ts"
import { toFailure, traceError } from "./failures.ts"
import { Output } from "./Output.ts"
import { type Failure, FULL_REFRESH_COMPLETE, type StreamStatus } from "./Protocol.ts"
import { StreamProgress } from "./StreamProgress.ts"

/** A stream during a read. */
interface OpenStream {
  readonly encoder: RecordEncoder
  readonly progress: StreamProgress
  /** The points after the last window. */
  rest: GridRange
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

const namesOf = (failures: ReadonlyArray<Failure>): string =>
  listSome(
    failures.map(({ stream_descriptor }) => stream_descriptor?.name ?? ""),
    MAX_SHOWN_STREAMS
  )

/** The most labels that a warning names. */
const MAX_SHOWN_LABELS = 20

const frameOf = (stream: string, emittedAt: number): LineFrame => ({
  before: `{"type":"RECORD","record":{"stream":${jsonLine(stream)},"emitted_at":${emittedAt},"data":`,
  after: "}}\n"
})

/** A row with the columns that the catalog declares: some may be deselected. The columns of its key always stay. */
const declaredColumns = (row: Row, properties: ReadonlyArray<string>): Row =>
  properties.length === 0
    ? row
    : Object.fromEntries(
        Object.entries(row).filter(
          ([name]) => name === RECORD_ID || name === "time" || properties.includes(name)
        )
      )

/** Without the list of discovered labels, a deselected label cannot be omitted. The user must know that it is written. */
const warnOfLabels = Effect.fnUntraced(function* (
  { discoveredLabels, name, properties }: ConfiguredStream,
  { labelsWithoutColumn }: RecordEncoder
) {
  if (discoveredLabels !== undefined || properties.length === 0 || labelsWithoutColumn.length === 0) return
  const labels = labelsWithoutColumn.map((label) => label.slice(0, 100))
  yield* Effect.logWarning(
    `${name}: labels without a column were written to other_labels: ${listSome(labels, MAX_SHOWN_LABELS)}. The catalog does not list the labels that were discovered, so a deselected label cannot be distinguished from a new one. Refresh the schema of the source, or add labels that must not be replicated to exclude_labels.`
  )
})

/** The keys that define the streams that are no metrics. */
const keys = { query: "queries", group: "groups", table: "tables" }

/**
 * The error of a stream that the configuration no longer defines; undefined for others. It would be read as a metric of that name,
 * which the server does not have: nothing would be read, but the state would move on.
 */
const noLongerDefined = (settings: Settings, { kind, name }: ConfiguredStream): ConfigError | undefined =>
  kind === undefined || definitionOf(settings, name)._tag !== "Metric"
    ? undefined
    : new ConfigError({
        message: `The stream ${name.slice(0, 200)} is a ${kind} in the catalog, but ${keys[kind]} in the configuration does not have it any more. Restore it in the configuration, or refresh the schema of the source.`
      })

/**
 * Reads the configured streams. Returns whether all were read completely. Each failure has already been reported.
 */
export const read = Effect.fnUntraced(function* (streams: ReadonlyArray<ConfiguredStream>) {
  const settings = yield* ConnectorConfig
  const output = yield* Output
  const store = yield* StateStore
  const declared = new Map(streams.map((stream) => [stream.name, stream]))
  const open = new Map<string, OpenStream>()
  const failures: Array<Failure> = []
  let total = 0

  const writeStatus = (
    name: string,
    status: StreamStatus["status"],
    reasons: Pick<StreamStatus, "reasons"> = {}
  ) =>
    output.trace({
      type: "STREAM_STATUS",
      stream_status: { stream_descriptor: { name }, status, ...reasons }
    })

  const fail = Effect.fnUntraced(function* (name: string, error: PrometheusError | ConfigError) {
    const failure = { ...toFailure(error), stream_descriptor: { name } }
    failures.push(failure)
    yield* traceError(failure)
    yield* writeStatus(name, "INCOMPLETE")
  })

  const onRetry = Effect.fnUntraced(function* (
    name: string,
    error: PrometheusError,
    delay: Duration.Duration
  ) {
    if (error.reason !== "RateLimited") return
    const until = (yield* Clock.currentTimeMillis) + Duration.toMillis(delay)
    yield* writeStatus(name, "RUNNING", {
      reasons: [{ type: "RATE_LIMITED", rate_limited: { quota_reset: Math.ceil(until) } }]
    })
  })

  const onEvent = Effect.fnUntraced(function* (event: ReadEvent) {
    const name = event.stream
    const now = yield* Clock.currentTimeMillis
    if (event._tag === "Started") {
      const { points, range } = event
      open.set(name, {
        encoder: new RecordEncoder(shapeOf(declared.get(name)!, layoutOf(settings, name))),
        progress: new StreamProgress(points, yield* steadyMillis),
        rest: range,
        frame: frameOf(name, now),
        frameMillis: now
      })
      yield* writeStatus(name, "STARTED")
      return yield* Effect.logInfo(
        points === 0
          ? `${name}: nothing new to read yet.`
          : definitionOf(settings, name)._tag === "Table"
            ? `${name}: reading the table.`
            : isRawRange(range)
              ? `${name}: reading all stored samples, ${rangeText(range)}.`
              : `${name}: reading ${pluralize(points, "point")}, ${rangeText(range)}, one every ${range.stepMillis / 1000} s.`
      )
    }
    const stream = open.get(name)!
    const { encoder, progress } = stream
    switch (event._tag) {
      case "Running":
        return yield* writeStatus(name, "RUNNING")
      case "Samples":
        // The clock may have been set back.
        if (Math.abs(now - stream.frameMillis) >= FRAME_MILLIS) {
          stream.frame = frameOf(name, now)
          stream.frameMillis = now
        }
        for (const block of event.blocks) {
          for (const part of encoder.parts(block)) {
            const buffer = output.buffer()
            const before = buffer.length
            encoder.encode(part, stream.frame, buffer)
            progress.add(part.length, buffer.length - before)
            // Write each part before encoding the next one, while it is still in the processor's cache.
            if (output.isFull()) yield* output.flushIfFull
          }
          recycle(block)
        }
        return
      case "Rows": {
        const { properties } = declared.get(name)!
        for (const row of event.blocks.flatMap(({ rows }) => rows)) {
          const buffer = output.buffer()
          const { after, before } = stream.frame
          const data = Buffer.from(`${before}${jsonLine(declaredColumns(row, properties))}${after}`)
          buffer.append(data)
          progress.add(1, data.length)
          if (output.isFull()) yield* output.flushIfFull
        }
        return
      }
      case "Checkpoint": {
        const { lastMillis } = event
        const window = { ...stream.rest, lastMillis }
        stream.rest = { ...stream.rest, firstMillis: lastMillis + window.stepMillis }
        const estimate = progress.endWindow(event.points)
        yield* store.save(event)
        if (estimate !== undefined) {
          yield* output.trace({ type: "ESTIMATE", estimate: { name, type: "STREAM", ...estimate } })
        }
        yield* Effect.logDebug(`${name}: ${pluralize(event.recordCount, "record")}, ${rangeText(window)}.`)
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
        if (event.notice !== undefined) yield* Effect.logWarning(`${name}: ${event.notice}`)
        yield* warnOfLabels(declared.get(name)!, encoder)
        yield* Effect.logInfo(`${name}: complete, ${pluralize(progress.records, "record")}.`)
        yield* writeStatus(name, "COMPLETE")
        open.delete(name)
        total += progress.records
        break
      case "Failed":
        open.delete(name)
        yield* fail(name, event.error)
        break
    }
    yield* output.flushIfFull
  })

  /** Ends every stream with a status, however the read ends. */
  const abandon = Effect.suspend(() => Effect.forEach(open.keys(), (name) => writeStatus(name, "INCOMPLETE")))

  const defined: Array<ConfiguredStream> = []
  for (const stream of streams) {
    const error = noLongerDefined(settings, stream)
    if (error === undefined) defined.push(stream)
    else {
      yield* writeStatus(stream.name, "STARTED")
      yield* fail(stream.name, error)
    }
  }
  const outcome = yield* readStreams(defined, { onRetry }).pipe(
    Stream.runForEach(onEvent),
    Effect.onError((cause) => (Cause.hasDies(cause) ? abandon : Effect.void)),
    Effect.catchTag(["PrometheusError", "ConfigError", "StateStoreError"], (error) => Effect.succeed(error))
  )
  if (outcome !== undefined) {
    yield* abandon
    const before = failures.length === 0 ? "" : ` Before that, ${namesOf(failures)} failed.`
    const failure = toFailure(outcome)
    yield* traceError({ ...failure, message: failure.message + before })
    return false
  }
  const first = failures.find(({ failure_type }) => failure_type === "transient_error") ?? failures[0]
  if (first !== undefined) {
    yield* traceError({
      message: `${failures.length} of ${streams.length} streams failed: ${namesOf(failures)}. ${failures[0]!.message}`,
      failure_type: first.failure_type
    })
    return false
  }
  yield* Effect.logInfo(`Read ${pluralize(total, "record")} of ${pluralize(streams.length, "stream")}.`)
  return true
})
