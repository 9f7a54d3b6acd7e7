/** Writes one stream of a run to its table. A commit of rows and manifest is one transaction. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect, Struct } from "effect"
import { type Backend, type Commit, openWriter } from "../CommitPolicy.ts"
import { ContentsTally, sumOf, type TimedBlock } from "../contents.ts"
import { emptyContents, type SyncMode } from "../Destination.ts"
import { later } from "../manifest.ts"
import type { Run } from "./Dialect.ts"
import { inOrder } from "./insertStaged.ts"
import type { Manifest } from "./manifests.ts"
import type { TimeRange } from "./names.ts"
import { quoteName } from "./quoteSql.ts"
import { manifestOf, refreshTable, removeOrphan } from "./streamTables.ts"
import type { TableContents } from "./TableContents.ts"
import type { TableDatabase } from "./TableDatabase.ts"
import { makeUnique, partsOf } from "./uniqueRows.ts"

/** How long commits are batched. If a run is killed, the next one reads them again. */
const PENDING_MILLIS = 5000

/** Opens a stream of samples, or a table, until the scope closes. */
export const openStream = Effect.fnUntraced(function* <Block extends TimedBlock>(
  open: TableDatabase,
  stream: string,
  contents: TableContents<Block>,
  mode: SyncMode,
  isResumed: boolean
) {
  const connection = yield* open.connect
  let manifest = yield* manifestOf(open, stream, mode, contents)
  if (mode !== "full_refresh_overwrite" || manifest.orphan !== manifest.table) {
    manifest = yield* removeOrphan(open, connection, manifest)
  }
  if (mode === "incremental_append_deduped" && manifest.hasTable && !manifest.isUnique) {
    manifest = yield* makeUnique(open, connection, manifest, contents.key)
  }
  if (manifest.table !== stream) {
    yield* Effect.logWarning(
      `The stream ${stream} is in the table ${quoteName(manifest.table)}: ${open.dialect.engine} does not distinguish its name from that of another table.`
    )
  }
  const limits = { millis: PENDING_MILLIS, bytes: yield* open.stagedBytes }
  return yield* openWriter({ manifest, kind: contents.kind, mode, isResumed, limits }, (resumesRefresh) =>
    openBackend(open, connection, contents, manifest, mode, resumesRefresh)
  )
})

