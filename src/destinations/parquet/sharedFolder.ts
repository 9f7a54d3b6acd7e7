/** A folder on a disk that several processes write at the same time. */
import { dirname } from "node:path"
import { Effect, FileSystem, Option, type PlatformError, Struct } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { type OpenOptions, shapesIn } from "../DestinationKind.ts"
import {
  cannot,
  LOCK_LOST,
  makeFolder,
  noFollow,
  randomName,
  syncFile,
  syncFolder,
  systemError,
  unlessMissing
} from "../folder/durably.ts"
import { fileName } from "../folder/fileName.ts"
import { ownInfo } from "../folder/layerFolder.ts"
import { diskManifests, MAX_MANIFEST_BYTES } from "../folder/ManifestStore.ts"
import {
  aboutText,
  checkFolder,
  damagedManifest,
  type Format,
  formatOf,
  manifestDecoder,
  refusalOf,
  textOf
} from "../folder/openFolder.ts"
import { joinFolder, removeRemains } from "../folder/sharers.ts"
import { readReplaced } from "../folder/swapFile.ts"
import { asidePath, baseOf, emptyManifest, type ParquetManifest, placeOf } from "./manifest.ts"
import type { SharedPlace } from "./SharedPlace.ts"

/** Opens a folder beside other processes until the scope closes. Creates it if it does not exist. */
export const openSharedFolder = Effect.fnUntraced(function* (
  options: OpenOptions,
  format: Format<ParquetManifest>
) {
  const { labelColumns, path: folder, source } = options
  const savedFormat = formatOf(format, labelColumns)
  const files = yield* FileSystem.FileSystem
  const here = Effect.provideService(FileSystem.FileSystem, files)
  const inside = `${folder}/_state`
  const newPath = `${inside}/_new`
  const places = { folder, inside, newPath }
  // A refused folder does not change.
  yield* checkFolder(options, savedFormat, inside)
  for (const path of [folder, inside, newPath]) yield* makeFolder(path)
  const { id, own } = yield* joinFolder(places)
  const aboutPath = `${inside}/_about.json`
  yield* createAbout(aboutPath, aboutText(source, savedFormat), own)
  // Another process may have created it for another source.
  const about = Option.getOrUndefined(yield* readReplaced(aboutPath, MAX_MANIFEST_BYTES))
  const refusal = refusalOf(about, true, { aboutPath, folder, format: savedFormat, source })
  if (refusal !== undefined) return yield* new ConfigError({ message: refusal })
  const store = yield* diskManifests(inside, newPath, { id, own })
  const decode = manifestDecoder(format)

  const check = files.exists(own).pipe(
    Effect.mapError(cannot("read", own)),
    Effect.filterOrFail(
      (exists) => exists,
      () => systemError("written", folder, LOCK_LOST, "")
    ),
    Effect.asVoid
  )

  const load = (name: string) =>
    Effect.map(
      store.load(name),
      Option.map(({ text, version }) => ({ manifest: Option.getOrUndefined(decode(name, text)), version }))
    )

  const unlessGone = <A, R>(
    operation: Effect.Effect<A, PlatformError.PlatformError, R>,
    what: string,
    path: string
  ) => Effect.mapError(unlessMissing(operation), cannot(what, path))

  const isWanted = (name: string, file: string) =>
    Effect.map(load(name), (found) => {
      if (Option.isNone(found)) return false
      const { manifest } = found.value
      return manifest === undefined || manifest.files.some(({ from }) => from?.endsWith(`/${file}`) === true)
    })
  yield* removeRemains(places, isWanted)

  const place: SharedPlace = {
    folder,
    ...shapesIn(options),
    endpoint: () => undefined,
    id,
    within: own,
    files,
    check,
    manifests: Effect.flatMap(store.names, (names) =>
      Effect.map(Effect.forEach(names, load, { concurrency: 8 }), (found) =>
        found.flatMap((one) => Option.getOrUndefined(one)?.manifest ?? [])
      )
    ),
    needsRecovery: ({ isReplaced, stream }) =>
      isReplaced === true ? place.exists(baseOf("next", stream)) : Effect.succeed(false),
    latest: Effect.fnUntraced(function* (stream) {
      const name = fileName(stream)
      const found = yield* load(name)
      if (Option.isNone(found))
        return { manifest: emptyManifest(stream, place.kindOf(stream)), version: undefined }
      const { manifest, version } = found.value
      return manifest === undefined
        ? yield* damagedManifest(stream, `${inside}/${name}.json`)
        : { manifest, version }
    }),
    replace: (manifest, version) =>
      store.replace(fileName(manifest.stream), version, textOf(manifest)).pipe(
        Effect.tapError(() => check),
        Effect.map(Option.isSome)
      ),
    addPart: Effect.fnUntraced(function* (localPath, path) {
      yield* here(syncFile(localPath))
      const to = `${folder}/${path}`
      yield* files.rename(localPath, to).pipe(
        Effect.mapError(cannot("written", to)),
        Effect.tapError(() => check)
      )
    }),
    localFiles: (parts) => Effect.succeed(parts.map((paths) => `${folder}/${paths.at(-1)!}`)),
    exists: (path) => Effect.mapError(files.exists(`${folder}/${path}`), cannot("read", `${folder}/${path}`)),
    remove: (path) =>
      Effect.asVoid(unlessGone(files.remove(`${folder}/${path}`), "removed", `${folder}/${path}`)),
    settle: (manifest) =>
      here(
        Effect.gen(function* () {
          const { removed = [], stream } = manifest
          const days = new Set<string>()
          for (const file of manifest.files) {
            if (file.from === undefined) continue
            const to = `${folder}/${placeOf("main", stream, file)}`
            const day = dirname(to)
            if (!days.has(day) && (yield* ownInfo(day, "Directory")) === undefined) {
              yield* files
                .makeDirectory(day, { recursive: true })
                .pipe(Effect.mapError(cannot("written", to)))
            }
            days.add(day)
            yield* unlessGone(files.rename(`${folder}/${file.from}`, to), "written", to)
          }
          // Also what another process has moved: the next manifest does not say any more where it was.
          yield* Effect.forEach(days, syncFolder, { discard: true })
          for (const file of removed) {
            if (file.id !== undefined) yield* place.remove(asidePath(stream, file.id))
            const path = placeOf("main", stream, file)
            if ((yield* ownInfo(dirname(`${folder}/${path}`), "Directory")) === undefined) continue
            if ((yield* ownInfo(`${folder}/${path}`, "File")) !== undefined) yield* place.remove(path)
          }
          return {
            ...Struct.omit(manifest, ["removed"]),
            files: manifest.files.map((file) => Struct.omit(file, ["from"]))
          }
        })
      )
  }
  return place
})

/** Creates the file that says what a folder holds, unless it exists. */
const createAbout = Effect.fnUntraced(function* (path: string, text: string, own: string) {
  const files = yield* FileSystem.FileSystem
  if (yield* Effect.orElseSucceed(files.exists(path), () => false)) return
  const temporary = `${own}/${randomName()}`
  yield* Effect.scoped(
    Effect.flatMap(files.open(temporary, { flag: "wx", ...noFollow }), (file) =>
      Effect.andThen(file.writeAll(Buffer.from(text)), file.sync)
    )
  ).pipe(
    Effect.andThen(
      Effect.catchIf(
        files.link(temporary, path),
        ({ reason }) => reason._tag === "AlreadyExists",
        () => Effect.void
      )
    ),
    Effect.ensuring(Effect.ignore(files.remove(temporary, { force: true }))),
    Effect.mapError(cannot("written", path))
  )
  yield* syncFolder(dirname(path))
})
