/** One stream of a run into its table: what becomes of its samples in each mode, and when. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect } from "effect"
import { labelColumns } from "../../records/LabelColumns.ts"
import type { SampleBlock } from "../../samples/Sample.ts"
import type { StreamState } from "../../sync/StreamState.ts"
import { steadyMillis } from "../../text/steadyMillis.ts"
import { type DestinationError, type StreamWriter, type SyncMode, syncKindOf } from "../Destination.ts"
import { isSameRefresh, later, refreshOf, statesToSave, without } from "../manifest.ts"
import { inOrder, type Run } from "./Database.ts"
import { besideTable, entryOf, grow, labelsOf, type Place } from "./OpenDatabase.ts"
import { addKey, dropKey } from "./primaryKey.ts"
import { quoteName } from "./quoteSql.ts"
import { cleanUp } from "./removeOrphans.ts"
import { type Slice, slicesOf, stagedColumns, stagedRows, within } from "./stagedRows.ts"
import { stageSamples } from "./staging/StagedSamples.ts"
import { duckdbColumnOf, folded, INTO_THEIR_PLACE, ownColumns, qualified, timeLiteral } from "./tables.ts"

/** What may be lost, and done again, when a run is killed: commits are gathered for so long. */
const POSTPONED_MILLIS = 5000

/** What is there of a stream, in the shape that a mode asks for: rows are told by a key, unless they may be there already. */
const prepare = Effect.fnUntraced(function* (
  place: Place,
  connection: DuckDBConnection,
  stream: string,
  mode: SyncMode
) {
  let entry = yield* cleanUp(place, connection, yield* entryOf(place, stream, mode))
  const isAppended = mode === "full_refresh_append" || mode === "incremental_append"
  if (isAppended && entry.hasTable && entry.hasKey) entry = yield* dropKey(place, connection, entry)
  if (mode === "incremental_append_deduped" && entry.hasTable && !entry.hasKey) {
    return yield* addKey(place, connection, entry, "table")
  }
  if (mode === "full_refresh_overwrite" && entry.next?.hasKey === false) {
    return yield* addKey(place, connection, entry, "next")
  }
  return entry
})

