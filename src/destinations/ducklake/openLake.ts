/** A DuckLake, opened for one run, and the transactions that change streams' manifests together with their rows. */
import { tmpdir } from "node:os"
import { isAbsolute, join, resolve } from "node:path"
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect, Result, Semaphore } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { DestinationError } from "../Destination.ts"
import { type OpenOptions, shapesIn } from "../DestinationKind.ts"
import { folderBeside, removeLeftovers, TEMPORARY } from "../duckdb/openFile.ts"
import { temporaryFolder } from "../folder/temporaryFolder.ts"
import { isS3Url } from "../objects/S3Url.ts"
import type { Run } from "../tables/Dialect.ts"
import { loadExtension } from "../tables/extensions.ts"
import { bookkeeping, type Manifest } from "../tables/manifests.ts"
import { DATABASE, type Relation } from "../tables/names.ts"
import { openTables } from "../tables/openTables.ts"
import { quoteText } from "../tables/quoteSql.ts"
import { readRelations } from "../tables/relations.ts"
import {
  DEFAULT_MEMORY_MEGABYTES,
  divideBytes,
  maxLabelsIn,
  STAGED_SHARE,
  startDuckDB
} from "../tables/startDuckDB.ts"
import type { TableDatabase } from "../tables/TableDatabase.ts"
import { transaction } from "../tables/transaction.ts"
import { catalogOf, connectionOf } from "./catalogPlace.ts"
import { ducklakeDialect } from "./ducklakeDialect.ts"
import { holdCatalogFile, openCatalogFile } from "./fileCatalog.ts"
import { isConflict, lakeError } from "./lakeError.ts"
import { type Hold, openPostgresCatalog } from "./postgresCatalog.ts"
import { openS3Access, type S3Access } from "./s3Access.ts"

/**
 * After so many changes of tables, the catalog is closed and reopened. DuckLake keeps each version of all tables in memory until
 * then.
 */
const CHANGES_UNTIL_REOPENED = 20

/** Other programs may change the DuckLake at the same time, and compact its files. */
const ATTEMPTS = 5

