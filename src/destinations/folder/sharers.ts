/**
 * The processes that write parts to a folder at the same time. Each has an id, a file `_shared.<id>` that says it is alive, and
 * its own folder in `_new`. It can commit only while that folder exists. So who removes the folder of a process knows that
 * nothing of it will be committed any more, even if the process was only paused.
 */
import { Effect, FileSystem } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { cannot, noFollow, randomName, unlessMissing } from "./durably.ts"
import { refuseLocked } from "./FolderLock.ts"
import { keepAlive, ownerAt, ownerText, silenceText, textOf, thisOwner } from "./Owner.ts"
import { removeLocksOf } from "./swapFile.ts"

/** The places in a folder. */
export interface Places {
  readonly folder: string
  /** The folder of the states. */
  readonly inside: string
  /** The folder for files that readers do not see yet. */
  readonly newPath: string
}

/** A silent process may only be paused. Others that share the folder need nothing from it, so they can wait. */
const SILENT_SECONDS = 86_400

const lockPath = ({ inside }: Places): string => `${inside}/_lock`
const presencePath = ({ inside }: Places, id: string): string => `${inside}/_shared.${id}`
const ownPath = ({ newPath }: Places, id: string): string => `${newPath}/.${id}`

/** The ids of processes that have not left. */
const idsOf = Effect.fnUntraced(function* ({ inside }: Places) {
  const files = yield* FileSystem.FileSystem
  const names = yield* unlessMissing(files.readDirectory(inside)).pipe(
    Effect.mapError(cannot("read", inside))
  )
  return (names ?? []).flatMap((name) => /^_shared\.([0-9a-f]{18})$/.exec(name)?.[1] ?? [])
})

/** Joins the processes that write parts, until the scope closes. Fails if a run has the folder for itself. */
export const joinFolder = Effect.fnUntraced(function* (places: Places) {
  const files = yield* FileSystem.FileSystem
  const id = randomName()
  const own = ownPath(places, id)
  const path = presencePath(places, id)
  // The folder comes first: a process with a file but without a folder counts as removed.
  yield* Effect.acquireRelease(
    files.makeDirectory(own, { mode: 0o700 }).pipe(Effect.mapError(cannot("made", own))),
    () => Effect.ignore(files.remove(own, { recursive: true, force: true }))
  )
  const owner = yield* thisOwner
  const file = yield* files.open(path, { flag: "wx", ...noFollow }).pipe(
    Effect.tap(() => Effect.addFinalizer(() => Effect.ignore(files.remove(path, { force: true })))),
    Effect.tap((file) => file.writeAll(textOf(owner))),
    Effect.mapError(cannot("written", path))
  )
  yield* keepAlive(file, owner, Effect.succeed(false))
  yield* refuseLocked(places.folder, lockPath(places))
  return { id, own }
})

/** Fails if processes write parts to a folder that is locked now. After it, none that has died or is silent can commit. */
export const refuseSharers = Effect.fnUntraced(function* (places: Places) {
  const me = yield* thisOwner
  for (const id of yield* idsOf(places)) {
    const path = presencePath(places, id)
    const found = yield* ownerAt(places.folder, path, me)
    if (found._tag === "Alive") {
      return yield* new ConfigError({
        message: `${places.folder} is being written in parts by another process${ownerText(found)}. Wait for its end, or choose another folder.${silenceText(path, found)}`
      })
    }
    yield* shutOut(places, id)
  }
})

/** Makes it impossible for a process to commit. */
const shutOut = Effect.fnUntraced(function* (places: Places, id: string) {
  const files = yield* FileSystem.FileSystem
  const path = presencePath(places, id)
  const away = `${places.newPath}/.${randomName()}`
  const moved = files.rename(ownPath(places, id), away)
  yield* unlessMissing(moved).pipe(Effect.mapError(cannot("cleaned", ownPath(places, id))))
  yield* Effect.ignore(files.remove(away, { recursive: true, force: true }))
  yield* removeLocksOf(id, places.newPath)
  yield* files.remove(path, { force: true }).pipe(Effect.mapError(cannot("cleaned", path)))
})

/** The new file of a process: the name of its stream, its id, and a number. */
const newFile = /^(.+)=([0-9a-f]{18})-\d+$/

/**
 * Removes what processes have left behind that have certainly ended. `isWanted` looks into the latest manifest, by the file name
 * of a stream: whether it names a new file.
 */
export const removeRemains = Effect.fnUntraced(function* <E, R>(
  places: Places,
  isWanted: (stream: string, name: string) => Effect.Effect<boolean, E, R>
) {
  const files = yield* FileSystem.FileSystem
  // Before the processes: one that comes later has no file among these.
  const names = yield* files
    .readDirectory(places.newPath)
    .pipe(Effect.mapError(cannot("read", places.newPath)))
  const me = yield* thisOwner
  const present = new Set<string>()
  for (const id of yield* idsOf(places)) {
    const found = yield* ownerAt(places.folder, presencePath(places, id), me)
    const isDead =
      found._tag === "Dead" &&
      (found.silentSeconds === undefined || Math.abs(found.silentSeconds) > SILENT_SECONDS)
    if (isDead) yield* shutOut(places, id)
    else present.add(id)
  }
  for (const name of names) {
    const [, stream = "", id = ""] = newFile.exec(name) ?? []
    if (id === "" || present.has(id) || (yield* isWanted(stream, name))) continue
    yield* Effect.ignore(files.remove(`${places.newPath}/${name}`, { force: true }))
  }
})
