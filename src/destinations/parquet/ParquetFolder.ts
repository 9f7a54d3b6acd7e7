/**
 * A folder of Parquet files as a destination: `DIR/<stream>/day=2026-01-01/part-00000001.parquet`.
 *
 * Part files are immutable. The manifest lists the live ones. A commit writes new parts aside, atomically replaces the
 * manifest, moves the parts into place and deletes those they supersede. After a crash, the next run completes these steps.
 */
import { Effect, Result } from "effect"
import { shellQuote } from "../../text/shellQuote.ts"
import { sumOf } from "../contents.ts"
import type { DestinationKind, OpenOptions } from "../DestinationKind.ts"
import { fileName } from "../folder/fileName.ts"
import { layerFolder, ownsFile } from "../folder/layerFolder.ts"
import { isS3Url, parseS3Url } from "../objects/S3Url.ts"
import { quoteText } from "../tables/quoteSql.ts"
import { DEFAULT_MEMORY_MEGABYTES } from "../tables/startDuckDB.ts"
import { openEngine } from "./engine.ts"
import { folderParts, newFiles, recover, withoutLostRefresh } from "./files.ts"
import { bytesOf, format, refreshFiles } from "./manifest.ts"
import { writerOf } from "./openStream.ts"
import { layerBucket, sharedLayerBucket } from "./ParquetBucket.ts"
import { globEscape } from "./parts.ts"
import { openSharedFolder } from "./sharedFolder.ts"
import { makeSharedLayer } from "./sharedLayer.ts"

/** Opens the folder or the prefix for one run, with its states. */
export const layer = (options: OpenOptions) => {
  if (isS3Url(options.path)) return layerBucket(options)
  return layerFolder(options, format, (opened) => ({
    withoutLostRefresh: (manifest) => withoutLostRefresh(opened, manifest),
    recover: (manifest) => recover(opened, manifest),
    newFiles,
    contents: (manifest, of) => sumOf(of === "current" ? manifest.files : refreshFiles(manifest)),
    bytes: bytesOf,
    previewCommand: (stream) => `duckdb -c ${shellQuote(previewSql(options.path, stream))}`,
    start: Effect.map(
      openEngine(
        opened,
        { folder: opened.folder, within: opened.newPath },
        options.memoryMegabytes ?? DEFAULT_MEMORY_MEGABYTES
      ),
      (engine) => writerOf(folderParts(opened), engine)
    )
  }))
}

/** Opens the folder for parts, beside other processes. */
export const sharedLayer = (options: OpenOptions) =>
  isS3Url(options.path)
    ? sharedLayerBucket(options)
    : makeSharedLayer({
        options,
        place: openSharedFolder(options, format),
        exclusive: layer,
        previewSql: (stream) => previewSql(options.path, stream)
      })

/** A query that shows some rows of a stream. */
export const previewSql = (folder: string, stream: string): string =>
  `FROM read_parquet(${quoteText(`${globEscape(folder)}/${fileName(stream)}/*/*.parquet`)}, union_by_name=true) LIMIT 10`

/** Addresses of other stores, which people may expect to work. */
const otherStore = /^(s3[an]|gs|gcs|r2|az|abfss?|wasbs?|https?|oss|cos|b2|minio):\/\//i

/** Some put keys into an address, which messages do not repeat. */
const withoutUser = (place: string): string => place.replace(/\/\/.*@/, "//***@")

/** `parquet:s3://BUCKET/PREFIX`. */
const remotePlace = (place: string): Result.Result<string, string> | undefined => {
  if (isS3Url(place)) {
    return Result.mapBoth(parseS3Url(place), {
      onSuccess: ({ url }) => url,
      onFailure: (why) => `--to is "parquet:${withoutUser(place)}", but ${why}.`
    })
  }
  if (!otherStore.test(place)) return undefined
  return Result.fail(
    `--to is "parquet:${withoutUser(place)}", but must be a folder or parquet:s3://BUCKET/PREFIX. AWS_ENDPOINT_URL_S3 names the endpoint of another store that speaks S3.`
  )
}

/** `parquet:DIR`. */
export const parquet: DestinationKind = {
  scheme: "parquet",
  place: "DIR",
  contents: "a file per stream and day; also parquet:s3://BUCKET/PREFIX",
  remotePlace,
  suggestion: (text) => (isS3Url(text) && !text.includes("@") ? `, such as parquet:${text}` : undefined),
  takesGzip: false,
  memoryMegabytes: DEFAULT_MEMORY_MEGABYTES,
  replacesRows: true,
  owns: (place, path) => !isS3Url(place) && ownsFile(place, path),
  layer,
  sharedLayer
}
