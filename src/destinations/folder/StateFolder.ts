/**
 * What is remembered of each stream beside its data, in the folder `_state`: a file per stream that says which bytes of
 * which files hold, and the state that these stand for. It is replaced as a whole, after the data is on the disk: that
 * is the moment in which a commit happens.
 *
 * What is in it may be damaged, or made by somebody who wants files outside to be deleted. So only names are accepted
 * that this program makes, and what is wrong with one stream's file is an error of that stream.
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

/** What a folder holds, for people: files of different shapes do not go together. */
export const formatOf = (files: string, labelColumns: boolean): string =>
  labelColumns ? files : `${files} with one object for all labels (label_columns)`

/** Of the files in `_state`. A folder with another version is refused. */
export const STATE_VERSION = 2

/** A state of a stream that has a file of Parquet for each day of a century takes less. */
const MOST_STATE_BYTES = 64 * 1024 * 1024

const About = Schema.fromJsonString(
  Schema.Struct({ version: Schema.Int, source: Schema.String, format: Schema.String })
)

/** The states of a folder that is ours alone until the scope closes. */
export interface StateFolder<E extends StreamManifest> {
  /** What holds, by stream. */
  readonly entries: ReadonlyMap<string, E>
  /** Whether the state of a stream is there, and cannot be used. */
  readonly damaged: (stream: string) => DestinationError | undefined
  /** The names of streams' files whose states are damaged. */
  readonly damagedNames: ReadonlySet<string>
  /** Remembers a stream anew. Its data must be on the disk. */
  readonly save: (entry: E) => Effect.Effect<void, DestinationError>
  /** Takes an entry for what is there until it is saved. */
  readonly assume: (entry: E) => void
  /** Where files are kept that are not to be seen yet. */
  readonly newPath: string
  /** Where a stream's state is. */
  readonly statePath: (stream: string) => string
  /** For all that changes the folder: it fails once the folder is not ours any more. */
  readonly files: FileSystem.FileSystem
  /** Fails once the folder is not ours any more. */
  readonly check: Effect.Effect<void, DestinationError>
}

/** What a folder of states is opened with. */
export interface StateFolderOptions<E extends StreamManifest> {
  readonly folder: string
  readonly source: string
  /** Such as `JSON lines`; it is shown to people. */
  readonly format: string
  readonly schema: Schema.Codec<E, unknown>
  /** Whether this program can have written it. */
  readonly isOurs: (entry: E) => boolean
  /** Only looks: changes nothing, makes nothing, and locks nothing. */
  readonly readOnly: boolean
}

