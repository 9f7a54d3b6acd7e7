/**
 * A JSON-lines file as a destination, with its state in a file beside it.
 *
 * The state file also says how long the data file was when it was saved: what a killed run wrote after that is
 * cut off before the next one goes on, so that no record is lost and none is there twice.
 */
import {
  Context,
  Effect,
  type FileSystem,
  FileSystem as Files,
  Layer,
  Option,
  type Path,
  Path as Paths,
  Result,
  Schema
} from "effect"
import { ConfigError } from "../ConnectorConfig.ts"
import { LineBuffer } from "../records/LineBuffer.ts"
import { decodeFrom, StateStore } from "../sync/StateStore.ts"
import { encodeStreamState } from "../sync/StreamState.ts"

/** A file cannot be read or written; `message` says which and why. */
export class DestinationError extends Schema.TaggedError<DestinationError>()("DestinationError", {
  message: Schema.String
}) {}

const StateFile = Schema.fromJsonString(
  Schema.Struct({
    version: Schema.Literal(1),
    /** Where the data came from: another source's states would say nothing about this one's. */
    source: Schema.String,
    /** How many bytes of the data file the states stand for. */
    bytes: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
    streams: Schema.Record(Schema.String, Schema.Unknown)
  })
)

/** Buffered bytes that make a write worth its while. */
const WRITE_BYTES = 256 * 1024

/** The data file that is being written. */
export class JsonLines extends Context.Service<
  JsonLines,
  {
    readonly dataPath: string
    readonly statePath: string
    /** Where encoders append whole lines. */
    readonly buffer: LineBuffer
    /** Writes the buffer if it has grown large. */
    readonly relieve: Effect.Effect<void, DestinationError>
    /** Writes the buffer and then the states saved so far, which stand for all that is in the file now. */
    readonly commit: Effect.Effect<void, DestinationError>
    /** Takes back what was appended since the last `commit`. */
    readonly discard: Effect.Effect<void, DestinationError>
    /** The size of the data file. */
    readonly bytes: () => number
  }
>()("source-prometheus/run/JsonLines") {
  /**
   * Opens the data file for appending, and provides the states beside it as the `StateStore`. Both are for one
   * `source` only, such as the address of a server, and for one process at a time.
   */
  static readonly layer = (
    dataPath: string,
    source: string
  ): Layer.Layer<JsonLines | StateStore, ConfigError | DestinationError, FileSystem.FileSystem | Path.Path> =>
    Layer.effectContext(open(dataPath, source))
}

const open = Effect.fnUntraced(function* (dataPath: string, source: string) {
  const files = yield* Files.FileSystem
  const paths = yield* Paths.Path
  const { dir } = paths.parse(dataPath)
  const statePath = `${dataPath}.state.json`
  const cannot =
    (what: string, path: string) =>
    (error: { readonly message: string }): DestinationError =>
      new DestinationError({ message: `${path} cannot be ${what}: ${error.message}` })

  if (dir !== "")
    yield* files.makeDirectory(dir, { recursive: true }).pipe(Effect.mapError(cannot("made", dir)))
  yield* lock(dataPath, `${dataPath}.lock`)
  const before = yield* readStateFile(dataPath, statePath, source)
  const file = yield* files.open(dataPath, { flag: "a+" }).pipe(Effect.mapError(cannot("opened", dataPath)))
  const size = Number((yield* file.stat.pipe(Effect.mapError(cannot("read", dataPath)))).size)
  if (size < before.bytes) {
    return yield* new ConfigError({
      message: `${dataPath} has ${size} bytes, but ${statePath} says it had ${before.bytes}: records are missing. Delete both files to start again, or restore them together.`
    })
  }
  if (before.bytes > 0) {
    // A line ends there, or the file is not the one that the states were saved with.
    const last = yield* file
      .seek(BigInt(before.bytes - 1), "start")
      .pipe(Effect.andThen(file.readAlloc(1)), Effect.mapError(cannot("read", dataPath)))
    if (Option.isNone(last) || last.value[0] !== 0x0a) {
      return yield* new ConfigError({
        message: `${dataPath} is not the file that ${statePath} was saved with. Restore both together, or choose another --output.`
      })
    }
  }
  yield* file.truncate(before.bytes).pipe(Effect.mapError(cannot("shortened", dataPath)))

  const buffer = new LineBuffer(2 * WRITE_BYTES)
  const states = new Map(before.states)
  let written = before.bytes
  let committed = written
  const write = Effect.suspend(() => {
    if (buffer.length === 0) return Effect.void
    const length = buffer.length
    return file.writeAll(buffer.bytes.subarray(0, length)).pipe(
      Effect.mapError(cannot("written", dataPath)),
      Effect.andThen(
        Effect.sync(() => {
          buffer.length = 0
          written += length
        })
      )
    )
  })
  const saveStates = Effect.suspend(() => {
    const temporary = `${statePath}.new`
    const json = JSON.stringify(
      { version: 1, source, bytes: written, streams: Object.fromEntries(states) },
      null,
      2
    )
    const length = written
    return files.writeFileString(temporary, `${json}\n`).pipe(
      Effect.andThen(files.rename(temporary, statePath)),
      Effect.mapError(cannot("written", statePath)),
      Effect.andThen(
        Effect.sync(() => {
          committed = length
        })
      )
    )
  })
  // There from the start, so that what a first run leaves behind can be told from somebody else's file.
  yield* saveStates
  const discard = Effect.suspend(() => {
    buffer.length = 0
    if (written === committed) return Effect.void
    written = committed
    return file.truncate(committed).pipe(Effect.mapError(cannot("shortened", dataPath)))
  })
  // Who reads the file after a stop finds whole windows only.
  yield* Effect.addFinalizer(() => Effect.ignore(discard))

  return Context.make(
    JsonLines,
    JsonLines.of({
      dataPath,
      statePath,
      buffer,
      relieve: Effect.suspend(() => (buffer.length < WRITE_BYTES ? Effect.void : write)),
      // Both or neither: an interruption between them would only be mended by the next run.
      commit: Effect.uninterruptible(Effect.andThen(write, saveStates)),
      discard,
      bytes: () => written
    })
  ).pipe(
    Context.add(
      StateStore,
      StateStore.of({
        load: (stream) => decodeFrom(states, stream),
        save: (stream, state) => Effect.sync(() => void states.set(stream, encodeStreamState(state)))
      })
    )
  )
})