/** Opens a stream until the scope closes. */
export const openStream = Effect.fnUntraced(function* (
  place: Place,
  stream: string,
  mode: SyncMode,
  isResumed: boolean
) {
  const { database } = place
  const { attempt, transact } = database
  const isOverwrite = mode === "full_refresh_overwrite"
  const isRefresh = isOverwrite || mode === "full_refresh_append"
  const hasKey = isOverwrite || mode === "incremental_append_deduped"
  const connection = yield* Effect.acquireRelease(database.connect, (connection) =>
    Effect.sync(() => connection.closeSync())
  )
  let entry = yield* prepare(place, connection, stream, mode)
  if (entry.table !== stream) {
    yield* Effect.logWarning(
      `The stream ${stream} is in the table ${quoteName(entry.table)}, since DuckDB does not tell its name from that of another one.`
    )
  }
  const resumed = isResumed ? refreshOf(entry, mode) : undefined
  const refresh = resumed === undefined ? undefined : entry.next
  const begun = isOverwrite ? refresh : entry.hasTable ? entry : undefined
  const target = isOverwrite ? (entry.next?.table ?? besideTable(place, entry.table, "refresh")) : entry.table
  /** The columns of labels that the table has; undefined while there is none. */
  let targetLabels = begun === undefined ? undefined : yield* labelsOf(place, target)
  const labels = place.labelColumns
    ? labelColumns(targetLabels ?? [], duckdbColumnOf, place.mostLabels())
    : undefined
  const staging = stageSamples(database.duckdb, connection, labels)
  yield* Effect.acquireRelease(
    Effect.sync(() => place.open.count++),
    () => Effect.sync(() => place.open.count--)
  )

  /** How many rows of the refresh that is under way are in the table. */
  let refreshed = resumed === undefined ? 0 : (entry.refreshRows ?? 0)
  /** The time of the latest row: of those in the table, of those to be inserted with them, and of all that were written. */
  let tableMillis = begun?.lastMillis ?? null
  let lastMillis = tableMillis
  let writtenMillis: number | null = null
  /** Rows from this time on may be in the table already. */
  let overlapMillis = Number.POSITIVE_INFINITY
  let postponed: StreamState | undefined
  let isFirst = true
  let startsOver = false
  /** Some of what is staged may be in the table: of several transactions, not all were done. */
  let isHalfDone = false
  /** What is staged may be incomplete. */
  let hasFailed = false
  let durableAt = yield* steadyMillis

  const write = async (blocks: ReadonlyArray<SampleBlock>) => {
    for (const block of blocks) {
      if (block.length === 0) continue
      const first = block.times[0]!
      if (tableMillis !== null && first <= tableMillis) overlapMillis = Math.min(overlapMillis, first)
      writtenMillis = later(writtenMillis, block.times[block.length - 1]!)
      await staging.append(block)
    }
  }

  /**
   * Inserts some of what is staged, in place of what was there of the same series and time if there is a key. Answers how many
   * rows were appended; with a key nobody asks.
   */
  const insert = async (run: Run, slice: Slice, mayMeetRows: boolean): Promise<number> => {
    const into = (part: Slice, tail = "") => {
      const sql = `INSERT INTO ${qualified(target)} (${stagedColumns(staging)}) ${stagedRows(staging, part, hasKey)} ${tail}`
      return !hasKey && staging.hasRepeated() ? inOrder(run, sql) : run(sql)
    }
    if (staging.floats().marked + staging.histograms().marked === 0) return 0
    if (!hasKey) return into(slice)
    if (mayMeetRows) return into(slice, INTO_THEIR_PLACE)
    if (tableMillis === null || overlapMillis > tableMillis) return into(slice)
    const until = timeLiteral(tableMillis)
    await into(within(slice, `r.time <= ${until}`), INTO_THEIR_PLACE)
    return into(within(slice, `r.time > ${until}`))
  }

  /** Whether there is nothing to make durable: of thousands of streams, most may have nothing new. */
  const isAsBefore = (): boolean =>
    !isRefresh &&
    entry.hasTable &&
    entry.next === undefined &&
    entry.refreshRows === undefined &&
    staging.floats().all + staging.histograms().all === 0 &&
    JSON.stringify(statesToSave(entry, postponed, "incremental").state) === JSON.stringify(entry.state)

  /** Makes what is committed durable. What was written after it is left out. */
  const settle = Effect.fnUntraced(function* (isComplete: boolean) {
    if (isAsBefore()) return
    yield* attempt(staging.flush)
    // A key is kept in memory until its transaction is committed.
    const atOnce = place.rowsAtOnce(ownColumns(place.labelColumns).length + (labels?.names.length ?? 0))
    const isMerged =
      isHalfDone || staging.hasRepeated() || (tableMillis !== null && overlapMillis <= tableMillis)
    const slices = slicesOf(
      staging,
      hasKey ? (isMerged ? atOnce.merged : atOnce.inserted) : Number.POSITIVE_INFINITY
    )
    const mayMeetRows = isHalfDone || (slices.length > 1 && staging.hasRepeated())
    // A refresh that replaces is whole only once it has.
    const kind = isComplete && isRefresh && !isOverwrite ? "whole_refresh" : syncKindOf(mode)
    let count = startsOver ? 0 : refreshed
    for (const [index, slice] of slices.entries()) {
      const isLast = index === slices.length - 1
      const isNew = isOverwrite && (targetLabels === undefined || startsOver)
      // Of another refresh nothing holds from the first transaction on.
      if (startsOver) entry = without(entry, "refreshState")
      const table = { table: target, lastMillis, hasKey, ...(isLast ? {} : { ahead: tableMillis }) }
      entry = yield* transact(connection, async (run) => {
        if (entry.next !== undefined && (isNew || !isOverwrite)) {
          await run(`DROP TABLE IF EXISTS ${qualified(entry.next.table)}`)
        }
        await grow(run, place, target, isNew ? undefined : targetLabels, labels?.names ?? [], hasKey)
        count += await insert(run, slice, mayMeetRows)
        const rest = {
          ...without(entry, "next", "refreshRows", "state", "refreshState"),
          ...statesToSave(entry, isLast ? postponed : undefined, kind)
        }
        if (isOverwrite) return { ...rest, next: table }
        return {
          ...without(rest, "ahead"),
          ...table,
          hasTable: true,
          ...(isRefresh && !isComplete ? { refreshRows: count } : {})
        }
      })
      targetLabels = [...(labels?.names ?? [])]
      startsOver = false
      isHalfDone = !isLast
    }
    refreshed = entry.refreshRows ?? 0
    tableMillis = lastMillis
    overlapMillis = Number.POSITIVE_INFINITY
    postponed = undefined
    if (isComplete && isOverwrite) {
      entry = yield* replaceTable
      place.taken.delete(folded(target))
    }
    // Nothing is staged after that, and the tables go with the connection.
    if (!isComplete) yield* attempt(staging.clear)
    durableAt = yield* steadyMillis
  })

  /** Whole, a refresh takes the place of what was there. */
  const replaceTable = Effect.suspend(() =>
    transact(connection, async (run) => {
      const { hasTable, next, table } = entry
      if (hasTable) await run(`DROP TABLE IF EXISTS ${qualified(table)}`)
      await run(`ALTER TABLE ${qualified(target)} RENAME TO ${quoteName(table)}`)
      return {
        ...without(entry, "next", "state", "refreshState"),
        ...statesToSave(entry, undefined, "whole_refresh"),
        hasTable: true,
        lastMillis: next?.lastMillis ?? null,
        hasKey
      }
    })
  )

  const commit = Effect.fnUntraced(function* (state: StreamState) {
    staging.mark()
    // This is another refresh than the one that was under way: only what this run wrote is part of it.
    if (isFirst && resumed !== undefined && !isSameRefresh(resumed, state)) {
      startsOver = true
      if (isOverwrite) {
        lastMillis = null
        tableMillis = null
        overlapMillis = Number.POSITIVE_INFINITY
      }
    }
    isFirst = false
    lastMillis = later(lastMillis, writtenMillis)
    postponed = state
    const isMuch = staging.bytes() * place.open.count > place.stagedBytes()
    if (isMuch || (yield* steadyMillis) - durableAt >= POSTPONED_MILLIS) yield* settle(false)
  })

  yield* Effect.addFinalizer(() =>
    Effect.catch(
      Effect.suspend(() => (postponed === undefined || hasFailed ? Effect.void : settle(false))),
      (error) =>
        Effect.logError(`The last of ${stream} is not kept, and is read again next time: ${error.message}`)
    )
  )
  const orFailed = <A>(effect: Effect.Effect<A, DestinationError>) =>
    Effect.tapError(Effect.uninterruptible(effect), () => Effect.sync(() => (hasFailed = true)))
  const writer: StreamWriter = {
    write: (blocks) => orFailed(attempt(() => write(blocks))),
    commit: (state) => orFailed(commit(state)),
    complete: orFailed(Effect.suspend(() => settle(true)))
  }
  return writer
})
