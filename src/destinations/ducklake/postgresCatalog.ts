/**
 * A catalog in PostgreSQL. Its lock is an advisory lock, which a connection of its own holds as long as the run lasts: exclusive
 * runs hold it alone, writers of parts share it, and PostgreSQL releases it when the process ends.
 */
import { hostname } from "node:os"
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect, Schedule, type Scope } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { withDefaults } from "../../postgres/connection.ts"
import { DestinationError } from "../Destination.ts"
import { loadExtension } from "../tables/extensions.ts"
import { quoteText } from "../tables/quoteSql.ts"
import { type CatalogEngine, type LakeCatalog, METADATA_TABLE } from "./LakeCatalog.ts"

/** Opens a connection of DuckDB. */
type Connect = Effect.Effect<DuckDBConnection, DestinationError, Scope.Scope>

/** Whether a process holds a catalog alone, shares it with others, or only reads it. */
export type Hold = "alone" | "shared" | "none"

/** The lock of the DuckLake in a database, which each has its own locks. The first number is of this program. */
const LOCK = "1936618573, 1"

/** The lock of the process that creates the DuckLake, of several that would share it. */
const CREATION = "1936618573, 2"

/** How long they wait for it. */
const CREATION_ATTEMPTS = 600
const CREATION_PAUSE = "100 millis"

/** The name under which the connection of the lock is attached. */
const GUARD = "guard"

const NAME = "source-prometheus"

/** What the server's list of connections says about this process. */
const PROCESS = `${NAME} ${process.pid} on ${hostname()}`.slice(0, 63)

/** A lost connection of another process is noticed by PostgreSQL after a minute and a half. */
const SESSION = `SET application_name = ${quoteText(PROCESS)};
  SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 15; SET tcp_keepalives_count = 4`

/** The server keeps the connection, whatever limits a user has. Not all versions know all of them. */
const WITHOUT_TIMEOUTS = `SELECT set_config(name, '0', false) FROM pg_settings
  WHERE name IN ('idle_session_timeout', 'idle_in_transaction_session_timeout')`

/** A text for SQL of the server, whatever its setting `standard_conforming_strings`. */
const serverText = (text: string): string => `E'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`

