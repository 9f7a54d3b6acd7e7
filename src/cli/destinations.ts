/** Opens the destination that a target names. */
import type { FileSystem, Layer } from "effect"
import type { ConfigError } from "../config/ConnectorConfig.ts"
import type { Destination, DestinationError } from "../destinations/Destination.ts"
import * as DuckDBFile from "../destinations/duckdb/DuckDBFile.ts"
import * as JsonLinesFolder from "../destinations/jsonl/JsonLinesFolder.ts"
import * as ParquetFolder from "../destinations/parquet/ParquetFolder.ts"
import type { Target } from "./target.ts"

/** What is the same for all destinations. */
export interface DestinationOptions {
  /** Where the data comes from. A destination is for one source only. */
  readonly source: string
  /** A column per label, or else one for all. */
  readonly labelColumns: boolean
  /** JSON lines as gzip. */
  readonly gzip: boolean
  /** How much memory DuckDB may use, where it is used. */
  readonly memoryMegabytes: number
  /** Only states are read: nothing on the disk is changed, and streams cannot be opened. */
  readonly readOnly?: boolean
}

/** Of a target, for one run. */
export const destinationLayer = (
  { format, path }: Target,
  { gzip, labelColumns, memoryMegabytes, readOnly = false, source }: DestinationOptions
): Layer.Layer<Destination, ConfigError | DestinationError, FileSystem.FileSystem> => {
  switch (format) {
    case "duckdb":
      return DuckDBFile.layer({ path, source, labelColumns, memoryMegabytes, readOnly })
    case "parquet":
      return ParquetFolder.layer({ folder: path, source, labelColumns, memoryMegabytes, readOnly })
    case "jsonl":
      return JsonLinesFolder.layer({ folder: path, source, labelColumns, gzip, readOnly })
  }
}
