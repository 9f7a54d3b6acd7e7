/** The files of a folder of JSON lines: recovery after a crash, removal of orphans, and refusal of foreign files. */
import { constants, gunzipSync } from "node:zlib"
import { Effect, FileSystem, Option } from "effect"
import { jsonLine } from "../../records/jsonLine.ts"
import { shellQuote } from "../../text/shellQuote.ts"
import { DestinationError, type SyncMode } from "../Destination.ts"
import { cannot, infoOf, isPlainFile, kindOf, noFollow, syncFolder } from "../folder/durably.ts"
import { fileName } from "../folder/fileName.ts"
import { type StateFolder, unlessFatal } from "../folder/StateFolder.ts"
import { without } from "../manifest.ts"
import { truncateFile } from "./LinesFile.ts"
import { allOf, emptyManifest, type LinesManifest } from "./manifest.ts"

/** An open folder. */
export interface OpenFolder {
  readonly folder: string
  readonly labelColumns: boolean
  readonly gzip: boolean
  readonly replacing?: string
  /** The file name extension. */
  readonly ending: string
  readonly files: FileSystem.FileSystem
  readonly states: StateFolder<LinesManifest>
}

export const dataPath = ({ ending, folder }: OpenFolder, stream: string): string =>
  `${folder}/${fileName(stream)}${ending}`

export const newPath = ({ states }: OpenFolder, file: string): string => `${states.newPath}/${file}`

export const removeFile = ({ files }: OpenFolder, path: string) =>
  files.remove(path, { force: true }).pipe(Effect.mapError(cannot("removed", path)))

/** The size of one of our files; undefined if it does not exist. */
const sizeOf = Effect.fnUntraced(function* ({ files }: OpenFolder, path: string) {
  const info = yield* Effect.provideService(infoOf(path), FileSystem.FileSystem, files)
  if (info === undefined || info.type === "File") return info && Number(info.size)
  return yield* new DestinationError({
    message: `${path} is ${kindOf(info)}, and this program writes only to files that it made. Move it away, or choose another folder.`
  })
})

/** Drops a stopped refresh whose rows are missing, so that it restarts. */
export const withoutLostRefresh = Effect.fnUntraced(function* (opened: OpenFolder, manifest: LinesManifest) {
  const { next, refreshState, stream } = manifest
  if (refreshState === undefined) return manifest
  const [path, extent] =
    next === undefined ? [dataPath(opened, stream), allOf(manifest)] : [newPath(opened, next.file), next]
  const size = yield* Effect.orElseSucceed(sizeOf(opened, path), () => 0)
  return (size ?? 0) >= extent.bytes
    ? manifest
    : {
        ...without(manifest, "refreshState", "next", "appended"),
        main: allOf(manifest),
        isUnique: manifest.isUnique && (manifest.appended?.rows ?? 0) === 0
      }
})

/** Recovers the files of a stream according to its manifest. */
export const recover = Effect.fnUntraced(function* (opened: OpenFolder, manifest: LinesManifest) {
  const path = dataPath(opened, manifest.stream)
  if (manifest.replacedBy !== undefined) yield* replace(opened, manifest.stream, manifest.replacedBy)
  yield* cut(opened, manifest, path, allOf(manifest).bytes)
  if (manifest.next !== undefined)
    yield* cut(opened, manifest, newPath(opened, manifest.next.file), manifest.next.bytes)
})

/** Replaces the stream's file with a new file, unless that was done already. */
export const replace = Effect.fnUntraced(function* (opened: OpenFolder, stream: string, file: string) {
  const from = newPath(opened, file)
  const to = dataPath(opened, stream)
  if ((yield* sizeOf(opened, from)) === undefined) return
  yield* refuseForeign(opened, stream, to)
  yield* opened.files.rename(from, to).pipe(Effect.mapError(cannot("replaced", to)))
  yield* Effect.provideService(syncFolder(opened.folder), FileSystem.FileSystem, opened.files)
})

