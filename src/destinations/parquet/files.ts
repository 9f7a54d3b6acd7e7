/** The parts in a folder on a disk: recovery after a crash, and refusal of foreign files. */
import { basename, dirname } from "node:path"
import { Effect, Struct } from "effect"
import type { StreamKind } from "../../samples/Layout.ts"
import { DestinationError, type SyncMode } from "../Destination.ts"
import { cannot, makeFolder, syncFile, syncFolder } from "../folder/durably.ts"
import { fileName } from "../folder/fileName.ts"
import { isFile, manifestToOpen, namesIn, ownInfo, removePath } from "../folder/layerFolder.ts"
import type { OpenFolder } from "../folder/openFolder.ts"
import {
  baseOf,
  emptyManifest,
  freshPath,
  isDay,
  isPartName,
  missingPart,
  type ParquetManifest,
  type PartFile,
  placeOf,
  refreshFiles,
  type Where
} from "./manifest.ts"
import type { PartPlace } from "./PartPlace.ts"

/** An open folder. */
export type ParquetFolder = OpenFolder<ParquetManifest>

/** Whether a file exists with its original size. */
const isIntact = (path: string, { bytes }: PartFile) =>
  Effect.map(ownInfo(path, "File"), (info) => info !== undefined && Number(info.size) === bytes)

const isFolder = (path: string) => Effect.map(ownInfo(path, "Directory"), (info) => info !== undefined)

/** Drops a stopped refresh whose rows are missing, so that it restarts. */
export const withoutLostRefresh = Effect.fnUntraced(function* (
  { folder }: ParquetFolder,
  manifest: ParquetManifest
) {
  if (manifest.refreshState === undefined) return manifest
  const where = manifest.next === undefined ? "main" : "next"
  for (const file of refreshFiles(manifest)) {
    const places = [placeOf(where, manifest.stream, file), ...(file.from === undefined ? [] : [file.from])]
    const found = yield* Effect.forEach(places, (path) =>
      Effect.orElseSucceed(isIntact(`${folder}/${path}`, file), () => false)
    )
    if (!found.includes(true))
      return Struct.omit(manifest, ["refreshState", "next", "nextKind", "refreshFrom", "removed"])
  }
  return manifest
})

/** Refuses to replace a folder that has foreign files. */
const refuseForeign = Effect.fnUntraced(function* (path: string) {
  const refuse = (foreign: string) =>
    new DestinationError({
      message: `${foreign} was not written by this program, and its folder is to be replaced. Move it away, or choose another folder.`
    })
  if (!(yield* isFolder(path))) return
  for (const day of yield* namesIn(path)) {
    const inside = `${path}/${day}`
    if (!day.startsWith("day=") || !isDay(day.slice(4))) return yield* refuse(inside)
    yield* isFolder(inside)
    for (const part of yield* namesIn(inside)) {
      if (!isPartName(part)) return yield* refuse(`${inside}/${part}`)
      yield* ownInfo(`${inside}/${part}`, "File")
    }
  }
})

/** Recovers the files of a stream according to its manifest. A part of this may have been done already. */
export const recover = Effect.fnUntraced(function* (opened: ParquetFolder, manifest: ParquetManifest) {
  const { files, folder } = opened
  const { stream } = manifest
  const main = `${folder}/${baseOf("main", stream)}`
  const next = `${folder}/${baseOf("next", stream)}`
  const move = (from: string, to: string, what: string) =>
    files.rename(from, to).pipe(Effect.mapError(cannot(what, to)))
  const hasMain = yield* isFolder(main)
  if (manifest.isReplaced === true && (yield* isFolder(next))) {
    const old = `${next}=old`
    yield* removeSuperseded(opened, manifest, "next")
    if (hasMain) {
      yield* refuseForeign(main)
      yield* removePath(old)
      yield* move(main, old, "replaced")
    }
    yield* move(next, main, "replaced")
    yield* syncFolder(folder)
    yield* removePath(old)
  }
  const changed = new Set<string>()
  for (const [where, list] of [
    ["main", manifest.files],
    ["next", manifest.next?.files ?? []]
  ] as const) {
    for (const file of list) {
      if (file.from === undefined) continue
      const from = `${folder}/${file.from}`
      if ((yield* ownInfo(from, "File")) === undefined) continue
      const place = `${folder}/${placeOf(where, stream, file)}`
      const day = dirname(place)
      if (!changed.has(day)) yield* isFolder(day)
      yield* files
        .makeDirectory(day, { recursive: true })
        .pipe(Effect.mapError(cannot("written", place)), Effect.andThen(move(from, place, "written")))
      changed.add(day)
    }
  }
  yield* Effect.forEach(changed, syncFolder, { discard: true })
  yield* removeSuperseded(opened, manifest, "main")
  if (manifest.next !== undefined) yield* removeSuperseded(opened, manifest, "next")
})

