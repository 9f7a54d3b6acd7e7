/**
 * An attached database whose tables are streams, opened for one run, and the transactions that change streams' manifests together
 * with their rows.
 */
import type { DuckDBConnection } from "@duckdb/node-api"
import type { Effect, Scope } from "effect"
import type { DestinationError } from "../Destination.ts"
import type { StreamShapes } from "../DestinationKind.ts"
import type { Dialect, Run, RunQuery } from "./Dialect.ts"
import type { Manifest } from "./manifests.ts"
import type { Relation } from "./names.ts"
import type { Shape } from "./shapes.ts"

export interface TableDatabase extends StreamShapes {
  /** How the user named it, without secrets. */
  readonly path: string
  readonly dialect: Dialect
  readonly duckdb: typeof import("@duckdb/node-api")
  /** Runs an operation and maps its errors. Uninterruptible. */
  readonly attempt: <A>(run: () => Promise<A>) => Effect.Effect<A, DestinationError>
  /** A connection until the scope closes, with its own temporary tables. */
  readonly connect: Effect.Effect<DuckDBConnection, DestinationError, Scope.Scope>
  /** The most labels of a stream with their own columns. */
  readonly maxLabels: () => number
  /** The bytes that a stream may stage, which is open until the scope closes. */
  readonly stagedBytes: Effect.Effect<() => number, never, Scope.Scope>
  /** The memory for queries, in megabytes. */
  readonly memoryMegabytes: () => number
  /** The tables of streams that may have no manifest yet. */
  readonly tables: Map<string, string>
  /** The folded names of all tables of streams, including planned ones. */
  readonly tableNames: Set<string>
  /** The manifests, by stream. */
  readonly manifests: ReadonlyMap<string, Manifest>
  /** Streams whose manifest was changed by another program. */
  readonly damaged: ReadonlySet<string>
  /** The tables and views that existed when the database was opened, by folded name. */
  readonly relations: ReadonlyMap<string, Relation>
  /**
   * Runs `body` in a transaction, which also saves the manifest that it returns. Transactions are serialized: two could conflict
   * in the manifests, and a checkpoint has to wait for all.
   */
  readonly transact: (
    own: DuckDBConnection,
    body: (run: Run) => Promise<Manifest>
  ) => Effect.Effect<Manifest, DestinationError>
  /** Runs queries, between transactions. */
  readonly query: <A>(body: (runQuery: RunQuery) => Promise<A>) => Effect.Effect<A, DestinationError>
  /** The shape of a table; undefined if it does not exist. */
  readonly shapeOf: (table: string) => Effect.Effect<Shape | undefined, DestinationError>
}
