/**
 * The manifests of a place for files, by the file names of their streams. A manifest is replaced by compare and swap: only if
 * it still is the version that the writer has loaded. So a writer never undoes what another one has saved in between.
 */
import { createHash } from "node:crypto"
import { Effect, FileSystem, Option, Schedule } from "effect"
import { DestinationError } from "../Destination.ts"
import { cannot, makeFolder, readSmallFile, replaceFile, unlessMissing } from "./durably.ts"
import { lockFolder } from "./FolderLock.ts"

/** A manifest is smaller, even with a Parquet file for each day of a century. */
export const MAX_MANIFEST_BYTES = 64 * 1024 * 1024

/** The text of a manifest, and its version. */
export interface VersionedText {
  readonly text: string
  /** It differs for each text. */
  readonly version: string
}

/** Manifests that several processes may replace. */
export interface ManifestStore {
  /** The file names of the streams that have a manifest now. */
  readonly names: Effect.Effect<ReadonlyArray<string>, DestinationError>
  /** The latest manifest with a name. */
  readonly load: (name: string) => Effect.Effect<Option.Option<VersionedText>, DestinationError>
  /**
   * Saves a manifest if the latest one is that `version`, or if there is none and the version is undefined. Returns the new
   * version; none if another writer was faster.
   */
  readonly replace: (
    name: string,
    version: string | undefined,
    text: string
  ) => Effect.Effect<Option.Option<string>, DestinationError>
}

/** The version of a text on a disk. */
export const versionOf = (text: string): string => createHash("sha256").update(text).digest("hex")

/** How long a writer waits for another one, which holds the lock of a manifest for some milliseconds. */
const WAIT_SECONDS = 180
const WAIT_MILLIS = 20

/**
 * The manifests in the folder `inside` of a disk. A lock per manifest makes comparing and replacing one step: it is that of a
 * folder, so a writer that was killed or lost it is recognized. New files are created in the folder `aside`.
 */
export const diskManifests = Effect.fnUntraced(function* (inside: string, aside: string) {
  const files = yield* FileSystem.FileSystem
  const here = Effect.provideService(FileSystem.FileSystem, files)
  const pathOf = (name: string): string => `${inside}/${name}.json`
  const locks = `${inside}/_swap`
  yield* makeFolder(locks)

  const load = Effect.fnUntraced(function* (name: string) {
    const text = yield* here(readSmallFile(pathOf(name), MAX_MANIFEST_BYTES))
    return Option.map(text, (text): VersionedText => ({ text, version: versionOf(text) }))
  })

  const store: ManifestStore = {
    names: unlessMissing(files.readDirectory(inside)).pipe(
      Effect.mapError(cannot("read", inside)),
      Effect.map((names = []) =>
        names
          .filter((name) => !name.startsWith("_") && name.endsWith(".json"))
          .map((name) => name.slice(0, -".json".length))
      )
    ),
    load,
    replace: (name, version, text) =>
      Effect.gen(function* () {
        const lock = yield* lockFolder(pathOf(name), `${locks}/${name}`).pipe(
          Effect.retry({
            while: ({ _tag }) => _tag === "ConfigError",
            schedule: Schedule.jittered(Schedule.spaced(`${WAIT_MILLIS} millis`)),
            times: (WAIT_SECONDS * 1000) / WAIT_MILLIS
          }),
          Effect.catchTag("ConfigError", ({ message }) => new DestinationError({ message }))
        )
        const found = Option.getOrUndefined(yield* load(name))
        if (found?.version !== version) return Option.none<string>()
        yield* Effect.mapError(lock.check, cannot("written", pathOf(name)))
        yield* replaceFile(pathOf(name), text, aside)
        return Option.some(versionOf(text))
      }).pipe(Effect.scoped, Effect.uninterruptible, here)
  }
  return store
})
