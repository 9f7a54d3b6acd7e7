/**
 * File operations that survive a loss of power, and the errors of file operations for users.
 *
 * None of them follows a symbolic link in the last part of a path: it may point to a file not created by source-prometheus.
 */
import { randomBytes } from "node:crypto"
import { basename, dirname, join, resolve } from "node:path"
import { Effect, FileSystem, Option, type PlatformError } from "effect"
import { DestinationError } from "../Destination.ts"

/** The error of an operation on `path`, such as "written": what happened, why, and what to do. */
export const cannot =
  (what: string, path: string) =>
  (error: PlatformError.PlatformError): DestinationError => {
    const { cause } = error.reason
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : undefined
    return systemError(what, path, code, `${error.message}.`)
  }

/** The same by the system's code. `otherwise` is the reason of an unknown one. */
export const systemError = (
  what: string,
  path: string,
  code: string | undefined,
  otherwise: string
): DestinationError =>
  new DestinationError({
    message: `${path} cannot be ${what}: ${reasons[`${code} ${what}`] ?? reasons[`${code}`] ?? otherwise}`,
    ...(fatal.has(code) ? { isFatal: true } : {})
  })

/** The code of an operation that was refused because the lock of its folder is lost. */
export const LOCK_LOST = "ELOCKLOST"

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
  // The file need not exist before, but its folder must.
  "ENOENT written": "its folder does not exist. Make it, or choose another one.",
  "ENOENT made": "no folder can be made there. Choose another one.",
  ELOOP: "it is a symbolic link. Remove the link, or choose another folder.",
  ENAMETOOLONG: "the path is too long. Choose another folder.",
  EMFILE: "too many files are open. Raise the limit (ulimit -n).",
  ENFILE: "too many files are open on this machine. Close some, and run again.",
  EFBIG:
    "it would be larger than a file may be here. Raise the limit (ulimit -f), or choose another disk: what was committed is kept.",
  EIO: "the disk reports an error. Check it, and run again: what was committed is kept.",
  ESTALE: "the network file system does not know it any more. Mount it again, and run again.",
  [LOCK_LOST]:
    "another run has taken over the folder, because this one was silent for minutes, or its lock was deleted. This run writes nothing more; what was committed is kept."
}

/** Errors of the entire folder, on whichever file they occur. */
const fatal: ReadonlySet<string | undefined> = new Set([
  "ENOSPC",
  "EDQUOT",
  "EROFS",
  "EMFILE",
  "ENFILE",
  "EIO",
  "ESTALE",
  LOCK_LOST
])

/** For opening files without following a symbolic link. Windows has no such option. */
export const noFollow = { noFollow: process.platform !== "win32" }

/** Undefined if the path of an operation does not exist. */
export const unlessMissing = <A, R>(operation: Effect.Effect<A, PlatformError.PlatformError, R>) =>
  Effect.catchIf(
    operation,
    ({ reason }) => reason._tag === "NotFound",
    () => Effect.undefined
  )

/** The type and size of a path, without following a symbolic link. Undefined if it does not exist. */
export const infoOf = (path: string) =>
  Effect.flatMap(FileSystem.FileSystem, (files) =>
    Effect.mapError(unlessMissing(files.lstat(path)), cannot("read", path))
  )

/** The type of a path, in words. */
export const kindOf = ({ type }: FileSystem.File.Info): string => kinds[type]

const kinds: Readonly<Record<FileSystem.File.Type, string>> = {
  File: "a file",
  Directory: "a folder",
  SymbolicLink: "a symbolic link",
  FIFO: "a named pipe",
  Socket: "a socket",
  BlockDevice: "a device",
  CharacterDevice: "a device",
  Unknown: "something else"
}

/**
 * Creates a folder with its parents, and returns the created ones. It creates one at a time: in `/proc`, Node's recursive call
 * would never return.
 */
export const makeFolder = (
  path: string
): Effect.Effect<ReadonlyArray<string>, DestinationError, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const exists = (folder: string) => Effect.orElseSucceed(files.exists(folder), () => false)
    const missing: Array<string> = []
    for (let folder = resolve(path); !(yield* exists(folder)); folder = dirname(folder)) missing.push(folder)
    for (const folder of missing.toReversed()) {
      yield* Effect.catchIf(
        files.makeDirectory(folder),
        ({ reason }) => reason._tag === "AlreadyExists",
        () => Effect.void
      )
    }
    // The path may be an existing file: this reports it.
    yield* files.makeDirectory(path, { recursive: true })
    return missing
  }).pipe(Effect.mapError(cannot("made", path)))

/** Makes the content of a file survive a loss of power. */
export const syncFile = (path: string) =>
  Effect.flatMap(FileSystem.FileSystem, (files) =>
    Effect.scoped(Effect.flatMap(files.open(path, { flag: "r+", ...noFollow }), (file) => file.sync)).pipe(
      Effect.mapError(cannot("written", path))
    )
  )

/** Makes the names in a folder survive a loss of power, on systems that can do that. */
export const syncFolder = (path: string) =>
  Effect.flatMap(FileSystem.FileSystem, (files) =>
    Effect.ignore(Effect.scoped(Effect.flatMap(files.open(path, { flag: "r" }), (file) => file.sync)))
  )

/** A name that cannot exist yet. */
export const randomName = (): string => randomBytes(9).toString("hex")

/** Replaces a small file atomically. The new file is created in the folder `aside`, which is on the same disk. */
export const replaceFile = Effect.fnUntraced(function* (
  path: string,
  text: string,
  aside: string = dirname(path)
) {
  const files = yield* FileSystem.FileSystem
  const temporary = join(aside, `.${basename(path).slice(0, 100)}.${randomName()}.new`)
  yield* Effect.scoped(
    Effect.flatMap(files.open(temporary, { flag: "wx", ...noFollow }), (file) =>
      Effect.andThen(file.writeAll(Buffer.from(text)), file.sync)
    )
  ).pipe(
    Effect.andThen(files.rename(temporary, path)),
    Effect.onError(() => Effect.ignore(files.remove(temporary, { force: true }))),
    Effect.mapError(cannot("written", path))
  )
  yield* syncFolder(dirname(path))
})

/** The first bytes of a file. */
export const readBeginning = (path: string, maxBytes: number) =>
  Effect.flatMap(FileSystem.FileSystem, (files) =>
    Effect.scoped(
      Effect.flatMap(files.open(path, { flag: "r", ...noFollow }), (file) => file.readAlloc(maxBytes))
    ).pipe(
      Effect.map((bytes) => Buffer.from(Option.getOrElse(bytes, () => new Uint8Array()))),
      Effect.mapError(cannot("read", path))
    )
  )

/** The text of a file of at most `maxBytes`. None if it is larger, or no file. */
export const readSmallFile = Effect.fnUntraced(function* (path: string, maxBytes: number) {
  const info = yield* infoOf(path)
  if (info?.type !== "File" || Number(info.size) > maxBytes) return Option.none<string>()
  const bytes = yield* readBeginning(path, Math.max(1, Number(info.size)))
  return Option.some(bytes.toString("utf8"))
})
