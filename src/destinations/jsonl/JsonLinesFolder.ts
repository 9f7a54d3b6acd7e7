/**
 * A folder of JSON-lines files as a destination: one file per stream, plain or as gzip.
 *
 * A file only grows at its end, and the stream's state says how long it is: what a killed run wrote beyond that is cut
 * off. Where older lines have to go, because a refresh is whole or later lines replace them, a new file is made aside; the
 * state first says that it takes the old one's place, and then it does.
 */
import { constants, gunzipSync } from "node:zlib"
import { Effect, FileSystem, Layer, Option, Schema } from "effect"
import type { ConfigError } from "../../config/ConnectorConfig.ts"
import { jsonLine } from "../../records/jsonLine.ts"
import { RecordEncoder } from "../../records/RecordEncoder.ts"
import { partOf, type SampleBlock } from "../../samples/Sample.ts"
import type { StreamState } from "../../sync/StreamState.ts"
import { pathArgument, shellQuote } from "../../text/shellQuote.ts"
import { steadyMillis } from "../../text/steadyMillis.ts"
import {
  Destination,
  DestinationError,
  noRows,
  type StreamWriter,
  type SyncMode,
  syncKindOf
} from "../Destination.ts"
import { ContentsTally, contentsFields, sumOf } from "../folder/contents.ts"
import { cannot, infoOf, isPlainFile, kindOf, noFollow, syncFolder } from "../folder/durably.ts"
import { fileName } from "../folder/fileName.ts"
import {
  formatOf,
  openedToLook,
  openStates,
  STATE_VERSION,
  type StateFolder,
  unlessFatal
} from "../folder/StateFolder.ts"
import {
  Count,
  isSameRefresh,
  later,
  manifestFields,
  refreshOf,
  stateReaderOf,
  statesToSave,
  without
} from "../manifest.ts"
import { cutTo, type LinesFile, openLines } from "./LinesFile.ts"
import { copyRange, mergeLines } from "./mergeLines.ts"

/** What a folder of JSON lines is opened with. */
export interface JsonLinesOptions {
  readonly folder: string
  /** Where the data comes from, such as the address of a server. A folder is for one only. */
  readonly source: string
  /** A column per label, or else one `labels` object. */
  readonly labelColumns: boolean
  readonly gzip: boolean
  /** Only states are read: nothing on the disk is changed, and streams cannot be opened. */
  readonly readOnly?: boolean
}

/** A range of a file. */
const extentFields = { bytes: Count, ...contentsFields }
const Extent = Schema.Struct(extentFields)
type Extent = typeof Extent.Type

const EntrySchema = Schema.Struct({
  ...manifestFields,
  version: Schema.Literal(STATE_VERSION),
  /** The committed lines of the stream's file, without those of a refresh in progress. */
  main: Extent,
  /** No series and time is in the file twice, for sure. */
  isUnique: Schema.Boolean,
  /** The lines behind them, of a refresh in progress that appends. */
  appended: Schema.optionalKey(Extent),
  /** The file, in the folder for new ones, of a refresh in progress that replaces. */
  next: Schema.optionalKey(Schema.Struct({ file: Schema.String, ...extentFields })),
  /** The file, in the folder for new ones, that takes the place of the stream's file. */
  replacedBy: Schema.optionalKey(Schema.String)
})

type Entry = typeof EntrySchema.Type

const nothing: Extent = { bytes: 0, ...noRows }

/** One extent behind the other. */
const joined = (a: Extent, b: Extent = nothing): Extent => ({ bytes: a.bytes + b.bytes, ...sumOf([a, b]) })

/** All of the stream's file. */
const allOf = ({ appended, main }: Entry): Extent => joined(main, appended)

/** What may be lost, and done again, when a run is killed: commits are gathered for so long or so much. */
const POSTPONED_MILLIS = 5000
const POSTPONED_BYTES = 64 * 1024 * 1024

