/**
 * A folder of Parquet files as a destination: `DIR/<stream>/day=2026-01-01/part-00000001.parquet`.
 *
 * Files never change. The stream's state lists those that hold; a commit makes new ones aside, replaces the state, and then
 * moves them to their place and removes those that they stand for. A killed run leaves the rest of that to the next one.
 */
import type { DuckDBConnection, DuckDBInstance } from "@duckdb/node-api"
import { Effect, FileSystem, Layer, Schema } from "effect"
import type { ConfigError } from "../../config/ConnectorConfig.ts"
import { labelColumns } from "../../records/LabelColumns.ts"
import type { SampleBlock } from "../../samples/Sample.ts"
import type { StreamState } from "../../sync/StreamState.ts"
import { shellQuote } from "../../text/shellQuote.ts"
import { steadyMillis } from "../../text/steadyMillis.ts"
import {
  type Contents,
  Destination,
  DestinationError,
  noRows,
  type StreamWriter,
  type SyncMode,
  syncKindOf
} from "../Destination.ts"
import { quoteText } from "../duckdb/quoteSql.ts"
import { DEFAULT_MEMORY_MEGABYTES, memorySentence } from "../duckdb/staging/memory.ts"
import { stageSamples } from "../duckdb/staging/StagedSamples.ts"
import { contentsFields, sumOf } from "../folder/contents.ts"
import {
  cannot,
  fatalReason,
  infoOf,
  isPlainFile,
  kindOf,
  randomName,
  syncFile,
  syncFolder
} from "../folder/durably.ts"
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
import { daysOf, hasPart, type Part, parquetColumnOf, rowsOfDay } from "./parquetRows.ts"

/** What a folder of Parquet files is opened with. */
export interface ParquetOptions {
  readonly folder: string
  /** Where the data comes from, such as the address of a server. A folder is for one only. */
  readonly source: string
  /** A column per label, or else one column `labels` with JSON. */
  readonly labelColumns: boolean
  /** How much memory DuckDB may use, beside which it writes to the disk. */
  readonly memoryMegabytes?: number
  /** Only states are read: nothing on the disk is changed, and streams cannot be opened. */
  readonly readOnly?: boolean
}

const PartFile = Schema.Struct({
  day: Schema.String,
  /** Its number, which no other file of the stream has. */
  part: Count,
  bytes: Count,
  ...contentsFields,
  /** Where it is moved from, in the folder. */
  from: Schema.optionalKey(Schema.String)
})
type PartFile = typeof PartFile.Type

const EntrySchema = Schema.Struct({
  ...manifestFields,
  version: Schema.Literal(STATE_VERSION),
  files: Schema.Array(PartFile),
  /** The number of the next file. */
  nextPart: Count,
  /** The columns of labels that files have. */
  columns: Schema.Array(Schema.String),
  /** No series and time is there twice, for sure. */
  isUnique: Schema.Boolean,
  /** The first file of a refresh that is under way and appends. */
  refreshFrom: Schema.optionalKey(Count),
  /** The files of a refresh that is under way and replaces. */
  next: Schema.optionalKey(Schema.Struct({ files: Schema.Array(PartFile) })),
  /** The folder of the refresh takes the place of the stream's folder. */
  isReplaced: Schema.optionalKey(Schema.Literal(true)),
  /** Files that hold no longer and are removed. */
  removed: Schema.optionalKey(Schema.Array(PartFile))
})
type Entry = typeof EntrySchema.Type

/** What may be lost, and done again, when a run is killed: commits are gathered for so long. */
const POSTPONED_MILLIS = 30_000

/** Files of a day that are smaller than this become one when the stream is complete. */
const SMALL_BYTES = 32 * 1024 * 1024

