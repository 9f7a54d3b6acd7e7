/** Writes one stream of a run to its table. A commit of rows and manifest is one transaction. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect, Struct } from "effect"
import { labelColumns } from "../../records/LabelColumns.ts"
import type { SampleBlock } from "../../samples/Sample.ts"
import { type Backend, type Commit, openWriter } from "../CommitPolicy.ts"
import { ContentsTally, sumOf } from "../contents.ts"
import { emptyContents, type SyncMode } from "../Destination.ts"
import { later } from "../manifest.ts"
import type { Run } from "./Dialect.ts"
import { inOrder, insertStaged } from "./insertStaged.ts"
import type { Manifest } from "./manifests.ts"
import type { TimeRange } from "./names.ts"
import { quoteName } from "./quoteSql.ts"
import { stageSamples } from "./staging/StagedSamples.ts"
import { grow, labelsOf, manifestOf, refreshTable, removeOrphan } from "./streamTables.ts"
import type { TableDatabase } from "./TableDatabase.ts"
import { insertUnique, makeUnique, partsOf } from "./uniqueRows.ts"

/** How long commits are batched. If a run is killed, the next one reads them again. */
const PENDING_MILLIS = 5000

/** Opens a stream until the scope closes. */
export const openStream = Effect.fnUntraced(function* (
  open: TableDatabase,
  stream: string,
  mode: SyncMode,
  isResumed: boolean
) {
  const connection = yield* open.connect
  let manifest = yield* manifestOf(open, stream, mode)
  if (mode !== "full_refresh_overwrite" || manifest.orphan !== manifest.table) {
    manifest = yield* removeOrphan(open, connection, manifest)
  }
  if (mode === "incremental_append_deduped" && manifest.hasTable && !manifest.isUnique) {
    manifest = yield* makeUnique(open, connection, manifest)
  }
  if (manifest.table !== stream) {
    yield* Effect.logWarning(
      `The stream ${stream} is in the table ${quoteName(manifest.table)}: ${open.dialect.engine} does not distinguish its name from that of another table.`
    )
  }
  const limits = { millis: PENDING_MILLIS, bytes: yield* open.stagedBytes }
  return yield* openWriter({ manifest, mode, isResumed, limits }, (resumesRefresh) =>
    openBackend(open, connection, manifest, mode, resumesRefresh)
  )
})

/** Stages the samples of a stream, and inserts them with each commit. */
const openBackend = Effect.fnUntraced(function* (
  open: TableDatabase,
  connection: DuckDBConnection,
  opened: Manifest,
  mode: SyncMode,
  resumesRefresh: boolean
) {
  const { attempt, dialect, duckdb, transact } = open
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
  /** The label columns of the table; undefined while it does not exist. */
  let targetLabels = begun === undefined ? undefined : yield* labelsOf(open, target)
  const labels = open.labelColumns
    ? labelColumns(targetLabels ?? [], dialect.columnOf, open.maxLabels())
    : undefined
  const staging = stageSamples(duckdb, connection, labels, dialect)
  let refreshRows = resumesRefresh ? (manifest.refreshRows ?? 0) : 0
  let isNumbered = false
  /** The time of the latest row in the table. */
  let tableMillis = begun?.lastMillis ?? null
  /** The appended rows, before and after the mark. */
  let marked = emptyContents
  const unmarked = new ContentsTally()

  const append = async (blocks: ReadonlyArray<SampleBlock>) => {
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
      await insertUnique(run, dialect.qualified(target), staging, overlap)
      return 0
    }
    // Of repeated rows the last one counts, so the order matters.
    const isOrdered = staging.hasRepeated()
    const sql = insertStaged(dialect.qualified(target), staging, isOrdered)
    return isOrdered ? inOrder(run, sql) : run(sql)
  }

  /** Whether the table exists, and lacks columns of staged labels. */
  const lacksColumns = (): boolean => {
    if (targetLabels === undefined) return false
    const there = new Set(targetLabels.map(dialect.folded))
    return labels?.names.some((name) => !there.has(dialect.folded(name))) === true
  }

  const persist = Effect.fnUntraced(function* ({ isComplete, kind, states }: Commit) {
    yield* attempt(staging.flush)
    const overlap = overlapOf()
    const parts = isUnique && overlap !== undefined ? yield* partsOf(open, target, overlap) : []
    const lastMillis = later(tableMillis, marked.lastMillis)
    const isNew = targetLabels === undefined
    if (dialect.addsColumnsApart === true && kind === "complete_refresh" && isOverwrite && lacksColumns()) {
      const unchanged = manifest
      yield* transact(connection, async (run) => {
        await grow(run, open, target, targetLabels, labels?.names ?? [])
        return unchanged
      })
      targetLabels = [...(labels?.names ?? [])]
    }
    manifest = yield* transact(connection, async (run): Promise<Manifest> => {
      const { hasTable, next, table } = manifest
      if (next !== undefined && (isNew || !isOverwrite)) {
        await run(dialect.dropTable(next.table))
      }
      await grow(run, open, target, targetLabels, labels?.names ?? [])
      if (!isUnique && !isNumbered && dialect.numberRows !== undefined) await run(dialect.numberRows(target))
      const count = await insert(run, parts)
      const rest = { ...Struct.omit(manifest, ["next", "refreshRows", "state", "refreshState"]), ...states }
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
    targetLabels = [...(labels?.names ?? [])]
    refreshRows = manifest.refreshRows ?? 0
    tableMillis = lastMillis
    marked = emptyContents
    if (isOverwrite && isComplete) open.tableNames.delete(dialect.folded(target))
    // Closing the connection drops the staged tables.
    else yield* attempt(staging.removeMarked)
    return manifest
  })

  const backend: Backend<Manifest> = {
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
