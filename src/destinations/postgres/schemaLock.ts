/** The lock of a schema: a run holds it alone, and processes that write parts share it. */
import { Effect, Schedule } from "effect"
import { DestinationError } from "../Destination.ts"
import type { TableDatabase } from "../tables/TableDatabase.ts"
import { fromServer, onServer, serverText } from "./postgresDialect.ts"

/** Whether a process has a schema for itself, shares it with others, or only reads it. */
export type Hold = "alone" | "shared" | "none"

/** A connection of a killed run may take a moment to end. */
const LOCK_ATTEMPTS = 30
const LOCK_PAUSE = "100 millis"

/** The server notices after a minute and a half that the machine of a client is gone. */
export const KEEP_ALIVE =
  "SET LOCAL tcp_keepalives_idle = 30; SET LOCAL tcp_keepalives_interval = 15; SET LOCAL tcp_keepalives_count = 4"

/**
 * Holds the lock of the schema until the scope closes: in a transaction of its own that does nothing else, because the server
 * releases locks of a session when DuckDB returns its connection. The server can still remove dead rows of other transactions.
 */
export const lockSchema = Effect.fnUntraced(function* (
  path: string,
  schema: string,
  hold: "alone" | "shared",
  { attempt, connect }: Pick<TableDatabase, "attempt" | "connect">
) {
  const holder = yield* connect
  const key = `hashtextextended(${serverText(`source-prometheus ${schema}`)}, 0)`
  const rows = (sql: string) => attempt(async () => (await holder.runAndReadAll(fromServer(sql))).getRowsJS())
  yield* Effect.acquireRelease(
    attempt(() => holder.run("BEGIN")),
    () => Effect.ignore(attempt(() => holder.run("ROLLBACK")))
  )
  yield* attempt(() =>
    // The last one is new in PostgreSQL 17.
    holder.run(
      onServer(
        `DO $source_prometheus$ BEGIN
           PERFORM set_config(name, '0', true) FROM pg_settings
           WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout');
         END $source_prometheus$; ${KEEP_ALIVE}`
      )
    )
  )
  const take = hold === "alone" ? "pg_try_advisory_xact_lock" : "pg_try_advisory_xact_lock_shared"
  const tryLock = Effect.flatMap(rows(`SELECT ${take}(${key})`), ([row]) =>
    row?.[0] === true ? Effect.void : Effect.fail("held" as const)
  )
  yield* Effect.retry(tryLock, {
    times: LOCK_ATTEMPTS,
    schedule: Schedule.spaced(LOCK_PAUSE),
    while: (error) => error === "held"
  }).pipe(
    Effect.catchIf(
      (error): error is "held" => error === "held",
      () =>
        Effect.flatMap(
          rows(
            `SELECT a.application_name, host(a.client_addr) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
             WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
             AND (l.classid::bigint << 32) + l.objid::bigint = ${key} LIMIT 1`
          ),
          ([row]) => {
            const [name, host] = row ?? []
            const process = /\((process \d+ on [^)]*)\)?/.exec(String(name))?.[1]
            const who = process ?? `another run${typeof host === "string" ? ` (from ${host})` : ""}`
            return new DestinationError({
              message: `${path} is in use by ${who}. Wait for its end, or choose another schema.`
            })
          }
        )
    )
  )
})
