/**
 * The parts in a prefix of an object store: recovery after a crash, and refusal of foreign objects.
 *
 * A store cannot rename. So a part is copied into place and deleted where it was, after the ones that it supersedes: as long
 * as a new part of a manifest exists, the steps of its commit are not complete. The parts of a refresh stay where they are
 * until it replaces the stream's rows.
 */
import { Effect, Struct } from "effect"
import type { StreamKind } from "../../samples/Layout.ts"
import { DestinationError, type SyncMode } from "../Destination.ts"
import { cannot, randomName } from "../folder/durably.ts"
import { manifestToOpen } from "../folder/layerFolder.ts"
import type { ObjectInfo } from "../objects/ObjectStore.ts"
import { CONCURRENCY, type OpenBucket } from "../objects/openBucket.ts"
import {
  asidePath,
  baseOf,
  emptyManifest,
  isDay,
  isPartName,
  missingPart,
  type ParquetManifest,
  type PartFile,
  placeOf,
  refreshFiles
} from "./manifest.ts"
import type { PartPlace } from "./PartPlace.ts"

/** An open prefix. */
export type ParquetBucket = OpenBucket<ParquetManifest>

/** Each small part that is merged is downloaded, and the merged one uploaded. */
const MOST_SMALL_PARTS = 8

const inParallel = { concurrency: CONCURRENCY, discard: true } as const

/** The visible objects of a stream. */
const listMain = ({ objects }: ParquetBucket, stream: string) => objects.list(`${baseOf("main", stream)}/`)

/** Whether an object of a stream may be a part. */
const isPart = (stream: string, { key }: ObjectInfo): boolean => {
  const [day = "", part = "", ...rest] = key.slice(baseOf("main", stream).length + 1).split("/")
  return day.startsWith("day=") && isDay(day.slice(4)) && isPartName(part) && rest.length === 0
}

/** Drops a stopped refresh whose rows are missing, so that it restarts. */
export const withoutLostRefresh = Effect.fnUntraced(function* (
  opened: ParquetBucket,
  manifest: ParquetManifest
) {
  if (manifest.refreshState === undefined) return manifest
  const { fresh } = opened
  const isFresh = ({ bytes, from }: PartFile): boolean => from !== undefined && fresh.get(from) === bytes
  const rest = refreshFiles(manifest).filter((file) => !isFresh(file))
  if (rest.length === 0) return manifest
  const visible =
    manifest.next === undefined
      ? new Map((yield* listMain(opened, manifest.stream)).map(({ bytes, key }) => [key, bytes]))
      : new Map<string, number>()
  return rest.every((file) => visible.get(placeOf("main", manifest.stream, file)) === file.bytes)
    ? manifest
    : Struct.omit(manifest, ["refreshState", "next", "nextKind", "refreshFrom", "removed"])
})

/** Completes the commit of a manifest. A part of this may have been done already. */
export const recover = Effect.fnUntraced(function* (opened: ParquetBucket, manifest: ParquetManifest) {
  const { check, fresh, objects } = opened
  const { files, isReplaced, next, removed = [], stream } = manifest
  const isFresh = ({ from }: PartFile): boolean => from !== undefined && fresh.has(from)
  const moved = files.filter(isFresh)
  const superseded = removed.filter(isFresh)
  const isEmptied = isReplaced === true && files.length === 0
  if (moved.length === 0 && superseded.length === 0 && !isEmptied) {
    // Processes that write parts delete where a part was before they delete those that it supersedes.
    if (isReplaced !== true && next === undefined) yield* removeVisible(opened, stream, removed)
    return
  }
  yield* check
  yield* Effect.forEach(
    moved,
    (file) => objects.copy(file.from!, placeOf("main", stream, file), file.bytes),
    inParallel
  )
  if (isReplaced === true) {
    const live = new Set(files.map((file) => placeOf("main", stream, file)))
    const list = yield* listMain(opened, stream)
    const dead = list.filter((object) => isPart(stream, object) && !live.has(object.key))
    yield* Effect.forEach(dead, ({ key }) => objects.remove(key), inParallel)
  } else if (next === undefined) {
    yield* Effect.forEach(removed, (file) => objects.remove(placeOf("main", stream, file)), inParallel)
  }
  yield* Effect.forEach([...superseded, ...moved], ({ from }) => removeFresh(opened, from!), inParallel)
})

/** Removes superseded parts that readers still see. */
const removeVisible = Effect.fnUntraced(function* (
  opened: ParquetBucket,
  stream: string,
  removed: ReadonlyArray<PartFile>
) {
  if (!removed.some(({ id }) => id !== undefined)) return
  const visible = new Set((yield* listMain(opened, stream)).map(({ key }) => key))
  const left = removed.map((file) => placeOf("main", stream, file)).filter((key) => visible.has(key))
  if (left.length === 0) return
  yield* opened.check
  yield* Effect.forEach(left, opened.objects.remove, inParallel)
})