/** Removes parts that are no longer live. No other part of the stream has the number of one. */
const removeSuperseded = Effect.fnUntraced(function* (
  { folder }: ParquetFolder,
  { removed = [], stream }: ParquetManifest,
  where: Where
) {
  for (const file of removed) {
    const path = `${folder}/${placeOf(where, stream, file)}`
    if (!(yield* isFolder(dirname(path)))) continue
    if ((yield* ownInfo(path, "File")) !== undefined) yield* removePath(path)
  }
})

/** The names of the new files and folders that a manifest needs. */
export const newFiles = ({ files, isReplaced, next, stream }: ParquetManifest): ReadonlyArray<string> => [
  ...(next !== undefined || isReplaced === true ? [fileName(stream)] : []),
  ...[...files, ...(next?.files ?? [])].flatMap(({ from }) => (from === undefined ? [] : basename(from)))
]

/** The manifest of a stream to open. Refuses files that were not created by source-prometheus. */
export const manifestOf = Effect.fnUntraced(function* (
  opened: ParquetFolder,
  stream: string,
  kind: StreamKind,
  mode: SyncMode
) {
  const { folder } = opened
  const path = `${folder}/${baseOf("main", stream)}`
  const manifest = yield* manifestToOpen(opened, stream, mode, {
    path,
    isReplaceable: isFile(opened.statePath(stream)),
    hasData: Effect.gen(function* () {
      return (yield* isFolder(path)) && (yield* namesIn(path)).length > 0
    }),
    refuseForeign: refuseForeign(path),
    recover: (manifest) => recover(opened, manifest),
    empty: emptyManifest(stream, kind)
  })
  if (mode === "full_refresh_overwrite") return manifest
  for (const file of manifest.files) {
    const part = `${folder}/${placeOf("main", stream, file)}`
    if (yield* isIntact(part, file)) continue
    return yield* missingPart(part, opened.statePath(stream), stream)
  }
  return manifest
})

/** The parts in an open folder. */
export const folderParts = (opened: ParquetFolder): PartPlace => {
  const { files, folder } = opened
  const nextPath = (stream: string): string => `${folder}/${baseOf("next", stream)}`
  return {
    ...opened,
    freshPlace: (stream, part) => ({ from: freshPath(stream, part) }),
    addPart: Effect.fnUntraced(function* (localPath, path) {
      yield* syncFile(localPath)
      const to = `${folder}/${path}`
      yield* files.rename(localPath, to).pipe(Effect.mapError(cannot("written", to)))
    }),
    localFiles: (paths) => Effect.succeed(paths.map((path) => `${folder}/${path}`)),
    removeNew: (_stream, path) => removePath(`${folder}/${path}`),
    settled: (_where, file) => Struct.omit(file, ["from"]),
    manifestOf: (stream, kind, mode) => manifestOf(opened, stream, kind, mode),
    beginRefresh: Effect.fnUntraced(function* (manifest) {
      // The parts of a stopped refresh stay until the first commit of this one.
      if (manifest.next === undefined) yield* removePath(nextPath(manifest.stream))
      if (manifest.isReplaced !== true) return manifest
      // The previous replacement is done. In the next manifest it would refer to the folder of this refresh.
      const changed = Struct.omit(manifest, ["isReplaced", "removed"])
      yield* opened.save(changed)
      return changed
    }),
    endRefresh: (stream) => makeFolder(nextPath(stream)),
    removeUnknown: (stream) => removePath(`${folder}/${baseOf("main", stream)}`),
    recover: (manifest) => recover(opened, manifest),
    mostSmallParts: 1
  }
}
