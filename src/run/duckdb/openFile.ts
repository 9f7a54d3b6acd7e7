/** Opens the file of a DuckDB database for this process alone, and says in sentences why it cannot. */
import { dirname, resolve } from "node:path"
import type { DuckDBConnection, DuckDBInstance } from "@duckdb/node-api"
import { Effect, FileSystem } from "effect"
import { ConfigError } from "../../ConnectorConfig.ts"
import { DestinationError } from "../Destination.ts"
import { cannot } from "../files/durably.ts"
import { quoteText } from "../quoteSql.ts"
import { memorySentence } from "../staging/memory.ts"
import { DATABASE, folded, OWN_SCHEMA } from "./tables.ts"

export type DuckDB = typeof import("@duckdb/node-api")

/** How a file is opened. */
export interface OpenOptions {
  readonly path: string
  /** How much memory DuckDB may use; what does not fit goes to `<path>.tmp` meanwhile. */
  readonly memoryMegabytes: number
}

/** An open file, called `DATABASE`. */
export interface OpenFile {
  readonly duckdb: DuckDB
  readonly instance: DuckDBInstance
  readonly connection: DuckDBConnection
  /** The names of the tables and views that were there, folded. */
  readonly tables: ReadonlySet<string>
  /** Does something that may fail as DuckDB does. */
  readonly attempt: <A>(run: () => Promise<A>) => Effect.Effect<A, DestinationError>
}

/** What this process has open: DuckDB's locks are against other processes only. */
const opened = new Set<string>()

/** DuckDB's own threads, beside the one that reads: each of them needs some of the memory. */
const THREADS = 2

/**
 * Opens the file until the scope closes. `initial` are the statements that make one ours, by what the database is called;
 * a database with tables of others is refused.
 */
export const attachFile = Effect.fnUntraced(function* (
  options: OpenOptions,
  initial: (database: string) => string
) {
  const { path } = options
  const file = resolve(path)
  const files = yield* FileSystem.FileSystem
  yield* checkPlace(path, file)
  const duckdb = yield* loadDuckDB
  yield* Effect.acquireRelease(
    Effect.suspend(() =>
      opened.has(file)
        ? Effect.fail(
            new DestinationError({
              message: `${path} is open in this process already. Close it there first.`
            })
          )
        : Effect.sync(() => opened.add(file))
    ),
    () => Effect.sync(() => opened.delete(file))
  )
  // To its end, whatever else is stopped meanwhile: closing a connection that is at work crashes.
  const attempt = <A>(run: () => Promise<A>) =>
    Effect.uninterruptible(
      Effect.tryPromise({
        try: run,
        catch: (error) =>
          new DestinationError({
            message: sentence(options, error instanceof Error ? error.message : `${error}`)
          })
      })
    )
  const temporary = `${file}.tmp`
  const instance = yield* Effect.acquireRelease(
    attempt(() =>
      duckdb.DuckDBInstance.create(":memory:", {
        memory_limit: `${options.memoryMegabytes}MB`,
        temp_directory: temporary,
        threads: `${THREADS}`,
        // Faster. Where order counts there are numbers of our own (`StagedSamples`), or `inOrder`.
        preserve_insertion_order: "false",
        // Large inserts are on the disk before they are committed, a part of the table of each thread's own. A checkpoint
        // would put these parts together, which takes as long as the inserts.
        max_vacuum_tasks: "0",
        // As many parts as are waiting to be written have to fit into the memory.
        write_buffer_row_group_count: "1",
        autoinstall_known_extensions: "false",
        autoload_known_extensions: "false"
      })
    ),
    (instance) => Effect.sync(() => instance.closeSync())
  )
  const connection = yield* Effect.acquireRelease(
    attempt(() => instance.connect()),
    (connection) => Effect.sync(() => connection.closeSync())
  )
  const run = (sql: string) => attempt(() => connection.run(sql))
  if (!(yield* Effect.orElseSucceed(files.exists(file), () => true))) {
    yield* makeFile(file, run, initial("made"))
  }
  yield* Effect.acquireRelease(
    run(`ATTACH ${quoteText(file)} AS ${DATABASE}`),
    // Where there is no room for a checkpoint, what it would do is left to whoever opens the file next.
    () =>
      Effect.andThen(Effect.ignore(run(`CHECKPOINT ${DATABASE}`)), Effect.ignore(run(`DETACH ${DATABASE}`)))
  )
  yield* cleanTemporary(temporary)
  const tables = yield* attempt(async () =>
    (
      await connection.runAndReadAll(
        `SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = '${DATABASE}'
         UNION ALL
         SELECT schema_name, view_name FROM duckdb_views() WHERE database_name = '${DATABASE}' AND NOT internal`
      )
    ).getRowsJS()
  )
  if (tables.length === 0) yield* run(`BEGIN; ${initial(DATABASE)}; COMMIT`)
  else if (!tables.some(([schema]) => schema === OWN_SCHEMA)) {
    return yield* new ConfigError({
      message: `${path} has tables, but none of this program's, so it is somebody else's database. Choose another file.`
    })
  }
  const main = tables.filter(([schema]) => schema === "main")
  const open: OpenFile = {
    duckdb,
    instance,
    connection,
    tables: new Set(main.map(([, table]) => folded(String(table)))),
    attempt
  }
  return open
})

