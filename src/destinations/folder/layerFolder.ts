/** A place for files as a destination: what all formats of files share. A format adds the files of a stream. */
import { relative, sep } from "node:path"
import { Effect, FileSystem, Layer, type Scope } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import type { SampleBlock } from "../../samples/Sample.ts"
import type { RowBlock, TableSchema } from "../../samples/TableRow.ts"
import {
  type Contents,
  Destination,
  DestinationError,
  emptyContents,
  type StreamWriter,
  type SyncMode
} from "../Destination.ts"
import type { OpenOptions } from "../DestinationKind.ts"
import { partLengthsOf, refuseKind, type StreamManifest, savedStreams, stateReaderOf } from "../manifest.ts"
import { cannot, infoOf, kindOf } from "./durably.ts"
import { type Format, type OpenFolder, type OpenPlace, openFolder } from "./openFolder.ts"

type OfFiles<A> = Effect.Effect<A, DestinationError, FileSystem.FileSystem>

/** Opens a stream of samples, or a table, until the scope closes. */
type Open<Stream, Block> = (
  stream: Stream,
  mode: SyncMode,
  isResumed: boolean
) => Effect.Effect<StreamWriter<Block>, DestinationError, FileSystem.FileSystem | Scope.Scope>

/** Writes to a place. */
export interface PlaceWriter {
  readonly open: Open<string, SampleBlock>
  readonly openTable: Open<TableSchema, RowBlock>
}

/** The files of a format in an open place. */
export interface FormatFiles<M extends StreamManifest> {
  /** Drops a stopped refresh whose rows are missing, so that it restarts. */
  readonly withoutLostRefresh: (manifest: M) => OfFiles<M>
  /** Recovers the files of a stream according to its manifest. A part of this may have been done already. */
  readonly recover: (manifest: M) => OfFiles<void>
  /** Removes new files that no manifest needs. Those of a damaged manifest stay. */
  readonly removeOrphans: OfFiles<void>
  readonly contents: (manifest: M, of: "current" | "refresh") => Contents
  readonly bytes: (manifest: M) => number
  readonly previewCommand: (stream: string) => string
  /** Why a stream cannot be written in a mode; undefined if it can. */
  readonly refusal?: (manifest: M, mode: SyncMode) => string | undefined
  /** Starts to write to the folder. */
  readonly start: Effect.Effect<PlaceWriter, DestinationError, FileSystem.FileSystem | Scope.Scope>
}

/** The files of a format in an open folder. */
export interface FolderFiles<M extends StreamManifest> extends Omit<FormatFiles<M>, "removeOrphans"> {
  /** The names of the files in `newPath` that a manifest needs. */
  readonly newFiles: (manifest: M) => ReadonlyArray<string>
}

/** Opens a folder for one run, with its states. */
export const layerFolder = <M extends StreamManifest>(
  options: OpenOptions,
  format: Format<M>,
  filesOf: (opened: OpenFolder<M>) => FolderFiles<M>
): Layer.Layer<Destination, ConfigError | DestinationError, FileSystem.FileSystem> =>
  layerPlace<M, OpenFolder<M>>(options, openFolder(options, format), (opened) => {
    const ours = filesOf(opened)
    const removeOrphans = Effect.suspend(() => {
      const wanted = Array.from(opened.manifests.values()).flatMap(ours.newFiles)
      return removeUnwanted(opened, new Set(wanted))
    })
    return { ...ours, removeOrphans }
  })

/** Opens a place for one run, with its states. */
export const layerPlace = <M extends StreamManifest, P extends OpenPlace<M>>(
  options: OpenOptions,
  open: Effect.Effect<P, ConfigError | DestinationError, FileSystem.FileSystem | Scope.Scope>,
  filesOf: (opened: P) => FormatFiles<M>
): Layer.Layer<Destination, ConfigError | DestinationError, FileSystem.FileSystem> =>
  Layer.effect(
    Destination,
    Effect.gen(function* () {
      const { path, readOnly = false } = options
      const opened = yield* open
      const ours = filesOf(opened)
      const here = Effect.provideService(FileSystem.FileSystem, opened.files)
      const manifests = () => Array.from(opened.manifests.values())
      for (const manifest of manifests()) opened.assume(yield* here(ours.withoutLostRefresh(manifest)))
      const refuse = () => Effect.fail(new DestinationError({ message: `${path} is open for reading only.` }))
      let writer: PlaceWriter = { open: refuse, openTable: refuse }
      if (!readOnly) {
        for (const manifest of manifests()) yield* here(unlessFatal(ours.recover(manifest)))
        yield* here(ours.removeOrphans)
        writer = yield* here(ours.start)
      }
      const read = stateReaderOf({ ...opened, name: path })
      return Destination.of({
        open: (stream, mode, isResumed = false) => here(writer.open(stream, mode, isResumed)),
        openTable: (schema, mode, isResumed = false) => here(writer.openTable(schema, mode, isResumed)),
        streams: () => savedStreams(opened.manifests.values()),
        partLengths: partLengthsOf(opened),
        states: (mode) => ({
          // Fail before anything is read, not after.
          load: (stream) => {
            const manifest = opened.manifests.get(stream)
            const refusal = manifest && ours.refusal?.(manifest, mode)
            return refusal === undefined
              ? read(mode).load(stream)
              : Effect.fail(new ConfigError({ message: refusal }))
          }
        }),
        bytes: Effect.sync(() => manifests().reduce((sum, manifest) => sum + ours.bytes(manifest), 0)),
        contents: (stream, of) =>
          Effect.suspend(() => {
            const damaged = opened.damaged(stream)
            if (damaged !== undefined) return Effect.fail(damaged)
            const manifest = opened.manifests.get(stream)
            return Effect.succeed(manifest === undefined ? emptyContents : ours.contents(manifest, of))
          }),
        previewCommand: ours.previewCommand
      })
    })
  )

