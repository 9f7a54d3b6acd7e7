/** Transactions of effects. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect } from "effect"
import type { DestinationError } from "../Destination.ts"
import { CLEAR_CACHE, onServer } from "./postgresDialect.ts"
import { WITHOUT_TIMEOUTS } from "./schemaLock.ts"

/** Runs an effect in a transaction of a connection, whose statements `run` runs. If it fails, the transaction is rolled back. */
export const within = <A, E>(
  connection: DuckDBConnection,
  run: (sql: string) => Effect.Effect<unknown, DestinationError>,
  body: Effect.Effect<A, E>
): Effect.Effect<A, E | DestinationError> =>
  run("BEGIN").pipe(
    Effect.andThen(run(onServer(WITHOUT_TIMEOUTS))),
    Effect.andThen(body),
    Effect.tap(() => run("COMMIT")),
    Effect.onError(() => rollBack(connection)),
    Effect.uninterruptible
  )

/** DuckDB may know changes of tables that are rolled back. */
const rollBack = (connection: DuckDBConnection): Effect.Effect<void> =>
  Effect.promise(async () => {
    await connection.run("ROLLBACK").catch(() => {})
    await connection.run(CLEAR_CACHE).catch(() => {})
  })
