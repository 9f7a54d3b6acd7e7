/** The command `run`: a whole sync for a person, without a platform. */
import { Effect, Option, Stream } from "effect"
import { ConnectorConfig } from "../ConnectorConfig.ts"
import { counted } from "../counted.ts"
import { recycle } from "../prometheus/Arena.ts"
import { jsonLine } from "../records/jsonLine.ts"
import { type LineFrame, RecordEncoder } from "../records/RecordEncoder.ts"
import { steadyMillis } from "../steadyMillis.ts"
import { discoverNames, noMetrics } from "../sync/Discovery.ts"
import { type ReadEvent, read } from "../sync/Read.ts"
import { StateStore } from "../sync/StateStore.ts"
import { JsonLines } from "./JsonLines.ts"

/** What is known of a stream while it is read. */
interface OpenStream {
  readonly encoder: RecordEncoder
  readonly frame: LineFrame
  readonly series: Set<string>
  samples: number
  sinceState: number
}

/**
 * Finds the metrics and reads them all incrementally into the JSON-lines file. Answers whether all were read whole.
 */
export const run = Effect.gen(function* () {
  const settings = yield* ConnectorConfig
  const file = yield* JsonLines
  const store = yield* StateStore
  const startedAt = yield* steadyMillis
  const { names } = yield* discoverNames
  if (names.length === 0) return yield* noMetrics(settings)
  yield* Effect.logInfo(
    `Found ${counted(names.length, "metric")} at ${settings.baseUrl}, reading a data point every ${duration(settings.stepSeconds)}.`
  )

  const width = Math.min(60, Math.max(...names.map((name) => name.length)))
  const open = new Map<string, OpenStream>()
  const failed: Array<string> = []
  let total = 0

  const onEvent = Effect.fnUntraced(function* (event: ReadEvent) {
    const name = event.stream
    if (event._tag === "Started") {
      const encoder = new RecordEncoder({ columns: "all", labelsObject: !settings.labelColumns })
      const frame = { before: `{"stream":${jsonLine(name)},"data":`, after: "}\n" }
      open.set(name, { encoder, frame, series: new Set(), samples: 0, sinceState: 0 })
      return
    }
    const stream = open.get(name)
    if (stream === undefined) return
    switch (event._tag) {
      case "Running":
        return
      case "Samples":
        for (const block of event.blocks) {
          for (const part of stream.encoder.parts(block)) {
            stream.encoder.encode(part, stream.frame, file.buffer)
            yield* file.relieve
          }
          stream.series.add(block.series.id)
          stream.samples += block.length
          stream.sinceState += block.length
          recycle(block)
        }
        return
      case "Checkpoint":
        yield* store.save(name, event.state, stream.sinceState)
        stream.sinceState = 0
        return yield* file.commit
      case "Completed":
        open.delete(name)
        total += stream.samples
        return yield* Effect.logInfo(`  ${name.padEnd(width)}  ${readText(stream)}`)
      case "Failed":
        open.delete(name)
        total += stream.samples - stream.sinceState
        failed.push(name)
        yield* file.discard
        return yield* Effect.logError(`  ${name.padEnd(width)}  FAILED: ${event.error.message}`)
    }
  })

  const requests = names.map((name) => ({ name, mode: "incremental" as const, generationId: Option.none() }))
  // One stream at a time, so that at a checkpoint the file holds nothing that is not whole.
  yield* Stream.runForEach(read(requests, { concurrentStreams: 1 }), onEvent)

  const seconds = ((yield* steadyMillis) - startedAt) / 1000
  yield* Effect.logInfo(
    `${counted(total, "new record")} in ${seconds.toFixed(1)} s; ${file.dataPath} now has ${megabytes(file.bytes())}.`
  )
  if (failed.length > 0) {
    yield* Effect.logInfo(
      `${counted(failed.length, "stream")} of ${names.length} failed: ${failed.join(", ")}. Run again to go on where each stopped.`
    )
    return false
  }
  yield* Effect.logInfo(`The state is in ${file.statePath}: run again to add only what is new.`)
  return true
})

/** What of a stream has been read, in columns. */
const readText = ({ samples, series }: OpenStream): string =>
  samples === 0
    ? "nothing new"
    : `${counted(series.size, "series").padStart(12)}  ${counted(samples, "record").padStart(16)}`

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

const duration = (seconds: number): string =>
  seconds % 3600 === 0 ? `${seconds / 3600} h` : seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`
