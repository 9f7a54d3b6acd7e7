/** The files of a folder of Parquet: recovery after a crash, removal of orphans, and refusal of foreign files. */
import { Effect, FileSystem } from "effect"
import { shellQuote } from "../../text/shellQuote.ts"
import { DestinationError, type SyncMode } from "../Destination.ts"
import { cannot, infoOf, isPlainFile, kindOf, syncFolder } from "../folder/durably.ts"
import { fileName } from "../folder/fileName.ts"
import { type StateFolder, unlessFatal } from "../folder/StateFolder.ts"
import { without } from "../manifest.ts"
import {
  baseOf,
  emptyManifest,
  isDay,
  type ParquetManifest,
  type PartFile,
  placeOf,
  refreshFiles,
  type Where
} from "./manifest.ts"

/** An open folder. */
export interface OpenFolder {
  readonly folder: string
  readonly labelColumns: boolean
  readonly files: FileSystem.FileSystem
  readonly states: StateFolder<ParquetManifest>
}

/** The file or folder at a path, which this program must have created; undefined if it does not exist. */
export const infoIn = Effect.fnUntraced(function* (
  { files, folder }: OpenFolder,
  path: string,
  type: "File" | "Directory"
) {
  const info = yield* Effect.provideService(infoOf(`${folder}/${path}`), FileSystem.FileSystem, files)
  if (info === undefined || info.type === type) return info
  return yield* new DestinationError({
    message: `${folder}/${path} is ${kindOf(info)}, and this program writes only to files that it made. Move it away, or choose another folder.`
  })
})

/** Whether a file exists with its original size. */
export const isThere = Effect.fnUntraced(function* (opened: OpenFolder, path: string, { bytes }: PartFile) {
  const info = yield* infoIn(opened, path, "File")
  return info !== undefined && Number(info.size) === bytes
})

/** Drops a stopped refresh whose rows are missing, so that it restarts. */
export const withoutLostRefresh = Effect.fnUntraced(function* (
  opened: OpenFolder,
  manifest: ParquetManifest
) {
  if (manifest.refreshState === undefined) return manifest
  const where = manifest.next === undefined ? "main" : "next"
  for (const file of refreshFiles(manifest)) {
    const places = [placeOf(where, manifest.stream, file), ...(file.from === undefined ? [] : [file.from])]
    const found = yield* Effect.forEach(places, (path) =>
      Effect.orElseSucceed(isThere(opened, path, file), () => false)
    )
    if (!found.includes(true)) return without(manifest, "refreshState", "next", "refreshFrom", "removed")
  }
  return manifest
})

/** The path of a foreign file in the folder of a stream, if there is one. */
const foreignIn = Effect.fnUntraced(function* (opened: OpenFolder, path: string) {
  if ((yield* infoIn(opened, path, "Directory")) === undefined) return undefined
  const list = (path: string) =>
    opened.files
      .readDirectory(`${opened.folder}/${path}`)
      .pipe(Effect.mapError(cannot("read", `${opened.folder}/${path}`)))
  for (const day of yield* list(path)) {
    const inside = `${path}/${day}`
    if (!day.startsWith("day=") || !isDay(day.slice(4))) return inside
    yield* infoIn(opened, inside, "Directory")
    for (const part of yield* list(inside)) {
      if (!/^part-\d{8,}\.parquet$/.test(part)) return `${inside}/${part}`
      yield* infoIn(opened, `${inside}/${part}`, "File")
    }
  }
  return undefined
})

/** Refuses to replace a folder that has foreign files. */
const refuseForeign = Effect.fnUntraced(function* (opened: OpenFolder, path: string) {
  const foreign = yield* foreignIn(opened, path)
  if (foreign === undefined) return
  return yield* new DestinationError({
    message: `${opened.folder}/${foreign} was not written by this program, and its folder is to be replaced. Move it away, or choose another folder.`
  })
})

