/**
 * A DuckDB database file, opened for one run, and the transactions that change streams' manifests together with their rows.
 *
 * The file is attached to an in-memory database, so that its name in SQL is always the same.
 */
import { Effect, Semaphore } from "effect"
import { collectGarbage } from "../../samples/collectGarbage.ts"
import type { DestinationError } from "../Destination.ts"
import { type OpenOptions, shapesIn } from "../DestinationKind.ts"
import { duckdbDialect } from "../tables/duckdbDialect.ts"
import { DATABASE } from "../tables/names.ts"
import { openTables } from "../tables/openTables.ts"
import { DEFAULT_MEMORY_MEGABYTES, divideBytes, maxLabelsIn, STAGED_SHARE } from "../tables/startDuckDB.ts"
import type { TableDatabase } from "../tables/TableDatabase.ts"
import { transaction } from "../tables/transaction.ts"
import { attachFile } from "./openFile.ts"

/**
 * DuckDB needs this much memory for each column of a table, even with few rows, and does not count it towards its limit.
 * Thousands of tables leave less for everything else.
 */
const COLUMN_BYTES = 1600

/** The minimum memory limit for DuckDB, unless less is configured. */
const MIN_BYTES = 48_000_000

/** The share of DuckDB's memory for rows that are not checkpointed. */
const MAX_UNCHECKPOINTED_SHARE = 3 / 8

/** The same for tables of few rows: each column takes at least 32 KiB until a checkpoint compacts it. */
const MAX_UNCHECKPOINTED_BYTES_OF_FEW_ROWS = 24_000_000
const FEW_ROWS = 50_000

/** How much of the file stays cached in memory after a checkpoint. */
const CACHED_BYTES = 24_000_000

/**
 * After writes to this many tables, the file is closed and reopened. Until then DuckDB keeps 30 KB or more for each table
 * written, and memory that it frees is fragmented. A first run of 3,000 tables of 21 columns took 565 MB without reopening, and
 * takes 390 MB with it. It takes 0.3 s with 3,000 tables.
 */
const TABLES_UNTIL_REOPENED = 80

/** The memory use is checked after this many transactions, or rows. */
const CHECK_AFTER_TRANSACTIONS = 10
const CHECK_AFTER_ROWS = 100_000

