/** One process at a time writes to a folder: two would write every row twice. What a killed one left is taken over. */
import { Effect, FileSystem, Option } from "effect"
import { ConfigError } from "../../ConnectorConfig.ts"
import { cannot } from "./durably.ts"

/** Locks `folder` by the file `path` until the scope closes. */
export const lockFolder = Effect.fnUntraced(function* (folder: string, path: string) {
  const files = yield* FileSystem.FileSystem
  const started = yield* startOf(process.pid)
  const mine = `${process.pid} ${Option.getOrElse(started, () => "")}\n`
  const take = files.writeFileString(path, mine, { flag: "wx" })
  const readLock = Effect.orElseSucceed(files.readFileString(path), () => "")
  const takenOver = Effect.gen(function* () {
    const theirs = yield* readLock
    const refuse = refusal(folder, path, theirs)
    if (yield* isRunning(theirs)) return yield* refuse
    // Away and not just gone: somebody else may have taken it over since it was read.
    const aside = `${path}.${process.pid}`
    yield* files.rename(path, aside)
    const moved = yield* files.readFileString(aside)
    if (moved !== theirs) {
      yield* files.rename(aside, path)
      return yield* refuse
    }
    yield* files.remove(aside)
    yield* take
  })
  const taken = take.pipe(
    Effect.catchIf(
      (error) => error.reason._tag === "AlreadyExists",
      () => takenOver
    ),
    Effect.mapError((error) => (error._tag === "ConfigError" ? error : cannot("written", path)(error)))
  )
  yield* Effect.acquireRelease(taken, () =>
    Effect.ignore(Effect.flatMap(readLock, (text) => (text === mine ? files.remove(path) : Effect.void)))
  )
})

const refusal = (folder: string, path: string, text: string) =>
  new ConfigError({
    message: `${folder} is being written by another run (process ${Number.parseInt(text, 10)}). Wait for its end, or choose another folder; if there is no such run, delete ${path}.`
  })

/**
 * Whether the process that wrote a lock still runs. Its id may have been given to another one since: in a container
 * ours is the same every time. So the lock also says when it was started, where the system tells.
 */
const isRunning = Effect.fnUntraced(function* (text: string) {
  const [id = "", start = ""] = text.trim().split(" ")
  const pid = Number(id)
  if (!Number.isInteger(pid) || pid <= 0) return false
  if (start !== "") return Option.contains(yield* startOf(pid), start)
  if (pid === process.pid) return false
  return yield* Effect.orElseSucceed(
    Effect.try(() => process.kill(pid, 0)),
    () => false
  )
})

/** When a process was started, in ticks since the system was; none of one that is dead and not buried yet. */
const startOf = Effect.fnUntraced(function* (pid: number) {
  const files = yield* FileSystem.FileSystem
  const stat = yield* Effect.option(files.readFileString(`/proc/${pid}/stat`))
  return Option.flatMap(stat, (text) => {
    // The name of the program comes second, in parentheses, and may have any characters in it.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ")
    return fields[0] === "Z" || fields[0] === "X" ? Option.none() : Option.fromNullishOr(fields[19])
  })
})
