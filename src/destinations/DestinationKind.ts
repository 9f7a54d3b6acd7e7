/** A kind of destination for the command line. Each folder of `destinations` exports one. */
import type { FileSystem, Layer, Result } from "effect"
import type { ConfigError } from "../config/ConnectorConfig.ts"
import { type Layout, layoutOfKind, type StreamKind } from "../samples/Layout.ts"
import type { Destination, DestinationError, SyncMode } from "./Destination.ts"
import type { SharedDestination } from "./SharedDestination.ts"

/** What a run writes to streams, by their names. */
export interface StreamShapes {
  readonly kindOf: (stream: string) => StreamKind
  /** How the labels of series become columns. */
  readonly layoutOf: (stream: string) => Layout
}

/** What a run writes to a destination that is opened with these options. */
export const shapesIn = ({
  kindOf = () => "metric",
  labelColumns
}: Pick<OpenOptions, "kindOf" | "labelColumns">): StreamShapes => ({
  kindOf,
  layoutOf: (stream) => layoutOfKind(kindOf(stream), labelColumns)
})

/** How a destination is opened. */
export interface OpenOptions {
  readonly path: string
  /** The source of the data, such as the address of a server. A destination accepts only one source. */
  readonly source: string
  /** One column per label, or otherwise one column for all labels. */
  readonly labelColumns: boolean
  /** What a stream contains. By default, the series of a metric. */
  readonly kindOf?: ((stream: string) => StreamKind) | undefined
  /** Whether files are compressed, if the kind supports it. */
  readonly gzip?: boolean
  /** The memory limit of its engine, if it has one. Data beyond it spills to disk. */
  readonly memoryMegabytes?: number | undefined
  /** The destinations that replace rows, for a refusal to recommend. */
  readonly replacing?: string
  /** Where the data goes, for a kind whose `path` only names a catalog, such as `s3://BUCKET/PREFIX`. */
  readonly dataPath?: string | undefined
  /** Only read states: nothing on the disk is changed, and streams cannot be opened. */
  readonly readOnly?: boolean
}

export interface DestinationKind {
  /** The scheme in `--to`, such as `parquet`. */
  readonly scheme: string
  /** Other schemes that mean the same. */
  readonly aliases?: ReadonlyArray<string>
  /** The placeholder after the scheme, for the help text. */
  readonly place: "FILE" | "DIR" | "CATALOG" | "URL"
  /** The contents of the place, for the help text. */
  readonly contents?: string
  /**
   * Reads a place that is not a path on this machine, such as an address. Undefined for a path. Fails with a sentence, which does
   * not quote passwords.
   */
  readonly remotePlace?: (place: string) => Result.Result<string, string> | undefined
  /** Whether it supports `--data-path`. */
  readonly takesDataPath?: boolean
  /** Whether it supports `--gzip`. */
  readonly takesGzip: boolean
  /** The default of `--memory`; undefined if it does not support that flag. */
  readonly memoryMegabytes?: number
  /** The end of a sentence that suggests this kind for a `--to` without a scheme; undefined if it does not fit. */
  readonly suggestion?: (text: string) => string | undefined
  /** Whether rows that are read again replace the earlier ones, as deduped mode with a look-back needs. */
  readonly replacesRows: boolean
  /** Why these settings do not support a sync mode; undefined if they do. */
  readonly refusal?: (
    mode: SyncMode,
    settings: { readonly lookbackMillis: number },
    replacing: string
  ) => string | undefined
  /** Whether a file at `path` would be part of the destination at `place`. */
  readonly owns: (place: string, path: string) => boolean
  /** Opens the destination for one run, with its states. */
  readonly layer: (
    options: OpenOptions
  ) => Layer.Layer<Destination, ConfigError | DestinationError, FileSystem.FileSystem>
  /** Opens the destination for parts, beside other processes; undefined if only one process can write to it. */
  readonly sharedLayer?: (
    options: OpenOptions
  ) => Layer.Layer<SharedDestination, ConfigError | DestinationError, FileSystem.FileSystem>
}