/** Opens the file until the scope closes. Creates it if it does not exist. */
export const openDatabase = Effect.fnUntraced(function* (given: OpenOptions) {
  const { memoryMegabytes = DEFAULT_MEMORY_MEGABYTES } = given
  const options = { ...given, dialect: duckdbDialect, memoryMegabytes }
  const attached = yield* attachFile(options)
  const { attempt, connect, connection, duckdb, file, relations, reopen } = attached
  const { damaged, forget, manifests, runQuery, shapeOf, tableNames } = yield* openTables(options, attached)
  const querySafely = (sql: string) => attempt(() => runQuery(sql))
  const unwritten = Effect.map(
    querySafely("SELECT sum(memory_usage_bytes)::DOUBLE FROM duckdb_memory() WHERE tag = 'IN_MEMORY_TABLE'"),
    ([row]) => Number(row?.[0] ?? 0)
  )
  const allBytes = memoryMegabytes * 1_000_000
  let memoryBytes = allBytes
  const setLimit = (bytes: number) =>
    attempt(() => connection.run(`SET memory_limit = '${Math.floor(bytes / 1000)}KB'`))
  /** Sets DuckDB's memory limit to what the tables do not need. */
  const limitMemory = Effect.gen(function* () {
    const [row] = yield* querySafely(
      `SELECT sum(column_count)::DOUBLE FROM duckdb_tables() WHERE database_name = '${DATABASE}'`
    )
    const bytes = Math.max(Math.min(allBytes, MIN_BYTES), allBytes - Number(row?.[0] ?? 0) * COLUMN_BYTES)
    if (Math.abs(bytes - memoryBytes) < allBytes / 100) return
    yield* setLimit(bytes)
    memoryBytes = bytes
  }).pipe(Effect.ignore)
  /** Evicts blocks of the file from memory. When thousands of tables are written one by one, they are not needed again. */
  const evictBlocks = Effect.suspend(() =>
    Effect.andThen(Effect.ignore(setLimit(CACHED_BYTES)), Effect.ignore(setLimit(memoryBytes)))
  )
  yield* limitMemory
  /** The number of rows changed since the last checkpoint. */
  let rowsSinceCheckpoint = 0
  /** The staged samples that remained after it. */
  let bytesAfterCheckpoint = 0
  /** The names of tables that were changed since the file was last opened. */
  const touched = new Set<string>()
  /** Why the file is no longer open. */
  let lost: DestinationError | undefined
  const measure = Effect.flatMap(unwritten, (bytes) => {
    bytesAfterCheckpoint = bytes
    return limitMemory
  })
  /** Limits memory before reopening: memory freed by closing is not counted twice, and opening may need all of it. */
  const freeMemory = Effect.suspend(() => {
    memoryBytes = allBytes
    return evictBlocks
  })
  const reopenFile = Effect.suspend(() => {
    touched.clear()
    return reopen(freeMemory)
  }).pipe(
    Effect.tapError((error) => Effect.sync(() => (lost = error))),
    Effect.andThen(measure)
  )
  const write = Effect.flatMap(
    attempt(() => connection.run(`CHECKPOINT ${DATABASE}`)),
    () => {
      const isOfFewRows = rowsSinceCheckpoint < FEW_ROWS
      rowsSinceCheckpoint = 0
      if (!isOfFewRows) return measure
      return touched.size < TABLES_UNTIL_REOPENED ? Effect.andThen(measure, evictBlocks) : reopenFile
    }
  )
  const lock = yield* Semaphore.make(1)
  /** Runs an operation while no other one runs, as the file may be reopened in between. */
  const exclusively = <A>(effect: Effect.Effect<A, DestinationError>) =>
    Effect.suspend(() => (lost === undefined ? effect : Effect.fail(lost))).pipe(lock.withPermits(1))
  /** The number of transactions and of rows changed since the memory use was last checked. */
  let transactions = 0
  let rowsChanged = 0
  /**
   * Committed rows stay in memory until a checkpoint, at least 32 KB per column. DuckDB makes no checkpoint while its log is
   * short, so that some hundreds of small tables would fill the memory.
   */
  const checkpointIfFull = Effect.suspend(() => {
    if (++transactions < CHECK_AFTER_TRANSACTIONS && rowsChanged < CHECK_AFTER_ROWS) return Effect.void
    rowsSinceCheckpoint += rowsChanged
    transactions = 0
    rowsChanged = 0
    const most = memoryBytes * MAX_UNCHECKPOINTED_SHARE
    const maxUncheckpointed =
      rowsSinceCheckpoint < FEW_ROWS ? Math.min(most, MAX_UNCHECKPOINTED_BYTES_OF_FEW_ROWS) : most
    return unwritten.pipe(
      Effect.flatMap((bytes) => {
        if (bytes - bytesAfterCheckpoint <= maxUncheckpointed) return Effect.void
        // V8 would let the garbage of hundreds of streams accumulate.
        if (rowsSinceCheckpoint < FEW_ROWS) collectGarbage()
        return write
      }),
      Effect.ignore
    )
  })
  const memoryLeft = () => memoryBytes / 1_000_000
  const database: TableDatabase = {
    path: options.path,
    dialect: duckdbDialect,
    ...shapesIn(options),
    maxLabels: () => maxLabelsIn(memoryLeft()),
    stagedBytes: divideBytes(() => memoryBytes * STAGED_SHARE),
    tables: new Map<string, string>(),
    tableNames,
    duckdb,
    manifests,
    damaged,
    relations,
    /** What remains beside the tables. */
    memoryMegabytes: memoryLeft,
    attempt,
    connect,
    transact: (own, body) =>
      attempt(async () => {
        const done = await transaction(duckdbDialect, own, { manifests, damaged }, body)
        const { before, manifest } = done
        rowsChanged += done.rowsChanged
        for (const table of forget(before, manifest)) touched.add(table)
        return manifest
      }).pipe(Effect.tap(checkpointIfFull), exclusively, Effect.uninterruptible),
    query: (body) => exclusively(attempt(() => body(runQuery))),
    shapeOf: (table) => shapeOf(table, exclusively)
  }
  return {
    database,
    file,
    /** Moves committed data from the log into the file, if there is enough space. */
    checkpoint: Effect.ignore(exclusively(write))
  }
})