const cut = Effect.fnUntraced(function* (
  opened: OpenFolder,
  { stream }: LinesManifest,
  path: string,
  bytes: number
) {
  const found = yield* sizeOf(opened, path)
  const size = found ?? 0
  if (size < bytes) {
    const problem = found === undefined ? "is missing" : `has ${size} bytes`
    return yield* new DestinationError({
      message: `${path} ${problem}, but ${opened.states.statePath(stream)} says it had ${bytes} bytes: records are missing. Restore both files together, or read the stream again with --full-refresh --select ${shellQuote(stream)}.`
    })
  }
  if (size > bytes) yield* refuseForeign(opened, stream, path)
  if (size > bytes || (found === 0 && opened.gzip)) yield* truncateFile(opened.files, path, bytes)
})

/** The frame of a stream's records, and the beginning of each record. */
export const frameOf = (stream: string): { readonly before: string; readonly first: string } => ({
  before: `{"stream":${jsonLine(stream)},"data":`,
  first: '{"series_id":"'
})

/** This much of a gzip file is unpacked to check its beginning. */
const HEAD_BYTES = 16 * 1024

/** Refuses to truncate or replace a file that does not begin with a record of the stream. */
const refuseForeign = Effect.fnUntraced(function* (opened: OpenFolder, stream: string, path: string) {
  const size = yield* sizeOf(opened, path)
  if (size === undefined || size === 0) return
  const { before, first } = frameOf(stream)
  const frame = Buffer.from(before + first)
  const head = yield* Effect.scoped(
    Effect.gen(function* () {
      const file = yield* opened.files.open(path, { flag: "r", ...noFollow })
      return yield* file.readAlloc(opened.gzip ? HEAD_BYTES : frame.length)
    })
  ).pipe(Effect.mapError(cannot("read", path)))
  const bytes = Option.match(head, {
    onNone: () => undefined,
    onSome: (bytes) => (opened.gzip ? unpacked(bytes) : Buffer.from(bytes))
  })
  if (bytes !== undefined && frame.subarray(0, bytes.length).equals(bytes.subarray(0, frame.length))) return
  return yield* new DestinationError({
    message: `${path} does not hold records of ${stream}, so this program did not write it. Move it away, or choose another folder.`
  })
})

/** The beginning of a gzip file, unpacked. */
const unpacked = (bytes: Uint8Array): Buffer | undefined => {
  try {
    return gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH })
  } catch {
    return undefined
  }
}

/** Removes new files that are in no manifest. */
export const removeOrphans = Effect.fnUntraced(function* ({ files, states }: OpenFolder) {
  const wanted = new Set(
    Array.from(states.manifests.values()).flatMap(({ next, replacedBy }) => [next?.file, replacedBy])
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

/** The manifest of a stream to open. Refuses files that were not created by source-prometheus. */
export const manifestOf = Effect.fnUntraced(function* (opened: OpenFolder, stream: string, mode: SyncMode) {
  const { states } = opened
  const path = dataPath(opened, stream)
  const isOverwrite = mode === "full_refresh_overwrite"
  // The stream's files are about to be replaced, so they may be damaged, but they must belong to the stream.
  if (isOverwrite) yield* refuseForeign(opened, stream, path)
  const damaged = states.damaged(stream)
  if (damaged !== undefined) {
    return isOverwrite && (yield* isPlainFile(states.statePath(stream)))
      ? emptyManifest(stream)
      : yield* damaged
  }
  const manifest = states.manifests.get(stream)
  if (manifest !== undefined) {
    yield* isOverwrite ? unlessFatal(recover(opened, manifest)) : recover(opened, manifest)
    return manifest
  }
  if (((yield* sizeOf(opened, path)) ?? 0) > 0) {
    return yield* new DestinationError({
      message: `${path} exists, but not its state ${states.statePath(stream)}, so it is not known what is in it. Move it away, or choose another folder.`
    })
  }
  // Save the manifest before creating the file, so that the leftovers of a killed first run are known.
  const empty = emptyManifest(stream)
  yield* states.save(empty)
  return empty
})
