/**
 * The file of a DuckDB database, opened for one run, and the transactions in which manifests of streams change
 * together with their data.
 *
 * It is attached to a database in memory, so that it is called the same whatever its file is called.
 */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect, Semaphore } from "effect"
import { collectGarbage } from "../../samples/collectGarbage.ts"
import type { DestinationError } from "../Destination.ts"
import {
  type About,
  bookkeeping,
  deleteManifest,
  insertManifest,
  keyOf,
  loadManifests,
  type Manifest,
  renameAbout,
  tablesOf,
  updateManifest
} from "./manifests.ts"
import { attachFile, type OpenOptions } from "./openFile.ts"
import { type Shape, shapesOf } from "./shapes.ts"
import type { DuckDB } from "./startDuckDB.ts"
import { DATABASE, folded, qualified, type Relation } from "./tables.ts"

/**
 * What DuckDB takes for a column of a table, in whatever few rows, and does not count as part of its memory. Thousands of tables
 * leave less for everything else.
 */
const COLUMN_BYTES = 1600

/** As much is left in any case, if it is given. */
const LEAST_BYTES = 48_000_000

/** What of DuckDB's memory may be taken, since the last checkpoint, by what is not in its place in the file. */
const UNWRITTEN_PART = 3 / 8

/** The same where it is of few rows, and hence of many tables: 32 KiB for a column at least, which a checkpoint makes small. */
const UNWRITTEN_BYTES_OF_FEW_ROWS = 24_000_000
const FEW_ROWS = 50_000

/** As much of the file stays in memory then. */
const KEPT_BYTES = 24_000_000

/**
 * After writes to so many tables the file is closed and opened again. DuckDB keeps 30 KB or more for each table that it wrote
 * to until then, and what it frees lies scattered between. A first run of 3,000 tables of 21 columns took 565 MB without
 * this, and takes 390 MB. It takes 0.3 s with 3,000 tables.
 */
const TABLES_UNTIL_REOPENED = 80

/** Whether that is so is asked after so many transactions, or rows. */
const UNASKED_TRANSACTIONS = 10
const UNASKED_ROWS = 100_000

/** What a database is opened with. */
export interface DatabaseOptions extends OpenOptions, About {}

/** Runs a statement of a transaction, and returns how many rows it changed. */
export type Run = (sql: string) => Promise<number>

/** Runs a query and returns its rows. */
export type Ask = (sql: string) => Promise<ReadonlyArray<ReadonlyArray<unknown>>>

/** Runs an INSERT of rows whose order counts. DuckDB keeps none by itself (`preserve_insertion_order`), which is faster. */
export const inOrder = async (run: Run, sql: string): Promise<number> => {
  await run("SET preserve_insertion_order = true")
  try {
    return await run(sql)
  } finally {
    await run("SET preserve_insertion_order = false")
  }
}

export interface Database {
  readonly duckdb: DuckDB
  /** The path of the file, without symbolic links. */
  readonly file: string
  /** The manifests, by stream. */
  readonly manifests: ReadonlyMap<string, Manifest>
  /** The streams whose manifest this program has not written. */
  readonly damaged: ReadonlySet<string>
  /** The tables and views that were there when the file was opened, by their names, folded. */
  readonly relations: ReadonlyMap<string, Relation>
  /** How much memory is left beside what the tables take, in megabytes. */
  readonly memoryMegabytes: () => number
  /** A connection of one's own, which temporary tables belong to. */
  readonly connect: Effect.Effect<DuckDBConnection, DestinationError>
  /** Does something that may fail as DuckDB does. */
  readonly attempt: <A>(run: () => Promise<A>) => Effect.Effect<A, DestinationError>
  /**
   * One transaction: what `body` does, and the manifest that it returns, both or neither. There is one at a time: two could
   * conflict in the manifests, and a checkpoint has to wait for all.
   */
  readonly transact: (
    connection: DuckDBConnection,
    body: (run: Run) => Promise<Manifest>
  ) => Effect.Effect<Manifest, DestinationError>
  /** Queries, between transactions. */
  readonly query: <A>(body: (ask: Ask) => Promise<A>) => Effect.Effect<A, DestinationError>
  /** Moves what was committed from the log to its place in the file, if there is room for that. */
  readonly checkpoint: Effect.Effect<void>
  /** What a table is like; undefined where there is none of that name. */
  readonly shapeOf: (table: string) => Effect.Effect<Shape | undefined, DestinationError>
}