/** Attaches a DuckLake until the scope closes, and creates it if there is none. */
export const attachLake = Effect.fnUntraced(function* (
  options: OpenOptions & { readonly memoryMegabytes: number },
  hold: Hold
) {
  const { path, readOnly = false } = options
  const place = catalogOf(path)
  const held = place.kind === "file" ? yield* holdCatalogFile(place.path, readOnly) : undefined
  const temporary = readOnly
    ? ""
    : held === undefined
      ? yield* temporaryFolder
      : yield* folderBeside(path, held.file, TEMPORARY)
  let access: S3Access | undefined
  const { attempt, connect, duckdb } = yield* startDuckDB({
    memoryMegabytes: options.memoryMegabytes,
    temporaryFolder: temporary,
    settings: {
      preserve_insertion_order: "false",
      // Secrets that a user has saved for other databases do not belong to this one.
      secret_directory: join(tmpdir(), "source-prometheus-no-secrets")
    },
    errorOf: (error) => lakeError({ ...options, mask: (text) => access?.mask(text) ?? text }, error)
  })
  const connection = yield* connect
  const run = (sql: string) => attempt(() => connection.run(sql))
  const engine = { connection, attempt }
  const catalog =
    place.kind === "file"
      ? yield* openCatalogFile(path, held!, engine)
      : yield* openPostgresCatalog(
          path,
          yield* Effect.fromResult(
            Result.mapError(connectionOf(place.connection), (message) => new ConfigError({ message }))
          ),
          hold,
          { ...engine, connect }
        )
  if (held !== undefined && !readOnly) yield* removeLeftovers(held.file, temporary)
  // Several processes that share a new DuckLake may start at the same time.
  const isCreated = catalog.dataPath !== undefined || readOnly
  const creation = isCreated || hold !== "shared" ? undefined : catalog.shared
  const saved = creation === undefined ? catalog.dataPath : yield* creation.lockCreation
  const dataPath = yield* dataPathOf(options, saved, catalog.isPostgres)
  yield* loadExtension(connection, "ducklake")
  if (dataPath !== undefined && isObjectStore(dataPath)) {
    if (!isS3Url(dataPath)) {
      return yield* new ConfigError({
        message: `The data of ${path} is at ${dataPath}, but must be in a folder or in S3 (s3://BUCKET/PREFIX).`
      })
    }
    access = yield* openS3Access(dataPath, connection)
  }
  const isThere = saved !== undefined
  const attach = run(
    `ATTACH ${quoteText(`ducklake:${catalog.attached}`)} AS ${DATABASE} (${[
      ...(readOnly ? ["READ_ONLY"] : []),
      ...(!isThere && dataPath !== undefined ? [`DATA_PATH ${quoteText(dataPath)}`] : []),
      // Files that a killed transaction has left are never visible, and a table of the catalog lists all others.
      "AUTOMATIC_MIGRATION false"
    ].join(", ")})`
  )
  // Nothing to attach without creating it.
  if (readOnly && !isThere) {
    return {
      access,
      attempt,
      catalog,
      connect,
      connection,
      dataPath,
      duckdb,
      isEmpty: true,
      relations: new Map<string, Relation>(),
      reopen: Effect.void
    }
  }
  yield* Effect.acquireRelease(attach, () => Effect.ignore(run(`DETACH ${DATABASE}`)))
  const { hasOwn, relations } = yield* attempt(() => readRelations(connection))
  const isEmpty = !hasOwn
  if (isEmpty && !readOnly) {
    yield* attempt(async () => {
      await connection.run("BEGIN")
      try {
        await connection.run(bookkeeping(DATABASE, options))
        await connection.run("COMMIT")
      } catch (error) {
        await connection.run("ROLLBACK").catch(() => {})
        // Another process was faster.
        if (!isConflict(error) || !(await readRelations(connection)).hasOwn) throw error
      }
    })
  }
  if (creation !== undefined) yield* creation.unlockCreation
  const snapshot = attempt(async () => {
    const result = await connection.runAndReadAll(`FROM ducklake_current_snapshot('${DATABASE}')`)
    return String(result.getRowsJS()[0]?.[0])
  })
  /** Closes the catalog and reopens it. Nothing else may use it meanwhile. After a failure, it may be closed. */
  const reopen = Effect.gen(function* () {
    const before = yield* snapshot
    // If it cannot be closed, it stays open.
    if (yield* Effect.isFailure(run(`DETACH ${DATABASE}`))) return
    yield* attach
    // A closed file is not locked.
    if (catalog.isPostgres || (yield* snapshot) === before) return
    yield* new DestinationError({
      message: `${path} was changed by another program while this run wrote to it. Close it there, and run again: what was committed is kept.`
    })
  }).pipe(Effect.mapError(({ message }) => new DestinationError({ message, isFatal: true })))
  return {
    access,
    attempt,
    catalog,
    connect,
    /** The DuckLake is attached to it as `DATABASE`. */
    connection,
    dataPath,
    duckdb,
    isEmpty,
    /** The tables and views that exist, by folded name. */
    relations,
    reopen
  }
})

const isObjectStore = (path: string): boolean => /^[a-z][a-z0-9+.-]+:\/\//i.test(path)

/** A data path as DuckLake saves it. */
const normalPath = (path: string): string => {
  const full = isObjectStore(path) || isAbsolute(path) ? path : resolve(path)
  return full.endsWith("/") ? full : `${full}/`
}

/** Where the data goes. Undefined for DuckLake's own choice, beside a catalog in a file. */
const dataPathOf = Effect.fnUntraced(function* (
  { dataPath: given, path, readOnly = false }: OpenOptions,
  saved: string | undefined,
  isPostgres: boolean
) {
  const wanted = given === undefined ? undefined : normalPath(given)
  if (saved !== undefined) {
    if (wanted === undefined || wanted === normalPath(saved)) return normalPath(saved)
    return yield* new ConfigError({
      message: `The data of ${path} is at ${saved}, and --data-path is ${given}. Leave it out, or choose another catalog.`
    })
  }
  if (wanted === undefined && isPostgres && !readOnly) {
    return yield* new ConfigError({
      message: `${path} has no DuckLake yet, and a new one needs a place for its data: --data-path DIR, or --data-path s3://BUCKET/PREFIX.`
    })
  }
  return wanted
})