/** Opens a folder for one `source` and one `format`, and makes it if need be. */
export const openStates = Effect.fnUntraced(function* <E extends StreamManifest>(
  options: StateFolderOptions<E>
) {
  const { folder, format, readOnly, source } = options
  const files = yield* FileSystem.FileSystem
  const inside = `${folder}/_state`
  const newPath = `${inside}/_new`
  // A folder that is refused is left as it was.
  const names = yield* checkFolder(options, inside)
  if (readOnly) {
    return stateFolder(files, Effect.void, inside, newPath, yield* readStates(options, inside, names))
  }

  // The folder itself first: what is wrong with it is told of it, and not of what is inside.
  const made = [...(yield* makeFolder(folder)), ...(yield* makeFolder(inside))]
  const lock = yield* lockFolder(folder, `${inside}/_lock`)
  const ours = guarded(files, lock)
  const held = yield* readStates(options, inside, yield* checkFolder(options, inside))
  const check = Effect.mapError(lock.check, cannot("written", folder))
  const states = stateFolder(ours, check, inside, newPath, held)
  yield* Effect.addFinalizer(() =>
    made.length > 0 && states.entries.size === 0 && held.damaged.size === 0
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

/** Removes what a run made that wrote nothing. */
const removeUnused = Effect.fnUntraced(function* (
  inside: string,
  newPath: string,
  removeLock: Effect.Effect<void>,
  made: ReadonlyArray<string>
) {
  const files = yield* FileSystem.FileSystem
  // Only an empty folder goes: somebody may have put something there.
  const removeEmpty = (path: string) => Effect.ignore(Effect.tryPromise(() => rmdir(path)))
  yield* Effect.ignore(files.remove(`${inside}/_about.json`, { force: true }))
  yield* removeEmpty(newPath)
  yield* removeLock
  yield* removeEmpty(inside)
  yield* Effect.forEach(made, removeEmpty, { discard: true })
})

interface Found<E> {
  readonly entries: ReadonlyMap<string, E>
  /** By the names of streams' files. */
  readonly damaged: ReadonlyMap<string, (stream: string) => DestinationError>
}

const stateFolder = <E extends StreamManifest>(
  files: FileSystem.FileSystem,
  check: Effect.Effect<void, DestinationError>,
  inside: string,
  newPath: string,
  found: Found<E>
): StateFolder<E> => {
  const entries = new Map(found.entries)
  const statePath = (stream: string): string => `${inside}/${fileName(stream)}.json`
  return {
    entries,
    damaged: (stream) => (entries.has(stream) ? undefined : found.damaged.get(fileName(stream))?.(stream)),
    damagedNames: new Set(found.damaged.keys()),
    newPath,
    statePath,
    files,
    check,
    assume: (entry) => void entries.set(entry.stream, entry),
    save: (entry) =>
      Effect.andThen(
        replaceFile(statePath(entry.stream), `${JSON.stringify(entry)}\n`, newPath),
        Effect.sync(() => void entries.set(entry.stream, entry))
      ).pipe(Effect.provideService(FileSystem.FileSystem, files), Effect.uninterruptible)
  }
}

/** Refuses a folder that is not for this run, and changes nothing. Returns the names of the files of streams' states. */
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
  // What is wrong with it otherwise shows when it is made.
  if (type !== "Directory") return []
  for (const path of [inside, `${inside}/_new`]) {
    const info = yield* infoOf(path)
    if (info !== undefined && info.type !== "Directory") {
      return yield* new ConfigError({
        message: `${path} is ${kindOf(info)}, where the states of ${folder} are to be in a folder. Remove it, or choose another folder.`
      })
    }
    if (info === undefined && path === inside) return []
  }
  const names = yield* files.readDirectory(inside).pipe(Effect.mapError(cannot("read", inside)))
  const streams = names.filter((name) => !name.startsWith("_") && name.endsWith(".json"))
  if (names.includes("_about.json")) {
    const about = Option.flatMap(
      yield* readSmallFile(aboutPath, MOST_STATE_BYTES),
      Schema.decodeUnknownOption(About)
    )
    if (Option.isNone(about)) {
      return yield* new ConfigError({
        message: `${aboutPath} is damaged or not one of this program. Restore it, or choose another folder.`
      })
    }
    const known = about.value
    if (streams.length > 0 && known.version !== STATE_VERSION) {
      const which = known.version < STATE_VERSION ? "an earlier" : "a later"
      return yield* new ConfigError({
        message: `${folder} was written by ${which} version of this program, which keeps its states in another way. Choose another folder, or delete this one to read everything again.`
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
      message: `${aboutPath} is missing, so it is not known where the data in ${folder} came from. Restore it, or choose another folder.`
    })
  }
  return streams
})

/** Reads the states of streams from the files with these names. */
const readStates = Effect.fnUntraced(function* <E extends StreamManifest>(
  { isOurs, schema }: StateFolderOptions<E>,
  inside: string,
  names: ReadonlyArray<string>
) {
  const entries = new Map<string, E>()
  const damaged = new Map<string, (stream: string) => DestinationError>()
  const decode = Schema.decodeUnknownResult(Schema.fromJsonString(schema))
  for (const name of names) {
    const path = `${inside}/${name}`
    const text = yield* Effect.result(readSmallFile(path, MOST_STATE_BYTES))
    const entry =
      Result.isSuccess(text) && Option.isSome(text.success) ? decode(text.success.value) : undefined
    if (
      entry !== undefined &&
      Result.isSuccess(entry) &&
      `${fileName(entry.success.stream)}.json` === name &&
      hasUsableStates(entry.success) &&
      isOurs(entry.success)
    ) {
      entries.set(entry.success.stream, entry.success)
    } else {
      damaged.set(name.slice(0, -".json".length), (stream) => damagedState(path, text, stream))
    }
  }
  return { entries, damaged }
})

const damagedState = (
  path: string,
  text: Result.Result<Option.Option<string>, DestinationError>,
  stream: string
): DestinationError =>
  Result.isFailure(text)
    ? text.failure
    : new DestinationError({
        message: `${path} is damaged or not one of this program. Restore the folder from before, or read the stream again with --full-refresh --select ${shellQuote(stream)}.`
      })

/** Whether a read can resume from the states of an entry, so far as they are there. */
const hasUsableStates = ({ refreshState, state, stream }: StreamManifest): boolean =>
  [state, refreshState].every(
    (state) => state === undefined || Result.isSuccess(decodeStreamState(stream, state))
  )

/** Passes over what is wrong with one stream: it is met again when that one is opened, and by nobody else. */
export const unlessFatal = <R>(
  effect: Effect.Effect<void, DestinationError, R>
): Effect.Effect<void, DestinationError, R> =>
  Effect.catchIf(
    effect,
    ({ isFatal }) => isFatal !== true,
    () => Effect.void
  )

/** What opening a stream fails with in a folder that was opened to look. */
export const openedToLook = (folder: string): Effect.Effect<never, DestinationError> =>
  Effect.fail(new DestinationError({ message: `${folder} is only looked at, and not written.` }))
