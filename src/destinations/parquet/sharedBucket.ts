/**
 * A prefix of an object store that several processes write at the same time.
 *
 * A store cannot rename, and a copy may take seconds. Two copies of one part could end after it was superseded and deleted. So
 * only one process copies a part into place: the one that wrote it, or the one that a later manifest names, once that is silent.
 */
import { Effect, FileSystem, Option, Semaphore, Struct } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import type { OpenOptions } from "../DestinationKind.ts"
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
import { bucketManifests } from "../objects/bucketManifests.ts"
import { ABOUT, CONCURRENCY, openObjects } from "../objects/openBucket.ts"
import { joinBucket } from "../objects/sharers.ts"
import { localFolder } from "./bucketParts.ts"
import { asidePath, emptyManifest, type ParquetManifest, type PartFile, placeOf } from "./manifest.ts"
import type { SharedPlace } from "./SharedPlace.ts"

/** Opens a prefix beside other processes until the scope closes. */
export const openSharedBucket = Effect.fnUntraced(function* (
  options: OpenOptions,
  format: Format<ParquetManifest>
) {
  const { labelColumns, source } = options
  const files = yield* FileSystem.FileSystem
  const objects = yield* openObjects(options)
  const folder = objects.url
  const formatName = formatOf(format, labelColumns)
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
      format: formatName,
      source
    })
    if (refusal !== undefined) return yield* new ConfigError({ message: refusal })
    return text !== undefined
  })
  const exists = yield* refuseOther
  const { alive, check, id } = yield* joinBucket(objects)
  if (!exists) {
    yield* objects.put(ABOUT, Buffer.from(aboutText(source, formatName)), { version: undefined })
    // Another process may have created it for another source.
    yield* refuseOther
  }
  const within = yield* localFolder
  const settling = yield* Semaphore.make(1)

  const load = (name: string) =>
    Effect.map(
      store.load(name),
      Option.map(({ text, version }) => ({ manifest: Option.getOrUndefined(decode(name, text)), version }))
    )

  /** The process that moves a file. */
  const moverOf = (file: PartFile): string | undefined => file.mover ?? file.id?.split("-")[0]
  const isMine = (file: PartFile): boolean => moverOf(file) === id

  /** Makes this process move the files of those that are silent. Others may be faster. */
  const claim = Effect.fnUntraced(function* (manifest: ParquetManifest) {
    const { files, removed = [], stream } = manifest
    const others = [...files.filter(({ from }) => from !== undefined), ...removed].filter(
      (file) => !isMine(file)
    )
    if (others.length === 0) return manifest
    const present = yield* Effect.provideService(alive, FileSystem.FileSystem, files)
    const isLeft = (file: PartFile): boolean => !isMine(file) && !present.has(moverOf(file) ?? "")
    if (!others.some(isLeft)) return manifest
    const { manifest: latest, version } = yield* place.latest(stream)
    const take = (file: PartFile): PartFile => (isLeft(file) ? { ...file, mover: id } : file)
    const claimed: ParquetManifest = {
      ...latest,
      files: latest.files.map((file) => (file.from === undefined ? file : take(file))),
      ...(latest.removed === undefined ? {} : { removed: latest.removed.map(take) })
    }
    return (yield* place.replace(claimed, version)) ? claimed : manifest
  })

  const existsAt = (path: string) =>
    Effect.map(objects.list(path), (list) => list.some(({ key }) => key === path))

  const settle = Effect.fnUntraced(function* (manifest: ParquetManifest) {
    const { stream } = manifest
    const fromOf = (file: PartFile): string | undefined =>
      file.from ?? (file.id === undefined ? undefined : asidePath(stream, file.id))
    const isAside = Effect.fnUntraced(function* (file: PartFile) {
      const from = fromOf(file)
      return from !== undefined && (yield* existsAt(from))
    })
    const isPending = ({ from }: PartFile): boolean => from !== undefined
    if (!manifest.files.some(isPending) && (manifest.removed ?? []).length === 0) return manifest
    const { files, removed = [] } = yield* claim(manifest)

    /** The file after this: without the path from which it was moved, if it is in place. */
    const move = Effect.fnUntraced(function* (file: PartFile) {
      const from = file.from!
      const to = placeOf("main", stream, file)
      const moved = Struct.omit(file, ["from", "mover"])
      if (isMine(file)) {
        if (yield* objects.copy(from, to, file.bytes)) yield* objects.remove(from)
        return moved
      }
      return (yield* isAside(file)) || !(yield* existsAt(to)) ? file : moved
    })
    /** Undefined once it is deleted. */
    const remove = Effect.fnUntraced(function* (file: PartFile) {
      const from = fromOf(file)
      // Whoever moves it may be doing so.
      if (!isMine(file) && (yield* isAside(file))) return file
      if (isMine(file) && from !== undefined) yield* objects.remove(from)
      yield* objects.remove(placeOf("main", stream, file))
      return undefined
    })
    const inParallel = { concurrency: CONCURRENCY }
    const settled = yield* Effect.forEach(
      files,
      (file) => (isPending(file) ? move(file) : Effect.succeed(file)),
      inParallel
    )
    const left = yield* Effect.forEach(removed, remove, inParallel)
    return {
      ...manifest,
      files: settled,
      removed: left.filter((file) => file !== undefined)
    }
  }, settling.withPermits(1))

  const place: SharedPlace = {
    folder,
    labelColumns,
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
              from === undefined ? Effect.succeed(false) : existsAt(from)
            ),
            (found) => found.includes(true)
          )
        : Effect.succeed(false),
    latest: Effect.fnUntraced(function* (stream) {
      const name = fileName(stream)
      const found = yield* load(name)
      if (Option.isNone(found)) return { manifest: emptyManifest(stream), version: undefined }
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
    localFiles: (paths) =>
      Effect.forEach(
        paths,
        (path) => {
          const local = `${within}/${randomName()}.parquet`
          return Effect.as(
            Effect.acquireRelease(objects.download(path, local), () =>
              Effect.ignore(files.remove(local, { force: true }))
            ),
            local
          )
        },
        { concurrency: 4 }
      ),
    exists: existsAt,
    remove: objects.remove,
    settle
  }
  return place
})
