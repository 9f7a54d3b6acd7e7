/** Loads DuckDB and starts it with the settings that all destinations share. */
import { Effect, type Scope } from "effect"
import { DEFAULT_LABEL_COLUMNS } from "../../records/LabelColumns.ts"
import { DestinationError } from "../Destination.ts"

type DuckDB = typeof import("@duckdb/node-api")

/** The default memory limit for DuckDB's data, in megabytes. The rest of the process comes on top. */
export const DEFAULT_MEMORY_MEGABYTES = 256

/** The share of DuckDB's memory for staged samples of all open streams. */
export const STAGED_SHARE = 3 / 10

/** Each column takes several memory blocks in each inserting thread, even with few rows. */
const LABELS_PER_MEGABYTE = 1.5

/** The most labels of a stream with their own columns. */
export const maxLabelsIn = (memoryMegabytes: number): number =>
  Math.min(DEFAULT_LABEL_COLUMNS, Math.floor(memoryMegabytes * LABELS_PER_MEGABYTE))

/** DuckDB's own threads, beside the main one. Each of them needs some of the memory. */
const THREADS = 2

/** How the engine is started. */
export interface EngineOptions {
  readonly memoryMegabytes: number
  /** The folder for data that does not fit into memory. DuckDB creates and removes it. An empty string means none. */
  readonly temporaryFolder: string
  /** Additional settings of a destination. */
  readonly settings: Readonly<Record<string, string>>
  readonly errorOf: (error: unknown) => DestinationError
}

/** Loads the native library. Prebuilt binaries exist for most systems only. */
const loadDuckDB: Effect.Effect<DuckDB, DestinationError> = Effect.tryPromise({
  try: () => import("@duckdb/node-api"),
  catch: (error) =>
    new DestinationError({
      message: `DuckDB cannot be loaded on this system: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}. Install it (npm install @duckdb/node-api), or write JSON lines (--to jsonl:DIR).`
    })
})

/** Starts the engine with a database in memory, until the scope closes. */
export const startDuckDB = Effect.fnUntraced(function* (options: EngineOptions) {
  const duckdb = yield* loadDuckDB
  /** Runs an operation and maps DuckDB's errors. Uninterruptible: closing a connection during a query crashes. */
  const attempt = <A>(run: () => Promise<A>) =>
    Effect.uninterruptible(Effect.tryPromise({ try: run, catch: options.errorOf }))
  const instance = yield* Effect.acquireRelease(
    attempt(() =>
      duckdb.DuckDBInstance.create(":memory:", {
        memory_limit: `${options.memoryMegabytes}MB`,
        temp_directory: options.temporaryFolder,
        threads: `${THREADS}`,
        autoinstall_known_extensions: "false",
        autoload_known_extensions: "false",
        ...options.settings
      })
    ),
    (instance) => Effect.sync(() => instance.closeSync())
  )
  return {
    duckdb,
    attempt,
    /** A connection until the scope closes, with its own temporary tables. */
    connect: Effect.acquireRelease(
      attempt(() => instance.connect()),
      (connection) => Effect.sync(() => connection.closeSync())
    )
  }
})

/** Divides bytes among the open streams. A stream is open until the scope closes. Returns its present part. */
export const divideBytes = (bytes: () => number): Effect.Effect<() => number, never, Scope.Scope> => {
  let open = 0
  return Effect.acquireRelease(
    Effect.sync(() => {
      open++
      return () => bytes() / open
    }),
    () => Effect.sync(() => open--)
  )
}
