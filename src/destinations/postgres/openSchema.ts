/** Opens a schema of PostgreSQL for this process only. */
import { randomUUID } from "node:crypto"
import { hostname, tmpdir } from "node:os"
import { Effect, FileSystem, Result, Schedule, Semaphore } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { DEFAULT_LABEL_COLUMNS } from "../../records/LabelColumns.ts"
import { DestinationError } from "../Destination.ts"
import type { OpenOptions } from "../DestinationKind.ts"
import { cannot } from "../folder/durably.ts"
import type { Run, RunQuery } from "../tables/Dialect.ts"
import { loadExtension } from "../tables/extensions.ts"
import { loadManifests, type Manifest, renameAbout, tablesOf } from "../tables/manifests.ts"
import { DATABASE, folded, type Relation } from "../tables/names.ts"
import { quoteName, quoteText } from "../tables/quoteSql.ts"
import type { Shape } from "../tables/shapes.ts"
import { DEFAULT_MEMORY_MEGABYTES, divideBytes, startDuckDB } from "../tables/startDuckDB.ts"
import type { TableDatabase } from "../tables/TableDatabase.ts"
import { transaction } from "../tables/transaction.ts"
import { parseAddress, withName } from "./address.ts"
import {
  CLEAR_CACHE,
  fromServer,
  INSERTED,
  onServer,
  ownRelations,
  ownTypes,
  postgresDialect,
  serverText
} from "./postgresDialect.ts"
import { postgresError } from "./postgresError.ts"

/** The version of the tables of this program in a schema. */
const VERSION = 2

/** The share of DuckDB's memory for staged samples of all open streams. */
const STAGED_PART = 3 / 10

/** A connection of a killed run may take a moment to end. */
const LOCK_ATTEMPTS = 30
const LOCK_PAUSE = "100 millis"

/** Opens the schema until the scope closes. Creates it if it does not exist. */
export const openSchema = Effect.fnUntraced(function* (options: OpenOptions) {
  const { labelColumns, memoryMegabytes = DEFAULT_MEMORY_MEGABYTES, path, readOnly = false, source } = options
  const { connection: address, schema } = yield* Effect.fromResult(
    Result.mapError(parseAddress(path), (message) => new ConfigError({ message }))
  )
  const files = yield* FileSystem.FileSystem
  const temporaryFolder = yield* files
    .makeTempDirectoryScoped({ prefix: "source-prometheus-" })
    .pipe(Effect.mapError(cannot("made", tmpdir())))
  const named = withName(address, `source-prometheus (process ${process.pid} on ${hostname()})`.slice(0, 63))
  const { attempt, connect, duckdb } = yield* startDuckDB({
    memoryMegabytes,
    temporaryFolder,
    settings: { preserve_insertion_order: "false" },
    errorOf: (error) =>
      postgresError(
        { path, memoryMegabytes, secrets: () => [named, address, process.env.PGPASSWORD ?? ""] },
        error
      )
  })
  const connection = yield* connect
  yield* loadExtension(connection, "postgres_scanner")
  const run = (sql: string) => attempt(() => connection.run(sql))
  const runQuery: RunQuery = async (sql) => (await connection.runAndReadAll(sql)).getRowsJS()
  const querySafely = (sql: string) => attempt(() => runQuery(sql))
  yield* Effect.acquireRelease(
    run(
      `ATTACH ${quoteText(named)} AS ${DATABASE} (TYPE postgres, SCHEMA ${quoteText(schema)}, ISOLATION_LEVEL 'READ COMMITTED'${readOnly ? ", READ_ONLY" : ""})`
    ),
    () => Effect.ignore(run(`DETACH ${DATABASE}`))
  )
  const dialect = postgresDialect(schema)
  const about = { dialect, labelColumns, path, source }
  if (!readOnly) yield* lockSchema(path, schema, connect, attempt)

  const inSchema = (name: string) => `${quoteName(schema)}.${quoteName(name)}`
  const read = () => readRelations(querySafely, schema)
  let kinds = yield* read()
  const isOurs = kinds.has(ownRelations.about) && kinds.has(ownRelations.streams)
  if (!isOurs && kinds.size > 0) {
    return yield* new ConfigError({
      message: `${path} has tables in the schema ${quoteName(schema)}, but none of this program's, so source-prometheus has not created it. Choose another schema, such as schema=metrics.`
    })
  }
  if (!isOurs && !readOnly) {
    const exists =
      (yield* querySafely(fromServer(`SELECT 1 FROM pg_namespace WHERE nspname = ${serverText(schema)}`)))
        .length > 0
    yield* run(
      `${onServer(`
        ${exists ? "" : `CREATE SCHEMA ${quoteName(schema)};`}
        CREATE TABLE ${inSchema(ownRelations.about)} (version integer, source text, label_columns boolean, writer text);
        CREATE TABLE ${inSchema(ownRelations.streams)} (stream text, entry text);
        CREATE SEQUENCE ${inSchema(ownRelations.rows)};
        INSERT INTO ${inSchema(ownRelations.about)} VALUES (${VERSION}, ${serverText(source)}, ${labelColumns})`)};
       ${CLEAR_CACHE}`
    )
    kinds = yield* read()
  }
  /** The present writer is named in the database, so that a run that has lost its lock commits nothing more. */
  const writer = randomUUID()
  const shapes = yield* readShapes(querySafely, schema, labelColumns)
  const { damaged, manifests } =
    !isOurs && readOnly
      ? { manifests: new Map<string, Manifest>(), damaged: new Set<string>() }
      : yield* loadManifests(about, querySafely, { relations: kinds, shapes })
  if (!readOnly) {
    if (manifests.size === 0 && damaged.size === 0) yield* run(renameAbout(about))
    yield* run(onServer(`UPDATE ${inSchema(ownRelations.about)} SET writer = ${serverText(writer)}`))
  }
  const isStillWriter = onServer(`DO $source_prometheus$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM ${inSchema(ownRelations.about)} WHERE writer = ${serverText(writer)} FOR SHARE) THEN
      RAISE EXCEPTION 'another run has taken over the schema';
    END IF;
  END $source_prometheus$`)

  const lock = yield* Semaphore.make(1)
  const exclusively = <A>(effect: Effect.Effect<A, DestinationError>) => lock.withPermits(1)(effect)
  const database: TableDatabase = {
    path,
    dialect,
    labelColumns,
    duckdb,
    attempt,
    connect,
    maxLabels: () => DEFAULT_LABEL_COLUMNS,
    stagedBytes: divideBytes(() => memoryMegabytes * 1_000_000 * STAGED_PART),
    memoryMegabytes: () => memoryMegabytes,
    tables: new Map(),
    tableNames: new Set(Array.from(manifests.values()).flatMap(tablesOf).map(folded)),
    manifests,
    damaged,
    relations: kinds,
    transact: (own, body) =>
      attempt(async () => {
        try {
          const checked = async (run: Run) => {
            const manifest = await body(run)
            await run(isStillWriter)
            return manifest
          }
          return (await transaction(dialect, own, { manifests, damaged }, checked)).manifest
        } catch (error) {
          // It may know changes of tables that were rolled back.
          await own.run(CLEAR_CACHE).catch(() => {})
          throw error
        }
      }).pipe(exclusively, Effect.uninterruptible),
    query: (body) => exclusively(attempt(() => body(runQuery))),
    shapeOf: (table) =>
      exclusively(
        Effect.map(readShapes(querySafely, schema, labelColumns, table), (shapes) =>
          shapes.get(folded(table))
        )
      )
  }
  return {
    database,
    address,
    schema,
    /** The size of all tables and indexes of the schema. */
    bytes: Effect.map(
      exclusively(
        querySafely(
          fromServer(
            `SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::float8 FROM pg_class AS c
             JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = ${serverText(schema)} AND c.relkind = 'r'`
          )
        )
      ),
      ([row]) => Number(row?.[0] ?? 0)
    )
  }
})

