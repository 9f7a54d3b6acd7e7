/** Writes one part of a stream, beside other processes that write other parts of it, or the same one. */
import { Effect, Struct } from "effect"
import type { SampleBlock } from "../../samples/Sample.ts"
import { overlapWith, type PartResult, withPart } from "../../sync/partState.ts"
import { encodeStreamState, type StreamState } from "../../sync/StreamState.ts"
import { DestinationError } from "../Destination.ts"
import { refreshInProgress, refuseKind } from "../manifest.ts"
import type { PartWriter } from "../SharedDestination.ts"
import { stageSamples } from "../tables/staging/StagedSamples.ts"
import { areSame, type SeenLabels } from "../tables/staging/seenLabels.ts"
import { DAY, Days } from "./Days.ts"
import type { Engine } from "./engine.ts"
import { dayOf, type ParquetManifest, type PartFile } from "./manifest.ts"
import { mergeParts } from "./mergeParts.ts"
import { rowsOfDay, seriesOf } from "./parquetRows.ts"
import { overlaps } from "./parts.ts"
import type { SharedPlace } from "./SharedPlace.ts"
import { seenLabels, withColumns } from "./seenLabels.ts"
import { type NewFile, openSharedParts } from "./sharedParts.ts"

/** The saved state of a manifest, which was decoded with it. */
export const stateOf = ({ state, stream }: ParquetManifest): StreamState | undefined =>
  refreshInProgress({ stream, refreshState: state })

/** Opens a stream for one part until the scope closes. */
export const openPart = Effect.fnUntraced(function* (
  place: SharedPlace,
  engine: Engine,
  stream: string,
  nextId: () => string
) {
  const { manifest } = yield* place.latest(stream)
  yield* refuseKind(place.folder, manifest, place.kindOf(stream), "incremental_append_deduped")
  if (!manifest.isUnique) {
    return yield* new DestinationError({
      message: `${stream} in ${place.folder} may have repeated rows, which a run without parts has appended meanwhile. Start this process again.`
    })
  }
  const connection = yield* engine.connect
  const layout = place.layoutOf(stream)
  let labels: SeenLabels | undefined = seenLabels(layout, manifest.columns)
  const staging = stageSamples(engine.duckdb, connection, labels, layout)
  const mostBytes = yield* engine.stagedBytes
  const parts = yield* openSharedParts(place, engine, connection, stream, nextId)
  const days = new Days()
  let written: ReadonlyArray<NewFile> = []

  const writeRows = Effect.gen(function* () {
    yield* engine.attempt(staging.flush)
    const series = yield* engine.attempt(() => seriesOf(staging, connection))
    for (const [midnight, span] of days.drain()) {
      const rows = rowsOfDay(staging, series, "rest", midnight, staging.hasRepeated())
      written = [...written, yield* parts.write(dayOf(midnight), rows, span)]
    }
    yield* engine.attempt(() => staging.clear())
  })

  const write = Effect.fnUntraced(function* (blocks: ReadonlyArray<SampleBlock>) {
    for (const block of blocks) {
      if (block.length === 0) continue
      yield* engine.attempt(() => staging.append(block))
      days.add(block)
      if (staging.bytes() > mostBytes()) yield* writeRows
    }
  })

  /** Gives the labels the columns that the stream has now. */
  const fitColumns = Effect.fnUntraced(function* (columns: ReadonlyArray<string>) {
    if (labels === undefined) return
    const before = labels
    const after = seenLabels(layout, columns, before)
    if (after !== undefined && !areSame(before, after)) {
      const moved: Array<NewFile> = []
      for (const file of written) {
        moved.push(
          yield* parts.rewrite({ aside: [file], live: [] }, (rows) =>
            Effect.flatMap(
              engine.attempt(() => withColumns(engine.duckdb, connection, `FROM ${rows})`, before, after)),
              (query) => parts.write(file.day, query, file)
            )
          )
        )
      }
      yield* parts.remove(written.map(({ id }) => id))
      written = moved
    }
    labels = after
  })

  /** Writes the rows of a day together with those rows of older files that they do not replace. */
  const replaceRows = (files: ReadonlyArray<NewFile>, older: ReadonlyArray<PartFile>) =>
    parts.rewrite({ aside: files, live: older }, (rows, old) =>
      parts.write(
        files[0]!.day,
        `WITH later AS MATERIALIZED (FROM ${rows}))
         FROM ${old}) AS older
         WHERE NOT EXISTS (FROM later WHERE later.series_id = older.series_id AND later.time = older.time)
         UNION ALL BY NAME FROM later`,
        parts.spanOf([...older, ...files])
      )
    )

  const commit = Effect.fnUntraced(function* (part: PartResult) {
    yield* writeRows
    /** Files that only one attempt needs. */
    let merged: ReadonlyArray<NewFile> = []
    /** The days that have all their rows with this commit. */
    let ended: ReadonlyArray<string> = []
    const isCommitted = yield* parts.commit(
      Effect.fnUntraced(function* (latest) {
        yield* parts.remove(merged.map(({ id }) => id))
        merged = []
        const before = stateOf(latest)
        const state = withPart(before, part)
        if (state === undefined) return undefined
        yield* fitColumns(latest.columns)
        const mayReplace = overlapWith(before, part).length > 0
        const added: Array<NewFile> = []
        const removed: Array<PartFile> = []
        for (const [day, files] of Map.groupBy(written, ({ day }) => day)) {
          const span = parts.spanOf(files)
          const older = mayReplace
            ? latest.files.filter((file) => file.day === day && overlaps(file, span))
            : []
          if (older.length === 0) {
            added.push(...files)
            continue
          }
          const one = yield* replaceRows(files, older)
          merged = [...merged, one]
          added.push(one)
          removed.push(...older)
        }
        ended = [...new Set(written.map(({ day }) => day))].filter((day) => {
          const midnight = Date.parse(day)
          return isRead(state, midnight) && !isRead(before, midnight)
        })
        return {
          added,
          removed,
          manifest: {
            ...Struct.omit(latest, [
              "refreshState",
              "refreshFrom",
              "next",
              "nextKind",
              "isReplaced",
              "removed"
            ]),
            state: encodeStreamState(state),
            columns: labels === undefined ? latest.columns : [...labels.names]
          }
        }
      })
    )
    if (!isCommitted) return false
    const touched = new Set(written.map(({ day }) => day))
    yield* mergeParts(parts, touched, new Set(ended)).pipe(
      // The part is committed. Another commit merges them later.
      Effect.catch(({ message }) => Effect.logDebug(`Small files of ${stream} were not merged: ${message}`))
    )
    return true
  })

  const writer: PartWriter = {
    write: (blocks) => Effect.uninterruptible(write(blocks)),
    commit: (part) => Effect.uninterruptible(commit(part))
  }
  return writer
})

/** Whether all points of a day are read. */
const isRead = (state: StreamState | undefined, midnight: number): boolean => {
  if (state === undefined) return false
  const { stepMillis } = state
  const first = Math.ceil(midnight / stepMillis) * stepMillis
  const last = (Math.ceil((midnight + DAY) / stepMillis) - 1) * stepMillis
  return state.covered.some((span) => span.firstMillis <= first && last <= span.lastMillis)
}
