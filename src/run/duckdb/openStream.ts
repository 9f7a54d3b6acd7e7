/** One stream of a run into its table: what becomes of its samples in each mode, and when. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect } from "effect"
import type { SampleBlock } from "../../prometheus/Sample.ts"
import { steadyMillis } from "../../steadyMillis.ts"
import type { StreamState } from "../../sync/StreamState.ts"
import { DestinationError, type StreamWriter, type SyncMode } from "../Destination.ts"
import { isSameRefresh, later, refreshUnderWay, stateToSave, without } from "../files/StateFolder.ts"
import { quoteName } from "../quoteSql.ts"
import { labelColumns } from "../staging/LabelColumns.ts"
import { stageSamples } from "../staging/StagedSamples.ts"
import type { Database, Entry, Run } from "./Database.ts"
import { stagedColumns, stagedKeys, stagedRows } from "./stagedRows.ts"
import {
  addLabelColumn,
  createTable,
  deleteRepeated,
  duckdbColumnOf,
  folded,
  OWN_SCHEMA,
  ownColumns,
  qualified,
  tableName,
  timeLiteral
} from "./tables.ts"

/** The database that is open. */
export interface Place {
  readonly path: string
  readonly labelColumns: boolean
  readonly database: Database
  /** How many bytes may be staged in all streams. */
  readonly stagedBytes: number
  /** The tables of streams of which nothing may be remembered yet. */
  readonly tables: Map<string, string>
  /** The names of all tables that there are, or will be, folded. */
  readonly taken: Set<string>
  /** How many streams are open. */
  readonly open: { count: number }
}

/** What may be lost, and done again, when a run is killed: commits are gathered for so long. */
const POSTPONED_MILLIS = 5000

/** The table of a stream, also of one that has none yet. */
export const tableOf = (place: Place, stream: string): string =>
  place.database.entries.get(stream)?.table ?? place.tables.get(stream) ?? tableName(stream, place.taken)

/** What of a stream is there already. Other people's tables are left alone, and missing ones are not made again. */
const entryOf = Effect.fnUntraced(function* (place: Place, stream: string) {
  const { database, path } = place
  const table = tableOf(place, stream)
  place.tables.set(stream, table)
  place.taken.add(folded(table))
  const entry = database.entries.get(stream) ?? {
    version: 1,
    stream,
    table,
    hasTable: false,
    lastMillis: null,
    isUnique: true
  }
  if (!entry.hasTable && database.tables.has(folded(table))) {
    return yield* new DestinationError({
      message: `${path} has a table ${quoteName(table)} that this program has not made. Rename it, or choose another file.`
    })
  }
  const tables = [...(entry.hasTable ? [table] : []), ...(entry.next === undefined ? [] : [entry.next.table])]
  const found = yield* Effect.forEach(tables, database.columnsOf)
  const missing = tables.find((_, index) => found[index] === undefined)
  if (missing !== undefined) {
    return yield* new DestinationError({
      message: `${path} has no table ${quoteName(missing)}, but ${OWN_SCHEMA}.streams says it had: records are missing. Restore the file from before, or delete the stream's row there to read the stream ${stream} again.`
    })
  }
  return entry
})

/** A refresh that is under way may have been begun in the other mode: its rows go where they belong in this one. */
const takeOverRefresh = Effect.fnUntraced(function* (
  place: Place,
  connection: DuckDBConnection,
  entry: Entry,
  mode: SyncMode
) {
  if (refreshUnderWay(entry) === undefined) return entry
  const { database } = place
  const { next, table } = entry
  const main = qualified(table)
  const rest = without(entry, "next", "refreshRows")
  if (mode === "full_refresh_overwrite" && next === undefined) {
    const aside = nextTable(place, table)
    const count = entry.refreshRows ?? 0
    return yield* database.transact(connection, async (run) => {
      await run(`CREATE TABLE ${qualified(aside)} AS FROM ${main} LIMIT 0`)
      if (count > 0) {
        const isOfRefresh = `rowid >= (SELECT min(id) FROM (SELECT rowid AS id FROM ${main} ORDER BY id DESC LIMIT ${count}))`
        await run(`INSERT INTO ${qualified(aside)} FROM ${main} WHERE ${isOfRefresh} ORDER BY rowid`)
        await run(`DELETE FROM ${main} WHERE ${isOfRefresh}`)
      }
      return { ...rest, next: { table: aside, lastMillis: entry.lastMillis, isUnique: entry.isUnique } }
    })
  }
  if (mode === "full_refresh_append" && next !== undefined) {
    const wanted = yield* labelsOf(place, next.table)
    const known = entry.hasTable ? yield* labelsOf(place, table) : undefined
    return yield* database.transact(connection, async (run) => {
      await grow(run, table, known, wanted, place.labelColumns)
      const refreshRows = await run(
        `INSERT INTO ${main} BY NAME FROM ${qualified(next.table)} ORDER BY rowid`
      )
      await run(`DROP TABLE ${qualified(next.table)}`)
      return {
        ...rest,
        hasTable: true,
        lastMillis: later(entry.lastMillis, next.lastMillis),
        isUnique: !entry.hasTable && next.isUnique,
        refreshRows
      }
    })
  }
  return entry
})

