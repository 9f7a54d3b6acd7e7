/**
 * A folder of JSON lines as a destination: one file per stream, plain or as gzip.
 *
 * A file only grows, and the stream's manifest has its committed length. Anything that a killed run wrote after it is
 * truncated. A refresh that replaces rows writes a new file aside. Its last commit records the replacement in the manifest and
 * then renames the file.
 */
import { Effect } from "effect"
import { pathArgument } from "../../text/shellQuote.ts"
import { sumOf } from "../contents.ts"
import type { DestinationKind, OpenOptions } from "../DestinationKind.ts"
import { layerFolder, ownsFile } from "../folder/layerFolder.ts"
import { dataPath, type LinesFolder, recover, withoutLostRefresh } from "./files.ts"
import { allOf, hasOwnNames, LinesManifest, nothing, VERSION } from "./manifest.ts"
import { openStream, openTable } from "./openStream.ts"
import { refusalOf, refusalOfSettings } from "./repeatedRows.ts"

/** Opens the folder for one run, with its states. */
export const layer = (options: OpenOptions) => {
  const { gzip = false, replacing } = options
  const ending = gzip ? ".jsonl.gz" : ".jsonl"
  const format = {
    name: gzip ? "JSON lines as gzip (--gzip)" : "JSON lines",
    version: VERSION,
    schema: LinesManifest,
    isOurs: (manifest: LinesManifest) => hasOwnNames(manifest, ending)
  }
  return layerFolder(options, format, (folder) => {
    const opened: LinesFolder = { ...folder, gzip, replacing, ending }
    return {
      withoutLostRefresh: (manifest) => withoutLostRefresh(opened, manifest),
      recover: (manifest) => recover(opened, manifest),
      newFiles: ({ next, replacedBy }) => [next?.file, replacedBy].filter((file) => file !== undefined),
      contents: (manifest, of) =>
        sumOf([of === "current" ? allOf(manifest) : (manifest.appended ?? manifest.next ?? nothing)]),
      bytes: (manifest) => allOf(manifest).bytes + (manifest.next?.bytes ?? 0),
      previewCommand: (stream) => {
        const path = pathArgument(dataPath(opened, stream))
        return gzip ? `gzip -dc ${path} | head -n 5` : `head -n 5 ${path}`
      },
      refusal: (manifest, mode) => refusalOf(opened, manifest, mode),
      start: Effect.succeed({
        open: (stream, mode, isResumed) => openStream(opened, stream, mode, isResumed),
        openTable: (schema, mode, isResumed) => openTable(opened, schema, mode, isResumed)
      })
    }
  })
}

/** `jsonl:DIR`. */
export const jsonLines: DestinationKind = {
  scheme: "jsonl",
  place: "DIR",
  contents: "a file per stream",
  takesGzip: true,
  suggestion: (text) =>
    /\.jsonl?(\.gz)?$/i.test(text) ? ": JSON lines go into a folder with one file per stream" : undefined,
  replacesRows: false,
  refusal: refusalOfSettings,
  owns: ownsFile,
  layer
}
