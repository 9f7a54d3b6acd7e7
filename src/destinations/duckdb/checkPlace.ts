/** Checks the path of a database, and the files beside it, before DuckDB opens it. DuckDB would follow links and block on pipes. */
import { basename, dirname, join, resolve } from "node:path"
import { Effect, FileSystem, Option } from "effect"
import { DestinationError } from "../Destination.ts"
import { cannot, infoOf, kindOf, readBeginning, unlessMissing } from "../folder/durably.ts"

/** The files that DuckDB writes beside a database. */
const LOGS = [".wal", ".wal.checkpoint", ".wal.recovery"]

/**
 * Finds the file, which may not exist yet, and refuses anything else at its path. Returns its path with symbolic links
 * resolved.
 */
export const checkPlace = Effect.fnUntraced(function* (path: string) {
  const files = yield* FileSystem.FileSystem
  const given = resolve(path)
  const refuse = (why: string) => new DestinationError({ message: `${path} cannot be opened: ${why}` })
  const real = (at: string) => Effect.mapError(files.realPath(at), cannot("opened", path))
  const infoAt = (at: string) => Effect.mapError(unlessMissing(files.stat(at)), cannot("opened", path))
  const folder = dirname(given)
  if ((yield* infoAt(folder)) === undefined) {
    return yield* refuse(`the folder ${folder} does not exist. Make it, or choose another file.`)
  }
  const info = yield* infoAt(given)
  const link = yield* Effect.option(files.readLink(given))
  if (info === undefined && Option.isSome(link)) {
    return yield* refuse(
      `it is a symbolic link to ${link.value}, which does not exist. Remove the link, or choose another file.`
    )
  }
  if (info !== undefined && info.type !== "File") {
    return yield* refuse(`it is ${kindOf(info)}, not a file. Choose another file.`)
  }
  const exists = info !== undefined
  const file = exists ? yield* real(given) : join(yield* real(folder), basename(given))
  for (const log of LOGS.map((ending) => file + ending)) {
    const found = yield* infoOf(log)
    if (found !== undefined && found.type !== "File") {
      return yield* refuse(
        `DuckDB would write to ${log}, and that is ${kindOf(found)}, not a file. Remove it, or choose another file.`
      )
    }
  }
  const wal = `${file}.wal`
  if (!exists && (yield* infoOf(wal)) !== undefined) {
    return yield* refuse(
      `${wal} exists without a database, and DuckDB would remove it. Move it away, or choose another file.`
    )
  }
  if (yield* isDatabase(wal)) {
    return yield* refuse(
      `${wal} is a database itself, and DuckDB would take it for the log of this one. Move it away, or choose another file.`
    )
  }
  const ownDatabase = /^(.+)\.wal$/s.exec(file)?.[1]
  if (ownDatabase !== undefined && (yield* infoAt(ownDatabase)) !== undefined) {
    return yield* refuse(`it is where DuckDB keeps the log of ${ownDatabase}. Choose another file.`)
  }
  return { file, exists }
})

/** Whether a file has the magic bytes of a database, after its first eight bytes. */
const isDatabase = (file: string) =>
  readBeginning(file, 12).pipe(
    Effect.map((bytes) => bytes.subarray(8).toString() === "DUCK"),
    Effect.orElseSucceed(() => false)
  )
