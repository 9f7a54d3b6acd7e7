/** The catalog of a DuckLake, held by this process before DuckDB attaches it. */
import type { DuckDBConnection } from "@duckdb/node-api"
import type { Effect } from "effect"
import type { DestinationError } from "../Destination.ts"

export interface LakeCatalog {
  /** The address to attach, after `ducklake:`. */
  readonly address: string
  /** Whether it is in PostgreSQL. */
  readonly isPostgres: boolean
  /** Where its data is, as the catalog has it. Undefined if there is no DuckLake yet. */
  readonly dataPath: string | undefined
  /** Rejects if this process no longer holds the catalog. */
  readonly check: () => Promise<void>
  /** Runs something while no other process that shares the catalog runs something in this way. */
  readonly inTurn: <A>(body: () => Promise<A>) => Promise<A>
  /** The size of the catalog itself, which also has small commits of rows. */
  readonly bytes: Effect.Effect<number>
}

/** What a catalog is opened with. */
export interface CatalogEngine {
  readonly connection: DuckDBConnection
  /** Runs an operation and maps DuckDB's errors. Uninterruptible. */
  readonly attempt: <A>(run: () => Promise<A>) => Effect.Effect<A, DestinationError>
}

/** The table of a catalog that has the path of the data. */
export const METADATA_TABLE = "ducklake_metadata"
