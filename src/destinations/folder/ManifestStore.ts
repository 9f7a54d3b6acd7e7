/**
 * The manifests of a place for files, by the file names of their streams. A manifest is replaced by compare and swap: only if
 * it still is the version that the writer has loaded. So a writer never undoes what another one has saved in between.
 */
import { Effect, FileSystem, Option } from "effect"
import type { DestinationError } from "../Destination.ts"
import { cannot, randomName, unlessMissing } from "./durably.ts"
import { readReplaced, swapFile, versionOf } from "./swapFile.ts"

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
   * version; none if another writer was faster. Rarely, none although it was saved, and then replaced by another writer.
   */
  readonly replace: (
    name: string,
    version: string | undefined,
    text: string
  ) => Effect.Effect<Option.Option<string>, DestinationError>
}

/** A process that replaces manifests on a disk. */
export interface DiskWriter {
  /** Its own folder for new files. Once it is gone, the process cannot replace manifests any more. */
  readonly own: string
  /** The beginning of the names of its files in locks. */
  readonly id: string
}

/** The manifests in the folder `inside` of a disk. New files are created in the folder `aside`, and their locks are there. */
export const diskManifests = Effect.fnUntraced(function* (
  inside: string,
  aside: string,
  { id, own }: DiskWriter = { own: aside, id: randomName() }
) {
  const files = yield* FileSystem.FileSystem
  const here = Effect.provideService(FileSystem.FileSystem, files)
  const pathOf = (name: string): string => `${inside}/${name}.json`
  const store: ManifestStore = {
    names: unlessMissing(files.readDirectory(inside)).pipe(
      Effect.mapError(cannot("read", inside)),
      Effect.map((names = []) =>
        names
          .filter((name) => !name.startsWith("_") && name.endsWith(".json"))
          .map((name) => name.slice(0, -".json".length))
      )
    ),
    load: (name) =>
      readReplaced(pathOf(name), MAX_MANIFEST_BYTES).pipe(
        Effect.map(Option.map((text) => ({ text, version: versionOf(text) }))),
        here
      ),
    replace: (name, version, text) =>
      swapFile({ path: pathOf(name), locks: aside, own, owner: id }, version, text, MAX_MANIFEST_BYTES).pipe(
        Effect.map((isReplaced) => (isReplaced ? Option.some(versionOf(text)) : Option.none<string>())),
        Effect.uninterruptible,
        here
      )
  }
  return store
})
