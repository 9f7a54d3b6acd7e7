/** Opens a DuckDB database file for this process only, and reports in sentences why it cannot. */
import { basename, dirname, join } from "node:path"
import { Effect, FileSystem, Option } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { DestinationError } from "../Destination.ts"
import type { OpenOptions } from "../DestinationKind.ts"
import { cannot } from "../folder/durably.ts"
import { bookkeeping } from "../tables/manifests.ts"
import { DATABASE } from "../tables/names.ts"
import { quoteText } from "../tables/quoteSql.ts"
import { readRelations } from "../tables/relations.ts"
import { startDuckDB } from "../tables/startDuckDB.ts"
import { checkPlace } from "./checkPlace.ts"
import { databaseError } from "./databaseError.ts"

/** The files that this process has open. DuckDB's locks only exclude other processes. */
const opened = new Set<string>()

/** Refuses a file that this process has open already, until the scope closes. */
export const holdFile = (path: string, file: string) =>
  Effect.acquireRelease(
    Effect.gen(function* () {
      if (!opened.has(file)) return opened.add(file)
      return yield* new DestinationError({
        message: `${path} is open in this process already. Close it there first.`
      })
    }),
    () => Effect.sync(() => opened.delete(file))
  )

/** Opens the file until the scope closes, and creates it if it does not exist. Refuses one with only tables of other programs. */
export const attachFile = Effect.fnUntraced(function* (
  options: OpenOptions & { readonly memoryMegabytes: number }
) {
  const { path, readOnly = false } = options
  const { exists, file } = yield* checkPlace(path)
  if (readOnly && !exists) {
    return yield* new DestinationError({ message: `${path} cannot be opened: it does not exist.` })
  }
  yield* holdFile(path, file)
  const temporary = readOnly ? "" : yield* folderBeside(path, file, TEMPORARY)
  const { attempt, connect, duckdb } = yield* startDuckDB({
    memoryMegabytes: options.memoryMegabytes,
    temporaryFolder: temporary,
    settings: {
      // Faster. Where the order matters, rows have numbers (`StagedSamples`), or `inOrder` is used.
      preserve_insertion_order: "false",
      // Large inserts are written to disk before the commit, in parts of the table, one per thread. A checkpoint would combine
      // these parts, which takes as long as the inserts.
      max_vacuum_tasks: "0",
      // The memory must hold all parts that are waiting to be written.
      write_buffer_row_group_count: "1"
    },
    errorOf: (error) => databaseError(options, error)
  })
  const connection = yield* connect
  const run = (sql: string) => attempt(() => connection.run(sql))
  if (!exists) yield* makeFile(path, file, run, bookkeeping("made", options))
  // A file keeps the storage version that it was created with.
  const attach = run(`ATTACH ${quoteText(file)} AS ${DATABASE}${readOnly ? " (READ_ONLY)" : ""}`)
  yield* Effect.acquireRelease(
    attach,
    // If there is no space for a checkpoint, the next run that opens the file makes it.
    () =>
      Effect.andThen(
        readOnly ? Effect.void : Effect.ignore(run(`CHECKPOINT ${DATABASE}`)),
        Effect.ignore(run(`DETACH ${DATABASE}`))
      )
  )
  const files = yield* FileSystem.FileSystem
  /** Identifies the file, and detects writes to it. */
  const fingerprint = files.stat(file).pipe(
    Effect.map(
      ({ ino, mtime, size }) => `${Option.getOrNull(ino)} ${Option.getOrNull(mtime)?.getTime()} ${size}`
    ),
    Effect.mapError(cannot("opened", path))
  )
  /**
   * Closes the file and reopens it, which frees the memory that DuckDB keeps for written tables. Runs `whileClosed` in between.
   * Nothing else may use the file meanwhile. After a failure, the file may be closed.
   */
  const reopen = Effect.fnUntraced(
    function* (whileClosed: Effect.Effect<void>) {
      // If it cannot be closed, it stays open.
      if (yield* Effect.isFailure(run(`DETACH ${DATABASE}`))) return
      const before = yield* fingerprint
      yield* whileClosed
      yield* attach
      // A closed file is not locked.
      if ((yield* fingerprint) === before) return
      yield* new DestinationError({
        message: `${path} was changed by another program while this run wrote to it. Close it there, and run again: what was committed is kept.`
      })
    },
    Effect.mapError(({ message }) => new DestinationError({ message, isFatal: true }))
  )
  if (!readOnly) yield* removeLeftovers(file, temporary)
  const { hasOwn, isEmpty, relations } = yield* attempt(() => readRelations(connection))
  if (isEmpty) {
    if (!readOnly) yield* run(`BEGIN; ${bookkeeping(DATABASE, options)}; COMMIT`)
  } else if (!hasOwn) {
    return yield* new ConfigError({
      message: `${path} has tables, but none of this program's, so source-prometheus has not created it. Choose another file.`
    })
  }
  return {
    duckdb,
    connect,
    /** The file is attached to it as `DATABASE`. */
    connection,
    /** Its path, with symbolic links resolved. */
    file,
    isEmpty,
    /** The tables and views that exist, by folded name. */
    relations,
    attempt,
    reopen
  }
})

