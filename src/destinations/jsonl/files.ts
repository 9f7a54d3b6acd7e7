/** The files of a folder of JSON lines: recovery after a crash, removal of orphans, and refusal of foreign files. */
import { constants, gunzipSync } from "node:zlib"
import { Effect, Struct } from "effect"
import { jsonLine } from "../../records/jsonLine.ts"
import type { StreamKind } from "../../samples/Layout.ts"
import { shellQuote } from "../../text/shellQuote.ts"
import { DestinationError, type SyncMode } from "../Destination.ts"
import { cannot, readBeginning, syncFolder } from "../folder/durably.ts"
import { fileName } from "../folder/fileName.ts"
import { isFile, manifestToOpen, ownInfo } from "../folder/layerFolder.ts"
import type { OpenFolder } from "../folder/openFolder.ts"
import { truncateFile } from "./LinesFile.ts"
import { allOf, emptyManifest, type LinesManifest } from "./manifest.ts"

/** An open folder. */
export interface LinesFolder extends OpenFolder<LinesManifest> {
  readonly gzip: boolean
  readonly replacing: string | undefined
  /** The file name extension. */
  readonly ending: string
}

export const dataPath = ({ ending, folder }: LinesFolder, stream: string): string =>
  `${folder}/${fileName(stream)}${ending}`

export const newPath = ({ newPath }: LinesFolder, file: string): string => `${newPath}/${file}`

/** The size of one of our files; undefined if it does not exist. */
const sizeOf = (path: string) => Effect.map(ownInfo(path, "File"), (info) => info && Number(info.size))

/** Drops a stopped refresh whose rows are missing, so that it restarts. */
export const withoutLostRefresh = Effect.fnUntraced(function* (opened: LinesFolder, manifest: LinesManifest) {
  const { next, refreshState, stream } = manifest
  if (refreshState === undefined) return manifest
  const [path, extent] =
    next === undefined ? [dataPath(opened, stream), allOf(manifest)] : [newPath(opened, next.file), next]
  const size = yield* Effect.orElseSucceed(sizeOf(path), () => 0)
  return (size ?? 0) >= extent.bytes
    ? manifest
    : {
        ...Struct.omit(manifest, ["refreshState", "next", "nextKind", "appended"]),
        main: allOf(manifest),
        isUnique: manifest.isUnique && (manifest.appended?.rows ?? 0) === 0
      }
})

/** Recovers the files of a stream according to its manifest. */
export const recover = Effect.fnUntraced(function* (opened: LinesFolder, manifest: LinesManifest) {
  const path = dataPath(opened, manifest.stream)
  if (manifest.replacedBy !== undefined) yield* replace(opened, manifest.stream, manifest.replacedBy)
  yield* cut(opened, manifest, path, allOf(manifest).bytes)
  if (manifest.next !== undefined)
    yield* cut(opened, manifest, newPath(opened, manifest.next.file), manifest.next.bytes)
})

/** Replaces the stream's file with a new file, unless that was done already. */
export const replace = Effect.fnUntraced(function* (opened: LinesFolder, stream: string, file: string) {
  const from = newPath(opened, file)
  const to = dataPath(opened, stream)
  if ((yield* sizeOf(from)) === undefined) return
  yield* refuseForeign(opened, stream, to)
  yield* opened.files.rename(from, to).pipe(Effect.mapError(cannot("replaced", to)))
  yield* syncFolder(opened.folder)
})

const cut = Effect.fnUntraced(function* (
  opened: LinesFolder,
  { stream }: LinesManifest,
  path: string,
  bytes: number
) {
  const found = yield* sizeOf(path)
  const size = found ?? 0
  if (size < bytes) {
    const problem = found === undefined ? "is missing" : `has ${size} bytes`
    return yield* new DestinationError({
      message: `${path} ${problem}, but ${opened.statePath(stream)} says it had ${bytes} bytes: records are missing. Restore both files together, or read the stream again with --full-refresh --select ${shellQuote(stream)}.`
    })
  }
  if (size > bytes) yield* refuseForeign(opened, stream, path)
  if (size > bytes || (found === 0 && opened.gzip)) yield* truncateFile(opened.files, path, bytes)
})

/** The text before each record of a stream. */
export const frameOf = (stream: string): string => `{"stream":${jsonLine(stream)},"data":`

/** The beginnings of records: of a sample, and of a row of a table. */
const beginnings = ['{"series_id":"', '{"record_id":"']

/** This much of a gzip file is unpacked to check its beginning. */
const HEAD_BYTES = 16 * 1024

/** Refuses to truncate or replace a file that does not begin with a record of the stream. */
const refuseForeign = Effect.fnUntraced(function* ({ gzip }: LinesFolder, stream: string, path: string) {
  const size = yield* sizeOf(path)
  if (size === undefined || size === 0) return
  const frames = beginnings.map((first) => Buffer.from(frameOf(stream) + first))
  const head = yield* readBeginning(path, gzip ? HEAD_BYTES : frames[0]!.length)
  const bytes = gzip ? unpacked(head) : head
  const isOwn = (frame: Buffer) =>
    bytes !== undefined && frame.subarray(0, bytes.length).equals(bytes.subarray(0, frame.length))
  if (frames.some(isOwn)) return
  return yield* new DestinationError({
    message: `${path} does not hold records of ${stream}, so this program did not write it. Move it away, or choose another folder.`
  })
})

/** The beginning of a gzip file, unpacked. */
const unpacked = (bytes: Buffer): Buffer | undefined => {
  try {
    return gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH })
  } catch {
    return undefined
  }
}

/** The manifest of a stream to open. Refuses files that were not created by source-prometheus. */
export const manifestOf = Effect.fnUntraced(function* (
  opened: LinesFolder,
  stream: string,
  kind: StreamKind,
  mode: SyncMode
) {
  const path = dataPath(opened, stream)
  const manifest = yield* manifestToOpen(opened, stream, mode, {
    path,
    isReplaceable: isFile(opened.statePath(stream)),
    hasData: Effect.map(sizeOf(path), (size = 0) => size > 0),
    refuseForeign: refuseForeign(opened, stream, path),
    recover: (manifest) => recover(opened, manifest),
    empty: emptyManifest(stream, kind)
  })
  // Save the manifest before creating the file, so that the leftovers of a killed first run are known.
  if (!opened.manifests.has(stream) && opened.damaged(stream) === undefined) yield* opened.save(manifest)
  return manifest
})