const removeFresh = ({ fresh, objects }: ParquetBucket, key: string) =>
  Effect.andThen(
    objects.remove(key),
    Effect.sync(() => fresh.delete(key))
  )

/** Refuses to replace a stream that has foreign objects. */
const refuseForeign = Effect.fnUntraced(function* (opened: ParquetBucket, stream: string) {
  const foreign = (yield* listMain(opened, stream)).find((object) => !isPart(stream, object))
  if (foreign === undefined) return
  return yield* new DestinationError({
    message: `${opened.folder}/${foreign.key} was not written by this program, and the stream's objects are to be replaced. Move it away, or choose another place.`
  })
})

const manifestOf = Effect.fnUntraced(function* (
  opened: ParquetBucket,
  stream: string,
  kind: StreamKind,
  mode: SyncMode
) {
  const { folder } = opened
  const manifest = yield* manifestToOpen(opened, stream, mode, {
    path: `${folder}/${baseOf("main", stream)}`,
    isReplaceable: Effect.succeed(true),
    hasData: Effect.map(listMain(opened, stream), (list) => list.length > 0),
    refuseForeign: refuseForeign(opened, stream),
    recover: (manifest) => recover(opened, manifest),
    empty: emptyManifest(stream, kind)
  })
  if (mode === "full_refresh_overwrite" || manifest.files.length === 0) return manifest
  const sizes = new Map((yield* listMain(opened, stream)).map(({ bytes, key }) => [key, bytes]))
  for (const file of manifest.files) {
    const place = placeOf("main", stream, file)
    if (sizes.get(place) === file.bytes) continue
    return yield* missingPart(`${folder}/${place}`, opened.statePath(stream), stream)
  }
  return manifest
})

/** The parts in an open prefix. Downloads go to the local folder `workPath`. */
export const bucketParts = (opened: ParquetBucket, workPath: string): PartPlace => {
  const { files, fresh, objects } = opened
  const run = randomName()
  let count = 0
  /** What killed runs have left: it can be removed once no manifest can name it any more. */
  const leftovers = new Set(fresh.keys())
  return {
    ...opened,
    save: Effect.fnUntraced(function* (manifest) {
      yield* opened.save(manifest)
      // From now on, no other run can save a manifest of this stream that names one of them.
      const all = [...manifest.files, ...(manifest.next?.files ?? []), ...(manifest.removed ?? [])]
      const named = new Set(all.map(({ from }) => from))
      const orphans = Array.from(leftovers).filter((key) => key.startsWith(asidePath(manifest.stream, "")))
      yield* Effect.forEach(
        orphans.filter((key) => !named.has(key)),
        (key) => Effect.ignore(removeFresh(opened, key)),
        inParallel
      )
      for (const key of orphans) leftovers.delete(key)
    }),
    freshPlace: (stream) => {
      const id = `${run}-${++count}`
      return { from: asidePath(stream, id), id }
    },
    addPart: Effect.fnUntraced(function* (localPath, path) {
      const { size } = yield* files.stat(localPath).pipe(Effect.mapError(cannot("read", localPath)))
      yield* objects.upload(path, localPath)
      fresh.set(path, Number(size))
      yield* Effect.ignore(files.remove(localPath, { force: true }))
    }),
    localFiles: (paths) =>
      Effect.forEach(
        paths,
        (path) => {
          const local = `${workPath}/${randomName()}.parquet`
          return Effect.as(
            Effect.acquireRelease(objects.download(path, local), () =>
              Effect.ignore(files.remove(local, { force: true }))
            ),
            local
          )
        },
        { concurrency: 4 }
      ),
    removeNew: (stream, path) =>
      opened.isUncertain(stream) ? Effect.void : Effect.asVoid(removeFresh(opened, path)),
    settled: (where, file) => (where === "main" ? Struct.omit(file, ["from"]) : file),
    manifestOf: (stream, kind, mode) => manifestOf(opened, stream, kind, mode),
    beginRefresh: (manifest) => Effect.succeed(manifest),
    endRefresh: () => Effect.void,
    removeUnknown: Effect.fnUntraced(function* (stream) {
      const list = yield* listMain(opened, stream)
      yield* Effect.forEach(
        list.filter((object) => isPart(stream, object)),
        ({ key }) => objects.remove(key),
        inParallel
      )
    }),
    recover: (manifest) => recover(opened, manifest),
    mostSmallParts: MOST_SMALL_PARTS
  }
}
