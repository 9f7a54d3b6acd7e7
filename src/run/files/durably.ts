/** Files that are whole and on the disk, also after a loss of power; and what is said where that cannot be had. */
import { dirname, resolve } from "node:path"
import { Effect, FileSystem, type PlatformError } from "effect"
import { DestinationError } from "../Destination.ts"

/** Turns the failure of doing `what` to `path` into a sentence that says why, and what can be done. */
export const cannot =
  (what: string, path: string) =>
  (error: PlatformError.PlatformError): DestinationError =>
    new DestinationError({ message: `${path} cannot be ${what}: ${reasonOf(what, error)}` })

const reasonOf = (what: string, { message, reason }: PlatformError.PlatformError): string => {
  const cause = reason.cause
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : ""
  // What is written need not be there before, but the folder that it is written to.
  if (code === "ENOENT" && what === "written")
    return "its folder does not exist. Make it, or choose another one."
  if (code === "ENOENT" && what === "made") return "no folder can be made there. Choose another one."
  return reasons[code] ?? `${message}.`
}

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full. Make room and run again: what was committed is kept.",
  EDQUOT: "the disk quota is used up. Make room and run again: what was committed is kept.",
  EACCES: "permission denied. Allow it, or choose another folder.",
  EPERM: "permission denied. Allow it, or choose another folder.",
  EROFS: "the disk is read-only. Choose another folder.",
  ENOTDIR: "a part of that path is a file, not a folder. Choose another folder.",
  EEXIST: "it is a file, not a folder. Choose another folder.",
  EISDIR: "it is a folder, not a file. Move it away, or choose another folder.",
  ENOENT: "it does not exist.",
  ENAMETOOLONG: "the path is too long. Choose another folder.",
  EMFILE: "too many files are open. Raise the limit (ulimit -n).",
  EIO: "the disk reports an error."
}

/**
 * Makes a folder, and those that it is in. One after the other: where the system refuses without saying why, as it does in
 * `/proc`, Node would try for ever to make all of them.
 */
export const makeFolder = (path: string): Effect.Effect<void, DestinationError, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const exists = (folder: string) => Effect.orElseSucceed(files.exists(folder), () => false)
    const missing: Array<string> = []
    for (let folder = resolve(path); !(yield* exists(folder)); folder = dirname(folder)) missing.push(folder)
    for (const folder of missing.reverse()) {
      yield* Effect.catchIf(
        files.makeDirectory(folder),
        ({ reason }) => reason._tag === "AlreadyExists",
        () => Effect.void
      )
    }
    // What is there may be a file.
    yield* files.makeDirectory(path, { recursive: true })
  }).pipe(Effect.mapError(cannot("made", path)))

/** Makes what was written to a file survive a loss of power. */
export const syncFile = (path: string) =>
  Effect.flatMap(FileSystem.FileSystem, (files) =>
    Effect.scoped(Effect.flatMap(files.open(path, { flag: "r+" }), (file) => file.sync)).pipe(
      Effect.mapError(cannot("written", path))
    )
  )

/** The same of which files a folder has. Not every system can do that for a folder. */
export const syncFolder = (path: string) =>
  Effect.flatMap(FileSystem.FileSystem, (files) =>
    Effect.ignore(Effect.scoped(Effect.flatMap(files.open(path, { flag: "r" }), (file) => file.sync)))
  )

/** Replaces a small file: whoever reads it finds the old text or the new one, whatever happens. */
export const replaceFile = Effect.fnUntraced(function* (folder: string, path: string, text: string) {
  const files = yield* FileSystem.FileSystem
  const temporary = `${path}.new`
  yield* Effect.scoped(
    Effect.flatMap(files.open(temporary, { flag: "w" }), (file) =>
      Effect.andThen(file.writeAll(Buffer.from(text)), file.sync)
    )
  ).pipe(Effect.andThen(files.rename(temporary, path)), Effect.mapError(cannot("written", path)))
  yield* syncFolder(folder)
})
