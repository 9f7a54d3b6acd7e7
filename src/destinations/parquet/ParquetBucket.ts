/** Parquet files in an object store as a destination: `s3://BUCKET/PREFIX/<stream>/day=2026-01-01/part-00000001.parquet`. */
import { Effect } from "effect"
import { shellQuote } from "../../text/shellQuote.ts"
import { sumOf } from "../contents.ts"
import type { OpenOptions } from "../DestinationKind.ts"
import { fileName } from "../folder/fileName.ts"
import { layerPlace } from "../folder/layerFolder.ts"
import { temporaryFolder } from "../folder/temporaryFolder.ts"
import { openBucket } from "../objects/openBucket.ts"
import { quoteText } from "../tables/quoteSql.ts"
import { DEFAULT_MEMORY_MEGABYTES } from "../tables/startDuckDB.ts"
import { bucketParts, type ParquetBucket, recover, withoutLostRefresh } from "./bucketParts.ts"
import { openEngine } from "./engine.ts"
import { bytesOf, format, type ParquetManifest, refreshFiles } from "./manifest.ts"
import { writerOf } from "./openStream.ts"
import { globEscape } from "./parts.ts"
import { openSharedBucket } from "./sharedBucket.ts"
import { makeSharedLayer } from "./sharedLayer.ts"

/** Opens the prefix for one run, with its states. */
export const layerBucket = (options: OpenOptions) =>
  layerPlace<ParquetManifest, ParquetBucket>(options, openBucket(options, format), (opened) => ({
    withoutLostRefresh: (manifest) => withoutLostRefresh(opened, manifest),
    recover: (manifest) => recover(opened, manifest),
    removeOrphans: opened.objects.abortUploads("_state/_new/"),
    contents: (manifest, of) => sumOf(of === "current" ? manifest.files : refreshFiles(manifest)),
    bytes: bytesOf,
    previewCommand: (stream) =>
      `duckdb -c ${shellQuote(previewSql(opened.folder, stream, opened.objects.endpoint()))}`,
    start: Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const memoryMegabytes = options.memoryMegabytes ?? DEFAULT_MEMORY_MEGABYTES
      const engine = yield* openEngine(opened, { folder, within: folder }, memoryMegabytes)
      const parts = bucketParts(opened, engine.workPath)
      return writerOf(parts, engine)
    })
  }))

/** Opens the prefix for parts, beside other processes. */
export const sharedLayerBucket = (options: OpenOptions) =>
  makeSharedLayer({
    options,
    place: openSharedBucket(options, format),
    exclusive: layerBucket,
    previewSql: (stream, place) => previewSql(place.folder, stream, place.endpoint())
  })

/** A query that shows some rows of a stream. DuckDB finds the credentials as this program does. */
export const previewSql = (url: string, stream: string, endpoint: string | undefined): string => {
  const at = endpoint === undefined ? undefined : new URL(endpoint)
  const settings =
    at === undefined
      ? ""
      : `, ENDPOINT ${quoteText(at.host)}, URL_STYLE 'path'${at.protocol === "http:" ? ", USE_SSL false" : ""}`
  return `CREATE SECRET (TYPE s3, PROVIDER credential_chain${settings}); FROM read_parquet(${quoteText(`${globEscape(url)}/${fileName(stream)}/*/*.parquet`)}, union_by_name=true) LIMIT 10`
}
