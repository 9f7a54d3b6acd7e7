/**
 * The file of a DuckDB database, opened for one run: what is remembered of streams in it, and the transactions in which
 * that changes together with their data.
 *
 * It is attached to a database in memory, so that it is called the same whatever its file is called.
 */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect, Result, Schema, Semaphore } from "effect"
import { ConfigError } from "../../ConnectorConfig.ts"
import type { DestinationError } from "../Destination.ts"
import { Count, entryFields } from "../entries.ts"
import { quoteText } from "../quoteSql.ts"
import { attachFile, type DuckDB, type OpenOptions } from "./openFile.ts"
import { DATABASE, folded, OWN_SCHEMA } from "./tables.ts"

const Millis = Schema.NullOr(Schema.Int)

const tableFields = {
  /** Its name. */
  table: Schema.String,
  /** The time of its latest row. */
  lastMillis: Millis,
  /** Whether it has its primary key: not where rows are appended that may be there already. */
  hasKey: Schema.Boolean,
  /**
   * Rows later than this, or all if null, are ahead of the state: they are of a commit of so many rows that it takes several
   * transactions, and is not at the last of them.
   */
  ahead: Schema.optionalKey(Millis)
}

const TableSchema = Schema.Struct(tableFields)

/** What is remembered of a table. */
export type TableEntry = typeof TableSchema.Type

const EntrySchema = Schema.Struct({
  ...entryFields,
  ...tableFields,
  /** Whether that table is there: not before the first refresh that replaces is whole. */
  hasTable: Schema.Boolean,
  /** How many of its rows, the last ones, are of a refresh that is under way and appends. */
  refreshRows: Schema.optionalKey(Count),
  /** The table of a refresh that is under way and replaces. */
  next: Schema.optionalKey(TableSchema),
  /** A table that is being made to take the place of one of these, and is of no use until it does. */
  making: Schema.optionalKey(Schema.String)
})

/** What is remembered of a stream. */
export type Entry = typeof EntrySchema.Type

const EntryJson = Schema.fromJsonString(EntrySchema)

/** What the bookkeeping looks like. That of a newer program is refused. */
const VERSION = 1

/** What of DuckDB's memory may be taken, since the last checkpoint, by what is not in its place in the file. */
const UNWRITTEN_PART = 3 / 8

/** Whether that is so is asked after so many transactions, or rows. */
const UNASKED_TRANSACTIONS = 10
const UNASKED_ROWS = 100_000

const ABOUT = `${DATABASE}.${OWN_SCHEMA}.about`
const STREAMS = `${DATABASE}.${OWN_SCHEMA}.streams`

/** The names of the tables of a stream. */
export const tablesOf = (entry: Entry | undefined): ReadonlyArray<string> =>
  entry === undefined
    ? []
    : [entry.table, entry.next?.table, entry.making].filter((table) => table !== undefined)

/** What a database is opened with. */
export interface DatabaseOptions extends OpenOptions {
  /** Where the data comes from, such as the address of a server. A file is for one only. */
  readonly source: string
  /** A column per label, or else one column `labels`. */
  readonly labelColumns: boolean
}

/** Runs a statement of a transaction; answers how many rows it changed. */
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
  /** What holds, by stream. */
  readonly entries: ReadonlyMap<string, Entry>
  /** The names of the tables and views that were there when the file was opened, folded. */
  readonly tables: ReadonlySet<string>
  /** A connection of one's own, which temporary tables belong to. */
  readonly connect: Effect.Effect<DuckDBConnection, DestinationError>
  /** Does something that may fail as DuckDB does. */
  readonly attempt: <A>(run: () => Promise<A>) => Effect.Effect<A, DestinationError>
  /**
   * One transaction: what `body` does, and the entry that it answers, both or neither. There is one at a time: two could
   * conflict in what is remembered, and a checkpoint has to wait for all.
   */
  readonly transact: (
    connection: DuckDBConnection,
    body: (run: Run) => Promise<Entry>
  ) => Effect.Effect<Entry, DestinationError>
  /** Queries, between transactions. */
  readonly query: <A>(body: (ask: Ask) => Promise<A>) => Effect.Effect<A, DestinationError>
  /** Moves what was committed from the log to its place in the file, if there is room for that. */
  readonly checkpoint: Effect.Effect<void>
  /** The columns of a table; undefined where there is none of that name. */
  readonly columnsOf: (table: string) => Effect.Effect<ReadonlyArray<string> | undefined, DestinationError>
}

