/** Writes one stream of a run to its file: the backend of the commit policy. */
import { Effect, FileSystem, Struct } from "effect"
import { jsonLine } from "../../records/jsonLine.ts"
import type { LineBuffer } from "../../records/LineBuffer.ts"
import { RecordEncoder } from "../../records/RecordEncoder.ts"
import type { StreamKind } from "../../samples/Layout.ts"
import type { SampleBlock } from "../../samples/Sample.ts"
import type { Row, RowBlock, TableSchema } from "../../samples/TableRow.ts"
import type { StreamState } from "../../sync/StreamState.ts"
import { type Backend, type Commit, openWriter } from "../CommitPolicy.ts"
import { ContentsTally, sumOf, type TimedBlock } from "../contents.ts"
import { DestinationError, type SyncMode } from "../Destination.ts"
import { removePath } from "../folder/layerFolder.ts"
import { dataPath, frameOf, type LinesFolder, manifestOf, newPath, replace } from "./files.ts"
import { openLines } from "./LinesFile.ts"
import { allOf, freshName, joined, type LinesManifest, nothing } from "./manifest.ts"
import { mayHaveRowsOf, refusalOf, stateOf, wouldRepeat } from "./repeatedRows.ts"

/** The most that a killed process loses, and the next run reads again. */
const limits = { millis: 5000, bytes: () => 64 * 1024 * 1024 }

/** Encodes blocks as lines, each in parts that fit into memory. */
interface Encoding<Block, Part> {
  readonly parts: (block: Block) => ReadonlyArray<Part>
  readonly encode: (part: Part, buffer: LineBuffer) => void
}

/** Opens a stream of samples until the scope closes. */
export const openStream = (opened: LinesFolder, stream: string, mode: SyncMode, isResumed: boolean) => {
  const { metricName, rest } = opened.layoutOf(stream)
  const kind = opened.kindOf(stream)
  const encoder = new RecordEncoder({ columns: "all", labelsObject: rest === "labels", metricName })
  const frame = { before: frameOf(stream), after: "}\n" }
  return open<SampleBlock, SampleBlock>(opened, stream, kind, mode, isResumed, {
    parts: (block) => encoder.parts(block),
    encode: (part, buffer) => encoder.encode(part, frame, buffer)
  })
}

/** Opens a table until the scope closes. */
export const openTable = (
  opened: LinesFolder,
  { stream }: TableSchema,
  mode: SyncMode,
  isResumed: boolean
) => {
  const before = frameOf(stream)
  return open<RowBlock, Row>(opened, stream, "table", mode, isResumed, {
    parts: ({ rows }) => rows,
    encode: (row, buffer) => buffer.append(Buffer.from(`${before}${jsonLine(row)}}\n`))
  })
}

const open = Effect.fnUntraced(function* <Block extends TimedBlock, Part>(
  opened: LinesFolder,
  stream: string,
  kind: StreamKind,
  mode: SyncMode,
  isResumed: boolean,
  encoding: Encoding<Block, Part>
) {
  const manifest = yield* manifestOf(opened, stream, kind, mode)
  const refusal = refusalOf(opened, manifest, mode)
  if (refusal !== undefined) return yield* new DestinationError({ message: refusal })
  return yield* openWriter({ manifest, kind, mode, isResumed, limits }, (resumesRefresh) =>
    openBackend(opened, manifest, mode, resumesRefresh, encoding)
  )
})

const openBackend = Effect.fnUntraced(function* <Block extends TimedBlock, Part>(
  opened: LinesFolder,
  manifest: LinesManifest,
  mode: SyncMode,
  resumesRefresh: boolean,
  { encode, parts }: Encoding<Block, Part>
) {
  const { check, ending, files, gzip } = opened
  const { stream } = manifest
  /** The new file of a refresh that replaces rows. */
  const file =
    mode !== "full_refresh_overwrite"
      ? undefined
      : resumesRefresh && manifest.next !== undefined
        ? manifest.next.file
        : freshName(manifest, ending)
  const path = file === undefined ? dataPath(opened, stream) : newPath(opened, file)
  /** The rows in the stream's file without those of this sync, and the committed rows of this sync. */
  const base = resumesRefresh && file === undefined ? manifest.main : allOf(manifest)
  let own = resumesRefresh ? (manifest.next ?? manifest.appended ?? nothing) : nothing
  const before = file === undefined ? base : nothing
  if (file !== undefined && own.bytes === 0) yield* removePath(path)

  const lines = yield* openLines(files, path, before.bytes + own.bytes, gzip, check)
  const tally = new ContentsTally()
  let persistedBytes = lines.bytes()
  let old = manifest
  // No state covers the rows of a stopped refresh, so they may be read again.
  let isUnique = manifest.isUnique && (base === manifest.main || (manifest.appended?.rows ?? 0) === 0)
  if (mode === "full_refresh_append" && base.rows > 0) isUnique = false
  let mayRepeat = mayHaveRowsOf(joined(before, own), stateOf(manifest))

  const append = Effect.fnUntraced(function* (blocks: ReadonlyArray<Block>) {
    for (const block of blocks) {
      if (block.length === 0) continue
      if (mode.startsWith("incremental") && mayRepeat(block)) {
        if (mode === "incremental_append_deduped") {
          return yield* new DestinationError({ message: wouldRepeat(path, block, opened.replacing) })
        }
        isUnique = false
      }
      tally.add(block)
      for (const part of parts(block)) {
        encode(part, lines.buffer())
        yield* lines.flushIfFull
      }
    }
  })

  const mark = (state: StreamState): void => {
    lines.mark()
    own = { ...own, ...sumOf([own, tally.take()]) }
    mayRepeat = mayHaveRowsOf(joined(before, own), state)
  }

  /** The rows of the manifest after a commit. */
  const rowsAfter = (kind: Commit["kind"]): Partial<LinesManifest> => {
    if (file === undefined) {
      return kind === "refresh" ? { main: base, appended: own } : { main: joined(base, own) }
    }
    return kind === "complete_refresh"
      ? { main: own, isUnique: true, replacedBy: file }
      : { main: base, next: { file, ...own } }
  }

  const persist = Effect.fnUntraced(function* ({ kind, states }: Commit) {
    // Create the file, so that it can replace the old one.
    if (file !== undefined && kind === "complete_refresh") yield* lines.create
    const bytes = yield* lines.flush
    own = { ...own, bytes: bytes - before.bytes }
    const saved: LinesManifest = {
      ...Struct.omit(old, ["next", "nextKind", "appended", "replacedBy", "state", "refreshState"]),
      ...states,
      isUnique,
      ...rowsAfter(kind)
    }
    yield* opened.save(saved)
    if (saved.replacedBy !== undefined) yield* replace(opened, stream, saved.replacedBy)
    if (old.next !== undefined && old.next.file !== file) {
      yield* Effect.ignore(removePath(newPath(opened, old.next.file)))
    }
    persistedBytes = lines.bytes()
    old = saved
    return saved
  })

  const here = Effect.provideService(FileSystem.FileSystem, files)
  const backend: Backend<LinesManifest, Block> = {
    append,
    mark,
    unpersistedBytes: () => lines.bytes() - persistedBytes,
    persist: (commit) => here(persist(commit))
  }
  return backend
})
