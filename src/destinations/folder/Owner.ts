/**
 * Who writes to a folder: the text of a lock, or of a file that says that a process is there.
 *
 * The owner's process can be looked up on the same machine, in the same PID namespace. For other owners, in another container
 * or on another host, this is impossible. So owners write to their file every few seconds, and count as dead after minutes of
 * silence. Times are those of the file system, as the clocks of machines differ.
 */
import { hostname } from "node:os"
import { dirname } from "node:path"
import { Clock, DateTime, Effect, FileSystem, Option, Schedule, Schema } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import type { DestinationError } from "../Destination.ts"
import { cannot, infoOf, kindOf, noFollow, randomName } from "./durably.ts"
import { readReplaced } from "./swapFile.ts"

/** The heartbeat of owners, and the silence after which they count as dead. */
const BEAT_SECONDS = 10
const LIMIT_SECONDS = 120

/** A file is empty for a moment while it is being created. After this time, its owner was killed in that moment. */
export const CREATION_SECONDS = 10

/** All files have this length, so that one write replaces the text. */
const LENGTH = 512

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
export type Owner = typeof Owner.Type

export const textOf = (owner: Owner): Uint8Array =>
  Buffer.from(`${JSON.stringify(owner).padEnd(LENGTH - 1)}\n`)

/** This process as an owner. */
export const thisOwner = Effect.gen(function* () {
  const owner: Owner = {
    ...(yield* thisProcess),
    host: /^[\w.-]{0,253}$/.test(hostname()) ? hostname() : "",
    since: `${DateTime.formatIso(DateTime.makeUnsafe(yield* Clock.currentTimeMillis)).slice(0, 19)}Z`,
    beat: 0,
    isReleased: false
  }
  return owner
})

/** Writes to the open file of an owner until the scope closes, and then that it is finished, if `isWanted`. */
export const keepAlive = Effect.fnUntraced(function* (
  file: FileSystem.File,
  owner: Owner,
  isWanted: Effect.Effect<boolean>
) {
  let beat = 0
  const write = (change: Partial<Owner>) =>
    Effect.andThen(file.seek(0n, "start"), file.writeAll(textOf({ ...owner, beat, ...change })))
  yield* Effect.addFinalizer(() => Effect.ignore(Effect.when(write({ isReleased: true }), isWanted)))
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
})

/** What a file says of its owner. */
export type FoundOwner =
  | { readonly _tag: "None" | "Released" }
  /** `silentSeconds` is undefined if its process has certainly ended. */
  | { readonly _tag: "Dead"; readonly silentSeconds: number | undefined }
  | {
      readonly _tag: "Alive"
      /** Undefined while the file is being created. */
      readonly owner: Owner | undefined
      readonly isHere: boolean
      /** When it counts as dead if it stays silent. Undefined if its process certainly runs. */
      readonly secondsLeft: number | undefined
    }

/** Looks at the owner of a file. It is dead if its process has ended, or if it was silent for minutes. */
export const ownerAt = Effect.fnUntraced(function* (
  folder: string,
  path: string,
  me: Owner
): Effect.fn.Return<FoundOwner, ConfigError | DestinationError, FileSystem.FileSystem> {
  const info = yield* infoOf(path)
  if (info === undefined) return { _tag: "None" }
  if (info.type !== "File") {
    return yield* new ConfigError({
      message: `${path} is ${kindOf(info)}, and the lock of ${folder} needs a file there. Remove it, or choose another folder.`
    })
  }
  const text = yield* readReplaced(path, LENGTH)
  if (Option.isNone(text) && (yield* infoOf(path)) === undefined) return { _tag: "None" }
  return yield* ownerIn(
    // A larger file has no text of ours.
    Option.getOrElse(text, () => "?"),
    me,
    secondsSince(info, path)
  )
})

/** Looks at the owner in a text. `silence`: the seconds since it was written. */
export const ownerIn = Effect.fnUntraced(function* <E, R>(
  text: string,
  me: Owner,
  silence: Effect.Effect<number, E, R>
): Effect.fn.Return<FoundOwner, E, FileSystem.FileSystem | R> {
  const owner = Option.getOrUndefined(Schema.decodeUnknownOption(Owner)(text))
  if (owner?.isReleased === true) return { _tag: "Released" }
  const isHere = owner !== undefined && owner.place === me.place
  const isRunning = isHere && (yield* runs(owner))
  if (isHere && !isRunning) return { _tag: "Dead", silentSeconds: undefined }
  if (isRunning && owner.started !== "") {
    return { _tag: "Alive", owner, isHere, secondsLeft: undefined }
  }
  const silent = yield* silence
  const limit = text === "" ? CREATION_SECONDS : LIMIT_SECONDS
  if (Math.abs(silent) > limit) return { _tag: "Dead", silentSeconds: silent }
  return { _tag: "Alive", owner, isHere, secondsLeft: Math.ceil(limit - silent) }
})

type Alive = Extract<FoundOwner, { readonly _tag: "Alive" }>

/** Where an owner is, and who. */
export const ownerText = ({ isHere, owner }: Alive): string => {
  const where = isHere ? "" : " in another container or on another machine"
  return owner === undefined
    ? where
    : `${where} (process ${owner.process}${owner.host === "" ? "" : ` on ${owner.host}`}, since ${owner.since})`
}

/** When a folder is free if its owner does not exist any more. */
export const silenceText = (path: string, { secondsLeft }: Alive): string =>
  secondsLeft === undefined
    ? ""
    : ` If that run no longer exists, this place is free in ${secondsLeft} seconds, or once ${path} is deleted.`

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