/** Opens the file until the scope closes, and makes it if need be. */
export const openDatabase = Effect.fnUntraced(function* (options: DatabaseOptions) {
  const { path } = options
  const { attempt, connection, duckdb, instance, tables } = yield* attachFile(options, (database) =>
    bookkeeping(database, options)
  )
  const askNow: Ask = async (sql) => (await connection.runAndReadAll(sql)).getRowsJS()
  const ask = (sql: string) => attempt(() => askNow(sql))
  const entries = new Map<string, Entry>()
  yield* checkAbout(options, ask)
  for (const [text] of yield* ask(`SELECT entry FROM ${STREAMS} ORDER BY stream`)) {
    const decoded = Schema.decodeUnknownResult(EntryJson)(text)
    if (Result.isFailure(decoded)) {
      return yield* new ConfigError({
        message: `${path} is damaged: ${OWN_SCHEMA}.streams has an entry that is not one of this program: ${String(text).slice(0, 200)}. Restore the file from before, or choose another one.`
      })
    }
    entries.set(decoded.success.stream, decoded.success)
  }
  if (entries.size === 0) {
    yield* attempt(() =>
      connection.run(
        `UPDATE ${ABOUT} SET source = ${quoteText(options.source)}, label_columns = ${options.labelColumns}`
      )
    )
  }

  /** The columns of tables, by their names, folded. */
  const columnsIn = (condition: string) =>
    Effect.map(
      ask(
        `SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns()
         WHERE database_name = '${DATABASE}' AND schema_name = 'main' ${condition} GROUP BY ALL`
      ),
      (rows) => new Map(rows.map(([table, names]) => [folded(String(table)), names as ReadonlyArray<string>]))
    )
  /** Those that no transaction has changed since the file was opened: to ask for each of thousands takes long. */
  const columns = yield* columnsIn("")
  const unwritten = Effect.map(
    ask(
      "SELECT sum(memory_usage_bytes)::DOUBLE FROM duckdb_memory() WHERE tag IN ('IN_MEMORY_TABLE', 'ART_INDEX')"
    ),
    ([row]) => Number(row?.[0] ?? 0)
  )
  /** What of that a checkpoint has left: indexes that are in the file, and samples that are staged. */
  let bytesAfterCheckpoint = 0
  const write = attempt(() => connection.run(`CHECKPOINT ${DATABASE}`)).pipe(
    Effect.andThen(unwritten),
    Effect.map((bytes) => {
      bytesAfterCheckpoint = bytes
    })
  )
  /** Since that was asked. */
  let transactions = 0
  let rowsChanged = 0
  /**
   * Rows and keys that were committed stay in memory until a checkpoint, 32 KB for a column at least, and DuckDB makes none
   * while its log is short: some hundreds of small tables would fill the memory.
   */
  const relieve = Effect.suspend(() => {
    if (++transactions < UNASKED_TRANSACTIONS && rowsChanged < UNASKED_ROWS) return Effect.void
    transactions = 0
    rowsChanged = 0
    return unwritten.pipe(
      Effect.flatMap((bytes) =>
        bytes - bytesAfterCheckpoint > options.memoryMegabytes * 1_000_000 * UNWRITTEN_PART
          ? write
          : Effect.void
      ),
      Effect.ignore
    )
  })
  const lock = yield* Semaphore.make(1)
  const database: Database = {
    duckdb,
    entries,
    tables,
    attempt,
    connect: attempt(() => instance.connect()),
    transact: (own, body) =>
      attempt(async () => {
        await own.run("BEGIN")
        try {
          const entry = await body(async (sql) => {
            const result = await own.run(sql)
            rowsChanged += result.rowsChanged
            return result.rowsChanged
          })
          const before = entries.get(entry.stream)
          await own.run(
            before === undefined
              ? `INSERT INTO ${STREAMS} VALUES ($1, $2)`
              : `UPDATE ${STREAMS} SET entry = $2 WHERE stream = $1`,
            [keyOf(entry.stream), JSON.stringify(entry)]
          )
          await own.run("COMMIT")
          entries.set(entry.stream, entry)
          for (const table of [...tablesOf(before), ...tablesOf(entry)]) columns.delete(folded(table))
          return entry
        } catch (error) {
          await own.run("ROLLBACK").catch(() => {})
          throw error
        }
      }).pipe(Effect.tap(relieve), lock.withPermits(1), Effect.uninterruptible),
    query: (body) => attempt(() => body(askNow)).pipe(lock.withPermits(1)),
    checkpoint: Effect.ignore(write).pipe(lock.withPermits(1)),
    columnsOf: (table) => {
      const known = columns.get(folded(table))
      return known === undefined
        ? Effect.map(columnsIn(`AND lower(table_name) = lower(${quoteText(table)})`), (found) =>
            found.get(folded(table))
          )
        : Effect.succeed(known)
    }
  }
  return database
})

