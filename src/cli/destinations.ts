/** The destinations of `run`. A new destination needs a folder and a line here. */
import type { DestinationKind } from "../destinations/DestinationKind.ts"
import { duckdb } from "../destinations/duckdb/DuckDBFile.ts"
import { ducklake } from "../destinations/ducklake/DuckLake.ts"
import { jsonLines } from "../destinations/jsonl/JsonLinesFolder.ts"
import { parquet } from "../destinations/parquet/ParquetFolder.ts"

/** The first one is the default of `--to`. */
export const destinationKinds: readonly [DestinationKind, ...ReadonlyArray<DestinationKind>] = [
  duckdb,
  ducklake,
  parquet,
  jsonLines
]

export const kindOf = (scheme: string): DestinationKind | undefined =>
  destinationKinds.find((kind) => kind.scheme === scheme)

/** The kinds that replace rows, for a sentence. */
export const replacing = (): string =>
  placesText(
    destinationKinds.filter(({ replacesRows }) => replacesRows),
    ({ scheme }) => `${scheme}:`
  )

/** The kinds as values of `--to`, for a sentence. */
export const placesText = (
  kinds: ReadonlyArray<DestinationKind>,
  textOf: (kind: DestinationKind) => string = ({ place, scheme }) => `${scheme}:${place}`
): string => {
  const all = kinds.map(textOf)
  return all.length < 2 ? all.join("") : `${all.slice(0, -1).join(", ")} or ${all.at(-1)}`
}