/** Opens the folder for one run, with its states. */
export const layer = (
  options: JsonLinesOptions
): Layer.Layer<Destination, ConfigError | DestinationError, FileSystem.FileSystem> =>
  Layer.effect(
    Destination,
    Effect.gen(function* () {
      const { folder, gzip, labelColumns, readOnly = false, source } = options
      const ending = gzip ? ".jsonl.gz" : ".jsonl"
      const states = yield* openStates({
        folder,
        source,
        format: formatOf(gzip ? "JSON lines as gzip (--gzip)" : "JSON lines", labelColumns),
        schema: EntrySchema,
        isOurs: (entry) => hasOwnNames(entry, ending),
        readOnly
      })
      const place: Place = { ...options, files: states.files, states, ending }
      for (const entry of states.entries.values()) states.assume(yield* withoutLostRefresh(place, entry))
      if (!readOnly) {
        for (const entry of states.entries.values()) yield* unlessFatal(mend(place, entry))
        yield* clean(place)
      }
      const destination = Destination.of({
        open: (stream, mode, isResumed = false) =>
          readOnly ? openedToLook(folder) : openStream(place, stream, mode, isResumed),
        streams: () => [...states.entries.keys()],
        states: stateReaderOf(states),
        bytes: Effect.sync(() =>
          Array.from(states.entries.values()).reduce(
            (sum, entry) => sum + allOf(entry).bytes + (entry.next?.bytes ?? 0),
            0
          )
        ),
        contents: (stream, of) =>
          Effect.suspend(() => {
            const damaged = states.damaged(stream)
            if (damaged !== undefined) return Effect.fail(damaged)
            const entry = states.entries.get(stream)
            if (entry === undefined) return Effect.succeed(noRows)
            return Effect.succeed(
              sumOf([of === "current" ? allOf(entry) : (entry.appended ?? entry.next ?? nothing)])
            )
          }),
        lookInto: (stream) => {
          const path = pathArgument(dataPath(place, stream))
          return gzip ? `gzip -dc ${path} | head -n 5` : `head -n 5 ${path}`
        }
      })
      return destination
    })
  )

/** The folder that is open. */
interface Place extends JsonLinesOptions {
  readonly files: FileSystem.FileSystem
  readonly states: StateFolder<Entry>
  readonly ending: string
}

const dataPath = ({ ending, folder }: Place, stream: string): string =>
  `${folder}/${fileName(stream)}${ending}`

const newPath = ({ states }: Place, file: string): string => `${states.newPath}/${file}`

/** The names of new files that may take the place of a stream's file. */
const newNames = (stream: string, ending: string): ReadonlyArray<string> =>
  ["1", "2", "3"].map((number) => `${fileName(stream)}.${number}${ending}`)

/** Whether an entry names only files that this program makes. */
const hasOwnNames = ({ next, replacedBy, stream }: Entry, ending: string): boolean => {
  const names = newNames(stream, ending)
  return [next?.file, replacedBy].every((name) => name === undefined || names.includes(name))
}

/** The size of a file of this program's; undefined where there is none. */
const sizeOf = Effect.fnUntraced(function* ({ files }: Place, path: string) {
  const info = yield* Effect.provideService(infoOf(path), FileSystem.FileSystem, files)
  if (info === undefined || info.type === "File") return info && Number(info.size)
  return yield* new DestinationError({
    message: `${path} is ${kindOf(info)}, and this program writes only to files that it made. Move it away, or choose another folder.`
  })
})

/** A full refresh of which something is missing starts anew. */
const withoutLostRefresh = Effect.fnUntraced(function* (place: Place, entry: Entry) {
  const { next, refreshState, stream } = entry
  if (refreshState === undefined) return entry
  const [path, extent] =
    next === undefined ? [dataPath(place, stream), allOf(entry)] : [newPath(place, next.file), next]
  const size = yield* Effect.orElseSucceed(sizeOf(place, path), () => 0)
  return (size ?? 0) >= extent.bytes
    ? entry
    : { ...without(entry, "refreshState", "next", "appended"), main: allOf(entry) }
})

/** Brings the files of a stream to what its state says. */
const mend = Effect.fnUntraced(function* (place: Place, entry: Entry) {
  const path = dataPath(place, entry.stream)
  if (entry.replacedBy !== undefined) yield* replace(place, entry.stream, entry.replacedBy)
  yield* cut(place, entry, path, allOf(entry).bytes)
  if (entry.next !== undefined) yield* cut(place, entry, newPath(place, entry.next.file), entry.next.bytes)
})

/** Lets a new file take the place of the stream's file, unless it has already. */
const replace = Effect.fnUntraced(function* (place: Place, stream: string, file: string) {
  const from = newPath(place, file)
  const to = dataPath(place, stream)
  if ((yield* sizeOf(place, from)) === undefined) return
  yield* refuseForeign(place, stream, to)
  yield* place.files.rename(from, to).pipe(Effect.mapError(cannot("replaced", to)))
  yield* Effect.provideService(syncFolder(place.folder), FileSystem.FileSystem, place.files)
})