/** Opens the folder for one run, with its states. */
export const layer = (
  options: ParquetOptions
): Layer.Layer<Destination, ConfigError | DestinationError, FileSystem.FileSystem> =>
  Layer.effect(
    Destination,
    Effect.gen(function* () {
      const { folder, labelColumns, memoryMegabytes = DEFAULT_MEMORY_MEGABYTES, readOnly = false } = options
      const states = yield* openStates({
        folder,
        source: options.source,
        format: formatOf("Parquet", labelColumns),
        schema: EntrySchema,
        isOurs: hasOwnNames,
        readOnly
      })
      const { files } = states
      const paths: Paths = { ...options, files, states }
      for (const entry of states.entries.values()) states.assume(yield* withoutLostRefresh(paths, entry))
      const common = {
        streams: () => [...states.entries.keys()],
        states: stateReaderOf(states),
        bytes: Effect.sync(() =>
          Array.from(states.entries.values()).reduce(
            (sum, { files, next }) => sum + sizeOf(files) + sizeOf(next?.files ?? []),
            0
          )
        ),
        contents: (stream: string, of: "current" | "refresh") =>
          Effect.suspend(() => {
            const damaged = states.damaged(stream)
            if (damaged !== undefined) return Effect.fail(damaged)
            const entry = states.entries.get(stream)
            if (entry === undefined) return Effect.succeed(noRows)
            return Effect.succeed(sumOf(of === "current" ? entry.files : refreshFiles(entry)))
          }),
        lookInto: (stream: string) => `duckdb -c ${shellQuote(lookIntoSql(folder, stream))}`
      }
      if (readOnly) return Destination.of({ ...common, open: () => openedToLook(folder) })

      for (const entry of states.entries.values()) yield* unlessFatal(mend(paths, entry))
      yield* clean(paths)
      const duckdb = yield* Effect.tryPromise({
        try: () => import("@duckdb/node-api"),
        catch: (error) =>
          new DestinationError({
            message: `Parquet files are written through DuckDB, which cannot be loaded: ${String(error)}. Install it (npm install @duckdb/node-api), or write JSON lines.`
          })
      })
      // DuckDB follows links, so it writes where nobody can have put one.
      const workPath = `${states.newPath}/.${randomName()}`
      yield* Effect.acquireRelease(
        files.makeDirectory(workPath, { mode: 0o700 }).pipe(Effect.mapError(cannot("made", workPath))),
        () => Effect.ignore(files.remove(workPath, { recursive: true, force: true }))
      )
      const instance = yield* Effect.acquireRelease(
        Effect.tryPromise({
          try: () =>
            duckdb.DuckDBInstance.create(":memory:", {
              memory_limit: `${memoryMegabytes}MB`,
              temp_directory: `${workPath}/spill`,
              threads: "2",
              // Each file is read once, and what is kept of it is beyond the limit above.
              enable_external_file_cache: "false",
              autoinstall_known_extensions: "false",
              autoload_known_extensions: "false"
            }),
          catch: (error) => new DestinationError({ message: `DuckDB cannot be started: ${String(error)}` })
        }),
        (instance) => Effect.sync(() => instance.closeSync())
      )
      const place: Place = {
        ...paths,
        duckdb,
        instance,
        workPath,
        open: { count: 0 },
        memoryMegabytes,
        stageBytes: memoryMegabytes * 300_000
      }
      return Destination.of({
        ...common,
        open: (stream, mode, isResumed = false) => openStream(place, stream, mode, isResumed)
      })
    })
  )

