/** DuckDB as the Parquet writer of one place. */
import { Effect } from "effect"
import { cannot, randomName } from "../folder/durably.ts"
import type { OpenPlace } from "../folder/openFolder.ts"
import type { StreamManifest } from "../manifest.ts"
import { duckdbError } from "../tables/duckdbError.ts"
import { divideBytes, startDuckDB } from "../tables/startDuckDB.ts"

export type Engine = Effect.Success<ReturnType<typeof openEngine>>

/** Starts DuckDB until the scope closes. It writes to a folder in the local folder `within`, which is part of `folder`. */
export const openEngine = Effect.fnUntraced(function* (
  { check, files }: Pick<OpenPlace<StreamManifest>, "check" | "files">,
  { folder, within }: { readonly folder: string; readonly within: string },
  memoryMegabytes: number
) {
  // DuckDB follows links, so it writes to an unpredictable folder, where no one can plant one.
  const workPath = `${within}/.${randomName()}`
  yield* Effect.acquireRelease(
    files.makeDirectory(workPath, { mode: 0o700 }).pipe(Effect.mapError(cannot("made", workPath))),
    () => Effect.ignore(files.remove(workPath, { recursive: true, force: true }))
  )
  const { attempt, connect, duckdb } = yield* startDuckDB({
    memoryMegabytes,
    temporaryFolder: `${workPath}/spill`,
    // Each file is read only once, and cached files do not count towards the memory limit.
    settings: { enable_external_file_cache: "false" },
    errorOf: (error) => duckdbError({ path: folder, memoryMegabytes }, error)
  })
  return {
    duckdb,
    connect,
    // Another run took over the folder and removed the work folder of this one.
    attempt: <A>(run: () => Promise<A>) => Effect.tapError(attempt(run), () => check),
    /** The folder in which DuckDB writes. */
    workPath,
    /** The bytes that a stream may stage. */
    stagedBytes: divideBytes(() => memoryMegabytes * 400_000)
  }
})
