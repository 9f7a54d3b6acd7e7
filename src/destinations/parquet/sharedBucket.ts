/**
 * A prefix of an object store that several processes write at the same time.
 *
 * A store cannot rename, and a copy may take seconds. Two copies of one part could end after it was superseded and deleted. So
 * only one process copies a part into place: the one that wrote it, or the one that a later manifest names, once that is silent.
 *
 * It copies the part, deletes it where it was, and then looks into the latest manifest: if the part was superseded meanwhile, it
 * deletes the copy. Other processes delete a superseded part only once it is not aside any more. So the last of them deletes it.
 */
import { Effect, FileSystem, Option, Semaphore, Struct } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { type OpenOptions, shapesIn } from "../DestinationKind.ts"
import { randomName } from "../folder/durably.ts"
import { fileName } from "../folder/fileName.ts"
import {
  aboutText,
  damagedManifest,
  type Format,
  formatOf,
  manifestDecoder,
  refusalOf,
  textOf
} from "../folder/openFolder.ts"
import { temporaryFolder } from "../folder/temporaryFolder.ts"
import { bucketManifests } from "../objects/bucketManifests.ts"
import { ABOUT, CONCURRENCY, NEW, openObjects } from "../objects/openBucket.ts"
import { joinBucket } from "../objects/sharers.ts"
import { asidePath, emptyManifest, type ParquetManifest, type PartFile, placeOf } from "./manifest.ts"
import type { SharedPlace } from "./SharedPlace.ts"

/** The new file of a process: the name of its stream, the id of its process, and a number. */
const newFile = /^(.+)=([0-9a-f]{18})-\d+$/