/** Opens the DuckLake until the scope closes. */
export const openLake = Effect.fnUntraced(function* (given: OpenOptions) {
  const { memoryMegabytes = DEFAULT_MEMORY_MEGABYTES, readOnly = false } = given
  const options = { ...given, dialect: ducklakeDialect, memoryMegabytes }
  const lake = yield* attachLake(options, readOnly ? "none" : "alone")
  const { access, attempt, catalog, connect, duckdb, isEmpty, relations } = lake
  const { damaged, forget, manifests, runQuery, shapeOf, tableNames } = yield* openTables(options, lake)
  const lock = yield* Semaphore.make(1)
  /** Why the DuckLake is no longer open. */
  let lost: DestinationError | undefined
  /** Runs an operation while no other one runs, as the catalog may be reopened in between. */
  const exclusively = <A>(effect: Effect.Effect<A, DestinationError>) =>
    Effect.suspend(() =>
      lost === undefined ? Effect.andThen(access?.renew ?? Effect.void, effect) : Effect.fail(lost)
    ).pipe(lock.withPermits(1))
  let tableChanges = 0

  /** A lost lock is noticed before the commit: what another run has committed by then conflicts with this transaction. */
  const whileHeld =
    (body: (run: Run) => Promise<Manifest>) =>
    async (run: Run): Promise<Manifest> => {
      await run(`FROM ${ducklakeDialect.about} LIMIT 0`)
      await catalog.check()
      return body((sql) => {
        if (/^\s*(CREATE|ALTER|DROP)/.test(sql)) tableChanges++
        return run(sql)
      })
    }

  const commit = async (
    own: DuckDBConnection,
    body: (run: Run) => Promise<Manifest>,
    attempts = ATTEMPTS
  ): Promise<Manifest> => {
    try {
      const { before, manifest } = await transaction(
        ducklakeDialect,
        own,
        { manifests, damaged },
        whileHeld(body)
      )
      forget(before, manifest)
      return manifest
    } catch (error) {
      if (attempts <= 1 || !isConflict(error)) throw error
      return commit(own, body, attempts - 1)
    }
  }

  const reopenIfFull = Effect.suspend(() => {
    if (tableChanges < CHANGES_UNTIL_REOPENED) return Effect.void
    tableChanges = 0
    return Effect.ignore(Effect.tapError(lake.reopen, (error) => Effect.sync(() => (lost = error))))
  })

  const database: TableDatabase = {
    path: options.path,
    dialect: ducklakeDialect,
    ...shapesIn(options),
    maxLabels: () => maxLabelsIn(memoryMegabytes),
    stagedBytes: divideBytes(() => memoryMegabytes * 1_000_000 * STAGED_SHARE),
    tables: new Map<string, string>(),
    tableNames,
    duckdb,
    manifests,
    damaged,
    relations,
    memoryMegabytes: () => memoryMegabytes,
    attempt,
    connect,
    transact: (own, body) =>
      attempt(() => commit(own, body)).pipe(Effect.tap(reopenIfFull), exclusively, Effect.uninterruptible),
    query: (body) => exclusively(attempt(() => body(runQuery))),
    shapeOf: (table) => shapeOf(table, exclusively)
  }
  return {
    database,
    access,
    catalog,
    /** The size of the files of all tables, and of a catalog in a file. */
    bytes: Effect.zipWith(
      isEmpty && readOnly
        ? Effect.succeed(0)
        : database.query(async (runQuery) => {
            const [row] = await runQuery(
              `SELECT coalesce(sum(file_size_bytes + coalesce(delete_file_size_bytes, 0)), 0)::DOUBLE FROM ducklake_table_info('${DATABASE}')`
            )
            return Number(row?.[0])
          }),
      catalog.bytes,
      (data, own) => data + own
    )
  }
})
