/** A complete sync without a platform: discovers the streams, reads them, and writes them to the destination. */
import { Effect, Stream } from "effect"
import { ConfigError, ConnectorConfig } from "../config/ConnectorConfig.ts"
import {
  type Contents,
  Destination,
  emptyContents,
  layerStates,
  type SavedStream,
  type StreamWriter,
  type SyncMode,
  syncKindOf
} from "../destinations/Destination.ts"
import { tableSchemas } from "../prometheus/tables/schemas.ts"
import { isIncluded } from "../promql/MetricFilter.ts"
import type { StreamKind } from "../samples/Layout.ts"
import { discoverNames, noMetrics, streamNames } from "../sync/Discovery.ts"
import { groupOf } from "../sync/groups.ts"
import { read } from "../sync/Read.ts"
import { definitionOf, generalStepOf, kindOf, stepMillisOf as stepOf } from "../sync/StreamDefinition.ts"
import { listSome } from "../text/listSome.ts"
import { pluralize } from "../text/pluralize.ts"
import { fitSettings } from "./filledDestination.ts"
import { type EventOf, nothingSaved, readInto, type Saved, type StreamSink } from "./readInto.ts"
import { type Confirm, guardEnd, guardRefresh, type Replaced } from "./refreshGuard.ts"
import { beginRun } from "./summarize.ts"

/** The options of a run. */
export interface RunOptions {
  readonly mode: SyncMode
  /** The address of the source without secrets, and the destination as the user named it. */
  readonly source: string
  readonly destination: string
  /** Whether the destination replaces rows that are read again. */
  readonly replacesRows: boolean
  /** Whether values are kept for charts, or only for sparklines. */
  readonly hasCharts: boolean
  /** Whether the user gave a step. If not, the run uses the step of the destination. */
  readonly isStepGiven: boolean
  /** Whether a full refresh may leave the destination with fewer rows or a later first row. */
  readonly mayShrink: boolean
  /** Asks the user to confirm that. */
  readonly confirm: Confirm
  /** Masks secrets. A server or a proxy may repeat them in a response, and errors quote it. */
  readonly mask: (text: string) => string
}

/**
 * Discovers the metrics and reads all of them into the destination. In the result, a failed stream has an `error`; its
 * committed rows stay. An interrupt logs what was saved, once that is certain.
 */
export const run = (options: RunOptions) =>
  Effect.suspend(() => {
    const saved = nothingSaved()
    return Effect.scoped(runInto(options, saved)).pipe(
      Effect.onInterrupt(() => Effect.logWarning(stoppedText(options, saved)))
    )
  })

/** The streams to read. Fails if there are none. */
export const namesToRead = Effect.gen(function* () {
  const settings = yield* ConnectorConfig
  const { names, unmatched } = yield* discoverNames
  const all = yield* streamNames(names)
  return all.length === 0 ? yield* noMetrics(settings, unmatched) : all
})

/** The stream that a refresh may shorten, because servers only keep the latest exemplars. */
const EXEMPLARS = tableSchemas.exemplars.stream

/** Fails if there are tables to read, because only a single process can read them. */
export const refuseTables = Effect.gen(function* () {
  const { tables } = yield* ConnectorConfig
  if (tables.length === 0) return
  return yield* new ConfigError({
    message: `One process reads the server's own tables (${tables.join(", ")}), and this run is divided among several. Remove tables (--table) from it, and read them with a run of their own.`
  })
})

/** The most names in a warning. */
const MAX_NAMES = 5

/**
 * Warns of streams in the destination that the run would read, but whose metrics the server has no longer. Also logs those that
 * only the settings of earlier runs define.
 */