/** Opens a prefix beside other processes until the scope closes. */
export const openSharedBucket = Effect.fnUntraced(function* (
  options: OpenOptions,
  format: Format<ParquetManifest>
) {
  const { labelColumns, source } = options
  const files = yield* FileSystem.FileSystem
  const objects = yield* openObjects(options)
  const folder = objects.url
  const savedFormat = formatOf(format, labelColumns)
  const store = bucketManifests(objects)
  const decode = manifestDecoder(format)

  /** Refuses a prefix of another source or format. */
  const refuseOther = Effect.gen(function* () {
    const about = Option.getOrUndefined(yield* objects.get(ABOUT))
    const text = about && Buffer.from(about.bytes).toString("utf8")
    const hasStreams = text !== undefined || (yield* store.names).length > 0
    const refusal = refusalOf(text, hasStreams, {
      aboutPath: `${folder}/${ABOUT}`,
      folder,
      format: savedFormat,
      source
    })
    if (refusal !== undefined) return yield* new ConfigError({ message: refusal })
    return text !== undefined
  })
  const exists = yield* refuseOther
  const { alive, check, id, shutOut } = yield* joinBucket(objects)
  if (!exists) {
    yield* objects.put(ABOUT, Buffer.from(aboutText(source, savedFormat)), { version: undefined })
    // Another process may have created it for another source.
    yield* refuseOther
  }
  const within = yield* temporaryFolder
  const settling = yield* Semaphore.make(1)

  const load = (name: string) =>
    Effect.map(
      store.load(name),
      Option.map(({ text, version }) => ({ manifest: Option.getOrUndefined(decode(name, text)), version }))
    )

  /** The process that moves a file. */
  const moverOf = (file: PartFile): string | undefined => file.mover ?? file.id?.split("-")[0]
  const isMine = (file: PartFile): boolean => moverOf(file) === id
  /** The path of a file aside. */
  const fromOf = (stream: string, file: PartFile): string | undefined =>
    file.from ?? (file.id === undefined ? undefined : asidePath(stream, file.id))
  const inParallel = { concurrency: CONCURRENCY }

  const aliveOf = (ids: ReadonlySet<string>) =>
    Effect.provideService(alive(ids), FileSystem.FileSystem, files)

  /** The numbers of the files that are still aside, of those that other processes move. */
  const asideOf = Effect.fnUntraced(function* ({ files, removed = [], stream }: ParquetManifest) {
    const others = [...files.filter(({ from }) => from !== undefined), ...removed].filter(
      (file) => !isMine(file)
    )
    const aside = yield* Effect.filter(
      others,
      (file) => {
        const from = fromOf(stream, file)
        return from === undefined ? Effect.succeed(false) : objects.exists(from)
      },
      inParallel
    )
    return new Map(aside.map((file) => [file.part, moverOf(file) ?? ""]))
  })

  /** Makes this process move those of the files aside whose processes are silent. Others may be faster. */
  const claim = Effect.fnUntraced(function* (manifest: ParquetManifest, aside: ReadonlyMap<number, string>) {
    if (aside.size === 0) return manifest
    // Other processes have joined meanwhile, and the latest manifest may have their files.
    const present = yield* aliveOf(new Set(aside.values()))
    const isLeft = (file: PartFile): boolean => {
      const mover = aside.get(file.part)
      return mover !== undefined && mover === (moverOf(file) ?? "") && !present.has(mover)
    }
    if (![...manifest.files, ...(manifest.removed ?? [])].some(isLeft)) return manifest
    const { manifest: latest, version } = yield* place.latest(manifest.stream)
    const take = (file: PartFile): PartFile => (isLeft(file) ? { ...file, mover: id } : file)
    const claimed: ParquetManifest = {
      ...latest,
      files: latest.files.map((file) => (file.from === undefined ? file : take(file))),
      ...(latest.removed === undefined ? {} : { removed: latest.removed.map(take) })
    }
    return (yield* place.replace(claimed, version)) ? claimed : manifest
  })

  /** Deletes the copies of files that were superseded while this process made them. */
  const removeLate = Effect.fnUntraced(function* (stream: string, copied: ReadonlyArray<PartFile>) {
    if (copied.length === 0) return
    const { manifest } = yield* place.latest(stream)
    const live = new Set(manifest.files.map(({ part }) => part))
    const late = copied.filter(({ part }) => part < manifest.nextPart && !live.has(part))
    yield* Effect.forEach(late, (file) => objects.remove(placeOf("main", stream, file)), inParallel)
  })

  const settle = Effect.fnUntraced(function* (manifest: ParquetManifest) {
    const { stream } = manifest
    const isPending = ({ from }: PartFile): boolean => from !== undefined
    if (!manifest.files.some(isPending) && (manifest.removed ?? []).length === 0) return manifest
    const aside = yield* asideOf(manifest)
    const current = yield* claim(manifest, aside)
    const copied: Array<PartFile> = []

    /** The file after this: without the path from which it was moved, if it is in place. */
    const move = Effect.fnUntraced(function* (file: PartFile) {
      const from = file.from!
      const to = placeOf("main", stream, file)
      const moved = Struct.omit(file, ["from", "mover"])
      if (!isMine(file)) {
        if (aside.has(file.part) || (yield* objects.exists(from))) return file
      } else if (yield* objects.copy(from, to, file.bytes)) {
        yield* objects.remove(from)
        copied.push(file)
        return moved
      }
      return (yield* objects.exists(to)) ? moved : file
    })
    /** Undefined once it is deleted. */
    const remove = Effect.fnUntraced(function* (file: PartFile) {
      const from = fromOf(stream, file)
      if (isMine(file)) {
        if (from !== undefined) yield* objects.remove(from)
      } else if (aside.has(file.part) || (from !== undefined && (yield* objects.exists(from)))) {
        // The process that copies it deletes the copy.
        return file
      }
      yield* objects.remove(placeOf("main", stream, file))
      return undefined
    })
    const settled = yield* Effect.forEach(
      current.files,
      (file) => (isPending(file) ? move(file) : Effect.succeed(file)),
      inParallel
    )
    yield* removeLate(stream, copied)
    const left = yield* Effect.forEach(current.removed ?? [], remove, inParallel)
    return { ...current, files: settled, removed: left.filter((file) => file !== undefined) }
  }, settling.withPermits(1))

  /** Removes the new files of processes that have ended or are silent, and that no manifest names. */
  const removeRemains = Effect.gen(function* () {
    // Before the processes: one that comes later has no file among these.
    const list = yield* objects.list(NEW)
    const all = list.flatMap(({ key }) => {
      const [, name = "", owner = ""] = newFile.exec(key.slice(NEW.length)) ?? []
      return owner === "" ? [] : [{ key, name, owner }]
    })
    const present = yield* aliveOf(new Set(all.map(({ owner }) => owner)))
    const remains = all.filter(({ owner }) => !present.has(owner))
    yield* Effect.forEach(new Set(remains.map(({ owner }) => owner)), shutOut, inParallel)
    for (const [name, those] of Map.groupBy(remains, ({ name }) => name)) {
      const found = Option.getOrUndefined(yield* load(name))
      if (found?.manifest === undefined) continue
      const { files, next, removed = [] } = found.manifest
      const named = new Set(
        [...files, ...(next?.files ?? []), ...removed].flatMap(({ from, id }) => [
          ...(from === undefined ? [] : [from]),
          ...(id === undefined ? [] : [asidePath(found.manifest!.stream, id)])
        ])
      )
      const orphans = those.filter(({ key }) => !named.has(key))
      if (orphans.length === 0) continue
      // A process that wakes up cannot commit them to another manifest.
      const fence = { ...found.manifest, nextPart: found.manifest.nextPart + 1 }
      if (!(yield* place.replace(fence, found.version))) continue
      yield* Effect.forEach(orphans, ({ key }) => objects.remove(key), inParallel)
    }
  })

  const place: SharedPlace = {
    folder,
    ...shapesIn(options),
    endpoint: objects.endpoint,
    id,
    within,
    files,
    check,
    manifests: Effect.flatMap(store.names, (names) =>
      Effect.map(Effect.forEach(names, load, { concurrency: CONCURRENCY }), (found) =>
        found.flatMap((one) => Option.getOrUndefined(one)?.manifest ?? [])
      )
    ),
    needsRecovery: ({ files: manifestFiles, isReplaced }) =>
      isReplaced === true
        ? Effect.map(
            Effect.forEach(manifestFiles, ({ from }) =>
              from === undefined ? Effect.succeed(false) : objects.exists(from)
            ),
            (found) => found.includes(true)
          )
        : Effect.succeed(false),
    latest: Effect.fnUntraced(function* (stream) {
      const name = fileName(stream)
      const found = yield* load(name)
      if (Option.isNone(found))
        return { manifest: emptyManifest(stream, place.kindOf(stream)), version: undefined }
      const { manifest, version } = found.value
      return manifest === undefined
        ? yield* damagedManifest(stream, `${folder}/_state/${name}.json`)
        : { manifest, version }
    }),
    replace: (manifest, version) =>
      Effect.map(store.replace(fileName(manifest.stream), version, textOf(manifest)), Option.isSome),
    addPart: Effect.fnUntraced(function* (localPath, path) {
      yield* objects.upload(path, localPath)
      yield* Effect.ignore(files.remove(localPath, { force: true }))
    }),
    localFiles: (parts) =>
      Effect.forEach(
        parts,
        ([path = "", after]) => {
          const local = `${within}/${randomName()}.parquet`
          const download = objects.download(path, local)
          // If it is not aside any more, it is in place.
          const either =
            after === undefined ? download : Effect.catch(download, () => objects.download(after, local))
          return Effect.as(
            Effect.acquireRelease(either, () => Effect.ignore(files.remove(local, { force: true }))),
            local
          )
        },
        { concurrency: 4 }
      ),
    exists: objects.exists,
    remove: objects.remove,
    settle
  }
  yield* removeRemains
  return place
})