const cut = Effect.fnUntraced(function* (place: Place, { stream }: Entry, path: string, bytes: number) {
  const found = yield* sizeOf(place, path)
  const size = found ?? 0
  if (size < bytes) {
    const problem = found === undefined ? "is missing" : `has ${size} bytes`
    return yield* new DestinationError({
      message: `${path} ${problem}, but ${place.states.statePath(stream)} says it had ${bytes} bytes: records are missing. Restore both files together, or read the stream again with --full-refresh --select ${shellQuote(stream)}.`
    })
  }
  if (size > bytes) yield* refuseForeign(place, stream, path)
  if (size > bytes || (found === 0 && place.gzip)) yield* cutTo(place.files, path, bytes)
})

/** What stands before each record of a stream, and what records begin with. */
const frameOf = (stream: string): { readonly before: string; readonly first: string } => ({
  before: `{"stream":${jsonLine(stream)},"data":`,
  first: '{"series_id":"'
})

/** So much of a gzip file is unpacked to see how it begins. */
const HEAD_BYTES = 16 * 1024

/** Refuses a file that does not begin with a record of the stream: it is about to be cut or replaced. */
const refuseForeign = Effect.fnUntraced(function* (place: Place, stream: string, path: string) {
  const size = yield* sizeOf(place, path)
  if (size === undefined || size === 0) return
  const { before, first } = frameOf(stream)
  const frame = Buffer.from(before + first)
  const head = yield* Effect.scoped(
    Effect.gen(function* () {
      const file = yield* place.files.open(path, { flag: "r", ...noFollow })
      return yield* file.readAlloc(place.gzip ? HEAD_BYTES : frame.length)
    })
  ).pipe(Effect.mapError(cannot("read", path)))
  const bytes = Option.match(head, {
    onNone: () => undefined,
    onSome: (bytes) => (place.gzip ? unpacked(bytes) : Buffer.from(bytes))
  })
  if (bytes !== undefined && frame.subarray(0, bytes.length).equals(bytes.subarray(0, frame.length))) return
  return yield* new DestinationError({
    message: `${path} does not hold records of ${stream}, so this program did not write it. Move it away, or choose another folder.`
  })
})

/** The text that the beginning of a gzip file begins with. */
const unpacked = (bytes: Uint8Array): Buffer | undefined => {
  try {
    return gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH })
  } catch {
    return undefined
  }
}

/** Removes new files of which no state speaks. */
const clean = Effect.fnUntraced(function* ({ files, states }: Place) {
  const wanted = new Set(
    Array.from(states.entries.values()).flatMap(({ next, replacedBy }) => [next?.file, replacedBy])
  )
  const damaged = Array.from(states.damagedNames, (name) => `${name}.`)
  const names = yield* files
    .readDirectory(states.newPath)
    .pipe(Effect.mapError(cannot("cleaned", states.newPath)))
  for (const name of names) {
    if (wanted.has(name) || damaged.some((beginning) => name.startsWith(beginning))) continue
    const path = `${states.newPath}/${name}`
    yield* unlessFatal(
      files.remove(path, { recursive: true, force: true }).pipe(Effect.mapError(cannot("removed", path)))
    )
  }
})

const emptyEntry = (stream: string): Entry => ({
  version: STATE_VERSION,
  stream,
  main: nothing,
  isUnique: true
})

/** What of a stream is there already. Other people's files are left alone. */
const entryOf = Effect.fnUntraced(function* (place: Place, stream: string, mode: SyncMode) {
  const { states } = place
  const path = dataPath(place, stream)
  const isOverwrite = mode === "full_refresh_overwrite"
  // What was of the stream is about to be replaced, so it may be damaged; but it has to be of the stream.
  if (isOverwrite) yield* refuseForeign(place, stream, path)
  const damaged = states.damaged(stream)
  if (damaged !== undefined) {
    return isOverwrite && (yield* isPlainFile(states.statePath(stream))) ? emptyEntry(stream) : yield* damaged
  }
  const entry = states.entries.get(stream)
  if (entry !== undefined) {
    yield* isOverwrite ? unlessFatal(mend(place, entry)) : mend(place, entry)
    return entry
  }
  if (((yield* sizeOf(place, path)) ?? 0) > 0) {
    return yield* new DestinationError({
      message: `${path} exists, but not its state ${states.statePath(stream)}, so it is not known what is in it. Move it away, or choose another folder.`
    })
  }
  // There before the file is, so that what a first run leaves behind can be told from somebody else's.
  const empty = emptyEntry(stream)
  yield* states.save(empty)
  return empty
})

