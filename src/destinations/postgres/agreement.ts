/**
 * What processes that write parts of the same streams agree on: manifests, the names of tables, and their columns. Each agreement is
 * a short transaction of its own, which finds what another process has done before.
 *
 * Locks are taken in this order: of names, of a manifest, of a table. A commit of rows has the one of its table first, so it takes
 * no lock of names, and a process that changes a table with rows has no lock of its manifest.
 */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect, Schedule, Struct } from "effect"
import { DestinationError } from "../Destination.ts"
import {
  emptyManifest,
  keyOf,
  loadManifests,
  type Manifest,
  manifestFrom,
  saveManifest,
  tablesOf
} from "../tables/manifests.ts"
import { folded, isOwnColumn } from "../tables/names.ts"
import { quoteName } from "../tables/quoteSql.ts"
import { type Shape, wrongColumns } from "../tables/shapes.ts"
import { grow, manifestOf } from "../tables/streamTables.ts"
import type { OpenSchema } from "./openSchema.ts"
import { CLEAR_CACHE, fromServer, onServer, ownRelations, serverText } from "./postgresDialect.ts"
import { isPassing } from "./postgresError.ts"
import { type Query, readRelations, readShapes } from "./relations.ts"
import { within } from "./within.ts"

/** The manifest of a stream, and its version, which each commit changes. */
export interface Saved {
  readonly manifest: Manifest
  readonly version: string
}

/** How often a transaction is repeated that may succeed then: for half a minute or more. */
const ATTEMPTS = 10

const pauses = Schedule.jittered(
  Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("8 seconds")])
)

