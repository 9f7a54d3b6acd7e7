/**
 * Compare and swap for a small file that several processes replace, on this machine or others that share a disk.
 *
 * A writer that was paused may continue at any time, so no lock that is only looked at can stop it. Here the lock and the new
 * file are one: a folder `<name>.swap` that contains the new file under a name of its own. Only the writer whose folder has that
 * name can replace the file, because it does so by moving the new file out of it. Who has waited for too long moves the
 * folder away, with the file in it: whenever the other writer continues, it has nothing left to move.
 *
 * Renaming is atomic on disks and on network file systems, and a folder can replace only an empty one.
 */
import { createHash } from "node:crypto"
import { rmdir } from "node:fs/promises"
import { basename, dirname } from "node:path"
import { Duration, Effect, FileSystem, Option, type PlatformError, Random } from "effect"
import { steadyMillis } from "../../text/steadyMillis.ts"
import type { DestinationError } from "../Destination.ts"
import { cannot, noFollow, randomName, syncFolder, unlessMissing } from "./durably.ts"

/** The version of a text; undefined if there is no file. */
type Version = string | undefined

/** The version of a text. */
export const versionOf = (text: string): string => createHash("sha256").update(text).digest("hex")

/** A writer holds the lock for some milliseconds. Who takes it over too early only makes it try again. */
const PATIENCE_MILLIS = 2000
const MOST_PATIENCE_MILLIS = 60_000

/** The pause before the lock is looked at again, at most. */
const PAUSE_MILLIS = 20

export interface Swap {
  readonly path: string
  /** The folder of the locks, on the same disk. */
  readonly locks: string
  /** The folder of this process, on the same disk. Once it is gone, the process cannot replace anything. */
  readonly own: string
  /** The owner of new files in the locks: a part of their names. */
  readonly owner: string
}

/** The folder that is the lock of a path. */
const lockOf = ({ locks, path }: Swap): string => `${locks}/${basename(path)}.swap`

/** The text of a file that others replace, of at most `maxBytes`. None if there is none, or if it is no file. */
export const readReplaced = Effect.fnUntraced(function* (path: string, maxBytes: number) {
  const files = yield* FileSystem.FileSystem
  const read = Effect.scoped(
    Effect.gen(function* () {
      const file = yield* files.open(path, { flag: "r", ...noFollow })
      const { size, type } = yield* file.stat
      if (type !== "File" || Number(size) > maxBytes) return undefined
      const parts: Array<Uint8Array> = []
      for (let left = Number(size); left > 0; ) {
        const bytes = Option.getOrUndefined(yield* file.readAlloc(left))
        if (bytes === undefined) break
        parts.push(bytes)
        left -= bytes.length
      }
      return Buffer.concat(parts).toString("utf8")
    })
  )
  return yield* unlessMissing(read).pipe(
    // A network file system may have removed the file that was opened.
    Effect.retry({ times: 3, while: (error) => codeOf(error) === "ESTALE" }),
    Effect.map(Option.fromUndefinedOr),
    Effect.mapError(cannot("read", path))
  )
})

const codeOf = ({ reason }: PlatformError.PlatformError): string | undefined =>
  reason.cause instanceof Error && "code" in reason.cause ? String(reason.cause.code) : undefined

/**
 * Replaces the file with a text if it still has a version. Returns false if it has another one. False does not mean that the
 * text never was in the file: on a network file system, the success of a rename may be lost.
 */
