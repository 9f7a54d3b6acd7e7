/** The option `--report`: writes the report of a run as an HTML page. */
import { dirname, join } from "node:path"
import { Effect, FileSystem } from "effect"
import { DestinationError } from "../../destinations/Destination.ts"
import { cannot, replaceFile } from "../../destinations/folder/durably.ts"
import type { RunSummary } from "../../run/Progress.ts"

/** Fails if the report cannot be written, before hours of reading instead of after them. */
export const checkReportPath = (path: string): Effect.Effect<void, DestinationError, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    yield* files.access(dirname(path), { writable: true }).pipe(Effect.mapError(cannot("written", path)))
    const isFolder = yield* files.stat(path).pipe(
      Effect.map(({ type }) => type === "Directory"),
      Effect.orElseSucceed(() => false)
    )
    if (isFolder) {
      return yield* new DestinationError({
        message: `${path} is a folder, and --report wants a file. Name one in it, such as ${join(path, "report.html")}.`
      })
    }
  })

/**
 * Writes the page to a file atomically. The code that renders the page is loaded lazily from a file beside the program, so that
 * runs without a report do not load it.
 */
export const writeReport = (
  path: string,
  run: RunSummary
): Effect.Effect<void, DestinationError, FileSystem.FileSystem> =>
  Effect.flatMap(
    Effect.promise(() => import("./reportHtml.ts")),
    ({ reportHtml }) => replaceFile(path, reportHtml(run))
  )
