/**
 * A folder of Parquet files as a destination: `DIR/<stream>/day=2026-01-01/part-00000001.parquet`.
 *
 * Part files are immutable. The manifest lists the live ones. A commit writes new parts aside, atomically replaces the
 * manifest, moves the parts into place and deletes those they supersede. After a crash, the next run completes these steps.
 */
import { Effect, type FileSystem, Layer } from "effect"
import type { ConfigError } from "../../config/ConnectorConfig.ts"
import { shellQuote } from "../../text/shellQuote.ts"
import { sumOf } from "../contents.ts"
import { Destination, type DestinationError, emptyContents } from "../Destination.ts"
import { quoteText } from "../duckdb/quoteSql.ts"
import { DEFAULT_MEMORY_MEGABYTES } from "../duckdb/staging/memory.ts"
import { fileName } from "../folder/fileName.ts"
import { formatOf, openStates, refuseReadOnly, unlessFatal } from "../folder/StateFolder.ts"
import { stateReaderOf } from "../manifest.ts"
import { openEngine } from "./engine.ts"
import { type OpenFolder, recover, removeOrphans, withoutLostRefresh } from "./files.ts"
import { hasOwnNames, ParquetManifest, type PartFile, refreshFiles } from "./manifest.ts"
import { openStream } from "./openStream.ts"
import { globEscape } from "./parts.ts"

/** The options of a folder of Parquet files. */
export interface ParquetOptions {
  readonly folder: string
  /** The source of the data, such as the address of a server. A folder accepts only one source. */
  readonly source: string
  /** One column per label, or otherwise one JSON column `labels`. */
  readonly labelColumns: boolean
  /** How much memory DuckDB may use before it spills to disk. */
  readonly memoryMegabytes?: number
  /** Only read states: nothing on the disk is changed, and streams cannot be opened. */
  readonly readOnly?: boolean
}

/** Opens the folder for one run, with its states. */
export const layer = (
  options: ParquetOptions
): Layer.Layer<Destination, ConfigError | DestinationError, FileSystem.FileSystem> =>
  Layer.effect(
    Destination,
    Effect.gen(function* () {
      const { folder, labelColumns, memoryMegabytes = DEFAULT_MEMORY_MEGABYTES, readOnly = false } = options
      const states = yield* openStates({
        folder,
        source: options.source,
        format: formatOf("Parquet", labelColumns),
        schema: ParquetManifest,
        isOurs: hasOwnNames,
        readOnly
      })
      const opened: OpenFolder = { folder, labelColumns, files: states.files, states }
      const manifests = () => Array.from(states.manifests.values())
      for (const manifest of manifests()) states.assume(yield* withoutLostRefresh(opened, manifest))
      const common = {
        streams: () => [...states.manifests.keys()],
        states: stateReaderOf(states),
        bytes: Effect.sync(() =>
          manifests().reduce((sum, { files, next }) => sum + sizeOf(files) + sizeOf(next?.files ?? []), 0)
        ),
        contents: (stream: string, of: "current" | "refresh") =>
          Effect.suspend(() => {
            const damaged = states.damaged(stream)
            if (damaged !== undefined) return Effect.fail(damaged)
            const manifest = states.manifests.get(stream)
            if (manifest === undefined) return Effect.succeed(emptyContents)
            return Effect.succeed(sumOf(of === "current" ? manifest.files : refreshFiles(manifest)))
          }),
        previewCommand: (stream: string) => `duckdb -c ${shellQuote(previewSql(folder, stream))}`
      }
      if (readOnly) return Destination.of({ ...common, open: () => refuseReadOnly(folder) })

      for (const manifest of manifests()) yield* unlessFatal(recover(opened, manifest))
      yield* removeOrphans(opened)
      const engine = yield* openEngine(opened, memoryMegabytes)
      return Destination.of({
        ...common,
        open: (stream, mode, isResumed = false) => openStream(opened, engine, stream, mode, isResumed)
      })
    })
  )

/** A query that shows some rows of a stream. */
export const previewSql = (folder: string, stream: string): string =>
  `FROM read_parquet(${quoteText(`${globEscape(folder)}/${fileName(stream)}/*/*.parquet`)}, union_by_name=true) LIMIT 10`

const sizeOf = (files: ReadonlyArray<PartFile>): number => files.reduce((sum, { bytes }) => sum + bytes, 0)
