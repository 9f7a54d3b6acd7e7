/** Opens a schema of PostgreSQL: for this process only, or beside others that write parts. */
import { randomUUID } from "node:crypto"
import { hostname } from "node:os"
import { Effect, Result, Semaphore } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { withDefaults } from "../../postgres/connection.ts"
import { DEFAULT_LABEL_COLUMNS } from "../../records/LabelColumns.ts"
import type { DestinationError } from "../Destination.ts"
import { type OpenOptions, shapesIn } from "../DestinationKind.ts"
import { temporaryFolder } from "../folder/temporaryFolder.ts"
import type { Run, RunQuery } from "../tables/Dialect.ts"
import { loadExtension } from "../tables/extensions.ts"
import { loadManifests, type Manifest, tablesOf } from "../tables/manifests.ts"
import { DATABASE, folded, type Relation } from "../tables/names.ts"
import { quoteName, quoteText } from "../tables/quoteSql.ts"
import type { Shape } from "../tables/shapes.ts"
import { DEFAULT_MEMORY_MEGABYTES, divideBytes, STAGED_SHARE, startDuckDB } from "../tables/startDuckDB.ts"
import type { TableDatabase } from "../tables/TableDatabase.ts"
import { transaction } from "../tables/transaction.ts"
import { parseAddress } from "./address.ts"
import {
  CLEAR_CACHE,
  fromServer,
  onServer,
  ownRelations,
  postgresDialect,
  serverText
} from "./postgresDialect.ts"
import { postgresError } from "./postgresError.ts"
import { readRelations, readShapes } from "./relations.ts"
import { type Hold, lockSchema, WITHOUT_TIMEOUTS } from "./schemaLock.ts"
import { within } from "./within.ts"

/** The encodings of databases that have all characters, or keep all bytes. */
const ENCODINGS: ReadonlySet<string> = new Set(["UTF8", "SQL_ASCII"])

/** What the token of processes that write parts begins with. They share it. */
const SHARED_TOKEN = "parts "

/** An open schema. */
export type OpenSchema = Effect.Success<ReturnType<typeof openSchema>>

