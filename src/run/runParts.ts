/** A run that reads its own parts of all streams, beside other processes that read the other ones. */
import { Effect, Stream } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { SharedDestination } from "../destinations/SharedDestination.ts"
import { ownerOf, planToRead } from "../sync/parts.ts"
import { readPlanned } from "../sync/Read.ts"
import { definitionOf, generalStepOf, stepMillisOf } from "../sync/StreamDefinition.ts"
import * as sources from "../sync/sources.ts"
import { fitSettings } from "./filledDestination.ts"
import { planParts } from "./planParts.ts"
import { nothingSaved, readInto, type Saved } from "./readInto.ts"
import { namesToRead, type RunOptions, refuseTables, stoppedText, warnOfGone } from "./run.ts"
import { beginRun } from "./summarize.ts"
import { openParts } from "./writeParts.ts"

/** Which parts a process reads. */
export interface Share {
  /** The number of this process, from 0 on. */
  readonly index: number
  /** The number of processes. */
  readonly processes: number
  /** The length of the parts of streams that have none yet; undefined to derive it from the number of their series. */
  readonly lengthMillis?: number | undefined
}

/** The options of a run in parts. Its mode is `incremental_append_deduped`. */
export interface PartsOptions
  extends Pick<RunOptions, "source" | "destination" | "hasCharts" | "isStepGiven" | "mask"> {
  readonly share: Share
}

const mode = "incremental_append_deduped"

/** Reads the parts of one process. In the result, a failed stream has an `error`; its committed parts stay. */
export const runParts = (options: PartsOptions) =>
  Effect.suspend(() => {
    const saved = nothingSaved()
    return Effect.scoped(runShare(options, saved)).pipe(
      Effect.onInterrupt(() => Effect.logWarning(stoppedText({ ...options, mode }, saved)))
    )
  })

const runShare = Effect.fnUntraced(function* (options: PartsOptions, saved: Saved) {
  const { destination, hasCharts, mask, share, source } = options
  const shared = yield* SharedDestination
  const summarize = yield* beginRun
  yield* refuseTables
  const names = yield* namesToRead
  const existing = yield* shared.streams
  const settings = yield* fitSettings(names, { ...options, mode }, existing)
  yield* warnOfGone(names, existing, destination)

  const withSettings = Effect.provideService(ConnectorConfig, settings)
  const planned = yield* withSettings(planParts(names, share.lengthMillis))
  const own = new Map(
    planned.map(({ parts, stream }) => [
      stream,
      parts.filter((part) => ownerOf(part, share.processes) === share.index)
    ])
  )
  const streams = yield* withSettings(
    readInto(
      {
        names,
        stepMillisOf: (name) => stepMillisOf(definitionOf(settings, name)),
        hasCharts,
        mask,
        open: ({ stream }) =>
          Effect.provideService(openParts(stream, own.get(stream) ?? []), SharedDestination, shared),
        events: (watching) =>
          readPlanned(
            planned.map(({ grid, stream }) => planToRead(stream, grid, own.get(stream) ?? [])),
            { ...watching, checkpointsPastHoles: true }
          ).pipe(Stream.provide(sources.layer))
      },
      saved
    )
  )

  return yield* summarize({
    source,
    destination,
    mode,
    stepSeconds: generalStepOf(settings),
    rows: saved.rows,
    streams,
    place: shared
  })
})
