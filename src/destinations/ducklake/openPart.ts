/**
 * Writes one part of a stream, beside other processes that write other parts of it, or the same one. Its rows go to a file first.
 * A short transaction makes the file visible together with the stream's new state.
 */
import { Effect } from "effect"
import type { SampleBlock } from "../../samples/Sample.ts"
import { overlapWith, type PartResult, withPart } from "../../sync/partState.ts"
import { encodeStreamState, type StreamState } from "../../sync/StreamState.ts"
import { ContentsTally } from "../contents.ts"
import { later, refreshInProgress } from "../manifest.ts"
import type { PartWriter } from "../SharedDestination.ts"
import { insertStaged, removeRepeated } from "../tables/insertStaged.ts"
import { type Manifest, saveManifest } from "../tables/manifests.ts"
import { isBetween, type TimeRange } from "../tables/names.ts"
import { type StagedSamples, stageSamples } from "../tables/staging/StagedSamples.ts"
import {
  areSame,
  rulesIn,
  type SeenLabels,
  seenAgain,
  seenLabels,
  stageSeriesAgain
} from "../tables/staging/seenLabels.ts"
import { maxLabelsIn } from "../tables/startDuckDB.ts"
import { removeDifferent } from "../tables/uniqueRows.ts"
import { addFile, type DataFiles } from "./dataFiles.ts"
import { ducklakeDialect as dialect } from "./ducklakeDialect.ts"
import { isPrepared, knownLabels, prepareTable, savedManifest } from "./prepareTable.ts"
import type { SharedLake } from "./SharedLake.ts"

/** The saved state of a manifest, which was decoded with it. */
export const stateOf = (manifest: Manifest | undefined): StreamState | undefined =>
  manifest === undefined
    ? undefined
    : refreshInProgress({ stream: manifest.stream, refreshState: manifest.state })

/** The ranges of a part whose rows may replace others. */
const replacedBy = (before: StreamState | undefined, part: PartResult): ReadonlyArray<TimeRange> =>
  overlapWith(before, part).map(({ firstMillis, lastMillis }) => ({ first: firstMillis, last: lastMillis }))

const isIn = (ranges: ReadonlyArray<TimeRange>): string =>
  ranges.length === 0 ? "false" : `(${ranges.map((range) => isBetween("r.time", range)).join(" OR ")})`

/** Opens a stream for one part until the scope closes. */
export const openPart = Effect.fnUntraced(function* (lake: SharedLake, files: DataFiles, stream: string) {
  const { attempt, options } = lake
  const own = yield* lake.connect
  const known = yield* lake.query((runQuery) => knownLabels(lake, runQuery, stream))
  const layout = lake.layoutOf(stream)
  const rules = rulesIn(layout, {
    columnOf: dialect.columnOf,
    most: maxLabelsIn(options.memoryMegabytes)
  })
  let labels: SeenLabels | undefined = rules && seenLabels(known, rules)
  const staging = stageSamples(lake.duckdb, own, labels, layout)
  let staged: StagedSamples = staging
  const tally = new ContentsTally()

  /** The file of the part, without the rows that may replace others. */
  let file: { readonly path: string; readonly without: string; readonly mayBeCommitted: boolean } | undefined
  const removeFile = Effect.suspend(() => {
    const left = file
    file = undefined
    return left === undefined || left.mayBeCommitted ? Effect.void : Effect.ignore(files.remove(left.path))
  })
  yield* Effect.addFinalizer(() => removeFile)

  const append = async (blocks: ReadonlyArray<SampleBlock>) => {
    for (const block of blocks) {
      if (block.length === 0) continue
      tally.add(block)
      await staging.append(block)
    }
  }

  /** Gives the labels the columns that the table has now. */
  const prepare = Effect.gen(function* () {
    const before = labels
    const { labels: after, table } = yield* prepareTable(lake, own, stream, (known) =>
      before === undefined || rules === undefined ? undefined : seenAgain(before, known, rules)
    )
    // Labels stay in the order in which they were staged, as long as they have the same columns.
    if (before !== undefined && after !== undefined && !areSame(before, after)) {
      yield* removeFile
      yield* attempt(() => stageSeriesAgain(lake.duckdb, own, before, after))
      labels = after
      staged = { ...staging, labels: after }
    }
    return table
  })

  const commit = Effect.fnUntraced(function* (part: PartResult) {
    staging.mark()
    yield* attempt(staging.flush)
    const { lastMillis, rows } = tally.take()
    if (rows > 0 && staging.hasRepeated()) {
      yield* attempt(async () => {
        for (const statement of removeRepeated(staged)) await own.run(statement)
      })
    }
    for (;;) {
      const before = yield* lake.query(async (runQuery) =>
        stateOf(await savedManifest(lake, runQuery, stream))
      )
      if (withPart(before, part) === undefined) {
        yield* removeFile
        return false
      }
      const table = yield* prepare
      const assumed = replacedBy(before, part)
      const without = JSON.stringify(assumed)
      if (file?.without !== without) yield* removeFile
      if (rows > 0 && file === undefined) {
        const write = files.write(own, table, staged, `NOT ${isIn(assumed)}`)
        yield* Effect.uninterruptible(
          Effect.map(write, (path) => {
            if (path !== undefined) file = { path, without, mayBeCommitted: false }
          })
        )
      }
      const added = file
      const isCommitted = yield* lake.transact(
        own,
        `a part of ${stream}`,
        async ({ run, runQuery }) => {
          const again = { result: undefined, isDone: false }
          const manifest = await savedManifest(lake, runQuery, stream)
          if (manifest === undefined || !isPrepared(manifest) || manifest.table !== table) return again
          const latest = stateOf(manifest)
          const state = withPart(latest, part)
          if (state === undefined) return { result: false, isDone: false }
          // The rows of the file are outside of these ranges.
          const overlap = replacedBy(latest, part)
          if (JSON.stringify(overlap) !== without) return again
          if (rows > 0 && overlap.length > 0) {
            const to = dialect.qualified(table)
            await removeDifferent(run, to, staged, overlap)
            // A row with the same value stays. Staged rows stay too: they are needed if this transaction has a conflict.
            const isNew = `NOT EXISTS (FROM ${to} AS old WHERE old.time = r.time AND old.series_id = s.series_id)`
            await run(insertStaged(to, staged, false, `${isIn(overlap)} AND ${isNew}`))
          }
          if (added !== undefined) await run(addFile(table, added.path))
          const saved: Manifest = {
            ...manifest,
            state: encodeStreamState(state),
            lastMillis: later(manifest.lastMillis, lastMillis)
          }
          await saveManifest(dialect, own, saved, true, false)
          if (added !== undefined) file = { ...added, mayBeCommitted: true }
          return { result: true, isDone: true }
        },
        () => {
          file = added
        }
      )
      if (isCommitted === undefined) continue
      yield* removeFile
      return isCommitted
    }
  })

  const writer: PartWriter = {
    write: (blocks) => attempt(() => append(blocks)),
    commit
  }
  return writer
})
