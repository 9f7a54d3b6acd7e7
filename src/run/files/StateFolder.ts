/**
 * What is remembered of each stream beside its data, in the folder `_state`: a file per stream that says which bytes of
 * which files hold, and the state that these stand for. It is replaced as a whole, after the data is on the disk: that
 * is the moment in which a commit happens.
 */
import { Effect, FileSystem, Result, Schema } from "effect"
import { ConfigError } from "../../ConnectorConfig.ts"
import type { DestinationError } from "../Destination.ts"
import type { Entry } from "../entries.ts"
import { cannot, makeFolder, replaceFile } from "./durably.ts"
import { lockFolder } from "./FolderLock.ts"
import { fileName } from "./fileName.ts"

/** What a folder holds, for people: files of different shapes do not go together. */
export const formatOf = (files: string, labelColumns: boolean): string =>
  labelColumns ? files : `${files} with one object for all labels (label_columns)`

/** Of the files in `_state`. A folder with another version is refused. */
export const STATE_VERSION = 2

const About = Schema.fromJsonString(
  Schema.Struct({ version: Schema.Int, source: Schema.String, format: Schema.String })
)

/** The states of a folder that is ours alone until the scope closes. */
export interface StateFolder<E extends Entry> {
  /** What holds, by stream. */
  readonly entries: ReadonlyMap<string, E>
  /** Remembers a stream anew. Its data must be on the disk. */
  readonly save: (entry: E) => Effect.Effect<void, DestinationError>
  /** Where files are kept that are not to be seen yet. */
  readonly newPath: string
  /** Where a stream's state is. */
  readonly statePath: (stream: string) => string
}

/** Opens a folder for one `source` and one `format`, and makes it if need be. */
export const openStates = Effect.fnUntraced(function* <E extends Entry>(options: {
  readonly folder: string
  readonly source: string
  /** Such as `JSON lines`; it is shown to people. */
  readonly format: string
  readonly schema: Schema.Codec<E, unknown>
}) {
  const { folder, format, source } = options
  const files = yield* FileSystem.FileSystem
  const inside = `${folder}/_state`
  const newPath = `${inside}/_new`
  const aboutPath = `${inside}/_about.json`
  // The folder itself first: what is wrong with it is told of it, and not of what is inside.
  for (const path of [folder, newPath]) {
    yield* makeFolder(path)
  }
  yield* lockFolder(folder, `${inside}/_lock`)

  const read = (path: string) => files.readFileString(path).pipe(Effect.mapError(cannot("read", path)))
  const names = yield* files.readDirectory(inside).pipe(Effect.mapError(cannot("read", inside)))
  const streams = names.filter((name) => !name.startsWith("_") && name.endsWith(".json"))
  if (names.includes("_about.json")) {
    const about = Schema.decodeUnknownResult(About)(yield* read(aboutPath))
    if (Result.isFailure(about)) {
      return yield* new ConfigError({
        message: `${aboutPath} is damaged or not one of this program. Restore it, or choose another folder.`
      })
    }
    if (streams.length > 0 && about.success.version !== STATE_VERSION) {
      const which = about.success.version < STATE_VERSION ? "an earlier" : "a later"
      return yield* new ConfigError({
        message: `${folder} was written by ${which} version of this program, which keeps its states in another way. Choose another folder, or delete this one to read everything again.`
      })
    }
    if (streams.length > 0 && about.success.format !== format) {
      return yield* new ConfigError({
        message: `${folder} holds ${about.success.format}, and this run writes ${format}. Choose another folder, or run as before.`
      })
    }
    if (streams.length > 0 && about.success.source !== source) {
      return yield* new ConfigError({
        message: `${folder} holds data of ${about.success.source}, and this is ${source}. Choose another folder.`
      })
    }
  } else if (streams.length > 0) {
    return yield* new ConfigError({
      message: `${aboutPath} is missing, so it is not known where the data in ${folder} came from. Restore it, or choose another folder.`
    })
  }
  const entries = new Map<string, E>()
  for (const name of streams) {
    const path = `${inside}/${name}`
    const decoded = Schema.decodeUnknownResult(Schema.fromJsonString(options.schema))(yield* read(path))
    if (Result.isFailure(decoded) || `${fileName(decoded.success.stream)}.json` !== name) {
      return yield* new ConfigError({
        message: `${path} is damaged or not one of this program. Restore the folder ${folder} from before, or delete this file together with the stream's data to read the stream again.`
      })
    }
    entries.set(decoded.success.stream, decoded.success)
  }
  yield* replaceFile(
    inside,
    aboutPath,
    `${JSON.stringify({ version: STATE_VERSION, source, format }, null, 2)}\n`
  )

  const statePath = (stream: string): string => `${inside}/${fileName(stream)}.json`
  const states: StateFolder<E> = {
    entries,
    newPath,
    statePath,
    save: (entry) =>
      Effect.andThen(
        replaceFile(inside, statePath(entry.stream), `${JSON.stringify(entry)}\n`),
        Effect.sync(() => void entries.set(entry.stream, entry))
      ).pipe(Effect.provideService(FileSystem.FileSystem, files), Effect.uninterruptible)
  }
  return states
})
