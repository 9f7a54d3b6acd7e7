/** Writes one stream of a run to its part files: the backend of the commit policy. */
import { Effect, FileSystem, Struct } from "effect"
import { type Backend, type Commit, openWriter } from "../CommitPolicy.ts"
import { sumOf, type TimedBlock } from "../contents.ts"
import type { SyncMode } from "../Destination.ts"
import type { PlaceWriter } from "../folder/layerFolder.ts"
import { later } from "../manifest.ts"
import type { Part } from "../tables/staging/stagedRows.ts"
import { Days } from "./Days.ts"
import type { Engine } from "./engine.ts"
import { dayOf, type ParquetManifest } from "./manifest.ts"
import { type PartContents, rowsOf, samplesIn } from "./PartContents.ts"
import type { PartPlace } from "./PartPlace.ts"
import { openParts } from "./parts.ts"

/** The most that a killed process loses, and the next run reads again. */
const COMMIT_MILLIS = 30_000

/** Writes streams of samples, and tables. */
export const writerOf = (place: PartPlace, engine: Engine): PlaceWriter => ({
  open: (stream, mode, isResumed) =>
    openStream(place, engine, stream, samplesIn(place, engine, stream), mode, isResumed),
  openTable: (schema, mode, isResumed) =>
    openStream(place, engine, schema.stream, rowsOf(engine, schema), mode, isResumed)
})

/** Opens a stream until the scope closes. */
const openStream = Effect.fnUntraced(function* <Block extends TimedBlock>(
  place: PartPlace,
  engine: Engine,
  stream: string,
  contents: PartContents<Block>,
  mode: SyncMode,
  isResumed: boolean
) {
  const found = yield* place.manifestOf(stream, contents.kind, mode)
  const manifest =
    mode === "incremental_append_deduped" && !found.isUnique
      ? yield* Effect.scoped(makeUnique(place, engine, found, contents.key))
      : found
  const limits = { millis: COMMIT_MILLIS, bytes: yield* engine.stagedBytes }
  return yield* openWriter({ manifest, kind: contents.kind, mode, isResumed, limits }, (resumesRefresh) =>
    openBackend(place, engine, contents, manifest, mode, resumesRefresh, limits.bytes)
  )
})

/** Removes repeated rows. It is unknown afterwards which rows a stopped refresh has appended, so that refresh is lost. */
const makeUnique = Effect.fnUntraced(function* (
  place: PartPlace,
  engine: Engine,
  manifest: ParquetManifest,
  key: string
) {
  const parts = yield* openParts(place, engine, yield* engine.connect, manifest, "main", manifest.files, key)
  yield* parts.makeUnique
  const kept = manifest.next === undefined ? Struct.omit(manifest, ["refreshFrom", "refreshState"]) : manifest
  return yield* parts.save({
    ...Struct.omit(kept, ["isReplaced", "removed"]),
    files: parts.list(),
    isUnique: true,
    removed: manifest.files
  })
})

const openBackend = Effect.fnUntraced(function* <Block extends TimedBlock>(
  place: PartPlace,
  engine: Engine,
  { key, kind: kindOfRows, stage }: PartContents<Block>,
  manifest: ParquetManifest,
  mode: SyncMode,
  resumesRefresh: boolean,
  mostBytes: () => number
) {
  const { files } = place
  const { stream } = manifest
  const isOverwrite = mode === "full_refresh_overwrite"
  const isDeduped = mode === "incremental_append_deduped"
  const resumed = isOverwrite && resumesRefresh ? manifest.next : undefined
  const begun = isOverwrite ? (resumed?.files ?? []) : manifest.files

  const connection = yield* engine.connect
  const columns = resumed?.columns ?? (manifest.kind === kindOfRows ? manifest.columns : [])
  const staging = stage(connection, columns)
  const parts = yield* openParts(
    place,
    engine,
    connection,
    manifest,
    isOverwrite ? "next" : "main",
    begun,
    key
  )
  let old = isOverwrite ? yield* place.beginRefresh(manifest) : manifest
  const refreshFrom = (resumesRefresh ? manifest.refreshFrom : undefined) ?? manifest.nextPart
  let isUnique = manifest.isUnique
  /** The days of staged rows. */
  const days = { marked: new Days(), rest: new Days() }
  /** The latest times of live rows, of committed rows, and of appended rows. */
  let liveMillis = sumOf(begun).lastMillis
  let committedMillis = liveMillis
  let appendedMillis = liveMillis

  /** Writes staged rows. */
  const writeRows = Effect.fnUntraced(function* (part: Part) {
    yield* engine.attempt(staging.flush)
    const rowsOfDay = yield* engine.attempt(staging.query)
    for (const [midnight, span] of days[part].drain()) {
      const day = dayOf(midnight)
      const rows = rowsOfDay(part, midnight, isDeduped && staging.hasRepeated())
      yield* parts.writeRows(day, rows, span, isDeduped)
    }
  })

  const append = Effect.fnUntraced(function* (blocks: ReadonlyArray<Block>) {
    for (const block of blocks) {
      if (block.length === 0) continue
      if (!isDeduped && !isOverwrite && liveMillis !== null && block.times[0]! <= liveMillis) isUnique = false
      appendedMillis = later(appendedMillis, block.times[block.length - 1]!)
      yield* engine.attempt(() => staging.append(block))
      days.rest.add(block)
      // Marked rows are only written by a commit.
      if (staging.bytes() <= mostBytes() || !days.marked.isEmpty) continue
      yield* writeRows("rest")
      yield* engine.attempt(() => staging.clear())
    }
  })

  /** The rows of the manifest after a commit. */
  const rowsAfter = (kind: Commit["kind"]) => {
    const list = parts.list()
    const live = new Set(list.map(({ part }) => part))
    const before = isOverwrite ? (old.next?.files ?? []) : old.files
    const removed = before.filter(({ part }) => !live.has(part))
    const columns = staging.columns()
    if (!isOverwrite) return { files: list, columns, removed, ...(kind === "refresh" ? { refreshFrom } : {}) }
    if (kind === "complete_refresh") {
      return { files: list, columns, removed, isUnique: true, isReplaced: true as const }
    }
    const files = old.files.map((file) => Struct.omit(file, ["from"]))
    return { files, removed, next: { files: list, columns } }
  }

  const persist = Effect.fnUntraced(function* ({ isComplete, kind, states }: Commit) {
    if (!days.marked.isEmpty) yield* writeRows("marked")
    yield* engine.attempt(() => staging.removeMarked())
    if (isComplete) yield* parts.compact
    if (isOverwrite && kind === "complete_refresh") yield* place.endRefresh(stream)
    old = yield* parts.save({
      ...Struct.omit(old, [
        "next",
        "nextKind",
        "refreshFrom",
        "isReplaced",
        "removed",
        "state",
        "refreshState"
      ]),
      ...states,
      isUnique,
      ...rowsAfter(kind)
    })
    liveMillis = committedMillis
    return old
  })

  const here = Effect.provideService(FileSystem.FileSystem, files)
  const backend: Backend<ParquetManifest, Block> = {
    append: (blocks) => here(append(blocks)),
    mark: () => {
      staging.mark()
      days.marked.take(days.rest)
      committedMillis = appendedMillis
    },
    unpersistedBytes: staging.bytes,
    persist: (commit) => here(persist(commit))
  }
  return backend
})
