/** The catalog of a DuckLake, held by this process before DuckDB attaches it. */
import type { DuckDBConnection } from "@duckdb/node-api"
import type { Effect } from "effect"
import type { DestinationError } from "../Destination.ts"

export interface LakeCatalog {
  /** Its address after `ducklake:`, for other programs. */
  readonly address: string
  /** The address that this process attaches. */
  readonly attached: string
  /** Whether it is in PostgreSQL. */
  readonly isPostgres: boolean
  /** Where its data is, as the catalog has it. Undefined if there is no DuckLake yet. */
  readonly dataPath: string | undefined
  /** Rejects if this process no longer holds the catalog. */
  readonly check: () => Promise<void>
  /** What only those need that share it. Undefined for a file. */
  readonly shared?: SharedCatalog
  /** The size of the catalog itself, which also has small commits of rows. */
  readonly bytes: Effect.Effect<number>
}

/** A catalog that several processes use at the same time. */
export interface SharedCatalog {
  /** Keeps other processes from creating the DuckLake until `unlockCreation`. Returns its data path, if there is one by then. */
  readonly lockCreation: Effect.Effect<string | undefined, DestinationError>
  readonly unlockCreation: Effect.Effect<void, DestinationError>
  /** The folder of a table's files. A relative one is below that of all data, and has a slash at its end. */
  readonly folderOf: (table: string) => Promise<{ readonly path: string; readonly isRelative: boolean }>
  /** The version of all tables, which each change of a table raises. */
  readonly schemaVersion: () => Promise<string>
}

/** What a catalog is opened with. */
export interface CatalogEngine {
  readonly connection: DuckDBConnection
  /** Runs an operation and maps DuckDB's errors. Uninterruptible. */
  readonly attempt: <A>(run: () => Promise<A>) => Effect.Effect<A, DestinationError>
}

/** The table of a catalog that has the path of the data. */
export const METADATA_TABLE = "ducklake_metadata"
