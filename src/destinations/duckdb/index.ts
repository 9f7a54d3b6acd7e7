/** `duckdb:FILE`. */
import type { DestinationKind } from "../DestinationKind.ts"
import { layer } from "./DuckDBFile.ts"
import { DEFAULT_MEMORY_MEGABYTES } from "./startDuckDB.ts"

export const duckdb: DestinationKind = {
  scheme: "duckdb",
  place: "FILE",
  takesGzip: false,
  memoryMegabytes: DEFAULT_MEMORY_MEGABYTES,
  suggestion: (text) => (/\.(duckdb|db)$/i.test(text) ? `, such as duckdb:${text}` : undefined),
  replacesRows: true,
  owns: (place, path) => [place, `${place}.wal`, `${place}.tmp`].includes(path),
  layer
}
