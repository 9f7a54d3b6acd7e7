/**
 * Where several processes write part files at the same time. Paths are relative to it, as those in manifests.
 *
 * A process writes new files aside, each under a name that no other file ever has. A commit replaces the manifest of the
 * stream if no other process has done so since it was loaded. Any process may then move the files into place, or delete those
 * that are superseded. It may have been paused for long before it does: the file to move is gone by then, and nothing happens.
 * So a superseded file is deleted aside first, and then in its place.
 */
import type { Effect, FileSystem, Scope } from "effect"
import type { DestinationError } from "../Destination.ts"
import type { StreamShapes } from "../DestinationKind.ts"
import type { ParquetManifest } from "./manifest.ts"

/** The latest manifest of a stream, which is empty if it has none. */
export interface Latest {
  readonly manifest: ParquetManifest
  /** Undefined if there is none. */
  readonly version: string | undefined
}

export interface SharedPlace extends StreamShapes {
  /** Its name, which the paths in it begin with. */
  readonly folder: string
  /** The configured endpoint of an object store; undefined for others. */
  readonly endpoint: () => string | undefined
  /** The id of this process. */
  readonly id: string
  /** A local folder of this process. */
  readonly within: string
  /** Local files. */
  readonly files: FileSystem.FileSystem
  /** Fails once other processes have shut out this one, because it was silent for too long. */
  readonly check: Effect.Effect<void, DestinationError>
  /** All latest manifests that are not damaged. */
  readonly manifests: Effect.Effect<ReadonlyArray<ParquetManifest>, DestinationError>
  /** Whether only a run that has the place for itself can complete what a killed one has left of a stream. */
  readonly needsRecovery: (manifest: ParquetManifest) => Effect.Effect<boolean, DestinationError>
  readonly latest: (stream: string) => Effect.Effect<Latest, DestinationError>
  /** Saves a manifest if the latest one has that version. False if another process was faster, or rarely if this one was. */
  readonly replace: (
    manifest: ParquetManifest,
    version: string | undefined
  ) => Effect.Effect<boolean, DestinationError>
  /** Moves a complete local file to a path aside. */
  readonly addPart: (localPath: string, path: string) => Effect.Effect<void, DestinationError>
  /**
   * Local files with the contents of parts, until the scope closes. One that another process may move while it is read has two
   * paths: the one from which it is moved, and then the other one.
   */
  readonly localFiles: (
    parts: ReadonlyArray<ReadonlyArray<string>>
  ) => Effect.Effect<ReadonlyArray<string>, DestinationError, Scope.Scope>
  readonly exists: (path: string) => Effect.Effect<boolean, DestinationError>
  /** Removes a file that no manifest names. */
  readonly remove: (path: string) => Effect.Effect<void, DestinationError>
  /**
   * Moves the parts of a saved manifest into place, and deletes those they supersede. Returns the manifest without what is done:
   * the paths from which files were moved, and the files that were deleted.
   */
  readonly settle: (manifest: ParquetManifest) => Effect.Effect<ParquetManifest, DestinationError>
}
