/** `parquet:DIR`. */
import type { DestinationKind } from "../DestinationKind.ts"
import { DEFAULT_MEMORY_MEGABYTES } from "../duckdb/startDuckDB.ts"
import { ownsFile } from "../folder/ownsFile.ts"
import { layer } from "./ParquetFolder.ts"

export const parquet: DestinationKind = {
  scheme: "parquet",
  place: "DIR",
  contents: "a file per stream and day",
  takesGzip: false,
  memoryMegabytes: DEFAULT_MEMORY_MEGABYTES,
  replacesRows: true,
  owns: ownsFile,
  layer
}
