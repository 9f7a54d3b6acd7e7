/**
 * Only one process at a time writes to a folder: two would write every row twice.
 *
 * The lock is a file with a number, `_lock.1`. To take a folder over, a run creates the file with the next number, which
 * succeeds for one run only. The highest number counts. So no run removes a lock that another run may hold. The file of a
 * finished run stays and says that the run is finished.
 *
 * The owner's process can be looked up on the same machine, in the same PID namespace. For other owners, in another container
 * or on another host, this is impossible. So owners write to their lock every few seconds. An owner that was silent for
 * minutes has lost the folder, and checks that before each write. Times are those of the file system, as the clocks of
 * machines differ.
 */
import { lstatSync } from "node:fs"
import { hostname } from "node:os"
import { basename, dirname } from "node:path"
import { Clock, DateTime, Effect, FileSystem, Option, PlatformError, Schedule, Schema } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import {
  cannot,
  infoOf,
  kindOf,
  LOCK_LOST,
  noFollow,
  randomName,
  readSmallFile,
  unlessMissing
} from "./durably.ts"

/** The heartbeat of owners, and the silence after which a lock is lost. */
const BEAT_SECONDS = 10
const LIMIT_SECONDS = 120

/** All locks have this length, so that one write replaces the text. */
const LENGTH = 512

/** The number of attempts while other runs take the folder. */
const ATTEMPTS = 20

const Owner = Schema.fromJsonString(
  Schema.Struct({
    process: Schema.Int,
    /** When the process started, in ticks since its system did. Empty if the system does not report it. */
    started: Schema.String,
    /** The scope of its process number: one start of a machine, and a PID namespace. */
    place: Schema.String,
    host: Schema.String.check(Schema.isPattern(/^[\w.-]{0,253}$/)),
    since: Schema.String.check(Schema.isPattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)),
    /** Counts up, so that the file changes. */
    beat: Schema.Int,
    /** The owner is finished, and the folder is free. */
    isReleased: Schema.Boolean
  })
)
type Owner = typeof Owner.Type

const textOf = (owner: Owner): Uint8Array => Buffer.from(`${JSON.stringify(owner).padEnd(LENGTH - 1)}\n`)

/** The lock of a folder. */
export type FolderLock = Effect.Success<ReturnType<typeof lockFolder>>