/** Repeats a transaction after errors that may be over. It must not matter whether it was committed before. */
export const persistently = <A, E extends object, R>(body: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.retry(body, { times: ATTEMPTS, schedule: pauses, while: isPassing })

export type Agreement = ReturnType<typeof makeAgreement>

export const makeAgreement = (opened: OpenSchema, connection: DuckDBConnection) => {
  const { about, database, exclusively, isStillWriter, lockNames, schema } = opened
  const { attempt, dialect, kindOf, layoutOf, path } = database
  const table = (name: string) => `${quoteName(schema)}.${quoteName(name)}`
  const streams = table(ownRelations.streams)
  /** The columns of tables, by folded name, that DuckDB has seen at least. It looks again only if its cache is cleared. */
  const seenColumns = new Map(Array.from(opened.shapes, ([name, { names }]) => [name, JSON.stringify(names)]))

  const runOn = (own: DuckDBConnection) => (sql: string) => attempt(() => own.run(sql))
  const queryOn =
    (own: DuckDBConnection): Query =>
    (sql) =>
      attempt(async () => (await own.runAndReadAll(sql)).getRowsJS())
  const run = runOn(connection)
  const query = queryOn(connection)

  const damaged = (stream: string) =>
    new DestinationError({
      message: `${path} is damaged: ${dialect.streamsName} has an entry of ${stream} that this program has not written. Restore the schema from before, or read the stream again without parts.`
    })

  /** The manifest of a stream as the last commit left it; undefined if it has none. */
  const latest = (stream: string, ask: Query = query) =>
    Effect.flatMap(
      ask(
        fromServer(
          `SELECT entry, ctid::text || ' ' || xmin::text FROM ${streams} WHERE stream = ${serverText(keyOf(stream))}`
        )
      ),
      Effect.fnUntraced(function* (rows) {
        if (rows.length === 0) return undefined
        const [text, version] = rows[0]!
        const manifest = rows.length === 1 ? manifestFrom(stream, text) : undefined
        return manifest === undefined
          ? yield* damaged(stream)
          : ({ manifest, version: String(version) } satisfies Saved)
      })
    )

  /** Keeps other processes from changing the manifest of a stream until the end of the transaction. */
  const lockManifest = (stream: string): string =>
    onServer(
      `DO $source_prometheus$ BEGIN
         PERFORM 1 FROM ${streams} WHERE stream = ${serverText(keyOf(stream))} FOR UPDATE;
       END $source_prometheus$`
    )

  const save = (own: DuckDBConnection, manifest: Manifest, isKnown = true) =>
    attempt(() => saveManifest(dialect, own, manifest, isKnown, false))

  /** A short transaction. */
  const briefly = <A>(body: Effect.Effect<A, DestinationError>) =>
    persistently(
      exclusively(
        within(
          connection,
          run,
          Effect.tap(body, () => run(isStillWriter))
        )
      )
    )

  /** Reads by the connection that all streams share. */
  const alone = <A>(body: Effect.Effect<A, DestinationError>) => persistently(exclusively(body))

  /** All manifests, and the streams whose ones are damaged. */
  const all = Effect.mapError(
    loadManifests(about, query, { relations: new Map(), shapes: new Map() }),
    ({ message }) => new DestinationError({ message, isFatal: true })
  )

  /** Gives streams a manifest, a table's name, and a length of parts, if they have none. */
  const enter = (proposed: ReadonlyMap<string, number | undefined>) =>
    briefly(
      Effect.gen(function* () {
        yield* run(lockNames)
        const { damaged, manifests } = yield* all
        const taken = new Set(Array.from(manifests.values()).flatMap(tablesOf).map(folded))
        const lengths = new Map<string, number>()
        for (const { partMillis, stream } of manifests.values()) {
          if (partMillis !== undefined) lengths.set(stream, partMillis)
        }
        for (const [stream, partMillis] of proposed) {
          if (damaged.has(stream)) continue
          const length = partMillis === undefined ? {} : { partMillis }
          if (!manifests.has(stream)) {
            const name = dialect.tableName(stream, taken)
            taken.add(folded(name))
            yield* save(connection, { ...emptyManifest(stream, kindOf(stream), name), ...length }, false)
          } else if (partMillis !== undefined && !lengths.has(stream)) {
            yield* run(lockManifest(stream))
            const now = yield* latest(stream)
            if (now !== undefined) yield* save(connection, { ...now.manifest, ...length })
          }
          if (partMillis !== undefined && !lengths.has(stream)) lengths.set(stream, partMillis)
        }
        return lengths
      })
    )

  const shapeOf = (name: string): Effect.Effect<Shape | undefined, DestinationError> =>
    Effect.map(readShapes(query, schema, name), (shapes) => shapes.get(folded(name)))

  /** The label columns of a table as the server has them now. */
  const labelsIn = (stream: string, { names }: Shape): ReadonlyArray<string> => {
    const { rest } = layoutOf(stream)
    return names.filter((name) => !isOwnColumn(rest, name))
  }

  /** The manifest of a stream, which gets one if it has none. Refuses a table that is not this program's. */
  const open = Effect.fnUntraced(function* (stream: string) {
    const entered = alone(latest(stream)).pipe(
      Effect.flatMap((found) => (found === undefined ? damaged(stream) : Effect.succeed(found.manifest)))
    )
    if ((yield* alone(latest(stream))) === undefined) yield* enter(new Map([[stream, undefined]]))
    const { table } = yield* entered
    const relations = yield* alone(readRelations(query, schema, table))
    // Read after the relations: another process may just have created the table, with an entry in the manifest.
    const manifest = yield* entered
    const fresh = {
      ...database,
      manifests: new Map([[stream, manifest]]),
      damaged: new Set<string>(),
      relations,
      tables: new Map<string, string>(),
      tableNames: new Set<string>(),
      shapeOf: (name: string) => alone(shapeOf(name))
    }
    yield* manifestOf(fresh, stream, "incremental_append_deduped", {
      kind: kindOf(stream),
      wrong: (shape) => wrongColumns(shape, layoutOf(stream))
    })
    database.tables.set(stream, manifest.table)
    const shape = manifest.hasTable ? yield* alone(shapeOf(manifest.table)) : undefined
    return { manifest, labels: shape === undefined ? [] : labelsIn(stream, shape) }
  })

  /** Creates the table of a stream if it has none, and removes what a stopped refresh has left. */
  const createTable = (stream: string, wanted: ReadonlyArray<string>) =>
    briefly(
      Effect.gen(function* () {
        yield* run(lockNames)
        yield* run(lockManifest(stream))
        const { manifest } = (yield* latest(stream)) ?? (yield* damaged(stream))
        const { hasTable, next, table } = manifest
        if (hasTable && next === undefined) return
        if (next !== undefined) yield* run(dialect.dropTable(next.table))
        if (!hasTable)
          yield* attempt(() => grow(changes, database, table, layoutOf(stream), undefined, wanted))
        yield* save(connection, {
          ...Struct.omit(manifest, [
            "next",
            "nextKind",
            ...(next === undefined ? [] : (["refreshState"] as const))
          ]),
          hasTable: true
        })
      })
    )

  const changes = async (sql: string) => (await connection.run(sql)).rowsChanged

  /** Adds columns that `wanted` finds missing among those of the table. */
  const addColumns = (
    stream: string,
    name: string,
    wanted: (labels: ReadonlyArray<string>) => ReadonlyArray<string>
  ) =>
    briefly(
      Effect.gen(function* () {
        yield* run(onServer(`LOCK TABLE ${table(name)} IN ACCESS EXCLUSIVE MODE`))
        const shape = yield* shapeOf(name)
        if (shape === undefined) return
        const labels = labelsIn(stream, shape)
        yield* attempt(() => grow(changes, database, name, layoutOf(stream), labels, wanted(labels)))
      })
    )

  /**
   * Makes a table with the columns that `wanted` finds among those of the table, and returns its label columns. Columns are only
   * added, so that they stay.
   */
  const prepare = Effect.fnUntraced(function* (
    stream: string,
    { hasTable, next, table }: Manifest,
    wanted: (labels: ReadonlyArray<string>) => ReadonlyArray<string>
  ) {
    if (!hasTable || next !== undefined) yield* createTable(stream, wanted([]))
    const read = alone(shapeOf(table))
    const lacks = (shape: Shape | undefined) => {
      const labels = shape === undefined ? [] : labelsIn(stream, shape)
      return wanted(labels).some((name) => !labels.includes(name))
    }
    let shape = yield* read
    if (lacks(shape)) {
      yield* addColumns(stream, table, wanted)
      shape = yield* read
    }
    if (shape === undefined) {
      return yield* new DestinationError({
        message: `${path} has no table ${quoteName(table)} any more, which ${dialect.streamsName} says it has. Restore the schema from before, or read the stream again without parts.`
      })
    }
    const columns = JSON.stringify(shape.names)
    if (seenColumns.get(folded(table)) !== columns) {
      yield* alone(run(CLEAR_CACHE))
      seenColumns.set(folded(table), columns)
    }
    return labelsIn(stream, shape)
  })

  return { alone, all, enter, latest, lockManifest, open, prepare, queryOn, runOn, save, table }
}
