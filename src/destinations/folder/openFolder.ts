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
import { type OpenOptions, type StreamShapes, shapesIn } from "../DestinationKind.ts"
import type { StreamManifest } from "../manifest.ts"
import { cannot, infoOf, kindOf, makeFolder, readSmallFile, replaceFile } from "./durably.ts"
import { guarded, lockFolder } from "./FolderLock.ts"
import { fileName } from "./fileName.ts"
import { MAX_MANIFEST_BYTES } from "./ManifestStore.ts"
import { refuseSharers } from "./sharers.ts"

const About = Schema.fromJsonString(
  Schema.Struct({ version: Schema.Int, source: Schema.String, format: Schema.String })
)

/** A place for files and its manifests, for one run at a time. */
export interface OpenPlace<E extends StreamManifest> extends StreamShapes {
  /** Its name, which the paths in it begin with. */
  readonly folder: string
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
  /** The path of a stream's manifest. */
  readonly statePath: (stream: string) => string
  /** All changes to local files use this. In a folder, it fails once the lock is lost. */
  readonly files: FileSystem.FileSystem
  /** Fails once another run has taken over the place. */
  readonly check: Effect.Effect<void, DestinationError>
}

/** A folder and its manifests, locked until the scope closes. */
export interface OpenFolder<E extends StreamManifest> extends OpenPlace<E> {
  /** The folder for files that readers do not see yet. */
  readonly newPath: string
}

/** A format of files. */
export interface Format<E extends StreamManifest> {
  /** Such as `JSON lines`. Users see it. */
  readonly name: string
  /** The version of the files and their manifests. A place with another version is refused. */
  readonly version: number
  readonly schema: Schema.Codec<E, unknown>
  /** Whether source-prometheus can have written a manifest. */
  readonly isOurs: (manifest: E) => boolean
}

/** A format as recorded in `_about.json`. */
export interface SavedFormat {
  readonly name: string
  readonly version: number
}

export const formatOf = ({ name, version }: SavedFormat, labelColumns: boolean): SavedFormat => ({
  name: labelColumns ? name : `${name} with one object for all labels (label_columns)`,
  version
})