/** Two processes would write every row twice. What a killed one left is taken over. */
const lock = Effect.fnUntraced(function* (dataPath: string, lockPath: string) {
  const files = yield* Files.FileSystem
  const take = files.writeFileString(lockPath, `${process.pid}\n`, { flag: "wx" })
  const taken = take.pipe(
    Effect.catchIf(
      (error) => error.reason._tag === "AlreadyExists",
      Effect.fnUntraced(function* () {
        const owner = Number.parseInt(
          yield* Effect.orElseSucceed(files.readFileString(lockPath), () => ""),
          10
        )
        if (yield* isRunning(owner)) {
          return yield* new ConfigError({
            message: `${dataPath} is being written by another run (process ${owner}). Wait for its end, or choose another --output; if there is no such run, delete ${lockPath}.`
          })
        }
        yield* files.remove(lockPath)
        yield* take
      })
    ),
    Effect.mapError((error) =>
      error._tag === "ConfigError"
        ? error
        : new DestinationError({ message: `${lockPath} cannot be written: ${error.message}` })
    )
  )
  yield* Effect.acquireRelease(taken, () => Effect.ignore(files.remove(lockPath)))
})

/**
 * Whether a process of that id is still a run of ours. A killed one's id may be taken by another program, or belong to
 * a process that nobody has buried yet; in a container ours is the same every time.
 */
const isRunning = Effect.fnUntraced(function* (pid: number) {
  if (!Number.isInteger(pid) || pid === process.pid) return false
  const files = yield* Files.FileSystem
  const command = yield* Effect.option(files.readFileString(`/proc/${pid}/cmdline`))
  if (Option.isSome(command)) return command.value.includes("source-prometheus")
  return yield* Effect.orElseSucceed(
    Effect.try(() => process.kill(pid, 0)),
    () => false
  )
})

const readStateFile = Effect.fnUntraced(function* (dataPath: string, statePath: string, source: string) {
  const files = yield* Files.FileSystem
  const exists = (path: string) => Effect.orElseSucceed(files.exists(path), () => false)
  if (!(yield* exists(statePath))) {
    const size = yield* Effect.option(files.stat(dataPath))
    if (Option.isSome(size) && size.value.size > 0n) {
      return yield* new ConfigError({
        message: `${dataPath} exists, but not its state ${statePath}, so it is not known what is in it. Move it away, or choose another --output.`
      })
    }
    return { bytes: 0, states: new Map<string, unknown>() }
  }
  const text = yield* files
    .readFileString(statePath)
    .pipe(
      Effect.mapError(
        (error) => new DestinationError({ message: `${statePath} cannot be read: ${error.message}` })
      )
    )
  const decoded = Schema.decodeUnknownResult(StateFile)(text)
  if (Result.isFailure(decoded)) {
    return yield* new ConfigError({
      message: `${statePath} is damaged or not one of this program. Restore it together with ${dataPath}, or delete both to start again.`
    })
  }
  const isEmpty = decoded.success.bytes === 0 && Object.keys(decoded.success.streams).length === 0
  if (decoded.success.source !== source && !isEmpty) {
    return yield* new ConfigError({
      message: `${dataPath} holds data of ${decoded.success.source}, and this is ${source}. Choose another --output, or delete it together with ${statePath}.`
    })
  }
  return { bytes: decoded.success.bytes, states: new Map(Object.entries(decoded.success.streams)) }
})
