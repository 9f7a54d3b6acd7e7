/**
 * What the program needs of an object store, such as Amazon S3. It has no folders, locks or renames: an object is replaced
 * completely or not at all, and a put may depend on the object that it replaces.
 */
import type { Effect, Option } from "effect"
import type { DestinationError } from "../Destination.ts"

/** An object. */
export interface ObjectInfo {
  readonly key: string
  readonly bytes: number
}

/** The contents of a small object. `version` differs for different contents, such as an ETag. */
export interface StoredBytes {
  readonly bytes: Uint8Array
  readonly version: string
  /** When it was saved, by the clock of the store. */
  readonly modifiedMillis: number
}

/** What must be at a key for a put to succeed: an object of a version, or none. */
export type Condition = { readonly version: string | undefined }

/** A prefix of a bucket. Keys are relative to it. */
export interface ObjectStore {
  /** The prefix for people and other programs, such as `s3://BUCKET/PREFIX`. */
  readonly url: string
  /** The configured endpoint; undefined for Amazon's own, or before the first request. */
  readonly endpoint: () => string | undefined
  /** A small object. */
  readonly get: (key: string) => Effect.Effect<Option.Option<StoredBytes>, DestinationError>
  /** Saves a small object, and returns its version. None if the condition does not hold: another process has saved something. */
  readonly put: (
    key: string,
    bytes: Uint8Array,
    condition: Condition
  ) => Effect.Effect<Option.Option<string>, DestinationError>
  /** Saves the contents of a local file, of any size. */
  readonly upload: (key: string, path: string) => Effect.Effect<void, DestinationError>
  /** Writes an object to a new local file. */
  readonly download: (key: string, path: string) => Effect.Effect<void, DestinationError>
  /** Copies an object of so many bytes inside the store. False if there is no such object. */
  readonly copy: (from: string, to: string, bytes: number) => Effect.Effect<boolean, DestinationError>
  readonly exists: (key: string) => Effect.Effect<boolean, DestinationError>
  /** Removes an object, if it exists. */
  readonly remove: (key: string) => Effect.Effect<void, DestinationError>
  /** The objects whose keys start with a prefix. */
  readonly list: (prefix: string) => Effect.Effect<ReadonlyArray<ObjectInfo>, DestinationError>
  /** Removes what killed processes have uploaded of objects whose keys start with a prefix. */
  readonly abortUploads: (prefix: string) => Effect.Effect<void, DestinationError>
}
