/** Opens the file of a DuckDB database for this process alone, and says in sentences why it cannot. */
import { basename, dirname, join } from "node:path"
import type { DuckDBConnection, DuckDBInstance } from "@duckdb/node-api"
import { Effect, FileSystem, Option } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { DestinationError } from "../Destination.ts"
import { cannot } from "../folder/durably.ts"
import { checkPlace } from "./checkPlace.ts"
import { duckdbError } from "./duckdbError.ts"
import { quoteText } from "./quoteSql.ts"
import { type DuckDB, loadDuckDB, startDuckDB } from "./startDuckDB.ts"
import { DATABASE, folded, OWN_SCHEMA, type Relation } from "./tables.ts"

/** How a file is opened. */
export interface OpenOptions {
  readonly path: string
  /** How much memory DuckDB may use; what does not fit goes to a folder `<path>.tmp-…` meanwhile. */
  readonly memoryMegabytes: number
  /** Nothing on the disk is changed, not even what a killed run has left. */
  readonly readOnly?: boolean
}

/** An open file, called `DATABASE`. */
export interface OpenFile {
  readonly duckdb: DuckDB
  readonly instance: DuckDBInstance
  readonly connection: DuckDBConnection
  /** Its path, without symbolic links. */
  readonly file: string
  /** Whether it had nothing in it. */
  readonly isEmpty: boolean
  /** The tables and views that were there, by their names, folded. */
  readonly relations: ReadonlyMap<string, Relation>
  /** Does something that may fail as DuckDB does. */
  readonly attempt: <A>(run: () => Promise<A>) => Effect.Effect<A, DestinationError>
  /**
   * Closes the file and opens it again, which frees what DuckDB remembers of tables that were written. `whileClosed` is
   * done in between. Nothing else may use the file meanwhile. Where that fails, the file may be closed.
   */
  readonly reopen: (whileClosed: Effect.Effect<void>) => Effect.Effect<void, DestinationError>
}

/** What this process has open: DuckDB's locks are against other processes only. */
const opened = new Set<string>()

/**
 * Opens the file until the scope closes. `initial` are the statements that make one ours, by what the database is called;
 * a database with tables of others is refused.
 */
export const attachFile = Effect.fnUntraced(function* (
  options: OpenOptions,
  initial: (database: string) => string
) {
  const { path, readOnly = false } = options
  const { exists, file } = yield* checkPlace(path)
  if (readOnly && !exists) {
    return yield* new DestinationError({ message: `${path} cannot be opened: it does not exist.` })
  }
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
        catch: (error) => duckdbError(options, error)
      })
    )
  const temporary = readOnly ? "" : yield* folderBeside(path, file, TEMPORARY)
  const instance = yield* startDuckDB(duckdb, {
    memoryMegabytes: options.memoryMegabytes,
    temporaryFolder: temporary,
    settings: {
      // Faster. Where order counts there are numbers of our own (`StagedSamples`), or `inOrder`.
      preserve_insertion_order: "false",
      // Large inserts are on the disk before they are committed, a part of the table of each thread's own. A checkpoint
      // would put these parts together, which takes as long as the inserts.
      max_vacuum_tasks: "0",
      // As many parts as are waiting to be written have to fit into the memory.
      write_buffer_row_group_count: "1"
    },
    errorOf: (error) => duckdbError(options, error)
  })
  const connection = yield* Effect.acquireRelease(
    attempt(() => instance.connect()),
    (connection) => Effect.sync(() => connection.closeSync())
  )
  const run = (sql: string) => attempt(() => connection.run(sql))
  if (!exists) yield* makeFile(path, file, run, initial("made"))
  // A file keeps the version that it was made with.
  const attach = run(`ATTACH ${quoteText(file)} AS ${DATABASE}${readOnly ? " (READ_ONLY)" : ""}`)
  yield* Effect.acquireRelease(
    attach,
    // Where there is no room for a checkpoint, the run that opens the file next makes one.
    () =>
      Effect.andThen(
        readOnly ? Effect.void : Effect.ignore(run(`CHECKPOINT ${DATABASE}`)),
        Effect.ignore(run(`DETACH ${DATABASE}`))
      )
  )
  const files = yield* FileSystem.FileSystem
  /** Tells the file from another one, and from one that was written to since. */
  const fingerprint = files.stat(file).pipe(
    Effect.map(
      ({ ino, mtime, size }) => `${Option.getOrNull(ino)} ${Option.getOrNull(mtime)?.getTime()} ${size}`
    ),
    Effect.mapError(cannot("opened", path))
  )
  const reopen = Effect.fnUntraced(
    function* (whileClosed: Effect.Effect<void>) {
      // Where it cannot be closed, it stays open.
      if (yield* Effect.isFailure(run(`DETACH ${DATABASE}`))) return
      const before = yield* fingerprint
      yield* whileClosed
      yield* attach
      // While it is closed, nothing locks it.
      if ((yield* fingerprint) === before) return
      yield* new DestinationError({
        message: `${path} was changed by another program while this run wrote to it. Close it there, and run again: what was committed is kept.`
      })
    },
    Effect.mapError(({ message }) => new DestinationError({ message, isFatal: true }))
  )
  if (!readOnly) yield* removeLeftovers(file, temporary)
  const tables = yield* attempt(async () =>
    (
      await connection.runAndReadAll(
        `SELECT schema_name, table_name, 'table' FROM duckdb_tables() WHERE database_name = '${DATABASE}'
         UNION ALL
         SELECT schema_name, view_name, 'view' FROM duckdb_views() WHERE database_name = '${DATABASE}' AND NOT internal`
      )
    ).getRowsJS()
  )
  if (tables.length === 0) {
    if (!readOnly) yield* run(`BEGIN; ${initial(DATABASE)}; COMMIT`)
  } else if (!tables.some(([schema]) => schema === OWN_SCHEMA)) {
    return yield* new ConfigError({
      message: `${path} has tables, but none of this program's, so source-prometheus has not created it. Choose another file.`
    })
  }
  const main = tables.filter(([schema]) => schema === "main")
  const open: OpenFile = {
    duckdb,
    instance,
    connection,
    file,
    isEmpty: tables.length === 0,
    relations: new Map(main.map(([, name, kind]) => [folded(String(name)), kind as Relation])),
    attempt,
    reopen
  }
  return open
})

