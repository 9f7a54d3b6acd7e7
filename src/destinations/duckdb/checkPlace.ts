/** Checks the path of a database, and the files beside it, before DuckDB opens it. DuckDB would follow links and block on pipes. */
import { basename, dirname, join, resolve } from "node:path"
import { Effect, FileSystem } from "effect"
import { DestinationError } from "../Destination.ts"
import { cannot } from "../folder/durably.ts"

/** The location of a database. */
export interface Location {
  /** Its path, with symbolic links resolved. */
  readonly file: string
  /** Whether the file exists. */
  readonly exists: boolean
}

/** Kinds of files that are not regular. */
const kinds: Readonly<Record<string, string>> = {
  Directory: "a folder",
  FIFO: "a named pipe",
  Socket: "a socket",
  CharacterDevice: "a device",
  BlockDevice: "a device"
}

/** The files that DuckDB writes beside a database. */
const LOGS = [".wal", ".wal.checkpoint", ".wal.recovery"]

/** Finds the file, which may not exist yet, and refuses anything else at its path. */
export const checkPlace = Effect.fnUntraced(function* (path: string) {
  const files = yield* FileSystem.FileSystem
  const given = resolve(path)
  const refuse = (why: string) => new DestinationError({ message: `${path} cannot be opened: ${why}` })
  const kindOf = (of: string) =>
    files.stat(of).pipe(
      Effect.map(({ type }): string | undefined => type),
      Effect.catchIf(
        (error) => error.reason._tag === "NotFound",
        () => Effect.succeed(undefined)
      ),
      Effect.mapError(cannot("opened", path))
    )
  const linkOf = (of: string) => Effect.orElseSucceed(files.readLink(of), () => undefined)
  const folder = dirname(given)
  if ((yield* kindOf(folder)) === undefined) {
    return yield* refuse(`the folder ${folder} does not exist. Make it, or choose another file.`)
  }
  const kind = yield* kindOf(given)
  const link = kind === undefined ? yield* linkOf(given) : undefined
  if (link !== undefined) {
    return yield* refuse(
      `it is a symbolic link to ${link}, which does not exist. Remove the link, or choose another file.`
    )
  }
  if (kind !== undefined && kind !== "File") {
    return yield* refuse(`it is ${kinds[kind] ?? "something else"}, not a file. Choose another file.`)
  }
  const real = (of: string) => Effect.mapError(files.realPath(of), cannot("opened", path))
  const file = kind === undefined ? join(yield* real(folder), basename(given)) : yield* real(given)
  for (const log of LOGS.map((ending) => file + ending)) {
    const isLink = (yield* linkOf(log)) !== undefined
    const kindOfLog = isLink ? undefined : yield* kindOf(log)
    if (isLink || (kindOfLog !== undefined && kindOfLog !== "File")) {
      return yield* refuse(
        `DuckDB would write to ${log}, and that is ${isLink ? "a symbolic link" : (kinds[kindOfLog ?? ""] ?? "something else")}, not a file. Remove it, or choose another file.`
      )
    }
  }
  const wal = `${file}.wal`
  if ((yield* kindOf(wal)) !== undefined) {
    if (kind === undefined) {
      return yield* refuse(
        `${wal} exists without a database, and DuckDB would remove it. Move it away, or choose another file.`
      )
    }
    if (yield* isDatabase(wal)) {
      return yield* refuse(
        `${wal} is a database itself, and DuckDB would take it for the log of this one. Move it away, or choose another file.`
      )
    }
  }
  const ownDatabase = /^(.+)\.wal$/s.exec(file)?.[1]
  if (ownDatabase !== undefined && (yield* kindOf(ownDatabase)) !== undefined) {
    return yield* refuse(`it is where DuckDB keeps the log of ${ownDatabase}. Choose another file.`)
  }
  const location: Location = { file, exists: kind !== undefined }
  return location
})

/** The magic bytes of a database, after its first eight bytes. */
const MAGIC = Buffer.from("DUCK")

const isDatabase = Effect.fnUntraced(function* (file: string) {
  const files = yield* FileSystem.FileSystem
  return yield* Effect.scoped(
    Effect.gen(function* () {
      const bytes = Buffer.alloc(12)
      const read = Number(yield* (yield* files.open(file, { flag: "r" })).read(bytes))
      return read === 12 && bytes.subarray(8).equals(MAGIC)
    })
  ).pipe(Effect.orElseSucceed(() => false))
})
