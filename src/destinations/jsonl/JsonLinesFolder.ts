/**
 * A folder of JSON lines as a destination: one file per stream, plain or as gzip.
 *
 * A file only grows, and the stream's manifest has its committed length. Anything that a killed run wrote after it is
 * truncated. A refresh that replaces rows writes a new file aside. Its last commit records the replacement in the manifest and
 * then renames the file.
 */
import { Effect, type FileSystem, Layer } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { pathArgument } from "../../text/shellQuote.ts"
import { sumOf } from "../contents.ts"
import { Destination, type DestinationError, emptyContents, type SyncMode } from "../Destination.ts"
import { formatOf, openStates, refuseReadOnly, unlessFatal } from "../folder/StateFolder.ts"
import { stateReaderOf } from "../manifest.ts"
import { dataPath, type OpenFolder, recover, removeOrphans, withoutLostRefresh } from "./files.ts"
import { allOf, hasOwnNames, LinesManifest, nothing } from "./manifest.ts"
import { openStream } from "./openStream.ts"
import { refusalOf } from "./repeatedRows.ts"

/** The options of a folder of JSON lines. */
export interface JsonLinesOptions {
  readonly folder: string
  /** The source of the data, such as the address of a server. A folder accepts only one source. */
  readonly source: string
  /** One column per label, or otherwise one `labels` object. */
  readonly labelColumns: boolean
  readonly gzip: boolean
  /** The destinations that replace rows, for a refusal to recommend. */
  readonly replacing?: string
  /** Only read states: nothing on the disk is changed, and streams cannot be opened. */
  readonly readOnly?: boolean
}

/** Opens the folder for one run, with its states. */
export const layer = (
  options: JsonLinesOptions
): Layer.Layer<Destination, ConfigError | DestinationError, FileSystem.FileSystem> =>
  Layer.effect(
    Destination,
    Effect.gen(function* () {
      const { folder, gzip, labelColumns, readOnly = false, source } = options
      const ending = gzip ? ".jsonl.gz" : ".jsonl"
      const states = yield* openStates({
        folder,
        source,
        format: formatOf(gzip ? "JSON lines as gzip (--gzip)" : "JSON lines", labelColumns),
        schema: LinesManifest,
        isOurs: (manifest) => hasOwnNames(manifest, ending),
        readOnly
      })
      const opened: OpenFolder = { ...options, files: states.files, states, ending }
      const manifests = () => Array.from(states.manifests.values())
      for (const manifest of manifests()) states.assume(yield* withoutLostRefresh(opened, manifest))
      if (!readOnly) {
        for (const manifest of manifests()) yield* unlessFatal(recover(opened, manifest))
        yield* removeOrphans(opened)
      }
      const read = stateReaderOf(states)
      return Destination.of({
        open: (stream, mode, isResumed = false) =>
          readOnly ? refuseReadOnly(folder) : openStream(opened, stream, mode, isResumed),
        streams: () => [...states.manifests.keys()],
        states: (mode: SyncMode) => ({
          // Fail before anything is read, not after.
          load: (stream) => {
            const manifest = states.manifests.get(stream)
            const refusal = manifest && refusalOf(opened, manifest, mode)
            return refusal === undefined
              ? read(mode).load(stream)
              : Effect.fail(new ConfigError({ message: refusal }))
          }
        }),
        bytes: Effect.sync(() =>
          manifests().reduce((sum, manifest) => sum + allOf(manifest).bytes + (manifest.next?.bytes ?? 0), 0)
        ),
        contents: (stream, of) =>
          Effect.suspend(() => {
            const damaged = states.damaged(stream)
            if (damaged !== undefined) return Effect.fail(damaged)
            const manifest = states.manifests.get(stream)
            if (manifest === undefined) return Effect.succeed(emptyContents)
            return Effect.succeed(
              sumOf([of === "current" ? allOf(manifest) : (manifest.appended ?? manifest.next ?? nothing)])
            )
          }),
        previewCommand: (stream) => {
          const path = pathArgument(dataPath(opened, stream))
          return gzip ? `gzip -dc ${path} | head -n 5` : `head -n 5 ${path}`
        }
      })
    })
  )