/** Connects to PostgreSQL, takes the lock until the scope closes, and reads the catalog, if there is one. */
export const openPostgresCatalog = Effect.fnUntraced(function* (
  path: string,
  connectionString: string,
  hold: Hold,
  { attempt, connect }: CatalogEngine & { readonly connect: Connect }
) {
  let last: Promise<unknown> = Promise.resolve()
  /** Runs a query of PostgreSQL itself, one at a time. */
  const rows = (sql: string): Promise<ReadonlyArray<ReadonlyArray<unknown>>> => {
    const next = last.then(async () =>
      (await connection.runAndReadAll(`FROM postgres_query('${GUARD}', ${quoteText(sql)})`)).getRowsJS()
    )
    last = next.catch(() => {})
    return next
  }
  const attached = withDefaults(connectionString, PROCESS)
  const connection = yield* connect
  yield* loadExtension(connection, "postgres_scanner")
  yield* Effect.acquireRelease(
    attempt(async () => {
      // Connections are never closed while they are idle, since one of them keeps the lock.
      await connection.run("SET pg_pool_idle_timeout_millis = 0")
      await connection.run(`ATTACH ${quoteText(attached)} AS ${GUARD} (TYPE postgres)`)
      await connection.run("RESET pg_pool_idle_timeout_millis")
      // Between transactions, DuckDB resets its connections, and the lock would be lost. The transaction of PostgreSQL itself
      // ends, since it would keep VACUUM from removing old rows.
      await connection.run("BEGIN")
      await rows("SELECT 1")
      await connection.run(`CALL postgres_execute('${GUARD}', 'COMMIT')`)
      await connection.run(`CALL postgres_execute('${GUARD}', ${quoteText(SESSION)})`)
      await rows(WITHOUT_TIMEOUTS)
    }),
    () => Effect.ignore(attempt(() => connection.run(`DETACH ${GUARD}`)))
  )
  /** The connection that keeps the lock: DuckDB has several. */
  let holder = ""
  const takeLock = async (take: string): Promise<boolean> => {
    const [taken] = await rows(`SELECT ${take}(${LOCK}), pg_backend_pid()`)
    holder = String(taken?.[1])
    return taken?.[0] === true
  }
  const { holders, isHeld } = yield* attempt(async () => {
    const take = { alone: "pg_try_advisory_lock", shared: "pg_try_advisory_lock_shared", none: undefined }[
      hold
    ]
    const isHeld = take === undefined || (await takeLock(take))
    const holders = isHeld
      ? []
      : await rows(
          `SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
           WHERE locktype = 'advisory' AND granted AND (classid, objid) = (${LOCK}) AND objsubid = 2
           AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())`
        )
    return { isHeld, holders }
  })
  if (!isHeld) {
    const names = holders.map(([name]) => String(name).replace(NAME, "process"))
    const who = names.length === 0 ? "another process" : names.slice(0, 3).join(", ")
    return yield* new ConfigError({
      message: `${path} is in use by ${who}. Wait for its end, or choose another catalog.`
    })
  }
  const readDataPath = attempt(async () => {
    const [found] = await rows(
      `SELECT count(*) > 0 FROM pg_tables WHERE schemaname = 'public' AND tablename = '${METADATA_TABLE}'`
    )
    if (found?.[0] !== true) return undefined
    const [value] = await rows(
      `SELECT value FROM public.${METADATA_TABLE} WHERE key = 'data_path' AND scope IS NULL`
    )
    return value === undefined ? "" : String(value[0])
  })
  const dataPath = yield* readDataPath
  const check = async () => {
    const now = await rows(
      `SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = ${holder} AND (classid, objid) = (${LOCK})`
    ).catch(() => undefined)
    if (now?.[0]?.[0] === true) return
    throw new DestinationError({
      message: `The connection to PostgreSQL that held ${path} for this run was lost, so another run may have started. Run again: what was committed is kept.`,
      isFatal: true
    })
  }
  const catalog: LakeCatalog = {
    address: `postgres:${connectionString}`,
    attached: `postgres:${attached}`,
    isPostgres: true,
    dataPath,
    check,
    shared: {
      lockCreation: Effect.gen(function* () {
        const take = Effect.flatMap(
          attempt(() => rows(`SELECT pg_try_advisory_lock(${CREATION})`)),
          ([taken]) =>
            taken?.[0] === true
              ? Effect.void
              : new DestinationError({
                  message: `${path} is being created by another process, which has not ended. End it, and run again.`
                })
        )
        yield* Effect.retry(take, {
          times: CREATION_ATTEMPTS,
          schedule: Schedule.spaced(CREATION_PAUSE),
          while: ({ message }) => message.includes(" is being created ")
        })
        return yield* readDataPath
      }),
      unlockCreation: Effect.asVoid(attempt(() => rows(`SELECT pg_advisory_unlock(${CREATION})`))),
      folderOf: async (table) => {
        const [found] = await rows(
          `SELECT s.path::text AS schema_path, s.path_is_relative AS is_schema_relative, t.path::text AS table_path, t.path_is_relative AS is_table_relative
           FROM public.ducklake_table AS t
           JOIN public.ducklake_schema AS s USING (schema_id)
           WHERE t.end_snapshot IS NULL AND s.end_snapshot IS NULL AND s.schema_name = 'main' AND t.table_name = ${serverText(table)}`
        )
        const [schemaPath, isSchemaRelative, tablePath, isTableRelative] = found ?? []
        const isRelative = isTableRelative !== false
        return {
          path: isRelative ? `${schemaPath ?? "main/"}${tablePath ?? ""}` : String(tablePath),
          isRelative: isRelative && isSchemaRelative !== false
        }
      },
      schemaVersion: async () => {
        const [found] = await rows(
          "SELECT schema_version::text FROM public.ducklake_snapshot ORDER BY snapshot_id DESC LIMIT 1"
        )
        return String(found?.[0])
      }
    },
    bytes: attempt(async () => {
      const [size] = await rows(
        `SELECT coalesce(sum(pg_total_relation_size(format('%I.%I', schemaname, tablename)::regclass)), 0)::float8
         FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE 'ducklake%'`
      )
      return Number(size?.[0])
    }).pipe(Effect.orElseSucceed(() => 0))
  }
  return catalog
})