/** Opens the file until the scope closes, and makes it if need be. */
export const openDatabase = Effect.fnUntraced(function* (options: DatabaseOptions) {
  const { readOnly = false } = options
  const { attempt, connection, duckdb, file, instance, isEmpty, relations, reopen } = yield* attachFile(
    options,
    (database) => bookkeeping(database, options)
  )
  const askNow: Ask = async (sql) => (await connection.runAndReadAll(sql)).getRowsJS()
  const ask = (sql: string) => attempt(() => askNow(sql))
  /** Those that no transaction has changed since the file was opened. */
  const shapes = yield* attempt(() => shapesOf(connection, options.labelColumns))
  // One that must not be written to may have no bookkeeping yet.
  const { damaged, manifests } =
    isEmpty && readOnly
      ? { manifests: new Map<string, Manifest>(), damaged: new Set<string>() }
      : yield* loadManifests(options, ask, { relations, shapes })
  if (manifests.size === 0 && damaged.size === 0 && !readOnly) {
    yield* attempt(() => connection.run(renameAbout(options)))
  }

  /** A table that was changed here has our own columns. */
  const changedShape = (table: string) =>
    attempt(async (): Promise<Shape | undefined> => {
      try {
        const names = (await connection.run(`FROM ${qualified(table)} LIMIT 0`)).columnNames()
        return { names, wrong: [] }
      } catch (error) {
        if (error instanceof Error && error.message.startsWith("Catalog Error")) return undefined
        throw error
      }
    })
  const unwritten = Effect.map(
    ask("SELECT sum(memory_usage_bytes)::DOUBLE FROM duckdb_memory() WHERE tag = 'IN_MEMORY_TABLE'"),
    ([row]) => Number(row?.[0] ?? 0)
  )
  const lock = yield* Semaphore.make(1)
  const given = options.memoryMegabytes * 1_000_000
  let memoryBytes = given
  const setLimit = (bytes: number) =>
    attempt(() => connection.run(`SET memory_limit = '${Math.floor(bytes / 1000)}KB'`))
  /** Leaves to DuckDB what the tables that there are by now do not take. */
  const limitMemory = Effect.gen(function* () {
    const [row] = yield* ask(
      `SELECT sum(column_count)::DOUBLE FROM duckdb_tables() WHERE database_name = '${DATABASE}'`
    )
    const bytes = Math.max(Math.min(given, LEAST_BYTES), given - Number(row?.[0] ?? 0) * COLUMN_BYTES)
    if (Math.abs(bytes - memoryBytes) < given / 100) return
    yield* setLimit(bytes)
    memoryBytes = bytes
  }).pipe(Effect.ignore)
  /** Lets go of blocks of the file, which nobody will ask for again where thousands of tables are written one by one. */
  const forgetBlocks = Effect.suspend(() =>
    Effect.andThen(Effect.ignore(setLimit(KEPT_BYTES)), Effect.ignore(setLimit(memoryBytes)))
  )
  yield* limitMemory
  /** What of that a checkpoint has left: samples that are staged. */
  let bytesAfterCheckpoint = 0
  const write = attempt(() => connection.run(`CHECKPOINT ${DATABASE}`)).pipe(
    Effect.andThen(unwritten),
    Effect.andThen((bytes) => {
      const isOfFewRows = rowsUnwritten < FEW_ROWS
      bytesAfterCheckpoint = bytes
      rowsUnwritten = 0
      if (!isOfFewRows) return limitMemory
      return touched.size < TABLES_UNTIL_REOPENED ? Effect.andThen(limitMemory, forgetBlocks) : openAgain
    })
  )
  /** The names of tables that were changed since the file was opened the last time. */
  const touched = new Set<string>()
  /** Why the file is not open any more. */
  let lost: DestinationError | undefined
  /** What the system gets back while the file is closed is not taken twice; and opening it may need all that is given. */
  const roomToOpen = Effect.suspend(() => {
    memoryBytes = given
    return forgetBlocks
  })
  const openAgain = Effect.suspend(() => {
    touched.clear()
    return reopen(roomToOpen)
  }).pipe(
    Effect.tapError((error) => Effect.sync(() => (lost = error))),
    Effect.andThen(unwritten),
    Effect.andThen((bytes) => Effect.sync(() => (bytesAfterCheckpoint = bytes))),
    Effect.andThen(limitMemory)
  )
  /** With the file for itself: nothing else uses it until that is done. */
  const alone = <A>(effect: Effect.Effect<A, DestinationError>) =>
    Effect.suspend(() => (lost === undefined ? effect : Effect.fail(lost))).pipe(lock.withPermits(1))
  /** How many rows were changed since the last checkpoint. */
  let rowsUnwritten = 0
  /** Since that was asked. */
  let transactions = 0
  let rowsChanged = 0
  /**
   * Rows that were committed stay in memory until a checkpoint, 32 KB for a column at least, and DuckDB makes none
   * while its log is short: some hundreds of small tables would fill the memory.
   */
  const checkpointIfFull = Effect.suspend(() => {
    if (++transactions < UNASKED_TRANSACTIONS && rowsChanged < UNASKED_ROWS) return Effect.void
    rowsUnwritten += rowsChanged
    transactions = 0
    rowsChanged = 0
    const most = memoryBytes * UNWRITTEN_PART
    const mostNow = rowsUnwritten < FEW_ROWS ? Math.min(most, UNWRITTEN_BYTES_OF_FEW_ROWS) : most
    return unwritten.pipe(
      Effect.flatMap((bytes) => {
        if (bytes - bytesAfterCheckpoint <= mostNow) return Effect.void
        // V8 alone lets the garbage of hundreds of streams pile up.
        if (rowsUnwritten < FEW_ROWS) collectGarbage()
        return write
      }),
      Effect.ignore
    )
  })
  /** The names of tables that were changed since the file was opened, folded. */
  const changed = new Set<string>()
  const database: Database = {
    duckdb,
    file,
    manifests,
    damaged,
    relations,
    memoryMegabytes: () => memoryBytes / 1_000_000,
    attempt,
    connect: attempt(() => instance.connect()),
    transact: (own, body) =>
      attempt(async () => {
        await own.run("BEGIN")
        try {
          const manifest = await body(async (sql) => {
            const result = await own.run(sql)
            rowsChanged += result.rowsChanged
            return result.rowsChanged
          })
          const before = manifests.get(manifest.stream)
          const key = keyOf(manifest.stream)
          if (damaged.has(manifest.stream)) await own.run(deleteManifest, [key])
          await own.run(before === undefined ? insertManifest : updateManifest, [
            key,
            JSON.stringify(manifest)
          ])
          await own.run("COMMIT")
          manifests.set(manifest.stream, manifest)
          damaged.delete(manifest.stream)
          for (const table of [...tablesOf(before), ...tablesOf(manifest)]) {
            shapes.delete(folded(table))
            changed.add(folded(table))
            touched.add(folded(table))
          }
          return manifest
        } catch (error) {
          await own.run("ROLLBACK").catch(() => {})
          throw error
        }
      }).pipe(Effect.tap(checkpointIfFull), alone, Effect.uninterruptible),
    query: (body) => alone(attempt(() => body(askNow))),
    checkpoint: Effect.ignore(alone(write)),
    shapeOf: (table) =>
      changed.has(folded(table)) ? alone(changedShape(table)) : Effect.succeed(shapes.get(folded(table)))
  }
  return database
})