/** Stages the blocks of a stream, and inserts them with each commit. */
const openBackend = Effect.fnUntraced(function* <Block extends TimedBlock>(
  open: TableDatabase,
  connection: DuckDBConnection,
  { columnsOf, stage }: TableContents<Block>,
  opened: Manifest,
  mode: SyncMode,
  resumesRefresh: boolean
) {
  const { attempt, dialect, transact } = open
  const isOverwrite = mode === "full_refresh_overwrite"
  const isUnique = isOverwrite || mode === "incremental_append_deduped"
  let manifest = opened
  const begun = isOverwrite
    ? resumesRefresh
      ? manifest.next
      : undefined
    : manifest.hasTable
      ? manifest
      : undefined
  const target = isOverwrite ? (manifest.next?.table ?? refreshTable(open, manifest.table)) : manifest.table
  /** The columns of the table that differ between tables; undefined while it does not exist. */
  let targetColumns: ReadonlyArray<string> | undefined
  if (begun !== undefined) {
    const shape = yield* open.shapeOf(target)
    targetColumns = shape === undefined ? [] : columnsOf(shape)
  }
  const staging = stage(connection, targetColumns ?? [])
  let refreshRows = resumesRefresh ? (manifest.refreshRows ?? 0) : 0
  let isNumbered = false
  /** The time of the latest row in the table. */
  let tableMillis = begun?.lastMillis ?? null
  /** The appended rows, before and after the mark. */
  let marked = emptyContents
  const unmarked = new ContentsTally()

  const append = async (blocks: ReadonlyArray<Block>) => {
    for (const block of blocks) {
      if (block.length === 0) continue
      unmarked.add(block)
      await staging.append(block)
    }
  }

  /** The time range of marked rows that the table may already have. */
  const overlapOf = (): TimeRange | undefined => {
    const { firstMillis: first, lastMillis: last } = marked
    if (first === null || last === null || tableMillis === null || first > tableMillis) return undefined
    return { first, last: Math.min(last, tableMillis) }
  }

  /** Inserts the marked rows. Returns their number. */
  const insert = async (run: Run, overlap: ReadonlyArray<TimeRange>): Promise<number> => {
    if (marked.rows === 0) return 0
    if (isUnique) {
      await staging.insertUnique(run, dialect.qualified(target), overlap)
      return 0
    }
    // Of repeated rows the last one counts, so the order matters.
    const isOrdered = staging.hasRepeated()
    const sql = staging.insert(dialect.qualified(target), isOrdered)
    return isOrdered ? inOrder(run, sql) : run(sql)
  }

  /** Whether the table exists, and lacks columns of what is staged. */
  const lacksColumns = (): boolean => {
    if (targetColumns === undefined) return false
    const there = new Set(targetColumns.map(dialect.folded))
    return staging.wanted().some((name) => !there.has(dialect.folded(name)))
  }

  const persist = Effect.fnUntraced(function* ({ isComplete, kind, states }: Commit) {
    yield* attempt(staging.flush)
    const overlap = overlapOf()
    const parts = isUnique && overlap !== undefined ? yield* partsOf(open, target, overlap) : []
    const lastMillis = later(tableMillis, marked.lastMillis)
    const isNew = targetColumns === undefined
    if (dialect.addsColumnsApart === true && kind === "complete_refresh" && isOverwrite && lacksColumns()) {
      const unchanged = manifest
      yield* transact(connection, async (run) => {
        await staging.grow(run, target, targetColumns)
        return unchanged
      })
      targetColumns = [...staging.wanted()]
    }
    manifest = yield* transact(connection, async (run): Promise<Manifest> => {
      const { hasTable, next, table } = manifest
      if (next !== undefined && (isNew || !isOverwrite)) {
        await run(dialect.dropTable(next.table))
      }
      await staging.grow(run, target, targetColumns)
      if (!isUnique && !isNumbered && dialect.numberRows !== undefined) await run(dialect.numberRows(target))
      const count = await insert(run, parts)
      const rest = {
        ...Struct.omit(manifest, ["next", "nextKind", "refreshRows", "state", "refreshState"]),
        ...states
      }
      if (!isOverwrite) {
        return {
          ...rest,
          lastMillis,
          hasTable: true,
          isUnique: isUnique || (manifest.isUnique && overlap === undefined && !staging.hasRepeated()),
          ...(kind === "refresh" ? { refreshRows: refreshRows + count } : {})
        }
      }
      if (kind !== "complete_refresh") return { ...rest, next: { table: target, lastMillis } }
      if (hasTable || manifest.orphan === table) await run(dialect.dropTable(table))
      await run(dialect.renameTable(target, table))
      return { ...Struct.omit(rest, ["orphan"]), lastMillis, hasTable: true, isUnique: true }
    })
    isNumbered = true
    targetColumns = [...staging.wanted()]
    refreshRows = manifest.refreshRows ?? 0
    tableMillis = lastMillis
    marked = emptyContents
    if (isOverwrite && isComplete) open.tableNames.delete(dialect.folded(target))
    // Closing the connection drops the staged tables.
    else yield* attempt(staging.removeMarked)
    return manifest
  })

  const backend: Backend<Manifest, Block> = {
    append: (blocks) => attempt(() => append(blocks)),
    mark: () => {
      staging.mark()
      marked = sumOf([marked, unmarked.take()])
    },
    unpersistedBytes: staging.bytes,
    persist
  }
  return backend
})
