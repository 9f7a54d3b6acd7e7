/**
 * The manifests of the streams, in the folder `_state`. There is a file per stream: it lists the live bytes or files, and has
 * the states. A commit writes the data to the disk first. Then it replaces the manifest atomically.
 *
 * A manifest may be damaged, or forged to make source-prometheus delete other files. So only names that source-prometheus
 * makes are accepted. A damaged manifest fails its own stream, and no other.
 */
import { rmdir } from "node:fs/promises"
import { Effect, FileSystem, Option, Result, Schema } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { decodeStreamState } from "../../sync/StreamState.ts"
import { shellQuote } from "../../text/shellQuote.ts"
import { DestinationError } from "../Destination.ts"
import type { StreamManifest } from "../manifest.ts"
import { cannot, infoOf, kindOf, makeFolder, readSmallFile, replaceFile } from "./durably.ts"
import { guarded, lockFolder } from "./FolderLock.ts"
import { fileName } from "./fileName.ts"

/** The version of the files in `_state`. A folder with another version is refused. */
export const STATE_VERSION = 2

/** A manifest is smaller, even with a Parquet file for each day of a century. */
const MAX_MANIFEST_BYTES = 64 * 1024 * 1024

const About = Schema.fromJsonString(
  Schema.Struct({ version: Schema.Int, source: Schema.String, format: Schema.String })
)

/** The manifests of a folder, which is locked until the scope closes. */
export interface StateFolder<E extends StreamManifest> {
  /** By stream. */
  readonly manifests: ReadonlyMap<string, E>
  /** The error of a stream whose manifest cannot be used. */
  readonly damaged: (stream: string) => DestinationError | undefined
  /** The file names of streams whose manifests are damaged. */
  readonly damagedNames: ReadonlySet<string>
  /** Replaces the manifest of a stream. Its data must be on the disk. */
  readonly save: (manifest: E) => Effect.Effect<void, DestinationError>
  /** Uses a manifest from now on, without saving it. */
  readonly assume: (manifest: E) => void
  /** The folder for files that readers do not see yet. */
  readonly newPath: string
  /** The path of a stream's manifest. */
  readonly statePath: (stream: string) => string
  /** All changes to the folder use this. It fails once the lock is lost. */
  readonly files: FileSystem.FileSystem
  /** Fails once the lock is lost. */
  readonly check: Effect.Effect<void, DestinationError>
}

/** How a folder of manifests is opened. */
export interface StateFolderOptions<E extends StreamManifest> {
  readonly folder: string
  readonly source: string
  /** Such as `JSON lines`. Users see it. */
  readonly format: string
  readonly schema: Schema.Codec<E, unknown>
  /** Whether source-prometheus can have written a manifest. */
  readonly isOurs: (manifest: E) => boolean
  /** Changes nothing on the disk, and takes no lock. */
  readonly readOnly: boolean
}

/** Opens a folder for one `source` and one `format`. Creates it if it does not exist. */
export const openStates = Effect.fnUntraced(function* <E extends StreamManifest>(
  options: StateFolderOptions<E>
) {
  const { folder, format, readOnly, source } = options
  const files = yield* FileSystem.FileSystem
  const inside = `${folder}/_state`
  const newPath = `${inside}/_new`
  // A refused folder does not change.
  const names = yield* checkFolder(options, inside)
  if (readOnly) {
    return stateFolder(files, Effect.void, inside, newPath, yield* readManifests(options, inside, names))
  }

  // The folder itself first, so that errors name it and not a folder inside.
  const made = [...(yield* makeFolder(folder)), ...(yield* makeFolder(inside))]
  const lock = yield* lockFolder(folder, `${inside}/_lock`)
  const ours = guarded(files, lock)
  const found = yield* readManifests(options, inside, yield* checkFolder(options, inside))
  const check = Effect.mapError(lock.check, cannot("written", folder))
  const states = stateFolder(ours, check, inside, newPath, found)
  yield* Effect.addFinalizer(() =>
    made.length > 0 && states.manifests.size === 0 && found.damaged.size === 0
      ? removeUnused(inside, newPath, lock.remove, made).pipe(
          Effect.provideService(FileSystem.FileSystem, ours)
        )
      : Effect.void
  )
  yield* makeFolder(newPath)
  yield* replaceFile(
    `${inside}/_about.json`,
    `${JSON.stringify({ version: STATE_VERSION, source, format }, null, 2)}\n`,
    newPath
  ).pipe(Effect.provideService(FileSystem.FileSystem, ours))
  return states
})

/** Removes the folders of a run that wrote nothing. */
const removeUnused = Effect.fnUntraced(function* (
  inside: string,
  newPath: string,
  removeLock: Effect.Effect<void>,
  made: ReadonlyArray<string>
) {
  const files = yield* FileSystem.FileSystem
  // Only empty folders: they may have files that source-prometheus did not create.
  const removeEmpty = (path: string) => Effect.ignore(Effect.tryPromise(() => rmdir(path)))
  yield* Effect.ignore(files.remove(`${inside}/_about.json`, { force: true }))
  yield* removeEmpty(newPath)
  yield* removeLock
  yield* removeEmpty(inside)
  yield* Effect.forEach(made, removeEmpty, { discard: true })
})

interface Found<E> {
  readonly manifests: ReadonlyMap<string, E>
  /** By the file names of streams. */
  readonly damaged: ReadonlyMap<string, (stream: string) => DestinationError>
}