/** A name for the table of a refresh that replaces: hardly that of a metric. */
const nextTable = (place: Place, table: string): string => {
  const name = tableName(`${table} (refresh)`, place.taken)
  place.taken.add(folded(name))
  return name
}

/** The columns of labels that a table has, none where it is not there. */
const labelsOf = (place: Place, table: string): Effect.Effect<ReadonlyArray<string>, DestinationError> =>
  Effect.map(place.database.columnsOf(table), (columns = []) => {
    const own = new Set(ownColumns(place.labelColumns).map(([name]) => name))
    return columns.filter((name) => !own.has(name))
  })

/** Makes a table with columns for some labels, or adds those that it does not have. */
const grow = async (
  run: Run,
  table: string,
  known: ReadonlyArray<string> | undefined,
  wanted: ReadonlyArray<string>,
  hasLabelColumns: boolean
): Promise<void> => {
  if (known === undefined) {
    await run(createTable(table, hasLabelColumns, wanted))
    return
  }
  const there = new Set(known.map(folded))
  for (const name of wanted) if (!there.has(folded(name))) await run(addLabelColumn(table, name))
}

/** Opens a stream until the scope closes. */
export const openStream = Effect.fnUntraced(function* (place: Place, stream: string, mode: SyncMode) {
  const { database } = place
  const { attempt, transact } = database
  const isOverwrite = mode === "full_refresh_overwrite"
  const isRefresh = isOverwrite || mode === "full_refresh_append"
  const isDeduped = mode === "incremental_append_deduped"
  const connection = yield* Effect.acquireRelease(database.connect, (connection) =>
    Effect.sync(() => connection.closeSync())
  )
  let entry = yield* takeOverRefresh(place, connection, yield* entryOf(place, stream), mode)
  if (entry.table !== stream) {
    yield* Effect.logWarning(
      `The stream ${stream} is in the table ${quoteName(entry.table)}, since DuckDB does not tell its name from that of another one.`
    )
  }
  const resumed = isRefresh ? refreshUnderWay(entry) : undefined
  const begun = isOverwrite
    ? resumed === undefined
      ? undefined
      : entry.next
    : entry.hasTable
      ? entry
      : undefined
  const target = isOverwrite ? (entry.next?.table ?? nextTable(place, entry.table)) : entry.table
  /** The columns of labels that the table has; undefined while there is none. */
  let targetLabels = begun === undefined ? undefined : yield* labelsOf(place, target)
  const labels = place.labelColumns ? labelColumns(targetLabels ?? [], duckdbColumnOf) : undefined
  const staging = stageSamples(database.duckdb, connection, labels)
  yield* Effect.acquireRelease(
    Effect.sync(() => place.open.count++),
    () => Effect.sync(() => place.open.count--)
  )

  let isUnique = begun?.isUnique ?? true
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

  /** Inserts what is staged, in place of what was there of the same series and time if that is asked for. */
  const insert = async (run: Run): Promise<number> => {
    const table = qualified(target)
    if (isDeduped && !isUnique) await run(deleteRepeated(table))
    if (staging.floats().marked + staging.histograms().marked === 0) return 0
    if (isDeduped && tableMillis !== null && overlapMillis <= tableMillis) {
      const until = timeLiteral(tableMillis)
      await run(`
        DELETE FROM ${table} AS t USING (${stagedKeys(staging, until)}) AS k
        WHERE t.time >= ${timeLiteral(overlapMillis)} AND t.time <= ${until}
          AND t.series_id = k.series_id AND t.time = k.time`)
    }
    return run(`INSERT INTO ${table} (${stagedColumns(staging)}) ${stagedRows(staging, isDeduped)}`)
  }

  /** Whether there is nothing to make durable: of thousands of streams, most may have nothing new. */
  const isAsBefore = (): boolean =>
    !isRefresh &&
    entry.hasTable &&
    entry.next === undefined &&
    entry.refreshRows === undefined &&
    (isUnique || !isDeduped) &&
    staging.floats().all + staging.histograms().all === 0 &&
    JSON.stringify(stateToSave(entry, postponed, false)) ===
      JSON.stringify(stateToSave(entry, undefined, false))

  /** Makes what is committed durable. What was written after it is left out. */
  const settle = Effect.fnUntraced(function* (isComplete: boolean) {
    if (isAsBefore()) return
    yield* attempt(staging.flush)
    const isNew = isOverwrite && (targetLabels === undefined || startsOver)
    const staysUnique =
      isDeduped || (isUnique && overlapMillis === Number.POSITIVE_INFINITY && !staging.hasRepeated())
    entry = yield* transact(connection, async (run) => {
      if (entry.next !== undefined && (isNew || !isOverwrite)) {
        await run(`DROP TABLE ${qualified(entry.next.table)}`)
      }
      await grow(run, target, isNew ? undefined : targetLabels, labels?.names ?? [], place.labelColumns)
      const count = await insert(run)
      const base = {
        ...without(entry, "next", "refreshRows", "state"),
        // A refresh that replaces is whole only once it has.
        ...stateToSave(entry, postponed, isComplete && isRefresh && !isOverwrite)
      }
      if (isOverwrite) return { ...base, next: { table: target, lastMillis, isUnique: staysUnique } }
      const refreshRows = (startsOver ? 0 : refreshed) + count
      return {
        ...base,
        hasTable: true,
        lastMillis,
        isUnique: staysUnique,
        ...(isRefresh && !isComplete ? { refreshRows } : {})
      }
    })
    if (isComplete && isOverwrite) {
      entry = yield* replaceTable
      place.taken.delete(folded(target))
    }
    refreshed = entry.refreshRows ?? 0
    targetLabels = [...(labels?.names ?? [])]
    isUnique = staysUnique
    tableMillis = lastMillis
    overlapMillis = Number.POSITIVE_INFINITY
    startsOver = false
    postponed = undefined
    yield* attempt(staging.clear)
    durableAt = yield* steadyMillis
  })

  /** Whole, a refresh takes the place of what was there. */
  const replaceTable = Effect.suspend(() =>
    transact(connection, async (run) => {
      const { hasTable, next, table } = entry
      if (hasTable) await run(`DROP TABLE ${qualified(table)}`)
      await run(`ALTER TABLE ${qualified(target)} RENAME TO ${quoteName(table)}`)
      return {
        ...without(entry, "next", "state"),
        ...stateToSave(entry, undefined, true),
        hasTable: true,
        lastMillis: next?.lastMillis ?? null,
        isUnique: next?.isUnique ?? true
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
        isUnique = true
        overlapMillis = Number.POSITIVE_INFINITY
      }
    }
    isFirst = false
    lastMillis = later(lastMillis, writtenMillis)
    postponed = state
    const isMuch = staging.bytes() * place.open.count > place.stagedBytes
    if (isMuch || (yield* steadyMillis) - durableAt >= POSTPONED_MILLIS) yield* settle(false)
  })

  yield* Effect.addFinalizer(() =>
    Effect.catch(
      Effect.suspend(() => (postponed === undefined ? Effect.void : settle(false))),
      (error) =>
        Effect.logError(`The last of ${stream} is not kept, and is read again next time: ${error.message}`)
    )
  )
  const writer: StreamWriter = {
    write: (blocks) => Effect.uninterruptible(attempt(() => write(blocks))),
    commit: (state) => Effect.uninterruptible(commit(state)),
    complete: Effect.uninterruptible(Effect.suspend(() => settle(true)))
  }
  return writer
})
