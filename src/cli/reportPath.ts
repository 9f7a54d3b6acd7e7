/** Refuses a report path that would overwrite the destination or files of other programs. */
import { basename, dirname, join, resolve } from "node:path"
import { Effect, FileSystem } from "effect"
import { DestinationError } from "../destinations/Destination.ts"
import { type Target, targetText } from "./target.ts"

/** The beginning of an HTML page. A report may replace such a file. */
const PAGE = /^\uFEFF?\s{0,100}<(!doctype\s+html|html)\b/i

/** Fails if a destination would be inside another one, which would delete it as unknown files. */
export const checkTarget = Effect.fnUntraced(function* (target: Target) {
  const files = yield* FileSystem.FileSystem
  for (let folder = dirname(resolve(target.path)); ; folder = dirname(folder)) {
    const isDestination = yield* Effect.orElseSucceed(
      files.exists(join(folder, "_state/_about.json")),
      () => false
    )
    if (isDestination) {
      return yield* new DestinationError({
        message: `${targetText(target)} would be inside ${folder}, which is another destination. Choose another path.`
      })
    }
    if (folder === dirname(folder)) return
  }
})

/** Fails if the report would be inside the destination, or would replace a file that is not an HTML page. */
export const checkReportFile = Effect.fnUntraced(function* (report: string, target: Target) {
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
  if (report.trim() === "") {
    return yield* new DestinationError({ message: "--report needs a file name, such as report.html." })
  }
  const folder = yield* Effect.option(files.stat(dirname(report)))
  if (folder._tag === "Some" && folder.value.type !== "Directory") {
    return yield* refuse(`and ${dirname(report)} is not a folder`)
  }
  const place = yield* real(report)
  const destination = yield* real(target.path)
  if (target.kind.owns(destination, place)) {
    return yield* refuse(`which is in the destination ${targetText(target)}`)
  }
  const info = yield* Effect.option(files.stat(report))
  if (info._tag === "None" || info.value.type === "Directory") return
  if (info.value.type !== "File") return yield* refuse("which is not a regular file")
  if (Number(info.value.size) === 0) return
  const beginning = yield* Effect.scoped(
    Effect.gen(function* () {
      const file = yield* files.open(report, { flag: "r" })
      const bytes = Buffer.alloc(256)
      const read = yield* file.read(bytes)
      return bytes.subarray(0, Number(read)).toString("utf8")
    })
  ).pipe(Effect.orElseSucceed(() => ""))
  if (!PAGE.test(beginning)) return yield* refuse("which exists and is not an HTML page")
})