/** Loads the native program, which is there for most systems only. */
const loadDuckDB = Effect.tryPromise({
  try: () => import("@duckdb/node-api"),
  catch: (error) =>
    new DestinationError({
      message: `DuckDB cannot be loaded on this system: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}. Install it (npm install @duckdb/node-api), or write JSON lines (--to jsonl:DIR).`
    })
})

/** DuckDB's own words for a place that cannot be are of little help. */
const checkPlace = Effect.fnUntraced(function* (path: string, file: string) {
  const files = yield* FileSystem.FileSystem
  const folder = dirname(file)
  const kind = (of: string) =>
    files.stat(of).pipe(
      Effect.map(({ type }): string | undefined => type),
      Effect.catchIf(
        (error) => error.reason._tag === "NotFound",
        () => Effect.succeed(undefined)
      ),
      Effect.mapError(cannot("opened", path))
    )
  const wrong =
    (yield* kind(folder)) === undefined
      ? `the folder ${folder} does not exist. Make it, or choose another file.`
      : (yield* kind(file)) === "Directory"
        ? "it is a folder, not a file. Choose another file."
        : undefined
  if (wrong !== undefined) {
    return yield* new DestinationError({ message: `${path} cannot be opened: ${wrong}` })
  }
})

/**
 * The blocks of a new file, in bytes; DuckDB's own are eight times as large. A column begins with 32 KiB, and DuckDB can put to
 * the disk only what is as large as a block. With the large ones a thousand streams, of whatever few rows, would not fit into
 * 256 MB, and take 200 KB of the file each instead of 60 KB. What that costs is a file of many rows that is half as large
 * again.
 */
const BLOCK_BYTES = 32_768

/** Makes a file aside and gives it its name when it is whole: half a database cannot be opened any more. */
const makeFile = Effect.fnUntraced(function* (
  file: string,
  run: (sql: string) => Effect.Effect<unknown, DestinationError>,
  statements: string
) {
  const files = yield* FileSystem.FileSystem
  const aside = `${file}.new-${process.pid}`
  yield* files.remove(aside, { force: true }).pipe(Effect.mapError(cannot("removed", aside)))
  yield* run(`ATTACH ${quoteText(aside)} AS made (BLOCK_SIZE ${BLOCK_BYTES}); ${statements}; DETACH made`)
  yield* files.link(aside, file).pipe(
    Effect.catch((error) =>
      error.reason._tag === "AlreadyExists"
        ? // Another run was faster; opening it tells what to make of that.
          Effect.void
        : // Not all disks have links.
          files.rename(aside, file)
    ),
    Effect.andThen(files.remove(aside, { force: true })),
    Effect.mapError(cannot("made", file))
  )
})

/** Removes what a killed run has left of its temporary tables, and only that. */
const cleanTemporary = Effect.fnUntraced(function* (folder: string) {
  const files = yield* FileSystem.FileSystem
  const names = yield* Effect.orElseSucceed(files.readDirectory(folder), () => [])
  const old = names.filter((name) => name.startsWith("duckdb_temp_"))
  yield* Effect.forEach(old, (name) => Effect.ignore(files.remove(`${folder}/${name}`)), { discard: true })
})

/** What DuckDB says, in a sentence that says what to do. */
const sentence = ({ memoryMegabytes, path }: OpenOptions, text: string): string => {
  const lock =
    /Conflicting lock is held(?: in (.+?))?(?: \(PID (\d+)\))?(?: by user .+?)?\. (?:See|However)/.exec(text)
  if (lock !== null || /could not set lock on file|used by another process/i.test(text)) {
    const program = lock?.[1] === undefined ? "" : ` (${lock[1]})`
    const who = lock?.[2] === undefined ? `another process${program}` : `process ${lock[2]}${program}`
    return `${path} is in use by ${who}. Wait for its end or close the file there, or choose another file.`
  }
  if (text.includes("not a valid DuckDB database file")) {
    return `${path} is not a DuckDB database. Choose another file.`
  }
  if (/database file with version number|created with a (newer|older)/i.test(text)) {
    return `${path} was written by a version of DuckDB that this one does not understand: ${text.split("\n")[0]} Choose another file.`
  }
  if (/corrupt database file/i.test(text)) {
    return `${path} is damaged: ${text.split("\n")[0]}. Restore the file from before, or choose another one.`
  }
  if (/no space left|disk full|max_temp_directory_size|disk quota/i.test(text)) {
    return `${path} cannot be written: the disk is full. Make room and run again: what was committed is kept.`
  }
  if (/permission denied|read-only/i.test(text)) {
    return `${path} cannot be written: permission denied, or the disk is read-only. Allow it, or choose another file.`
  }
  return memorySentence(path, memoryMegabytes, text) ?? `${path} cannot be written: ${text}`
}