/** A stream as a text that SQL can say: what it cannot is escaped. */
const keyOf = (stream: string): string => JSON.stringify(stream).slice(1, -1)

/** What makes a database one of this program. */
const bookkeeping = (database: string, { labelColumns, source }: DatabaseOptions): string => `
  CREATE SCHEMA ${database}.${OWN_SCHEMA};
  CREATE TABLE ${database}.${OWN_SCHEMA}.about (version INTEGER, source VARCHAR, label_columns BOOLEAN);
  CREATE TABLE ${database}.${OWN_SCHEMA}.streams (stream VARCHAR, entry VARCHAR);
  INSERT INTO ${database}.${OWN_SCHEMA}.about VALUES (${VERSION}, ${quoteText(source)}, ${labelColumns})`

/** Refuses what others have written, and what was written in another way. */
const checkAbout = Effect.fnUntraced(function* (
  options: DatabaseOptions,
  ask: (sql: string) => Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, DestinationError>
) {
  const { labelColumns, path, source } = options
  const refuse = (why: string) => new ConfigError({ message: `${path} ${why}` })
  const [about] = yield* ask(`SELECT * FROM ${ABOUT}`)
  const [version, itsSource, itsLabelColumns] = about ?? []
  if (typeof version === "number" && version > VERSION) {
    return yield* refuse(
      "was written by a newer version of this program. Use that version, or choose another file."
    )
  }
  if (version !== VERSION || typeof itsSource !== "string" || typeof itsLabelColumns !== "boolean") {
    return yield* refuse(
      `is damaged: ${OWN_SCHEMA}.about is not as this program writes it. Restore the file from before, or choose another one.`
    )
  }
  const [counted] = yield* ask(`SELECT count(*) FROM ${STREAMS}`)
  if (Number(counted?.[0]) === 0) return
  if (itsSource !== source) {
    return yield* refuse(`holds data of ${itsSource}, and this is ${source}. Choose another file.`)
  }
  if (itsLabelColumns !== labelColumns) {
    const named = (columns: boolean) => (columns ? "a column per label" : "one column for all labels")
    return yield* refuse(
      `has ${named(itsLabelColumns)}, and this run writes ${named(labelColumns)} (label_columns). Choose another file, or run as before.`
    )
  }
})