/** Opens a folder for one source and one format. Creates it if it does not exist. */
export const openFolder = Effect.fnUntraced(function* <E extends StreamManifest>(
  options: OpenOptions,
  format: Format<E>
) {
  const { labelColumns, path: folder, readOnly = false, source } = options
  const savedFormat = formatOf(format, labelColumns)
  const shapes = shapesIn(options)
  const files = yield* FileSystem.FileSystem
  const inside = `${folder}/_state`
  const newPath = `${inside}/_new`
  const check = checkFolder(options, savedFormat, inside)
  // A refused folder does not change.
  const names = yield* check
  if (readOnly) {
    const found = yield* readManifests(format, inside, names)
    return withManifests({ ...shapes, folder, newPath, files, check: Effect.void }, inside, found)
  }

  // The folder itself first, so that errors name it and not a folder inside.
  const made = [...(yield* makeFolder(folder)), ...(yield* makeFolder(inside))]
  const lock = yield* lockFolder(folder, `${inside}/_lock`)
  yield* refuseSharers({ folder, inside, newPath })
  const ours = guarded(files, lock)
  const here = Effect.provideService(FileSystem.FileSystem, ours)
  const found = yield* readManifests(format, inside, yield* check)
  const checkLock = Effect.mapError(lock.check, cannot("written", folder))
  const opened = withManifests({ ...shapes, folder, newPath, files: ours, check: checkLock }, inside, found)
  yield* Effect.addFinalizer(() =>
    made.length > 0 && opened.manifests.size === 0 && found.damaged.size === 0
      ? here(removeUnused(inside, newPath, lock.remove, made))
      : Effect.void
  )
  yield* makeFolder(newPath)
  yield* here(replaceFile(`${inside}/_about.json`, aboutText(source, savedFormat), newPath))
  return opened
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

/** The manifests of a place. */
export interface Found<E> {
  readonly manifests: Map<string, E>
  /** Why manifests cannot be read, by the file names of their streams; undefined if they were read. */
  readonly damaged: ReadonlyMap<string, DestinationError | undefined>
}

const withManifests = <E extends StreamManifest>(
  folder: Pick<OpenFolder<E>, keyof StreamShapes | "folder" | "newPath" | "files" | "check">,
  inside: string,
  found: Found<E>
): OpenFolder<E> => ({
  ...folder,
  ...lookUps(inside, found),
  save: (manifest) =>
    Effect.andThen(
      replaceFile(`${inside}/${fileName(manifest.stream)}.json`, textOf(manifest), folder.newPath),
      Effect.sync(() => void found.manifests.set(manifest.stream, manifest))
    ).pipe(Effect.provideService(FileSystem.FileSystem, folder.files), Effect.uninterruptible)
})

/** The text of a manifest. */
export const textOf = (manifest: StreamManifest): string => `${JSON.stringify(manifest)}\n`

/** Looks up the manifests of a place, which are in its folder `inside`. */
export const lookUps = <E extends StreamManifest>(
  inside: string,
  { damaged, manifests }: Found<E>
): Pick<OpenPlace<E>, "manifests" | "damaged" | "damagedNames" | "statePath" | "assume"> => {
  const statePath = (stream: string): string => `${inside}/${fileName(stream)}.json`
  return {
    manifests,
    damaged: (stream) => {
      const name = fileName(stream)
      if (manifests.has(stream) || !damaged.has(name)) return undefined
      return damaged.get(name) ?? damagedManifest(stream, statePath(stream))
    },
    damagedNames: new Set(damaged.keys()),
    statePath,
    assume: (manifest) => void manifests.set(manifest.stream, manifest)
  }
}

/** Refuses a folder of another source or format. Changes nothing. Returns the file names of the manifests. */
export const checkFolder = Effect.fnUntraced(function* (
  { path: folder, readOnly, source }: OpenOptions,
  format: SavedFormat,
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
  const text = names.includes("_about.json")
    ? Option.getOrElse(yield* readSmallFile(aboutPath, MAX_MANIFEST_BYTES), () => "")
    : undefined
  const refusal = refusalOf(text, streams.length > 0, { aboutPath, folder, format, source })
  return refusal === undefined ? streams : yield* new ConfigError({ message: refusal })
})

/** The text about the data of a place. */
export const aboutText = (source: string, { name, version }: SavedFormat): string =>
  `${JSON.stringify({ version, source, format: name }, null, 2)}\n`

/** Why this run cannot write to a place with this text about its data; undefined if it can. */
export const refusalOf = (
  text: string | undefined,
  hasStreams: boolean,
  {
    aboutPath,
    folder,
    format,
    source
  }: {
    readonly aboutPath: string
    readonly folder: string
    readonly format: SavedFormat
    readonly source: string
  }
): string | undefined => {
  if (text === undefined) {
    return hasStreams
      ? `${aboutPath} is missing, so the source of the data in ${folder} is unknown. Restore it, or choose another place.`
      : undefined
  }
  const about = Option.getOrUndefined(Schema.decodeUnknownOption(About)(text))
  if (about === undefined) {
    return `${aboutPath} is damaged or was not written by source-prometheus. Restore it, or choose another place.`
  }
  if (!hasStreams) return undefined
  if (about.format !== format.name) {
    return `${folder} holds ${about.format}, and this run writes ${format.name}. Choose another place, or run as before.`
  }
  if (about.version !== format.version) {
    const which = about.version < format.version ? "an earlier" : "a later"
    return `${folder} was written by ${which} version of source-prometheus, which writes ${format.name} in another form. Choose another place, or delete this one to read everything again.`
  }
  if (about.source !== source) {
    return `${folder} holds data of ${about.source}, and this is ${source}. Choose another place.`
  }
  return undefined
}

/** Reads the manifests from the files with these names. */
const readManifests = Effect.fnUntraced(function* <E extends StreamManifest>(
  format: Format<E>,
  inside: string,
  names: ReadonlyArray<string>
) {
  const manifests = new Map<string, E>()
  const damaged = new Map<string, DestinationError | undefined>()
  const decode = manifestDecoder(format)
  for (const file of names) {
    const name = file.slice(0, -".json".length)
    const text = yield* Effect.result(readSmallFile(`${inside}/${file}`, MAX_MANIFEST_BYTES))
    const manifest = Option.flatMap(Result.getOrElse(text, Option.none<string>), (text) => decode(name, text))
    if (Option.isSome(manifest)) manifests.set(manifest.value.stream, manifest.value)
    else damaged.set(name, Option.getOrUndefined(Result.getFailure(text)))
  }
  return { manifests, damaged }
})

/** Decodes the text of the manifest with a name. None if it is damaged, or was not written by source-prometheus. */
export const manifestDecoder = <E extends StreamManifest>({ isOurs, schema }: Format<E>) => {
  const decode = Schema.decodeUnknownOption(Schema.fromJsonString(schema))
  return (name: string, text: string): Option.Option<E> =>
    decode(text).pipe(
      Option.filter((manifest) => fileName(manifest.stream) === name && hasUsableStates(manifest)),
      Option.filter(isOurs)
    )
}

/** The error of a stream whose manifest at a path cannot be used. */
export const damagedManifest = (stream: string, path: string): DestinationError =>
  new DestinationError({
    message: `${path} is damaged or was not written by source-prometheus. Restore all of this destination from a backup, or read the stream again with --full-refresh --select ${shellQuote(stream)}.`
  })

/** Whether a read can resume from the states of a manifest. */
const hasUsableStates = ({ refreshState, state, stream }: StreamManifest): boolean =>
  [state, refreshState].every(
    (state) => state === undefined || Result.isSuccess(decodeStreamState(stream, state))
  )