export const warnOfGone = Effect.fnUntraced(function* (
  names: ReadonlyArray<string>,
  existing: ReadonlyMap<string, Pick<SavedStream, "kind">>,
  destinationName: string
) {
  const settings = yield* ConnectorConfig
  const present = new Set(names)
  const absent = Array.from(existing)
    .filter(([name]) => !present.has(name))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  const list = (texts: ReadonlyArray<string>) => listSome(texts, MAX_NAMES)
  const metrics = absent.flatMap(([name, { kind }]) =>
    // Others are not read, or in the stream of their group.
    kind === "metric" && isIncluded(settings.metrics, name) && groupOf(settings, name) === undefined
      ? [name]
      : []
  )
  if (metrics.length > 0) {
    const isOne = metrics.length === 1
    yield* Effect.logWarning(
      `${destinationName} has ${pluralize(metrics.length, "metric")} that the server does not have in the range any more: ${list(metrics)}. ${isOne ? "It was" : "They were"} removed or renamed, or the data has expired. Existing rows stay.`
    )
  }
  const isDefined = (name: string, kind: StreamKind) => kindOf(settings, name) === kind
  const groups = absent.filter(([name, { kind }]) => kind === "group" && isDefined(name, kind))
  if (groups.length > 0) {
    yield* Effect.logWarning(
      `${destinationName} has ${pluralize(groups.length, "group")} whose metrics the server does not have in the range any more: ${list(groups.map(([name]) => name))}. The metrics were removed or renamed, or the data has expired. Existing rows stay.`
    )
  }
  const undefinedOnes = absent.filter(([name, { kind }]) => kind !== "metric" && !isDefined(name, kind))
  if (undefinedOnes.length > 0) {
    yield* Effect.logInfo(
      `${destinationName} has ${pluralize(undefinedOnes.length, "stream")} of earlier runs that this one does not define: ${list(undefinedOnes.map(([name, { kind }]) => `${kind} ${name}`))}. Existing rows stay.`
    )
  }
})

/** What an interrupted run says. */
export const stoppedText = (
  { destination, mode }: Pick<RunOptions, "destination" | "mode">,
  { rows, streams }: Saved
): string =>
  rows === 0
    ? `Stopped: nothing new was saved in ${destination}. The same command starts again.`
    : `Stopped: ${pluralize(rows, "new row")} of ${pluralize(streams.size, "stream")} ${rows === 1 ? "is" : "are"} saved in ${destination}. The same command resumes${mode.startsWith("full_refresh") ? " the refresh" : " from there"}.`

const runInto = Effect.fnUntraced(function* (options: RunOptions, saved: Saved) {
  const { hasCharts, mask, mode, source } = options
  const destination = yield* Destination
  const summarize = yield* beginRun
  const names = yield* namesToRead
  const settings = yield* fitSettings(names, options, destination.streams())
  const stepMillisOf = (name: string) => stepOf(definitionOf(settings, name))
  const withSettings = Effect.provideService(ConnectorConfig, settings)
  const guarded =
    mode === "full_refresh_overwrite" && !options.mayShrink
      ? yield* withSettings(guardRefresh(names, options.destination, options.confirm))
      : new Map<string, Contents>()
  if (mode === "full_refresh_overwrite" && !options.mayShrink && names.includes(EXEMPLARS)) {
    // The server cannot count them.
    const { rows, ...span } = yield* destination.contents(EXEMPLARS, "current")
    if (rows > 0) guarded.set(EXEMPLARS, { rows, ...span })
  }
  yield* warnOfGone(names, destination.streams(), options.destination)

  const open = Effect.fnUntraced(function* ({ isResumed, stream: name }: EventOf<"Started">) {
    const before = guarded.get(name)
    const replaced: Replaced | undefined = before && {
      before,
      resumed: isResumed ? yield* destination.contents(name, "refresh") : emptyContents
    }
    const ends = (
      writer: Pick<StreamWriter, "commit" | "complete">
    ): Pick<StreamSink, "checkpoint" | "complete"> => ({
      checkpoint: ({ state }) => Effect.as(writer.commit(state), "committed"),
      complete: (committed) =>
        Effect.andThen(
          replaced === undefined ? Effect.void : guardEnd(name, replaced, committed, stepMillisOf(name)),
          writer.complete
        )
    })
    const definition = definitionOf(settings, name)
    if (definition._tag === "Table") {
      const writer = yield* destination.openTable(tableSchemas[definition.table], mode, isResumed)
      return { ...ends(writer), write: () => Effect.void, writeRows: writer.write }
    }
    const writer = yield* destination.open(name, mode, isResumed)
    return { ...ends(writer), write: writer.write }
  })

  const streams = yield* withSettings(
    readInto(
      {
        names,
        stepMillisOf,
        hasCharts,
        mask,
        open,
        events: (watching) =>
          read(
            names.map((name) => ({ name, mode: syncKindOf(mode) })),
            {
              ...watching,
              detailedStates: true,
              checkpointsPastHoles: options.replacesRows && mode === "incremental_append_deduped"
            }
          ).pipe(Stream.provide(layerStates(mode)))
      },
      saved
    )
  )

  return yield* summarize({
    source,
    destination: options.destination,
    mode,
    stepSeconds: generalStepOf(settings),
    rows: saved.rows,
    streams,
    place: destination
  })
})