/** A name for a new file that the stream's state does not know. */
const freshName = ({ ending }: Place, { next, replacedBy, stream }: Entry): string =>
  newNames(stream, ending).find((name) => name !== next?.file && name !== replacedBy)!

const openStream = Effect.fnUntraced(
  function* (place: Place, stream: string, mode: SyncMode, isResumed: boolean) {
    const { files, states } = place
    const isRefresh = mode === "full_refresh_overwrite" || mode === "full_refresh_append"
    const isOverwrite = mode === "full_refresh_overwrite"
    let entry = yield* entryOf(place, stream, mode)
    const resumed = isResumed ? refreshOf(entry, mode) : undefined
    const path = dataPath(place, stream)

    // Where lines go, and what is there.
    let file = isOverwrite && resumed === undefined ? freshName(place, entry) : (entry.next?.file ?? "")
    /** What the stream's file has that this sync has no part in, and what this sync adds to. */
    let base = nothing
    let current = allOf(entry)
    if (isOverwrite) {
      base = current
      current = resumed === undefined ? nothing : (entry.next ?? nothing)
    } else if (isRefresh) {
      base = resumed === undefined ? current : entry.main
      current = resumed === undefined ? nothing : (entry.appended ?? nothing)
    }
    const begun = isOverwrite ? current : joined(base, current)
    if (isOverwrite && begun.bytes === 0) {
      yield* files
        .remove(newPath(place, file), { force: true })
        .pipe(Effect.mapError(cannot("removed", newPath(place, file))))
    }
    const openAt = (bytes: number): LinesFile =>
      openLines(files, isOverwrite ? newPath(place, file) : path, bytes, place.gzip)
    let lines = openAt(begun.bytes)
    let isUnique = isOverwrite || entry.isUnique
    /** What was written since the last commit. */
    const pending = new ContentsTally()
    let limitMillis = begun.lastMillis ?? Number.NEGATIVE_INFINITY

    // Lines that may replace older ones, which are not known here: they are put behind them later on.
    const overlapPath = newPath(place, `${fileName(stream)}${place.ending}.later`)
    let overlap: LinesFile | undefined
    let hasOverlap = false

    const encoder = new RecordEncoder({ columns: "all", labelsObject: !place.labelColumns })
    const { before, first } = frameOf(stream)
    const frame = { before, after: "}\n" }
    const format = { isGzip: place.gzip, seriesAt: Buffer.byteLength(before) + first.length }

    const append = Effect.fnUntraced(function* (block: SampleBlock, target: LinesFile) {
      for (const part of encoder.parts(block)) {
        encoder.encode(part, frame, target.buffer)
        yield* target.relieve
      }
    })
    const openOverlap = Effect.gen(function* () {
      if (overlap !== undefined) return overlap
      yield* files.remove(overlapPath, { force: true }).pipe(Effect.mapError(cannot("removed", overlapPath)))
      overlap = openLines(files, overlapPath, 0, place.gzip)
      return overlap
    })

    const write = Effect.fnUntraced(function* (blocks: ReadonlyArray<SampleBlock>) {
      for (const block of blocks) {
        if (block.length === 0) continue
        pending.add(block)
        if (block.times[0]! > limitMillis || isOverwrite) {
          yield* append(block, lines)
          continue
        }
        if (mode !== "incremental_append_deduped") {
          isUnique = false
          yield* append(block, lines)
          continue
        }
        let count = 1
        while (count < block.length && block.times[count]! <= limitMillis) count++
        yield* append(count === block.length ? block : partOf(block, 0, count), yield* openOverlap)
        if (count < block.length) yield* append(partOf(block, count, block.length), lines)
      }
    })

    /** What is committed and not yet on the disk. */
    let postponed: StreamState | undefined
    let durableBytes = begun.bytes
    let durableAt = yield* steadyMillis
    let isFirst = true

    /** This is another refresh than the one that was under way: only what this run wrote is part of it. */
    const startOver = Effect.gen(function* () {
      if (!isOverwrite) base = joined(base, current)
      current = nothing
      if (!isOverwrite) return
      const bytes = yield* lines.flush
      const from = newPath(place, file)
      file = freshName(place, entry)
      yield* files
        .remove(newPath(place, file), { force: true })
        .pipe(Effect.mapError(cannot("removed", newPath(place, file))))
      yield* copyRange(from, begun.bytes, bytes, newPath(place, file))
      lines = openAt(bytes - begun.bytes)
      durableBytes = 0
    })

    const keep = Effect.fnUntraced(function* (state: StreamState) {
      lines.keep()
      overlap?.keep()
      hasOverlap = overlap !== undefined
      if (isFirst && resumed !== undefined && !isSameRefresh(resumed, state)) yield* startOver
      isFirst = false
      current = { ...current, ...sumOf([current, pending.take()]) }
      limitMillis = later(base.lastMillis, current.lastMillis) ?? limitMillis
      postponed = state
    })

    /** Makes what is committed durable, and this is the moment from which on it counts. */
    const settle = Effect.fnUntraced(function* (isComplete: boolean) {
      let bytes = yield* lines.flush
      current = { ...current, bytes: isOverwrite ? bytes : bytes - base.bytes }
      let replacedBy: string | undefined
      if (mode === "incremental_append_deduped" && (hasOverlap || !isUnique)) {
        replacedBy = freshName(place, entry)
        const main = { path, bytes }
        const late = overlap === undefined ? [] : [{ path: overlapPath, bytes: yield* overlap.flush }]
        const merged = yield* mergeLines(
          isUnique ? [main] : [],
          isUnique ? late : [main, ...late],
          newPath(place, replacedBy),
          format
        )
        bytes = merged.bytes
        current = { ...current, ...merged }
        isUnique = true
      }
      const rest = {
        ...without(entry, "next", "appended", "replacedBy", "state", "refreshState"),
        ...statesToSave(entry, postponed, isComplete && isRefresh ? "whole_refresh" : syncKindOf(mode))
      }
      const saved: Entry = isOverwrite
        ? isComplete
          ? { ...rest, main: current, isUnique: true, replacedBy: file }
          : { ...rest, main: base, next: { file, ...current } }
        : {
            ...rest,
            isUnique,
            ...(isRefresh && !isComplete
              ? { main: base, appended: current }
              : { main: joined(base, current) }),
            ...(replacedBy === undefined ? {} : { replacedBy })
          }
      yield* states.save(saved)
      if (saved.replacedBy !== undefined) {
        yield* replace(place, stream, saved.replacedBy)
        if (!isOverwrite) lines = openAt(bytes)
        overlap = undefined
        hasOverlap = false
      }
      const old = entry.next
      if (old !== undefined && old.file !== saved.next?.file && old.file !== saved.replacedBy) {
        yield* Effect.ignore(files.remove(newPath(place, old.file), { force: true }))
      }
      entry = saved
      postponed = undefined
      durableBytes = bytes
      durableAt = yield* steadyMillis
    })

    const commit = Effect.fnUntraced(function* (state: StreamState) {
      yield* keep(state)
      const isMuch =
        lines.bytes() + lines.buffer.length + (overlap?.bytes() ?? 0) - durableBytes >= POSTPONED_BYTES
      if (!isMuch && (yield* steadyMillis) - durableAt < POSTPONED_MILLIS) return
      // The file is gone through for each merge, so that one is made of all that there is to merge.
      if (hasOverlap && state.timeMillis <= (begun.lastMillis ?? 0)) return
      yield* settle(false)
    })

    const end = Effect.gen(function* () {
      yield* lines.discard
      if (overlap !== undefined) yield* overlap.discard
      if (postponed !== undefined) yield* settle(false)
      if (overlap !== undefined) yield* Effect.ignore(files.remove(overlapPath, { force: true }))
    })
    yield* Effect.addFinalizer(() =>
      Effect.catch(end, (error) =>
        Effect.logError(`The last of ${stream} is not kept, and is read again next time: ${error.message}`)
      )
    )

    const here = Effect.provideService(FileSystem.FileSystem, files)
    const writer: StreamWriter = {
      write,
      commit: (state) => Effect.uninterruptible(here(commit(state))),
      complete: Effect.uninterruptible(
        here(
          Effect.gen(function* () {
            if (isOverwrite) yield* lines.create
            yield* settle(true)
          })
        )
      )
    }
    return writer
  },
  (effect, place) => Effect.provideService(effect, FileSystem.FileSystem, place.files)
)
