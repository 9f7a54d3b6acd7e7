/** DuckDB as the Parquet writer of one folder. */
import type { DuckDBConnection, DuckDBInstance } from "@duckdb/node-api"
import { Effect } from "effect"
import type { DestinationError } from "../Destination.ts"
import { duckdbError } from "../duckdb/duckdbError.ts"
import { type DuckDB, loadDuckDB, startDuckDB } from "../duckdb/startDuckDB.ts"
import { cannot, randomName } from "../folder/durably.ts"
import type { ParquetFolder } from "./files.ts"

export interface Engine {
  readonly duckdb: DuckDB
  /** A connection until the scope closes. */
  readonly connect: ReturnType<typeof connectTo>
  /** Runs a DuckDB operation and maps its errors. */
  readonly attempt: <A>(run: () => Promise<A>) => Effect.Effect<A, DestinationError>
  /** The folder in which DuckDB writes. */
  readonly workPath: string
  /** The number of streams that share the staging limit. */
  readonly open: { count: number }
  readonly stageBytes: number
}

/** Starts DuckDB until the scope closes. */
export const openEngine = Effect.fnUntraced(function* (
  { files, folder, states }: ParquetFolder,
  memoryMegabytes: number
) {
  const duckdb = yield* loadDuckDB
  // DuckDB follows links, so it writes to an unpredictable folder, where no one can plant one.
  const workPath = `${states.newPath}/.${randomName()}`
  yield* Effect.acquireRelease(
    files.makeDirectory(workPath, { mode: 0o700 }).pipe(Effect.mapError(cannot("made", workPath))),
    () => Effect.ignore(files.remove(workPath, { recursive: true, force: true }))
  )
  const errorOf = (error: unknown) => duckdbError({ path: folder, memoryMegabytes }, error)
  const instance = yield* startDuckDB(duckdb, {
    memoryMegabytes,
    temporaryFolder: `${workPath}/spill`,
    // Each file is read only once, and cached files do not count towards the memory limit.
    settings: { enable_external_file_cache: "false" },
    errorOf
  })
  const attempt = <A>(run: () => Promise<A>) =>
    Effect.tryPromise({ try: run, catch: errorOf }).pipe(
      // Another run took over the folder and removed the work folder of this one.
      Effect.tapError(() => states.check)
    )
  const engine: Engine = {
    duckdb,
    connect: connectTo(instance, attempt),
    attempt,
    workPath,
    open: { count: 0 },
    stageBytes: memoryMegabytes * 300_000
  }
  return engine
})

const connectTo = (instance: DuckDBInstance, attempt: Engine["attempt"]) =>
  Effect.acquireRelease(
    attempt((): Promise<DuckDBConnection> => instance.connect()),
    (connection) => Effect.sync(() => connection.closeSync())
  )