/**
 * The blocks of a new file, in bytes; DuckDB's own are eight times as large. A column begins with 32 KiB, and DuckDB can put to
 * the disk only what is as large as a block. With the large ones a thousand streams, of whatever few rows, would not fit into
 * 256 MB, and take 200 KB of the file each instead of 60 KB. What that costs is a file of many rows that is half as large
 * again.
 */
const BLOCK_BYTES = 32_768

/**
 * The oldest DuckDB that can open a new file. From 1.3 on, one compression of texts takes the place of two that are tried
 * beside each other: a run takes a quarter less CPU.
 */
const STORAGE_VERSION = "v1.3.0"

/** Names beside the file, each followed by something random. */
const UNFINISHED = ".new-"
const TEMPORARY = ".tmp-"

/** Makes a folder beside the file, which nobody else can have put anything into, and removes it when the scope closes. */
const folderBeside = (path: string, file: string, purpose: typeof UNFINISHED | typeof TEMPORARY) =>
  Effect.flatMap(FileSystem.FileSystem, (files) =>
    Effect.acquireRelease(
      files
        .makeTempDirectory({ directory: dirname(file), prefix: basename(file) + purpose })
        .pipe(Effect.mapError(cannot("opened", path))),
      (folder) => Effect.ignore(files.remove(folder, { recursive: true, force: true }))
    )
  )

/**
 * Makes a file aside and gives it its name when it is complete: half a database cannot be opened any more. Of several runs
 * that do so one is the first, and the others find its file.
 */
const makeFile = Effect.fnUntraced(function* (
  path: string,
  file: string,
  run: (sql: string) => Effect.Effect<unknown, DestinationError>,
  statements: string
) {
  const files = yield* FileSystem.FileSystem
  const aside = join(yield* folderBeside(path, file, UNFINISHED), "database")
  yield* run(
    `ATTACH ${quoteText(aside)} AS made (BLOCK_SIZE ${BLOCK_BYTES}, STORAGE_VERSION '${STORAGE_VERSION}'); ${statements}; DETACH made`
  ).pipe(
    Effect.andThen(
      files.link(aside, file).pipe(
        // Not all disks have links.
        Effect.catchIf(
          ({ reason }) => reason._tag !== "AlreadyExists",
          () => files.rename(aside, file)
        ),
        Effect.mapError(cannot("made", path))
      )
    ),
    Effect.catch((error) =>
      Effect.flatMap(
        Effect.orElseSucceed(files.exists(file), () => false),
        (exists) => (exists ? Effect.void : Effect.fail(error))
      )
    )
  )
}, Effect.scoped)

/** Removes what killed runs have left beside the file, which is open for this process alone. `own` is in use. */
const removeLeftovers = Effect.fnUntraced(function* (file: string, own: string) {
  const files = yield* FileSystem.FileSystem
  const remove = (path: string) => Effect.ignore(files.remove(path, { recursive: true }))
  const namesIn = (folder: string) => Effect.orElseSucceed(files.readDirectory(folder), () => [])
  const isLink = (path: string) =>
    Effect.match(files.readLink(path), { onFailure: () => false, onSuccess: () => true })
  const [folder, name] = [dirname(file), basename(file)]
  for (const beside of yield* namesIn(folder)) {
    const path = join(folder, beside)
    if (beside.startsWith(name + UNFINISHED) || beside.startsWith(name + TEMPORARY)) {
      if (path !== own) yield* remove(path)
    }
  }
  // Where earlier versions of this program had it, and only what DuckDB had put there.
  const earlier = `${file}.tmp`
  if (yield* isLink(earlier)) return
  for (const one of yield* namesIn(earlier)) {
    if (one.startsWith("duckdb_temp_")) yield* remove(join(earlier, one))
  }
})
