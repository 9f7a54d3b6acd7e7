/**
 * Only one process at a time writes to a folder: two would write every row twice.
 *
 * The lock is a file with a number, `_lock.1`. To take a folder over, a run creates the file with the next number, which
 * succeeds for one run only. The highest number counts. So no run removes a lock that another run may hold. The file of a
 * finished run stays and says that the run is finished.
 *
 * An owner that was silent for minutes has lost the folder, and checks that before each write.
 */
import { lstatSync } from "node:fs"
import { basename, dirname } from "node:path"
import { Effect, FileSystem, Option, PlatformError, Schedule } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { cannot, LOCK_LOST, noFollow, unlessMissing } from "./durably.ts"
import {
  CREATION_SECONDS,
  type FoundOwner,
  keepAlive,
  type Owner,
  ownerAt,
  ownerText,
  silenceText,
  textOf,
  thisOwner
} from "./Owner.ts"

/** The number of attempts while other runs take the folder. */
const ATTEMPTS = 20

/** The lock of a folder. */
export type FolderLock = Effect.Success<ReturnType<typeof lockFolder>>

/** Locks `folder` with files named `path` and a number, until the scope closes. */
export const lockFolder = Effect.fnUntraced(function* (folder: string, path: string) {
  const files = yield* FileSystem.FileSystem
  const owner = yield* thisOwner
  const name = (number: number): string => `${path}.${number}`

  const take = Effect.gen(function* () {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const last = Math.max(0, ...(yield* numbersOf(path)))
      if (last > 0) yield* refuseOwner(folder, name(last), owner)
      const number = last + 1
      const file = yield* files.open(name(number), { flag: "wx", ...noFollow }).pipe(
        Effect.tap((file) =>
          // An empty lock would keep other runs out for minutes.
          Effect.onError(Effect.andThen(file.writeAll(textOf(owner)), Effect.ignore(file.sync)), () =>
            Effect.ignore(files.remove(name(number)))
          )
        ),
        Effect.asSome,
        Effect.catchIf(
          // Another run was faster, or has just removed the folder of the locks.
          ({ reason }) => reason._tag === "AlreadyExists" || reason._tag === "NotFound",
          () => Effect.succeedNone
        ),
        Effect.mapError(cannot("written", name(number)))
      )
      if (Option.isNone(file)) {
        yield* Effect.ignore(files.makeDirectory(dirname(path)))
        continue
      }
      const { ino } = yield* Effect.mapError(file.value.stat, cannot("read", name(number)))
      const numbers = yield* numbersOf(path)
      if (numbers.some((other) => other > number)) {
        // The list was outdated: later locks have come and gone since.
        yield* Effect.ignore(files.remove(name(number)))
        continue
      }
      // In ascending order: an owner whose lock exists, and not the next one, has the last lock.
      for (const old of numbers.filter((other) => other < number)) {
        yield* Effect.ignore(files.remove(name(old), { force: true }))
      }
      return { file: file.value, number, ino: Option.getOrUndefined(ino) }
    }
    return yield* new ConfigError({
      message: `${folder} is being opened by other runs at the same time. Try again, or choose another folder.`
    })
  })

  const { file, ino, number } = yield* take
  let isRemoved = false
  yield* keepAlive(
    file,
    owner,
    Effect.sync(() => !isRemoved)
  )
  // Synchronous, without the thread pool: it precedes each write, and takes some microseconds.
  const inode = (number: number) => lstatSync(name(number), { bigint: true, throwIfNoEntry: false })?.ino
  return {
    /** Fails once the lock is lost. */
    check: Effect.try({
      try: () => {
        const next = inode(number + 1)
        const own = inode(number)
        if (next === undefined && own !== undefined && own === ino) return
        throw Object.assign(new Error("the lock is lost"), { code: LOCK_LOST })
      },
      catch: (cause) =>
        PlatformError.systemError({
          _tag: "Unknown",
          module: "FileSystem",
          method: "lock",
          pathOrDescriptor: name(number),
          cause
        })
    }),
    /** Removes the lock, before its folder is removed. */
    remove: Effect.suspend(() => {
      isRemoved = true
      return Effect.ignore(files.remove(name(number), { force: true }))
    })
  }
})

/** The numbers of existing locks, ascending. */
const numbersOf = Effect.fnUntraced(function* (path: string) {
  const files = yield* FileSystem.FileSystem
  const beginning = `${basename(path)}.`
  const names = yield* unlessMissing(files.readDirectory(dirname(path))).pipe(
    Effect.mapError(cannot("read", dirname(path)))
  )
  return (names ?? [])
    .filter((name) => name.startsWith(beginning))
    .map((name) => name.slice(beginning.length))
    .filter((digits) => /^[1-9]\d{0,14}$/.test(digits))
    .map(Number)
    .sort((a, b) => a - b)
})

/** Whether a lock has no text yet. Either its owner writes it now, or was killed before it could. */
const isBeingCreated = (found: FoundOwner): boolean =>
  found._tag === "Alive" && found.owner === undefined && (found.secondsLeft ?? 0) <= CREATION_SECONDS

/** Fails unless the owner of a lock is finished or dead. Returns whether it is finished. */
const refuseOwner = Effect.fnUntraced(function* (folder: string, path: string, me: Owner) {
  const found = yield* ownerAt(folder, path, me).pipe(
    Effect.repeat({ while: isBeingCreated, schedule: Schedule.spaced("200 millis") })
  )
  if (found._tag === "None") return false
  if (found._tag !== "Alive") return found._tag === "Released"
  return yield* new ConfigError({
    message: `${folder} is being written by another run${ownerText(found)}. Wait for its end, or choose another folder.${silenceText(path, found)}`
  })
})

/**
 * Fails if a run holds the lock of `folder`. The lock of a run that was silent for minutes is taken from it, since that run may
 * wake up.
 */
export const refuseLocked = Effect.fnUntraced(function* (folder: string, path: string) {
  const files = yield* FileSystem.FileSystem
  const me = yield* thisOwner
  for (;;) {
    const last = Math.max(0, ...(yield* numbersOf(path)))
    if (last === 0 || (yield* refuseOwner(folder, `${path}.${last}`, me))) return
    const next = `${path}.${last + 1}`
    yield* Effect.scoped(
      Effect.flatMap(files.open(next, { flag: "wx", ...noFollow }), (file) =>
        file.writeAll(textOf({ ...me, isReleased: true }))
      )
    ).pipe(
      Effect.catchIf(
        ({ reason }) => reason._tag === "AlreadyExists",
        () => Effect.void
      ),
      Effect.mapError(cannot("written", next))
    )
  }
})

/** Files that can be changed only while the lock is held. */
export const guarded = (files: FileSystem.FileSystem, { check }: FolderLock): FileSystem.FileSystem => {
  const guard = <A, R>(effect: Effect.Effect<A, PlatformError.PlatformError, R>) =>
    Effect.andThen(check, effect)
  return FileSystem.make({
    ...files,
    copy: (...args) => guard(files.copy(...args)),
    copyFile: (...args) => guard(files.copyFile(...args)),
    makeDirectory: (...args) => guard(files.makeDirectory(...args)),
    open: (path, options) =>
      options?.flag === undefined || options.flag === "r"
        ? files.open(path, options)
        : guard(files.open(path, options)),
    remove: (...args) => guard(files.remove(...args)),
    rename: (...args) => guard(files.rename(...args)),
    truncate: (...args) => guard(files.truncate(...args)),
    writeFile: (...args) => guard(files.writeFile(...args))
  })
}