export const swapFile = Effect.fnUntraced(function* (
  swap: Swap,
  expected: Version,
  text: string,
  maxBytes: number
): Effect.fn.Return<boolean, DestinationError, FileSystem.FileSystem> {
  const files = yield* FileSystem.FileSystem
  const { own, owner, path } = swap
  const lock = lockOf(swap)
  const current = Effect.map(readReplaced(path, maxBytes), (found) =>
    Option.getOrUndefined(Option.map(found, versionOf))
  )
  const failed = Effect.mapError(cannot("written", path))
  let patience = PATIENCE_MILLIS
  for (;;) {
    if ((yield* current) !== expected) return false
    const name = `${owner}-${randomName()}`
    const mine = `${own}/${name}`
    yield* failed(files.makeDirectory(mine, { mode: 0o700 }))
    yield* failed(
      Effect.scoped(
        Effect.flatMap(files.open(`${mine}/${name}`, { flag: "wx", ...noFollow }), (file) =>
          Effect.andThen(file.writeAll(Buffer.from(text)), file.sync)
        )
      )
    )
    if (!(yield* acquire(swap, mine, current, expected, patience))) return false
    // Only who has the lock replaces the file, so this stays true until the lock is gone.
    if ((yield* current) !== expected) {
      yield* Effect.ignore(files.remove(`${lock}/${name}`, { force: true }))
      yield* removeEmpty(lock)
      return false
    }
    const isDone = yield* failed(unlessMissing(Effect.as(files.rename(`${lock}/${name}`, path), true)))
    if (isDone === true) {
      yield* syncFolder(dirname(path))
      yield* removeEmpty(lock)
      return true
    }
    // Another writer has taken over the lock, or the success was lost on the way.
    if ((yield* current) === versionOf(text)) return true
    patience = Math.min(MOST_PATIENCE_MILLIS, patience * 2)
  }
})

/** Puts the folder `mine` in the place of the lock. False, and `mine` is gone, once the file has another version. */
const acquire = Effect.fnUntraced(function* <E, R>(
  swap: Swap,
  mine: string,
  current: Effect.Effect<Version, E, R>,
  expected: Version,
  patience: number
) {
  const files = yield* FileSystem.FileSystem
  const lock = lockOf(swap)
  let holder: string | undefined
  let since = 0
  for (;;) {
    const taken = yield* files.rename(mine, lock).pipe(
      Effect.as(true),
      Effect.catchIf(isOccupied, () => Effect.succeed(false)),
      Effect.mapError(cannot("written", swap.path))
    )
    if (taken) return true
    const names = yield* unlessMissing(files.readDirectory(lock)).pipe(Effect.mapError(cannot("read", lock)))
    const [found] = names ?? []
    const now = yield* steadyMillis
    if (found === undefined) {
      // A folder that was left empty is no lock. Some systems do not replace it.
      yield* removeEmpty(lock)
    } else if (found !== holder) {
      holder = found
      since = now
    } else if (now - since > patience) {
      // The holder may have another lock by now; then that writer tries again.
      const away = `${swap.own}/${swap.owner}-${randomName()}`
      yield* Effect.ignore(files.rename(lock, away))
      yield* Effect.ignore(files.remove(away, { recursive: true, force: true }))
      holder = undefined
    }
    if ((yield* current) !== expected) {
      yield* Effect.ignore(files.remove(mine, { recursive: true, force: true }))
      return false
    }
    yield* Effect.sleep(Duration.millis(yield* Random.nextIntBetween(1, PAUSE_MILLIS)))
  }
})

/** The codes of systems for a folder that is not empty. */
const occupied: ReadonlySet<string | undefined> = new Set([
  "ENOTEMPTY",
  "EEXIST",
  // Windows does not replace folders.
  ...(process.platform === "win32" ? ["EPERM", "EACCES", "EBUSY"] : [])
])

const isOccupied = (error: PlatformError.PlatformError): boolean => occupied.has(codeOf(error))

const removeEmpty = (path: string) => Effect.ignore(Effect.tryPromise(() => rmdir(path)))

/** Makes it impossible for an owner to use a lock that it has. Its own folder must be gone before. */
export const removeLocksOf = Effect.fnUntraced(function* (owner: string, locks: string) {
  const files = yield* FileSystem.FileSystem
  const names = yield* unlessMissing(files.readDirectory(locks)).pipe(
    Effect.mapError(cannot("cleaned", locks))
  )
  for (const lock of (names ?? []).filter((name) => name.endsWith(".swap"))) {
    const inside = yield* Effect.orElseSucceed(files.readDirectory(`${locks}/${lock}`), () => [])
    for (const name of inside.filter((name) => name.startsWith(`${owner}-`))) {
      const path = `${locks}/${lock}/${name}`
      yield* files.remove(path, { force: true }).pipe(Effect.mapError(cannot("cleaned", path)))
    }
  }
})