const stateFolder = <E extends StreamManifest>(
  files: FileSystem.FileSystem,
  check: Effect.Effect<void, DestinationError>,
  inside: string,
  newPath: string,
  found: Found<E>
): StateFolder<E> => {
  const manifests = new Map(found.manifests)
  const statePath = (stream: string): string => `${inside}/${fileName(stream)}.json`
  return {
    manifests,
    damaged: (stream) => (manifests.has(stream) ? undefined : found.damaged.get(fileName(stream))?.(stream)),
    damagedNames: new Set(found.damaged.keys()),
    newPath,
    statePath,
    files,
    check,
    assume: (manifest) => void manifests.set(manifest.stream, manifest),
    save: (manifest) =>
      Effect.andThen(
        replaceFile(statePath(manifest.stream), `${JSON.stringify(manifest)}\n`, newPath),
        Effect.sync(() => void manifests.set(manifest.stream, manifest))
      ).pipe(Effect.provideService(FileSystem.FileSystem, files), Effect.uninterruptible)
  }
}

/** Refuses a folder of another source or format. Changes nothing. Returns the file names of the manifests. */
const checkFolder = Effect.fnUntraced(function* (
  { folder, format, readOnly, source }: Omit<StateFolderOptions<StreamManifest>, "schema" | "isOurs">,
  inside: string
) {
  const files = yield* FileSystem.FileSystem
  const aboutPath = `${inside}/_about.json`
  const type = yield* files.stat(folder).pipe(
    Effect.map(({ type }) => type),
    Effect.orElseSucceed(() => undefined)
  )
  if (readOnly && type !== undefined && type !== "Directory") {
    return yield* new DestinationError({
      message: `${folder} cannot be read: it is a file, not a folder. Choose another folder.`
    })
  }
  // Creating it reports other errors.
  if (type !== "Directory") return []
  for (const path of [inside, `${inside}/_new`]) {
    const info = yield* infoOf(path)
    if (info !== undefined && info.type !== "Directory") {
      return yield* new ConfigError({
        message: `${path} is ${kindOf(info)}, and the states of ${folder} need a folder there. Remove it, or choose another folder.`
      })
    }
    if (info === undefined && path === inside) return []
  }
  const names = yield* files.readDirectory(inside).pipe(Effect.mapError(cannot("read", inside)))
  const streams = names.filter((name) => !name.startsWith("_") && name.endsWith(".json"))
  if (names.includes("_about.json")) {
    const about = Option.flatMap(
      yield* readSmallFile(aboutPath, MAX_MANIFEST_BYTES),
      Schema.decodeUnknownOption(About)
    )
    if (Option.isNone(about)) {
      return yield* new ConfigError({
        message: `${aboutPath} is damaged or was not written by source-prometheus. Restore it, or choose another folder.`
      })
    }
    const known = about.value
    if (streams.length > 0 && known.version !== STATE_VERSION) {
      const which = known.version < STATE_VERSION ? "an earlier" : "a later"
      return yield* new ConfigError({
        message: `${folder} was written by ${which} version of source-prometheus, which has another format of states. Choose another folder, or delete this one to read everything again.`
      })
    }
    if (streams.length > 0 && known.format !== format) {
      return yield* new ConfigError({
        message: `${folder} holds ${known.format}, and this run writes ${format}. Choose another folder, or run as before.`
      })
    }
    if (streams.length > 0 && known.source !== source) {
      return yield* new ConfigError({
        message: `${folder} holds data of ${known.source}, and this is ${source}. Choose another folder.`
      })
    }
  } else if (streams.length > 0) {
    return yield* new ConfigError({
      message: `${aboutPath} is missing, so the source of the data in ${folder} is unknown. Restore it, or choose another folder.`
    })
  }
  return streams
})

/** Reads the manifests from the files with these names. */
const readManifests = Effect.fnUntraced(function* <E extends StreamManifest>(
  { isOurs, schema }: StateFolderOptions<E>,
  inside: string,
  names: ReadonlyArray<string>
) {
  const manifests = new Map<string, E>()
  const damaged = new Map<string, (stream: string) => DestinationError>()
  const decode = Schema.decodeUnknownResult(Schema.fromJsonString(schema))
  for (const name of names) {
    const path = `${inside}/${name}`
    const text = yield* Effect.result(readSmallFile(path, MAX_MANIFEST_BYTES))
    const decoded =
      Result.isSuccess(text) && Option.isSome(text.success) ? decode(text.success.value) : undefined
    const manifest = decoded !== undefined && Result.isSuccess(decoded) ? decoded.success : undefined
    if (
      manifest !== undefined &&
      `${fileName(manifest.stream)}.json` === name &&
      hasUsableStates(manifest) &&
      isOurs(manifest)
    ) {
      manifests.set(manifest.stream, manifest)
    } else {
      damaged.set(name.slice(0, -".json".length), (stream) => damagedManifest(path, text, stream))
    }
  }
  return { manifests, damaged }
})

const damagedManifest = (
  path: string,
  text: Result.Result<Option.Option<string>, DestinationError>,
  stream: string
): DestinationError =>
  Result.isFailure(text)
    ? text.failure
    : new DestinationError({
        message: `${path} is damaged or was not written by source-prometheus. Restore the folder from a backup, or read the stream again with --full-refresh --select ${shellQuote(stream)}.`
      })

/** Whether a read can resume from the states of a manifest. */
const hasUsableStates = ({ refreshState, state, stream }: StreamManifest): boolean =>
  [state, refreshState].every(
    (state) => state === undefined || Result.isSuccess(decodeStreamState(stream, state))
  )