/** Opens the schema until the scope closes. Creates it if it does not exist. */
export const openSchema = Effect.fnUntraced(function* (
  options: OpenOptions,
  hold: Hold = options.readOnly === true ? "none" : "alone"
) {
  const { labelColumns, memoryMegabytes = DEFAULT_MEMORY_MEGABYTES, path, source } = options
  const { connection: address, schema } = yield* Effect.fromResult(
    Result.mapError(parseAddress(path), (message) => new ConfigError({ message }))
  )
  const named = withDefaults(
    address,
    `source-prometheus (process ${process.pid} on ${hostname()})`.slice(0, 63)
  )
  const { attempt, connect, duckdb } = yield* startDuckDB({
    memoryMegabytes,
    temporaryFolder: yield* temporaryFolder,
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
      `ATTACH ${quoteText(named)} AS ${DATABASE} (TYPE postgres, SCHEMA ${quoteText(schema)}, ISOLATION_LEVEL 'READ COMMITTED'${hold === "none" ? ", READ_ONLY" : ""})`
    ),
    () => Effect.ignore(run(`DETACH ${DATABASE}`))
  )
  const [encoding] = yield* querySafely(fromServer("SELECT current_setting('server_encoding')"))
  if (!ENCODINGS.has(String(encoding?.[0]))) {
    return yield* new ConfigError({
      message: `${path} is in a database with the encoding ${encoding?.[0]}, which lacks characters that metrics and labels may have. Use a database with the encoding UTF8 (createdb --encoding=UTF8 --template=template0 NAME).`
    })
  }
  const dialect = postgresDialect(schema)
  const about = { dialect, labelColumns, path, source }
  if (hold !== "none") yield* lockSchema(path, schema, hold, { attempt, connect })

  const inSchema = (name: string) => `${quoteName(schema)}.${quoteName(name)}`
  const aboutTable = inSchema(ownRelations.about)
  /** Held while names are given, so that processes agree on them. It ends with its transaction. */
  const lockNames = onServer(
    `DO $source_prometheus$ BEGIN
       PERFORM pg_advisory_xact_lock(hashtextextended(${serverText(`source-prometheus names ${schema}`)}, 0));
     END $source_prometheus$`
  )
  const find = Effect.flatMap(
    readRelations(querySafely, schema),
    Effect.fnUntraced(function* (kinds) {
      const isOurs = kinds.has(ownRelations.about) && kinds.has(ownRelations.streams)
      if (isOurs || kinds.size === 0) return isOurs
      return yield* new ConfigError({
        message: `${path} has tables in the schema ${quoteName(schema)}, but none of this program's, so source-prometheus has not created it. Choose another schema, such as schema=metrics.`
      })
    })
  )
  const create = Effect.gen(function* () {
    yield* run(lockNames)
    // Another process may have been faster.
    if (yield* find) return
    const exists =
      (yield* querySafely(fromServer(`SELECT 1 FROM pg_namespace WHERE nspname = ${serverText(schema)}`)))
        .length > 0
    yield* run(
      onServer(`
        ${exists ? "" : `CREATE SCHEMA ${quoteName(schema)};`}
        CREATE TABLE ${aboutTable} (version integer, source text, label_columns boolean, writer text);
        CREATE TABLE ${inSchema(ownRelations.streams)} (stream text, entry text);
        CREATE SEQUENCE ${inSchema(ownRelations.rows)};
        INSERT INTO ${aboutTable} VALUES (${dialect.version}, ${serverText(source)}, ${labelColumns})`)
    )
  })
  const isOurs = yield* find
  if (!isOurs && hold !== "none") {
    yield* within(connection, run, create)
    yield* run(CLEAR_CACHE)
  }

  const load = Effect.gen(function* () {
    const relations = yield* readRelations(querySafely, schema)
    const shapes = yield* readShapes(querySafely, schema)
    return { relations, shapes, ...(yield* loadManifests(about, querySafely, { relations, shapes })) }
  })
  /**
   * The present writer is named in the database, so that a process that has lost its lock commits nothing more. The row of the name is
   * locked while manifests are loaded: such a process cannot change them afterwards.
   */
  const begin = Effect.gen(function* () {
    yield* run(
      onServer(
        `DO $source_prometheus$ BEGIN PERFORM 1 FROM ${aboutTable} FOR UPDATE; END $source_prometheus$`
      )
    )
    const loaded = yield* load
    const isEmpty = loaded.manifests.size === 0 && loaded.damaged.size === 0
    const mine = `${hold === "shared" ? SHARED_TOKEN : ""}${randomUUID()}`
    // Processes with other settings may have begun to write parts.
    yield* run(
      onServer(
        `UPDATE ${aboutTable} SET writer = ${serverText(mine)} WHERE ${
          hold === "alone"
            ? "true"
            : `writer IS NULL OR NOT starts_with(writer, ${serverText(SHARED_TOKEN)}) OR source <> ${serverText(source)} OR label_columns <> ${labelColumns}`
        }`
      )
    )
    if (isEmpty) {
      yield* run(
        onServer(`UPDATE ${aboutTable} SET source = ${serverText(source)}, label_columns = ${labelColumns}`)
      )
    }
    const [row] = yield* querySafely(fromServer(`SELECT writer FROM ${aboutTable}`))
    return { ...loaded, writer: String(row?.[0]) }
  })
  const none = {
    relations: new Map<string, Relation>(),
    shapes: new Map<string, Shape>(),
    manifests: new Map<string, Manifest>(),
    damaged: new Set<string>(),
    writer: ""
  }
  const { damaged, manifests, relations, shapes, writer } =
    hold !== "none" ? yield* within(connection, run, begin) : isOurs ? { ...(yield* load), writer: "" } : none
  const isStillWriter = onServer(`DO $source_prometheus$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM ${aboutTable} WHERE writer = ${serverText(writer)} FOR SHARE) THEN
      RAISE EXCEPTION 'another run has taken over the schema';
    END IF;
  END $source_prometheus$`)

  const lock = yield* Semaphore.make(1)
  const exclusively = <A>(effect: Effect.Effect<A, DestinationError>) => lock.withPermits(1)(effect)
  const database: TableDatabase = {
    path,
    dialect,
    ...shapesIn(options),
    duckdb,
    attempt,
    connect,
    maxLabels: () => DEFAULT_LABEL_COLUMNS,
    stagedBytes: divideBytes(() => memoryMegabytes * 1_000_000 * STAGED_SHARE),
    memoryMegabytes: () => memoryMegabytes,
    tables: new Map(),
    tableNames: new Set(Array.from(manifests.values()).flatMap(tablesOf).map(folded)),
    manifests,
    damaged,
    relations,
    transact: (own, body) =>
      attempt(async () => {
        try {
          const checked = async (run: Run) => {
            await run(onServer(WITHOUT_TIMEOUTS))
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
      exclusively(Effect.map(readShapes(querySafely, schema, table), (shapes) => shapes.get(folded(table))))
  }
  return {
    database,
    address,
    schema,
    about,
    /** The shapes of all tables, by folded name. */
    shapes,
    /** Fails a transaction if this process is no longer the writer, or one of the writers. */
    isStillWriter,
    lockNames,
    exclusively,
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