/** Locks `folder` with files named `path` and a number, until the scope closes. */
export const lockFolder = Effect.fnUntraced(function* (folder: string, path: string) {
  const files = yield* FileSystem.FileSystem
  const owner: Owner = {
    ...(yield* thisProcess),
    host: /^[\w.-]{0,253}$/.test(hostname()) ? hostname() : "",
    since: `${DateTime.formatIso(DateTime.makeUnsafe(yield* Clock.currentTimeMillis)).slice(0, 19)}Z`,
    beat: 0,
    isReleased: false
  }
  const name = (number: number): string => `${path}.${number}`

  const take = Effect.gen(function* () {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const last = Math.max(0, ...(yield* numbersOf(path)))
      if (last > 0) yield* refuseOwner(folder, name(last), owner)
      const number = last + 1
      const file = yield* files.open(name(number), { flag: "wx", ...noFollow }).pipe(
        Effect.tap((file) =>
          // An empty lock would keep other runs out for minutes.
          Effect.onError(file.writeAll(textOf(owner)), () => Effect.ignore(files.remove(name(number))))
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
  let beat = 0
  const write = (change: Partial<Owner>) =>
    Effect.andThen(file.seek(0n, "start"), file.writeAll(textOf({ ...owner, beat, ...change })))
  let isRemoved = false
  yield* Effect.addFinalizer(() => (isRemoved ? Effect.void : Effect.ignore(write({ isReleased: true }))))
  yield* Effect.suspend(() => {
    beat++
    return Effect.uninterruptible(Effect.andThen(write({}), file.sync))
  }).pipe(
    // The next write to the folder reports errors.
    Effect.ignore,
    Effect.delay(`${BEAT_SECONDS} seconds`),
    Effect.repeat(Schedule.forever),
    Effect.forkScoped
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

/** Fails unless the owner of a lock is finished or dead. */
const refuseOwner = Effect.fnUntraced(function* (folder: string, path: string, me: Owner) {
  const info = yield* infoOf(path)
  if (info === undefined) return
  if (info.type !== "File") {
    return yield* new ConfigError({
      message: `${path} is ${kindOf(info)}, and the lock of ${folder} needs a file there. Remove it, or choose another folder.`
    })
  }
  const text = Option.getOrElse(yield* readSmallFile(path, LENGTH), () => "")
  // A lock that is being created is empty.
  const them = Option.getOrUndefined(Schema.decodeUnknownOption(Owner)(text))
  if (them?.isReleased === true) return
  const isHere = them !== undefined && them.place === me.place
  const isRunning = isHere && (yield* runs(them))
  if (isHere && !isRunning) return
  const where = isHere ? "" : " in another container or on another machine"
  const who =
    them === undefined
      ? ""
      : ` (process ${them.process}${them.host === "" ? "" : ` on ${them.host}`}, since ${them.since})`
  const message = `${folder} is being written by another run${where}${who}. Wait for its end, or choose another folder.`
  if (isRunning && them.started !== "") return yield* new ConfigError({ message })
  const silent = yield* secondsSince(info, path)
  if (Math.abs(silent) > LIMIT_SECONDS) return
  return yield* new ConfigError({
    message: `${message} If that run no longer exists, the folder is free in ${Math.ceil(LIMIT_SECONDS - silent)} seconds, or once ${path} is deleted.`
  })
})

/** The seconds since a file was written, by the clock of its file system. */
const secondsSince = Effect.fnUntraced(function* ({ mtime }: FileSystem.File.Info, path: string) {
  const files = yield* FileSystem.FileSystem
  const probe = `${dirname(path)}/.clock.${randomName()}`
  const now = yield* Effect.scoped(
    Effect.gen(function* () {
      const file = yield* files.open(probe, { flag: "wx", ...noFollow })
      yield* file.writeAll(Buffer.from("\n"))
      return (yield* file.stat).mtime
    })
  ).pipe(
    Effect.ensuring(Effect.ignore(files.remove(probe, { force: true }))),
    Effect.mapError(cannot("written", probe))
  )
  const millis = (time: Option.Option<Date>) => Option.getOrElse(time, () => new Date(0)).getTime()
  return (millis(now) - millis(mtime)) / 1000
})

/** The identity of this process for others of the same place. */
const thisProcess = Effect.gen(function* () {
  const files = yield* FileSystem.FileSystem
  if (process.platform !== "linux") {
    return { process: process.pid, started: "", place: `${process.platform} ${hostname()}` }
  }
  const boot = yield* Effect.option(files.readFileString("/proc/sys/kernel/random/boot_id"))
  const namespace = yield* Effect.option(files.readLink("/proc/self/ns/pid"))
  const stat = yield* statOf("self")
  // The system reuses the number of a namespace only once all processes of the old one have ended.
  // A `/proc` of another namespace shows other processes under our numbers.
  return Option.isSome(boot) && Option.isSome(namespace) && stat?.process === process.pid
    ? { process: process.pid, started: stat.started, place: `${boot.value.trim()} ${namespace.value}` }
    : { process: process.pid, started: "", place: `unknown ${randomName()}` }
})

/** Whether the process of an owner in this place runs. Another process may have its number by now. */
const runs = Effect.fnUntraced(function* (owner: Owner) {
  if (owner.process <= 0) return false
  if (owner.started !== "") return (yield* statOf(owner.process))?.started === owner.started
  return yield* Effect.orElseSucceed(
    Effect.try(() => process.kill(owner.process, 0)),
    () => false
  )
})

/** The number and start of a process, unless it has ended. */
const statOf = Effect.fnUntraced(function* (which: number | "self") {
  const files = yield* FileSystem.FileSystem
  const stat = yield* Effect.option(files.readFileString(`/proc/${which}/stat`))
  if (Option.isNone(stat)) return undefined
  // The name of the program comes second, in parentheses, and may have any characters.
  const fields = stat.value.slice(stat.value.lastIndexOf(")") + 2).split(" ")
  const started = fields[19]
  if (fields[0] === "Z" || fields[0] === "X" || started === undefined) return undefined
  return { process: Number.parseInt(stat.value, 10), started }
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