/** Recovers the files of a stream according to its manifest. A part of this may have been done already. */
export const recover = Effect.fnUntraced(function* (opened: OpenFolder, manifest: ParquetManifest) {
  const { files, folder } = opened
  const { stream } = manifest
  const main = baseOf("main", stream)
  const next = baseOf("next", stream)
  const hasMain = (yield* infoIn(opened, main, "Directory")) !== undefined
  if (manifest.isReplaced === true && (yield* infoIn(opened, next, "Directory")) !== undefined) {
    const old = `${next}=old`
    const move = (from: string, to: string) =>
      files
        .rename(`${folder}/${from}`, `${folder}/${to}`)
        .pipe(Effect.mapError(cannot("replaced", `${folder}/${to}`)))
    yield* removeSuperseded(opened, manifest, "next")
    if (hasMain) {
      yield* refuseForeign(opened, main)
      yield* removePath(opened, old)
      yield* move(main, old)
    }
    yield* move(next, main)
    yield* syncFolder(folder)
    yield* removePath(opened, old)
  }
  const changed = new Set<string>()
  for (const [where, list] of [
    ["main", manifest.files],
    ["next", manifest.next?.files ?? []]
  ] as const) {
    for (const file of list) {
      if (file.from === undefined || (yield* infoIn(opened, file.from, "File")) === undefined) continue
      const place = placeOf(where, stream, file)
      const day = place.slice(0, place.lastIndexOf("/"))
      if (!changed.has(day)) yield* infoIn(opened, day, "Directory")
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
  yield* removeSuperseded(opened, manifest, "main")
  if (manifest.next !== undefined) yield* removeSuperseded(opened, manifest, "next")
})

/** Removes parts that are no longer live. No other part of the stream has the number of one. */
const removeSuperseded = Effect.fnUntraced(function* (
  opened: OpenFolder,
  { removed = [], stream }: ParquetManifest,
  where: Where
) {
  for (const file of removed) {
    const path = placeOf(where, stream, file)
    if ((yield* infoIn(opened, path.slice(0, path.lastIndexOf("/")), "Directory")) === undefined) continue
    if ((yield* infoIn(opened, path, "File")) !== undefined) yield* removePath(opened, path)
  }
})

export const removePath = ({ files, folder }: OpenFolder, path: string) =>
  files
    .remove(`${folder}/${path}`, { recursive: true, force: true })
    .pipe(Effect.mapError(cannot("removed", `${folder}/${path}`)))

/** Removes new files that are in no manifest. */
export const removeOrphans = Effect.fnUntraced(function* (opened: OpenFolder) {
  const { files, states } = opened
  const wanted = new Set<string>()
  for (const { files, isReplaced, next, stream } of states.manifests.values()) {
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
    yield* unlessFatal(removePath(opened, `_state/_new/${name}`))
  }
})

/** The manifest of a stream to open. Refuses files that were not created by source-prometheus. */
export const manifestOf = Effect.fnUntraced(function* (opened: OpenFolder, stream: string, mode: SyncMode) {
  const { files, folder, states } = opened
  const main = baseOf("main", stream)
  const isOverwrite = mode === "full_refresh_overwrite"
  const damaged = states.damaged(stream)
  const known = states.manifests.get(stream)
  if (known === undefined && damaged === undefined) {
    const inside =
      (yield* infoIn(opened, main, "Directory")) === undefined
        ? []
        : yield* files
            .readDirectory(`${folder}/${main}`)
            .pipe(Effect.mapError(cannot("read", `${folder}/${main}`)))
    if (inside.length === 0) return emptyManifest(stream)
    return yield* new DestinationError({
      message: `${folder}/${main} has files, but there is no state ${states.statePath(stream)}, so it is not known what is in them. Move it away, or choose another folder.`
    })
  }
  // The stream's files are about to be replaced, so they may be damaged, but they must belong to the stream.
  if (isOverwrite) yield* refuseForeign(opened, main)
  if (known === undefined) {
    if (!isOverwrite || !(yield* isPlainFile(states.statePath(stream)))) return yield* damaged!
    return emptyManifest(stream)
  }
  if (isOverwrite) {
    yield* unlessFatal(recover(opened, known))
    return known
  }
  yield* recover(opened, known)
  for (const file of known.files) {
    const path = placeOf("main", stream, file)
    if (yield* isThere(opened, path, file)) continue
    return yield* new DestinationError({
      message: `${folder}/${path} is missing or not the file that ${states.statePath(stream)} names. Restore them together, or read the stream again with --full-refresh --select ${shellQuote(stream)}.`
    })
  }
  return known
})
