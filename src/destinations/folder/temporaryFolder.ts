/**
 * A local folder for the files of a run, in the system's folder for temporary files. It is removed at the end of the run. One that
 * a killed run has left is removed by the next run: its owner is in a file.
 */
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, FileSystem, Option } from "effect"
import { cannot, infoOf, noFollow } from "./durably.ts"
import { keepAlive, type Owner, ownerAt, textOf, thisOwner } from "./Owner.ts"

const BEGINNING = "source-prometheus-"

/** The file of the owner. DuckDB deletes no files that it did not make. */
const OWNER = "owner.json"

/** A new folder, until the scope closes. */
export const temporaryFolder = Effect.gen(function* () {
  const files = yield* FileSystem.FileSystem
  const owner = yield* thisOwner
  yield* removeRemains(owner)
  return yield* Effect.gen(function* () {
    const folder = yield* files.makeTempDirectoryScoped({ prefix: BEGINNING })
    const file = yield* files.open(join(folder, OWNER), { flag: "wx", ...noFollow })
    yield* file.writeAll(textOf(owner))
    yield* keepAlive(file, owner, Effect.succeed(false))
    return folder
  }).pipe(Effect.mapError(cannot("made", `The folder for temporary files in ${tmpdir()}`)))
})

/** Removes the folders of runs that have ended. That they stay would be no reason to fail. */
const removeRemains = Effect.fnUntraced(function* (me: Owner) {
  const files = yield* FileSystem.FileSystem
  const names = yield* Effect.orElseSucceed(files.readDirectory(tmpdir()), () => [])
  for (const name of names) {
    if (!name.startsWith(BEGINNING)) continue
    const folder = join(tmpdir(), name)
    const isLeft = Effect.gen(function* () {
      const info = yield* infoOf(folder)
      // Other users may make folders and links there.
      if (info?.type !== "Directory" || Option.getOrUndefined(info.uid) !== process.getuid?.()) return false
      return (yield* ownerAt(folder, join(folder, OWNER), me))._tag === "Dead"
    })
    if (!(yield* Effect.orElseSucceed(isLeft, () => false))) continue
    yield* Effect.ignore(files.remove(folder, { recursive: true, force: true }))
  }
})
