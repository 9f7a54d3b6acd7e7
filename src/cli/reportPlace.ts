/** Keeps a run from writing into what it is about, or into anything else that is not its own. */
import { basename, dirname, join, relative, resolve, sep } from "node:path"
import { Effect, FileSystem } from "effect"
import { DestinationError } from "../destinations/Destination.ts"
import { type Target, targetText } from "./target.ts"

/** How a page begins: what a report may replace. */
const PAGE = /^\uFEFF?\s{0,100}<(!doctype\s+html|html)\b/i

/** Fails where a destination would be inside of another one, which removes what it does not know. */
export const checkTarget = Effect.fnUntraced(function* (target: Target) {
  const files = yield* FileSystem.FileSystem
  for (let folder = dirname(resolve(target.path)); ; folder = dirname(folder)) {
    const isDestination = yield* Effect.orElseSucceed(
      files.exists(join(folder, "_state/_about.json")),
      () => false
    )
    if (isDestination) {
      return yield* new DestinationError({
        message: `${targetText(target)} would be inside of ${folder}, which is a destination itself. Choose another place.`
      })
    }
    if (folder === dirname(folder)) return
  }
})

/** Fails where the file of a report is, or would be, part of the destination, and where there is a file that is no page. */
export const checkReportFile = Effect.fnUntraced(function* (report: string, target: Target) {
  const files = yield* FileSystem.FileSystem
  const refuse = (why: string) =>
    new DestinationError({
      message: `--report is ${report}, ${why}. Choose another file, such as report.html.`
    })
  // Of a file that is not there yet, its folder is known by all its names.
  const real = (path: string) =>
    files.realPath(path).pipe(
      Effect.catch(() => Effect.map(files.realPath(dirname(path)), (folder) => join(folder, basename(path)))),
      Effect.orElseSucceed(() => path)
    )
  if (report.trim() === "") {
    return yield* new DestinationError({ message: "--report names no file. Name one, such as report.html." })
  }
  const folder = yield* Effect.option(files.stat(dirname(report)))
  if (folder._tag === "Some" && folder.value.type !== "Directory") {
    return yield* refuse(`and ${dirname(report)} is no folder`)
  }
  const place = yield* real(report)
  const destination = yield* real(target.path)
  if (target.format === "duckdb") {
    if ([destination, `${destination}.wal`, `${destination}.tmp`].includes(place)) {
      return yield* refuse(`which is a file of the destination ${targetText(target)}`)
    }
  } else {
    const inside = relative(destination, place).split(sep)
    const isInside = inside[0] !== ".." && inside[0] !== "" && !inside[0]!.includes(":")
    if (inside[0] === "" || (isInside && (inside.length > 1 || !/\.html?$/i.test(place)))) {
      return yield* refuse(`which is in the destination ${targetText(target)}`)
    }
  }
  const info = yield* Effect.option(files.stat(report))
  if (info._tag === "None" || info.value.type === "Directory") return
  if (info.value.type !== "File") return yield* refuse("which is no regular file")
  if (Number(info.value.size) === 0) return
  const beginning = yield* Effect.scoped(
    Effect.gen(function* () {
      const file = yield* files.open(report, { flag: "r" })
      const bytes = Buffer.alloc(256)
      const read = yield* file.read(bytes)
      return bytes.subarray(0, Number(read)).toString("utf8")
    })
  ).pipe(Effect.orElseSucceed(() => ""))
  if (!PAGE.test(beginning)) return yield* refuse("which is there already and is no HTML page")
})