/**
 * The block size of a new file in bytes. DuckDB's default is eight times as large. A column starts with 32 KiB, and DuckDB can
 * only spill complete blocks. With the default, a thousand streams of few rows would not fit into 256 MB, and would take 200 KB
 * of the file each instead of 60 KB. The cost is that a file of many rows is half as large again.
 */
const BLOCK_BYTES = 32_768

/**
 * The oldest DuckDB that can open a new file. From 1.3 on, one string compression replaces two that are both tried, so that a
 * run takes a quarter less CPU.
 */
const STORAGE_VERSION = "v1.3.0"

/** Prefixes of names beside the file, each followed by a random suffix. */
const UNFINISHED = ".new-"
export const TEMPORARY = ".tmp-"

/** Creates a private folder beside the file, and removes it when the scope closes. */
export const folderBeside = (path: string, file: string, purpose: typeof UNFINISHED | typeof TEMPORARY) =>
  Effect.flatMap(FileSystem.FileSystem, (files) =>
    Effect.acquireRelease(
      files
        .makeTempDirectory({ directory: dirname(file), prefix: basename(file) + purpose })
        .pipe(Effect.mapError(cannot("opened", path))),
      (folder) => Effect.ignore(files.remove(folder, { recursive: true, force: true }))
    )
  )

/**
 * Creates a file under a temporary name and renames it when it is complete, because an incomplete database cannot be opened. If
 * several runs do so at once, the first one wins, and the others use its file.
 */
export const makeFile = Effect.fnUntraced(function* (
  path: string,
  file: string,
  run: (sql: string) => Effect.Effect<unknown, DestinationError>,
  statements: string = ""
) {
  const files = yield* FileSystem.FileSystem
  const aside = join(yield* folderBeside(path, file, UNFINISHED), "database")
  yield* run(
    `ATTACH ${quoteText(aside)} AS made (BLOCK_SIZE ${BLOCK_BYTES}, STORAGE_VERSION '${STORAGE_VERSION}'); ${statements === "" ? "" : `${statements}; `}DETACH made`
  ).pipe(
    Effect.andThen(
      files.link(aside, file).pipe(
        // Not all file systems support links.
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

/** Removes the leftovers of killed runs beside the file, which is open for this process only. `own` is in use. */
export const removeLeftovers = Effect.fnUntraced(function* (file: string, own: string) {
  const files = yield* FileSystem.FileSystem
  const folder = dirname(file)
  const names = yield* Effect.orElseSucceed(files.readDirectory(folder), () => [])
  const prefixes = [UNFINISHED, TEMPORARY].map((purpose) => basename(file) + purpose)
  const leftovers = names
    .filter((name) => prefixes.some((prefix) => name.startsWith(prefix)))
    .map((name) => join(folder, name))
    .filter((path) => path !== own)
  yield* Effect.forEach(leftovers, (path) => Effect.ignore(files.remove(path, { recursive: true })))
})