/** A query that shows some rows of a stream. */
export const lookIntoSql = (folder: string, stream: string): string =>
  `FROM read_parquet(${quoteText(`${globEscape(folder)}/${fileName(stream)}/*/*.parquet`)}, union_by_name=true) LIMIT 10`

/** A path as a pattern that matches nothing else. */
const globEscape = (path: string): string => path.replace(/[[*?]/g, "[$&]")

const sizeOf = (files: ReadonlyArray<PartFile>): number => files.reduce((sum, { bytes }) => sum + bytes, 0)

/** The files of a refresh in progress. */
const refreshFiles = ({ files, next, refreshFrom }: Entry): ReadonlyArray<PartFile> =>
  next?.files ?? (refreshFrom === undefined ? [] : files.filter(({ part }) => part >= refreshFrom))

/** The folder that is open. */
interface Paths extends ParquetOptions {
  readonly files: FileSystem.FileSystem
  readonly states: StateFolder<Entry>
}

interface Place extends Paths {
  readonly duckdb: typeof import("@duckdb/node-api")
  readonly instance: DuckDBInstance
  /** Where DuckDB writes. */
  readonly workPath: string
  /** How many streams share what may be staged. */
  readonly open: { count: number }
  readonly memoryMegabytes: number
  readonly stageBytes: number
}

/** Where files of a stream are to be: those that are seen, or those of a refresh that is under way. */
type Where = "main" | "next"

const baseOf = (where: Where, stream: string): string =>
  where === "main" ? fileName(stream) : `_state/_new/${fileName(stream)}`

const placeOf = (where: Where, stream: string, { day, part }: PartFile): string =>
  `${baseOf(where, stream)}/day=${day}/part-${`${part}`.padStart(8, "0")}.parquet`

/** Where a new file is before it is moved to its place. */
const freshPath = (stream: string, part: number): string => `_state/_new/${fileName(stream)}=${part}`

/** A day as it is written in the name of a folder. */
const dayOf = (midnight: number): string => new Date(midnight).toISOString().split("T")[0]!

const isDay = (text: string): boolean => {
  const midnight = Date.parse(text)
  return Number.isFinite(midnight) && dayOf(midnight) === text
}

/** Whether an entry names only files that this program makes. */
const hasOwnNames = ({ files, next, nextPart, removed = [], stream }: Entry): boolean => {
  const parts = new Set<number>()
  for (const file of [...files, ...(next?.files ?? []), ...removed]) {
    if (!isDay(file.day) || file.part >= nextPart || parts.has(file.part)) return false
    parts.add(file.part)
    const known = [
      undefined,
      freshPath(stream, file.part),
      placeOf("main", stream, file),
      placeOf("next", stream, file)
    ]
    if (!known.includes(file.from)) return false
  }
  return true
}

/** What is at a path in the folder, which is to be a folder or a file of this program's; undefined where nothing is. */
const infoIn = Effect.fnUntraced(function* (
  { files, folder }: Paths,
  path: string,
  type: "File" | "Directory"
) {
  const info = yield* Effect.provideService(infoOf(`${folder}/${path}`), FileSystem.FileSystem, files)
  if (info === undefined || info.type === type) return info
  return yield* new DestinationError({
    message: `${folder}/${path} is ${kindOf(info)}, and this program writes only to files that it made. Move it away, or choose another folder.`
  })
})

/** Whether a file is there, as it was written. */
const isThere = Effect.fnUntraced(function* (paths: Paths, path: string, { bytes }: PartFile) {
  const info = yield* infoIn(paths, path, "File")
  return info !== undefined && Number(info.size) === bytes
})

/** A full refresh of which something is missing starts anew. */
const withoutLostRefresh = Effect.fnUntraced(function* (paths: Paths, entry: Entry) {
  if (entry.refreshState === undefined) return entry
  const where = entry.next === undefined ? "main" : "next"
  for (const file of refreshFiles(entry)) {
    const places = [placeOf(where, entry.stream, file), ...(file.from === undefined ? [] : [file.from])]
    const found = yield* Effect.forEach(places, (path) =>
      Effect.orElseSucceed(isThere(paths, path, file), () => false)
    )
    if (!found.includes(true)) return without(entry, "refreshState", "next", "refreshFrom", "removed")
  }
  return entry
})

/** What a folder of a stream has that this program did not make; a path, if there is something. */
const foreignIn = Effect.fnUntraced(function* (paths: Paths, path: string) {
  if ((yield* infoIn(paths, path, "Directory")) === undefined) return undefined
  const list = (path: string) =>
    paths.files
      .readDirectory(`${paths.folder}/${path}`)
      .pipe(Effect.mapError(cannot("read", `${paths.folder}/${path}`)))
  for (const day of yield* list(path)) {
    const inside = `${path}/${day}`
    if (!day.startsWith("day=") || !isDay(day.slice(4))) return inside
    yield* infoIn(paths, inside, "Directory")
    for (const part of yield* list(inside)) {
      if (!/^part-\d{8,}\.parquet$/.test(part)) return `${inside}/${part}`
      yield* infoIn(paths, `${inside}/${part}`, "File")
    }
  }
  return undefined
})

/** Refuses a folder that has other files than this program's: it is about to be replaced. */
const refuseForeign = Effect.fnUntraced(function* (paths: Paths, path: string) {
  const foreign = yield* foreignIn(paths, path)
  if (foreign === undefined) return
  return yield* new DestinationError({
    message: `${paths.folder}/${foreign} was not written by this program, and its folder is to be replaced. Move it away, or choose another folder.`
  })
})

/** Brings the files of a stream to what its state says. Whatever of it is done already is left alone. */
const mend = Effect.fnUntraced(function* (paths: Paths, entry: Entry) {
  const { files, folder } = paths
  const { stream } = entry
  const main = baseOf("main", stream)
  const next = baseOf("next", stream)
  const hasMain = (yield* infoIn(paths, main, "Directory")) !== undefined
  if (entry.isReplaced === true && (yield* infoIn(paths, next, "Directory")) !== undefined) {
    const old = `${next}=old`
    const move = (from: string, to: string) =>
      files
        .rename(`${folder}/${from}`, `${folder}/${to}`)
        .pipe(Effect.mapError(cannot("replaced", `${folder}/${to}`)))
    if (hasMain) {
      yield* refuseForeign(paths, main)
      yield* removePath(paths, old)
      yield* move(main, old)
    }
    yield* move(next, main)
    yield* syncFolder(folder)
    yield* removePath(paths, old)
  }
  const changed = new Set<string>()
  for (const [where, list] of [
    ["main", entry.files],
    ["next", entry.next?.files ?? []]
  ] as const) {
    for (const file of list) {
      if (file.from === undefined || (yield* infoIn(paths, file.from, "File")) === undefined) continue
      const place = placeOf(where, stream, file)
      const day = place.slice(0, place.lastIndexOf("/"))
      if (!changed.has(day)) yield* infoIn(paths, day, "Directory")
      yield* files
        .makeDirectory(`${folder}/${day}`, { recursive: true })
        .pipe(
          Effect.andThen(files.rename(`${folder}/${file.from}`, `${folder}/${place}`)),
          Effect.mapError(cannot("written", `${folder}/${place}`))
        )
      changed.add(day)
    }
  }
  yield* Effect.forEach(changed, (day) => syncFolder(`${folder}/${day}`), { discard: true })
  const where = entry.next === undefined ? "main" : "next"
  for (const file of entry.removed ?? []) {
    const path = placeOf(where, stream, file)
    if ((yield* infoIn(paths, path, "File")) !== undefined) yield* removePath(paths, path)
  }
})

const removePath = ({ files, folder }: Paths, path: string) =>
  files
    .remove(`${folder}/${path}`, { recursive: true, force: true })
    .pipe(Effect.mapError(cannot("removed", `${folder}/${path}`)))

/** Removes new files of which no state speaks. */
const clean = Effect.fnUntraced(function* (paths: Paths) {
  const { files, states } = paths
  const wanted = new Set<string>()
  for (const { files, isReplaced, next, stream } of states.entries.values()) {
    if (next !== undefined || isReplaced === true) wanted.add(fileName(stream))
    for (const { from } of [...files, ...(next?.files ?? [])]) {
      if (from !== undefined) wanted.add(from.slice(from.lastIndexOf("/") + 1))
    }
  }
  const names = yield* files
    .readDirectory(states.newPath)
    .pipe(Effect.mapError(cannot("cleaned", states.newPath)))
  for (const name of names) {
    if (wanted.has(name) || states.damagedNames.has(name.replace(/=\w+$/, ""))) continue
    yield* unlessFatal(removePath(paths, `_state/_new/${name}`))
  }
})

const emptyEntry = (stream: string): Entry => ({
  version: STATE_VERSION,
  stream,
  files: [],
  nextPart: 1,
  columns: [],
  isUnique: true
})

/** What of a stream is there already. Other people's files are left alone. */
const entryOf = Effect.fnUntraced(function* (paths: Paths, stream: string, mode: SyncMode) {
  const { files, folder, states } = paths
  const main = baseOf("main", stream)
  const isOverwrite = mode === "full_refresh_overwrite"
  const damaged = states.damaged(stream)
  const known = states.entries.get(stream)
  if (known === undefined && damaged === undefined) {
    const inside =
      (yield* infoIn(paths, main, "Directory")) === undefined
        ? []
        : yield* files
            .readDirectory(`${folder}/${main}`)
            .pipe(Effect.mapError(cannot("read", `${folder}/${main}`)))
    if (inside.length === 0) return emptyEntry(stream)
    return yield* new DestinationError({
      message: `${folder}/${main} has files, but there is no state ${states.statePath(stream)}, so it is not known what is in them. Move it away, or choose another folder.`
    })
  }
  // What was of the stream is about to be replaced, so it may be damaged; but it has to be of the stream.
  if (isOverwrite) yield* refuseForeign(paths, main)
  if (known === undefined) {
    if (!isOverwrite || !(yield* isPlainFile(states.statePath(stream)))) return yield* damaged!
    return emptyEntry(stream)
  }
  if (isOverwrite) {
    yield* unlessFatal(mend(paths, known))
    return known
  }
  yield* mend(paths, known)
  for (const file of known.files) {
    const path = placeOf("main", stream, file)
    if (yield* isThere(paths, path, file)) continue
    return yield* new DestinationError({
      message: `${folder}/${path} is missing or not the file that ${states.statePath(stream)} speaks of. Restore them together, or read the stream again with --full-refresh --select ${shellQuote(stream)}.`
    })
  }
  return known
})

const openStream = Effect.fnUntraced(
  function* (place: Place, stream: string, mode: SyncMode, isResumed: boolean) {
    const { folder, states } = place
    const isOverwrite = mode === "full_refresh_overwrite"
    const isRefresh = isOverwrite || mode === "full_refresh_append"
    const isDeduped = mode === "incremental_append_deduped"
    const where: Where = isOverwrite ? "next" : "main"
    let entry = yield* entryOf(place, stream, mode)
    const resumed = isResumed ? refreshOf(entry, mode) : undefined
    const begun = isOverwrite ? (resumed === undefined ? [] : (entry.next?.files ?? [])) : entry.files
    if (isOverwrite && resumed === undefined) yield* removePath(place, baseOf("next", stream))

    const says = (error: unknown): DestinationError => {
      const text = error instanceof Error ? error.message : String(error)
      const fatal = fatalReason(text)
      return new DestinationError(
        fatal === undefined
          ? {
              message:
                memorySentence(folder, place.memoryMegabytes, text) ?? `${folder} cannot be written: ${text}`
            }
          : { message: `${folder} cannot be written: ${fatal}`, isFatal: true }
      )
    }
    const attempt = <A>(run: () => Promise<A>) =>
      Effect.tryPromise({ try: run, catch: says }).pipe(
        // Whoever took the folder over has removed what DuckDB was to write to.
        Effect.tapError(() => states.check)
      )
    const connection: DuckDBConnection = yield* Effect.acquireRelease(
      attempt(() => place.instance.connect()),
      (connection) => Effect.sync(() => connection.closeSync())
    )
    const labels = place.labelColumns ? labelColumns(entry.columns, parquetColumnOf) : undefined
    const staging = stageSamples(place.duckdb, connection, labels)
    yield* Effect.acquireRelease(
      Effect.sync(() => place.open.count++),
      () => Effect.sync(() => place.open.count--)
    )

    /** The files as they will be; a commit makes them hold. */
    let working: ReadonlyArray<PartFile> = begun.map((file) => without(file, "from"))
    let nextPart = entry.nextPart
    const firstPart = nextPart
    let isUnique = isOverwrite || entry.isUnique
    let refreshFrom = resumed === undefined ? nextPart : (entry.refreshFrom ?? nextPart)
    let lastMillis = sumOf(begun).lastMillis
    let runLastMillis: number | null = null
    let limitMillis = lastMillis ?? Number.NEGATIVE_INFINITY
    const touched = new Set<string>()
    const passing: Array<string> = []
    let postponed: StreamState | undefined
    let postponedMillis = Number.NEGATIVE_INFINITY
    let durableAt = yield* steadyMillis
    let isFirst = true

    const pathOf = (file: PartFile): string => `${folder}/${file.from ?? placeOf(where, stream, file)}`
    const reading = (list: ReadonlyArray<PartFile>): string =>
      `read_parquet([${list.map((file) => quoteText(globEscape(pathOf(file)))).join(", ")}], union_by_name = true, hive_partitioning = false`

    /** Writes the rows of a query to a new file, which takes the place of others of that day. Their times are in `span`. */
    const writePart = Effect.fnUntraced(function* (
      day: string,
      query: string,
      instead: ReadonlyArray<PartFile>,
      span: Pick<Contents, "firstMillis" | "lastMillis">
    ) {
      const part = nextPart++
      const from = freshPath(stream, part)
      const path = `${place.workPath}/${fileName(stream)}=${part}`
      const { rowsChanged } = yield* attempt(() =>
        connection.run(`COPY (${query}) TO ${quoteText(path)} (FORMAT parquet, COMPRESSION zstd)`)
      )
      yield* syncFile(path)
      const { size } = yield* place.files.stat(path).pipe(Effect.mapError(cannot("read", path)))
      yield* place.files
        .rename(path, `${folder}/${from}`)
        .pipe(Effect.mapError(cannot("written", `${folder}/${from}`)))
      // Made in this run, and replaced before they got their place.
      passing.push(...instead.flatMap((file) => file.from ?? []))
      working = [
        ...working.filter((file) => !instead.includes(file)),
        {
          day,
          part,
          bytes: Number(size),
          rows: rowsChanged,
          firstMillis: span.firstMillis,
          lastMillis: span.lastMillis,
          from
        }
      ]
      touched.add(day)
    })

    /** Writes staged rows. Where a day may have had some of them, its files are written anew without those. */
    const writeRows = Effect.fnUntraced(function* (part: Part) {
      for (const { midnight, ...span } of yield* attempt(() => daysOf(staging, connection, part))) {
        const day = dayOf(midnight)
        const rows = rowsOfDay(staging, part, midnight)
        const older = isDeduped && midnight <= limitMillis ? working.filter((file) => file.day === day) : []
        const query =
          older.length === 0
            ? rows
            : `WITH later AS MATERIALIZED (${rows})
               FROM ${reading(older)}) AS older
               WHERE NOT EXISTS (FROM later WHERE later.series_id = older.series_id AND later.time = older.time)
               UNION ALL BY NAME FROM later`
        yield* writePart(day, query, older, sumOf([...older, span]))
      }
    })

    /** Leaves the last of each series and time, of files that may have it more than once. */
    const makeUnique = Effect.gen(function* () {
      for (const day of new Set(working.map((file) => file.day))) {
        const list = working.filter((file) => file.day === day)
        const order = list.map((file, index) => `WHEN ${quoteText(pathOf(file))} THEN ${index}`).join(" ")
        yield* writePart(
          day,
          `SELECT * EXCLUDE (filename, file_row_number)
           FROM ${reading(list)}, filename = true, file_row_number = true)
           QUALIFY row_number() OVER (
             PARTITION BY series_id, time ORDER BY CASE filename ${order} END DESC, file_row_number DESC
           ) = 1`,
          list,
          sumOf(list)
        )
      }
      isUnique = true
    })

    /** The last files of a day that are small become one. */
    const compact = Effect.gen(function* () {
      for (const day of touched) {
        const list = working.filter((file) => file.day === day)
        const last = list.slice(list.findLastIndex((file) => file.bytes >= SMALL_BYTES) + 1)
        if (last.length > 1) yield* writePart(day, `FROM ${reading(last)})`, last, sumOf(last))
      }
      touched.clear()
    })

    const save = Effect.fnUntraced(function* (changed: Entry) {
      // Nobody knows what is in these files, and once there is a state again they would pass for part of it.
      if (states.damaged(stream) !== undefined) yield* removePath(place, baseOf("main", stream))
      yield* states.save(changed)
      yield* mend(place, changed)
      working = working.map((file) => without(file, "from"))
      yield* Effect.forEach(passing.splice(0), (from) => removePath(place, from), { discard: true })
      entry = changed
      durableAt = yield* steadyMillis
    })

    /** Makes what is committed durable. Rows after the last commit stay staged. */
    const settle = Effect.fnUntraced(function* (isComplete: boolean) {
      if (isDeduped && !isUnique) yield* makeUnique
      if (hasPart(staging, "kept")) yield* writeRows("kept")
      if (!hasPart(staging, "rest")) yield* attempt(() => staging.clear())
      if (isComplete) yield* compact
      const kept = new Set(working.map((file) => file.part))
      const base: Entry = {
        ...without(entry, "next", "refreshFrom", "isReplaced", "removed", "state", "refreshState"),
        nextPart,
        columns: [...(labels?.names ?? [])],
        // A refresh that replaces is whole only once it has.
        ...statesToSave(
          entry,
          postponed,
          isComplete && isRefresh && !isOverwrite ? "whole_refresh" : syncKindOf(mode)
        )
      }
      postponed = undefined
      if (!isOverwrite) {
        yield* save({
          ...base,
          files: working,
          isUnique,
          removed: entry.files.filter((file) => !kept.has(file.part)),
          ...(isRefresh && !isComplete ? { refreshFrom } : {})
        })
      } else {
        const files = entry.files.map((file) => without(file, "from"))
        const removed = (entry.next?.files ?? []).filter((file) => !kept.has(file.part))
        yield* save({ ...base, files, next: { files: working }, removed })
        if (isComplete) yield* replaceMain
      }
      limitMillis = lastMillis ?? limitMillis
    })

    const replaceMain = Effect.gen(function* () {
      const path = `${folder}/${baseOf("next", stream)}`
      yield* place.files.makeDirectory(path, { recursive: true }).pipe(Effect.mapError(cannot("made", path)))
      yield* save({
        ...without(entry, "next", "state", "refreshState", "removed"),
        ...statesToSave(entry, undefined, "whole_refresh"),
        files: working,
        isUnique: true,
        isReplaced: true
      })
    })

    const write = Effect.fnUntraced(function* (blocks: ReadonlyArray<SampleBlock>) {
      for (const block of blocks) {
        if (block.length === 0) continue
        const first = block.times[0]!
        if (first <= limitMillis && !isDeduped && !isOverwrite) isUnique = false
        // Staged rows are told apart by nothing: what may be the same again comes after they have been written.
        if (isDeduped && first <= postponedMillis && postponed !== undefined) yield* settle(false)
        runLastMillis = later(runLastMillis, block.times[block.length - 1]!)
        yield* attempt(() => staging.append(block))
        if (staging.bytes() > place.stageBytes / place.open.count) {
          if (postponed !== undefined) yield* settle(false)
          if (isDeduped && !isUnique) yield* makeUnique
          yield* writeRows("rest")
          yield* attempt(() => staging.clear())
        }
      }
    })

    const commit = Effect.fnUntraced(function* (state: StreamState) {
      staging.mark()
      // This is another refresh than the one that was under way: only what this run wrote is part of it.
      if (isFirst && resumed !== undefined && !isSameRefresh(resumed, state)) {
        refreshFrom = firstPart
        if (isOverwrite) {
          working = working.filter((file) => file.part >= firstPart)
          lastMillis = null
        }
      }
      isFirst = false
      lastMillis = later(lastMillis, runLastMillis)
      postponedMillis = lastMillis ?? postponedMillis
      postponed = state
      if ((yield* steadyMillis) - durableAt >= POSTPONED_MILLIS) yield* settle(false)
    })

    const end = Effect.suspend(() => (postponed === undefined ? Effect.void : settle(false)))
    yield* Effect.addFinalizer(() =>
      Effect.andThen(
        Effect.catch(end, (error) =>
          Effect.logError(`The last of ${stream} is not kept, and is read again next time: ${error.message}`)
        ),
        // What was written and not committed.
        Effect.suspend(() => {
          const held = states.entries.get(stream)
          const parts = new Set(
            [...(held?.files ?? []), ...(held?.next?.files ?? [])].map(({ part }) => part)
          )
          const rest = working.flatMap(({ from, part }) => (parts.has(part) ? [] : (from ?? [])))
          return Effect.forEach([...passing, ...rest], (from) => Effect.ignore(removePath(place, from)), {
            discard: true
          })
        })
      )
    )
    const here = Effect.provideService(FileSystem.FileSystem, place.files)
    // To its end, whatever else is stopped meanwhile: closing a connection that is at work crashes.
    const writer: StreamWriter = {
      write: (blocks) => Effect.uninterruptible(here(write(blocks))),
      commit: (state) => Effect.uninterruptible(here(commit(state))),
      complete: Effect.uninterruptible(here(Effect.suspend(() => settle(true))))
    }
    return writer
  },
  (effect, place) => Effect.provideService(effect, FileSystem.FileSystem, place.files)
)
