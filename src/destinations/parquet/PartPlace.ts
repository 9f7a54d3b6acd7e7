/**
 * Where the part files of streams are: a folder on a disk, or a prefix of an object store. Paths are relative to it, as those
 * in manifests.
 */
import type { Effect, FileSystem, Scope } from "effect"
import type { StreamKind } from "../../samples/Layout.ts"
import type { DestinationError, SyncMode } from "../Destination.ts"
import type { OpenPlace } from "../folder/openFolder.ts"
import type { ParquetManifest, PartFile, Where } from "./manifest.ts"

type OfFiles<A, R = never> = Effect.Effect<A, DestinationError, FileSystem.FileSystem | R>

/** An open place for parts, and its manifests. */
export interface PartPlace extends OpenPlace<ParquetManifest> {
  /** Where a new part is until its manifest is saved. No other run writes to this path. */
  readonly freshPlace: (stream: string, part: number) => { readonly from: string; readonly id?: string }
  /** Moves a complete local file to a fresh path. */
  readonly addPart: (localPath: string, path: string) => OfFiles<void>
  /** Local files with the contents of parts, until the scope closes. */
  readonly localFiles: (paths: ReadonlyArray<string>) => OfFiles<ReadonlyArray<string>, Scope.Scope>
  /** Removes a new part that no manifest names, unless it may be named after all. */
  readonly removeNew: (stream: string, path: string) => OfFiles<void>
  /** The part after `recover` of a manifest that lists it. */
  readonly settled: (where: Where, file: PartFile) => PartFile
  /** The manifest of a stream to open. Refuses files that were not created by source-prometheus. */
  readonly manifestOf: (stream: string, kind: StreamKind, mode: SyncMode) => OfFiles<ParquetManifest>
  /** Prepares a refresh that replaces rows and resumes no other one. Returns the manifest, which may have changed. */
  readonly beginRefresh: (manifest: ParquetManifest) => OfFiles<ParquetManifest>
  /** Prepares the last commit of such a refresh. */
  readonly endRefresh: (stream: string) => OfFiles<void>
  /** Removes the visible files of a stream whose manifest is damaged. A new manifest would make them live. */
  readonly removeUnknown: (stream: string) => OfFiles<void>
  /** Moves the parts of a saved manifest into place, and deletes those they supersede. A part of this may have been done. */
  readonly recover: (manifest: ParquetManifest) => OfFiles<void>
  /** How many small parts a day may have when a stream is complete. */
  readonly mostSmallParts: number
}
