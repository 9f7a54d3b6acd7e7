/**
 * A prefix of an object store as a place for files, with the manifests of the streams in `_state`, as in a folder. A commit
 * writes the data first. Then it replaces the manifest, if no one else did.
 */
import { Effect, FileSystem, Option, Result } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import type { DestinationError } from "../Destination.ts"
import { type OpenOptions, shapesIn } from "../DestinationKind.ts"
import { fileName } from "../folder/fileName.ts"
import {
  aboutText,
  type Format,
  type Found,
  formatOf,
  lookUps,
  manifestDecoder,
  type OpenPlace,
  refusalOf,
  textOf
} from "../folder/openFolder.ts"
import type { StreamManifest } from "../manifest.ts"
import { bucketManifests } from "./bucketManifests.ts"
import { lost, takeLease } from "./lease.ts"
import type { ObjectStore } from "./ObjectStore.ts"
import { openS3Store } from "./S3Store.ts"
import { parseS3Url } from "./S3Url.ts"
import { refuseSharers } from "./sharers.ts"

/** Requests at a time. */
export const CONCURRENCY = 16

const INSIDE = "_state/"
/** Where new parts are until their manifest is saved. */
export const NEW = `${INSIDE}_new/`
/** The object that says what a prefix holds. */
export const ABOUT = `${INSIDE}_about.json`

/** An open prefix and its manifests, for one run at a time. */
export interface OpenBucket<E extends StreamManifest> extends OpenPlace<E> {
  readonly objects: ObjectStore
  /** The sizes of objects that readers do not see yet, by their keys. Each addition and removal updates them. */
  readonly fresh: Map<string, number>
  /** Whether a manifest may have been saved although this was reported as an error. */
  readonly isUncertain: (stream: string) => boolean
}

/** The objects of the prefix that a destination names. */
export const openObjects = Effect.fnUntraced(function* ({ path }: OpenOptions) {
  const parsed = parseS3Url(path)
  if (Result.isFailure(parsed)) {
    return yield* new ConfigError({ message: `${JSON.stringify(path)} ${parsed.failure}.` })
  }
  return yield* openS3Store(parsed.success)
})

/** Opens a prefix for one source and one format. */
export const openBucket = Effect.fnUntraced(function* <E extends StreamManifest>(
  options: OpenOptions,
  format: Format<E>
) {
  const { labelColumns, readOnly = false, source } = options
  const objects = yield* openObjects(options)
  const files = yield* FileSystem.FileSystem
  const folder = objects.url
  const savedFormat = formatOf(format, labelColumns)
  const manifests = bucketManifests(objects)

  /** Refuses a prefix of another source or format. Changes nothing. Returns the names of manifests, and new objects. */
  const check = Effect.gen(function* () {
    const list = yield* objects.list(INSIDE)
    const names = list.flatMap(({ key }) => /^_state\/([^_/][^/]*)\.json$/.exec(key)?.[1] ?? [])
    const about = list.some(({ key }) => key === ABOUT)
      ? Option.getOrUndefined(yield* objects.get(ABOUT))
      : undefined
    const text = about && Buffer.from(about.bytes).toString("utf8")
    const refusal = refusalOf(text, names.length > 0, {
      aboutPath: `${folder}/${ABOUT}`,
      folder,
      format: savedFormat,
      source
    })
    if (refusal !== undefined) return yield* new ConfigError({ message: refusal })
    const fresh = new Map(
      list.flatMap(({ bytes, key }) => (key.startsWith(NEW) ? [[key, bytes] as const] : []))
    )
    return { names, fresh, about: about && { ...about, text } }
  })

  const versions = new Map<string, string>()
  const read = Effect.fnUntraced(function* (names: ReadonlyArray<string>) {
    const found: Found<E> & { readonly damaged: Map<string, DestinationError | undefined> } = {
      manifests: new Map(),
      damaged: new Map()
    }
    const decode = manifestDecoder(format)
    yield* Effect.forEach(
      names,
      Effect.fnUntraced(function* (name) {
        const stored = Option.getOrUndefined(yield* manifests.load(name))
        if (stored === undefined) return
        versions.set(name, stored.version)
        const manifest = Option.getOrUndefined(decode(name, stored.text))
        if (manifest === undefined) found.damaged.set(name, undefined)
        else found.manifests.set(manifest.stream, manifest)
      }),
      { concurrency: CONCURRENCY, discard: true }
    )
    return found
  })

  const opened = (
    found: Found<E>,
    fresh: Map<string, number>,
    checkLease: Effect.Effect<void, DestinationError>
  ): OpenBucket<E> => {
    const uncertain = new Set<string>()
    return {
      folder,
      ...shapesIn(options),
      files,
      objects,
      fresh,
      check: checkLease,
      isUncertain: (stream) => uncertain.has(stream),
      ...lookUps(`${folder}/_state`, found),
      save: Effect.fnUntraced(function* (manifest) {
        yield* checkLease
        const name = fileName(manifest.stream)
        const saved = yield* manifests
          .replace(name, versions.get(name), textOf(manifest))
          .pipe(Effect.tapError(() => Effect.sync(() => uncertain.add(manifest.stream))))
        if (Option.isNone(saved)) return yield* lost(objects)
        versions.set(name, saved.value)
        found.manifests.set(manifest.stream, manifest)
      }, Effect.uninterruptible)
    }
  }

  const before = yield* check
  if (readOnly) return opened(yield* read(before.names), before.fresh, Effect.void)
  const lease = yield* takeLease(objects)
  yield* refuseSharers(objects)
  const { about, fresh, names } = yield* check
  const text = aboutText(source, savedFormat)
  if (about?.text !== text) {
    const saved = yield* objects.put(ABOUT, Buffer.from(text), { version: about?.version })
    if (Option.isNone(saved)) return yield* lost(objects)
  }
  const place = opened(yield* read(names), fresh, lease.check)
  // A run that wrote nothing leaves nothing behind.
  yield* Effect.addFinalizer(() =>
    about === undefined && place.manifests.size === 0 && place.damagedNames.size === 0 && fresh.size === 0
      ? Effect.andThen(Effect.ignore(objects.remove(ABOUT)), lease.remove)
      : Effect.void
  )
  return place
})
