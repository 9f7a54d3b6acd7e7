/**
 * A folder of Parquet files as a destination: `DIR/<stream>/day=2026-01-01/part-00000001.parquet`.
 *
 * Part files are immutable. The manifest lists the live ones. A commit writes new parts aside, atomically replaces the
 * manifest, moves the parts into place and deletes those they supersede. After a crash, the next run completes these steps.
 */
import { Effect } from "effect"
import { shellQuote } from "../../text/shellQuote.ts"
import { sumOf } from "../contents.ts"
import type { DestinationKind, OpenOptions } from "../DestinationKind.ts"
import { fileName } from "../folder/fileName.ts"
import { layerFolder, ownsFile } from "../folder/layerFolder.ts"
import { quoteText } from "../tables/quoteSql.ts"
import { DEFAULT_MEMORY_MEGABYTES } from "../tables/startDuckDB.ts"
import { openEngine } from "./engine.ts"
import { folderParts, newFiles, recover, withoutLostRefresh } from "./files.ts"
import { hasOwnNames, ParquetManifest, refreshFiles } from "./manifest.ts"
import { openStream } from "./openStream.ts"
import { globEscape } from "./parts.ts"
import { openSharedFolder } from "./sharedFolder.ts"
import { makeSharedLayer } from "./sharedLayer.ts"

const format = { name: "Parquet", schema: ParquetManifest, isOurs: hasOwnNames }

/** Opens the folder for one run, with its states. */
export const layer = (options: OpenOptions) => {
  return layerFolder(options, format, (opened) => ({
    withoutLostRefresh: (manifest) => withoutLostRefresh(opened, manifest),
    recover: (manifest) => recover(opened, manifest),
    newFiles,
    contents: (manifest, of) => sumOf(of === "current" ? manifest.files : refreshFiles(manifest)),
    bytes: ({ files, next }) => [...files, ...(next?.files ?? [])].reduce((sum, { bytes }) => sum + bytes, 0),
    previewCommand: (stream) => `duckdb -c ${shellQuote(previewSql(options.path, stream))}`,
    start: Effect.map(
      openEngine(opened, opened.newPath, options.memoryMegabytes ?? DEFAULT_MEMORY_MEGABYTES),
      (engine) => (stream, mode, isResumed) =>
        openStream(folderParts(opened), engine, stream, mode, isResumed)
    )
  }))
}

/** Opens the folder for parts, beside other processes. */
export const sharedLayer = (options: OpenOptions) =>
  makeSharedLayer({
    options,
    place: openSharedFolder(options, format),
    exclusive: layer(options),
    previewSql: (stream) => previewSql(options.path, stream)
  })

/** A query that shows some rows of a stream. */
export const previewSql = (folder: string, stream: string): string =>
  `FROM read_parquet(${quoteText(`${globEscape(folder)}/${fileName(stream)}/*/*.parquet`)}, union_by_name=true) LIMIT 10`

/** `parquet:DIR`. */
export const parquet: DestinationKind = {
  scheme: "parquet",
  place: "DIR",
  contents: "a file per stream and day",
  takesGzip: false,
  memoryMegabytes: DEFAULT_MEMORY_MEGABYTES,
  replacesRows: true,
  owns: ownsFile,
  layer,
  sharedLayer
}