type Query = (sql: string) => Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, DestinationError>

const kindNames: Readonly<Record<string, Relation>> = {
  r: "table",
  p: "table",
  v: "view",
  m: "view",
  f: "view",
  S: "sequence",
  c: "type",
  i: "index",
  I: "index"
}

/** All that has a name in the schema, by folded name: indexes and sequences share the names of tables. */
const readRelations = (query: Query, schema: string) =>
  Effect.map(
    query(
      fromServer(
        `SELECT c.relname::text, c.relkind::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE n.nspname = ${serverText(schema)}`
      )
    ),
    (rows) =>
      new Map(rows.map(([name, kind]) => [folded(String(name)), kindNames[String(kind)] ?? "table"] as const))
  )

/** The shapes of all tables, or of one. */
const readShapes = (query: Query, schema: string, labelColumns: boolean, table?: string) =>
  Effect.map(
    query(
      fromServer(
        `SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod)
         FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
         LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE n.nspname = ${serverText(schema)} AND c.relkind IN ('r', 'p')
         ${table === undefined ? "" : `AND c.relname = ${serverText(table)}`} ORDER BY c.oid, a.attnum`
      )
    ),
    (rows) => {
      const types = ownTypes(labelColumns)
      const shapes = new Map<
        string,
        Shape & { readonly names: Array<string>; readonly wrong: Array<string> }
      >()
      for (const [table, column, type] of rows) {
        const key = folded(String(table))
        let shape = shapes.get(key)
        if (shape === undefined) {
          shape = { names: [], wrong: [...types.keys()] }
          shapes.set(key, shape)
        }
        if (column === null || column === INSERTED) continue
        const name = String(column)
        shape.names.push(name)
        if (types.get(name) === type) shape.wrong.splice(shape.wrong.indexOf(name), 1)
      }
      return shapes
    }
  )

/**
 * Holds the lock of the schema until the scope closes: in a transaction of its own that does nothing else, because the server
 * releases locks of a session when DuckDB returns its connection. It keeps the server from removing nothing.
 */
const lockSchema = Effect.fnUntraced(function* (
  path: string,
  schema: string,
  connect: TableDatabase["connect"],
  attempt: TableDatabase["attempt"]
) {
  const holder = yield* connect
  const key = `hashtextextended(${serverText(`source-prometheus ${schema}`)}, 0)`
  const rows = (sql: string) => attempt(async () => (await holder.runAndReadAll(fromServer(sql))).getRowsJS())
  yield* Effect.acquireRelease(
    attempt(() => holder.run("BEGIN")),
    () => Effect.ignore(attempt(() => holder.run("ROLLBACK")))
  )
  yield* attempt(() => holder.run(onServer("SET LOCAL idle_in_transaction_session_timeout = 0")))
  const tryLock = Effect.flatMap(rows(`SELECT pg_try_advisory_xact_lock(${key})`), ([row]) =>
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
            `SELECT a.application_name, a.client_addr::text FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
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
