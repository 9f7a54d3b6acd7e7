/** The option `--report`: writes the report of a run as an HTML page. */
import { basename, dirname, join } from "node:path"
import { Effect, FileSystem, Option } from "effect"
import { DestinationError } from "../../destinations/Destination.ts"
import type { DestinationKind } from "../../destinations/DestinationKind.ts"
import { cannot, readBeginning, replaceFile } from "../../destinations/folder/durably.ts"
import type { RunSummary } from "../../run/Progress.ts"

/** The beginning of an HTML page. A report may replace such a file. */
const PAGE = /^\uFEFF?\s{0,100}<(!doctype\s+html|html)\b/i

/**
 * Fails, before hours of reading instead of after them, if the report cannot be written, would be inside the destination, or
 * would replace a file that is not an HTML page.
 */
export const checkReport = Effect.fnUntraced(function* (
  report: string,
  destination: { readonly name: string; readonly path: string; readonly kind: Pick<DestinationKind, "owns"> }
) {
  const files = yield* FileSystem.FileSystem
  const refuse = (why: string) =>
    new DestinationError({
      message: `--report is ${report}, ${why}. Choose another file, such as report.html.`
    })
  // A new file is compared by its folder, which exists.
  const real = (path: string) =>
    files.realPath(path).pipe(
      Effect.catch(() => Effect.map(files.realPath(dirname(path)), (folder) => join(folder, basename(path)))),
      Effect.orElseSucceed(() => path)
    )
  const typeOf = (path: string) =>
    Effect.orElseSucceed(
      Effect.map(files.stat(path), ({ type }) => type),
      () => undefined
    )
  if (report.trim() === "") {
    return yield* new DestinationError({ message: "--report needs a file name, such as report.html." })
  }
  const folder = dirname(report)
  if (((yield* typeOf(folder)) ?? "Directory") !== "Directory") {
    return yield* refuse(`and ${folder} is not a folder`)
  }
  const place = yield* real(report)
  if (destination.kind.owns(yield* real(destination.path), place)) {
    return yield* refuse(`which is in the destination ${destination.name}`)
  }
  yield* files.access(folder, { writable: true }).pipe(Effect.mapError(cannot("written", report)))
  const type = yield* typeOf(report)
  if (type === undefined) return
  if (type === "Directory") {
    return yield* new DestinationError({
      message: `${report} is a folder, and --report wants a file. Name one in it, such as ${join(report, "report.html")}.`
    })
  }
  if (type !== "File") return yield* refuse("which is not a regular file")
  const beginning = yield* Effect.option(readBeginning(place, 256))
  const isReplaceable = Option.exists(beginning, (bytes) => bytes.length === 0 || PAGE.test(bytes.toString()))
  if (!isReplaceable) return yield* refuse("which exists and is not an HTML page")
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