/** Ignores an error of one stream. Opening that stream reports it again, and other streams are not affected. */
const unlessFatal = <R>(effect: Effect.Effect<void, DestinationError, R>) =>
  Effect.catchIf(
    effect,
    ({ isFatal }) => isFatal !== true,
    () => Effect.void
  )

/** Removes new files that no manifest needs. Those of a damaged manifest stay. */
const removeUnwanted = Effect.fnUntraced(function* (
  { damagedNames, newPath }: Pick<OpenFolder<StreamManifest>, "damagedNames" | "newPath">,
  wanted: ReadonlySet<string>
) {
  const files = yield* FileSystem.FileSystem
  const damaged = Array.from(damagedNames)
  const names = yield* files.readDirectory(newPath).pipe(Effect.mapError(cannot("cleaned", newPath)))
  for (const name of names) {
    const isOf = (stream: string) => name.startsWith(stream) && /^([.=]|$)/.test(name.slice(stream.length))
    if (!wanted.has(name) && !damaged.some(isOf)) yield* unlessFatal(removePath(`${newPath}/${name}`))
  }
})

/** Removes a file or folder, if it exists. */
export const removePath = (path: string): OfFiles<void> =>
  Effect.flatMap(FileSystem.FileSystem, (files) =>
    files.remove(path, { recursive: true, force: true }).pipe(Effect.mapError(cannot("removed", path)))
  )

/** Whether a path is a file, which can be replaced. */
export const isFile = (path: string): OfFiles<boolean> =>
  Effect.map(infoOf(path), (info) => info?.type === "File")

/** The names in a folder. */
export const namesIn = (path: string): OfFiles<ReadonlyArray<string>> =>
  Effect.flatMap(FileSystem.FileSystem, (files) =>
    files.readDirectory(path).pipe(Effect.mapError(cannot("read", path)))
  )

/** The file or folder at a path, which this program must have created; undefined if it does not exist. */
export const ownInfo = Effect.fnUntraced(function* (path: string, type: "File" | "Directory") {
  const info = yield* infoOf(path)
  if (info === undefined || info.type === type) return info
  return yield* new DestinationError({
    message: `${path} is ${kindOf(info)}, and this program writes only to files that it made. Move it away, or choose another folder.`
  })
})

/** The manifest of a stream to open, whose data is at `path`. Refuses files that were not created by source-prometheus. */
export const manifestToOpen = Effect.fnUntraced(function* <M extends StreamManifest>(
  opened: OpenPlace<M>,
  stream: string,
  mode: SyncMode,
  files: {
    readonly path: string
    /** Whether the manifest is one that can be replaced. */
    readonly isReplaceable: OfFiles<boolean>
    readonly hasData: OfFiles<boolean>
    readonly refuseForeign: OfFiles<void>
    readonly recover: (manifest: M) => OfFiles<void>
    /** The manifest of the stream if it has none, of the kind that is written. */
    readonly empty: M
  }
) {
  const isOverwrite = mode === "full_refresh_overwrite"
  const damaged = opened.damaged(stream)
  const known = opened.manifests.get(stream)
  const statePath = opened.statePath(stream)
  if (known === undefined && damaged === undefined && (yield* files.hasData)) {
    return yield* new DestinationError({
      message: `${files.path} has data, but there is no state ${statePath}, so it is not known what is in it. Move it away, or choose another place.`
    })
  }
  // The stream's files are about to be replaced, so they may be damaged, but they must belong to the stream.
  if (isOverwrite) yield* files.refuseForeign
  if (damaged !== undefined && !(isOverwrite && (yield* files.isReplaceable))) return yield* damaged
  if (known === undefined) return files.empty
  yield* refuseKind(opened.folder, known, files.empty.kind, mode)
  yield* isOverwrite ? unlessFatal(files.recover(known)) : files.recover(known)
  return known
})

/** Whether a path is in a folder that is a destination. A page may be at its top, beside the files of streams. */
export const ownsFile = (folder: string, path: string): boolean => {
  const [first = "", ...rest] = relative(folder, path).split(sep)
  if (first === "") return true
  const isInside = first !== ".." && !first.includes(":")
  return isInside && (rest.length > 0 || !/\.html?$/i.test(path))
}
