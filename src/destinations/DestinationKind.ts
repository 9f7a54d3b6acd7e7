/** A kind of destination, as the command line knows it: each folder of `destinations` exports one. */
import type { FileSystem, Layer } from "effect"
import type { ConfigError } from "../config/ConnectorConfig.ts"
import type { Destination, DestinationError, SyncMode } from "./Destination.ts"

/** How a destination is opened. */
export interface OpenOptions {
  /** Where the data comes from. A destination is for one source only. */
  readonly source: string
  /** A column per label, or else one for all. */
  readonly labelColumns: boolean
  /** Whether files are compressed, where that is a choice. */
  readonly gzip: boolean
  /** How much memory its engine may use, where it has one. */
  readonly memoryMegabytes: number | undefined
  /** The destinations that replace rows, for a refusal to recommend. */
  readonly replacing: string
  /** Only states are read: nothing on the disk is changed, and streams cannot be opened. */
  readonly readOnly: boolean
}

export interface DestinationKind {
  /** What `--to` begins with, such as `parquet`. */
  readonly scheme: string
  /** What follows the scheme. */
  readonly place: "FILE" | "DIR"
  /** What is in that place, for the help text. */
  readonly contents?: string
  /** Whether `--gzip` is for it. */
  readonly takesGzip: boolean
  /** How much memory its engine uses unless `--memory` says otherwise; undefined where that flag is not for it. */
  readonly memoryMegabytes: number | undefined
  /** The end of a sentence for a `--to` without a scheme that may mean this kind; undefined where it does not. */
  readonly suggestion: (text: string) => string | undefined
  /** Whether rows that are read again replace the earlier ones, as deduped mode with a look-back needs. */
  readonly replacesRows: boolean
  /** Why a sync in a mode cannot be done with these settings; undefined where it can. */
  readonly refusal: (
    mode: SyncMode,
    settings: { readonly lookbackMillis: number },
    replacing: OpenOptions["replacing"]
  ) => string | undefined
  /** Whether a file at `path` would be one of the destination at `place`. */
  readonly owns: (place: string, path: string) => boolean
  /** Opens the destination for one run. */
  readonly layer: (
    path: string,
    options: OpenOptions
  ) => Layer.Layer<Destination, ConfigError | DestinationError, FileSystem.FileSystem>
}
