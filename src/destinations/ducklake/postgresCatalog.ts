/**
 * A catalog in PostgreSQL. Its lock is an advisory lock, which a connection of its own holds as long as the run lasts: exclusive
 * runs hold it alone, writers of parts share it, and PostgreSQL releases it when the process ends.
 */
import { hostname } from "node:os"
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect, type Scope } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
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

/** The lock of a commit, which the processes that share a DuckLake take in turn. */
const TURN = "1936618573, 2"

/** The name under which the connection of the lock is attached. */
const GUARD = "guard"

const NAME = "source-prometheus"

/** A lost connection of another process is noticed by PostgreSQL after a minute and a half. */
const SESSION = `SET application_name = ${quoteText(`${NAME} ${process.pid} on ${hostname()}`.slice(0, 63))};
  SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 15; SET tcp_keepalives_count = 4`

/** Connects to PostgreSQL, takes the lock until the scope closes, and reads the catalog, if there is one. */
export const openPostgresCatalog = Effect.fnUntraced(function* (
  path: string,
  connectionString: string,
  hold: Hold,
  { attempt, connect }: CatalogEngine & { readonly connect: Connect }
) {
  const rows = async (sql: string) =>
    (await connection.runAndReadAll(`FROM postgres_query('${GUARD}', ${quoteText(sql)})`)).getRowsJS()
  const connection = yield* connect
  yield* loadExtension(connection, "postgres_scanner")
  yield* Effect.acquireRelease(
    attempt(async () => {
      // Connections are never closed while they are idle, since one of them keeps the lock.
      await connection.run("SET pg_pool_idle_timeout_millis = 0")
      await connection.run(`ATTACH ${quoteText(connectionString)} AS ${GUARD} (TYPE postgres)`)
      await connection.run("RESET pg_pool_idle_timeout_millis")
      // Between transactions, DuckDB resets its connections, and the lock would be lost. The transaction of PostgreSQL itself
      // ends, since it would keep VACUUM from removing old rows.
      await connection.run("BEGIN")
      await rows("SELECT 1")
      await connection.run(`CALL postgres_execute('${GUARD}', 'COMMIT')`)
      await connection.run(`CALL postgres_execute('${GUARD}', ${quoteText(SESSION)})`)
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
  const dataPath = yield* attempt(async () => {
    const [found] = await rows(
      `SELECT count(*) > 0 FROM pg_tables WHERE schemaname = 'public' AND tablename = '${METADATA_TABLE}'`
    )
    if (found?.[0] !== true) return undefined
    const [value] = await rows(
      `SELECT value FROM public.${METADATA_TABLE} WHERE key = 'data_path' AND scope IS NULL`
    )
    return value === undefined ? "" : String(value[0])
  })
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
    isPostgres: true,
    dataPath,
    check,
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
