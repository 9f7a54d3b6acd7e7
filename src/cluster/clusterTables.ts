/** The tables of a cluster's database that are not those of Effect's cluster. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/** Executes statements that create or drop tables, one process at a time: those with IF NOT EXISTS would conflict. */
export const alone = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    sql.withTransaction(
      Effect.andThen(sql`SELECT pg_advisory_xact_lock(hashtext('source_prometheus_cluster'))`, effect)
    )
  )

/** Creates the tables of all groups. */
export const createTables = alone(
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`
      CREATE TABLE IF NOT EXISTS groups (
        name text PRIMARY KEY,
        used_at timestamptz NOT NULL DEFAULT now()
      )
    `
    yield* sql`
      CREATE TABLE IF NOT EXISTS syncs (
        name text PRIMARY KEY,
        sync_id text NOT NULL,
        destination text NOT NULL,
        settings text NOT NULL,
        id text NOT NULL,
        alive_at timestamptz NOT NULL DEFAULT now()
      )
    `
    yield* sql`
      CREATE TABLE IF NOT EXISTS workers (
        id text PRIMARY KEY,
        name text NOT NULL,
        destination text NOT NULL,
        settings text NOT NULL,
        slots integer NOT NULL,
        alive_at timestamptz NOT NULL DEFAULT now()
      )
    `
    yield* sql`
      CREATE TABLE IF NOT EXISTS budgets (
        name text PRIMARY KEY,
        requests_until double precision NOT NULL,
        samples_until double precision NOT NULL
      )
    `
  })
)
