/**
 * Who takes part: the process that submits the parts of a sync, and the workers. Kept in the cluster's database beside the tables
 * of Effect's cluster, and only by the time of the database.
 */
import { randomUUID } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import { asClusterErrors } from "./clusterDatabase.ts"
import { alone, createTables } from "./clusterTables.ts"
import type { ClusterError, ClusterOptions, Workers } from "./PartQueue.ts"
import { groupOf, type SyncSettings } from "./syncSettings.ts"
import { ALIVE_SECONDS } from "./timings.ts"

/** The tables of a group that no process has used for so long are dropped. */
const UNUSED_DAYS = 30

/** A submitter or workers with other settings for the same destination. */
export interface Stranger {
  readonly id: string
  readonly settings: SyncSettings
}

interface Row {
  readonly id: string
  readonly settings: string
}

export class SyncRegistry extends Context.Service<
  SyncRegistry,
  {
    /**
     * Makes this process the submitter of its sync. Returns the id of the sync, which is that of an earlier process if the sync
     * has not ended. Undefined while another submitter is alive.
     */
    readonly claim: Effect.Effect<string | undefined, SqlError>
    /** The submitter is alive. False if it is not the submitter any more. */
    readonly keep: Effect.Effect<boolean, SqlError>
    /** The submitter stops, but the sync has not ended: the next one continues it at once. */
    readonly leave: Effect.Effect<void, SqlError>
    /** The sync has ended. */
    readonly end: Effect.Effect<void, SqlError>
    /** The living workers of this group. */
    readonly workers: Effect.Effect<Workers, SqlError>
    /** This process is a living worker. */
    readonly work: (slots: number) => Effect.Effect<void, SqlError>
    /** This worker stops. */
    readonly rest: Effect.Effect<void, SqlError>
    /** The living submitters, or the living workers, that have other settings for the same destination. */
    readonly strangers: (of: "syncs" | "workers") => Effect.Effect<ReadonlyArray<Stranger>, SqlError>
  }
>()("source-prometheus/cluster/SyncRegistry") {
  static readonly layer = (
    options: ClusterOptions
  ): Layer.Layer<SyncRegistry, ClusterError, SqlClient.SqlClient> =>
    Layer.effect(SyncRegistry, asClusterErrors(options.address)(make(options.settings)))
}

const make = Effect.fnUntraced(function* (settings: SyncSettings) {
  const sql = yield* SqlClient.SqlClient
  const group = groupOf(settings)
  const self = randomUUID()
  const { destination = "" } = settings
  const json = JSON.stringify(settings)
  const isAlive = sql.literal(`alive_at > now() - interval '${ALIVE_SECONDS} seconds'`)
  yield* createTables
  yield* sql`INSERT INTO groups (name) VALUES (${group}) ON CONFLICT (name) DO UPDATE SET used_at = now()`
  yield* dropUnused

  return SyncRegistry.of({
    claim: Effect.map(
      sql<{ readonly sync_id: string }>`
        INSERT INTO syncs (name, sync_id, destination, settings, id)
        VALUES (${group}, ${randomUUID()}, ${destination}, ${json}, ${self})
        ON CONFLICT (name) DO UPDATE SET id = EXCLUDED.id, alive_at = now()
        WHERE NOT syncs.${isAlive} OR syncs.id = EXCLUDED.id
        RETURNING sync_id
      `,
      (rows) => rows[0]?.sync_id
    ),
    keep: Effect.map(
      sql`UPDATE syncs SET alive_at = now() WHERE name = ${group} AND id = ${self} RETURNING name`,
      (rows) => rows.length > 0
    ),
    leave: Effect.asVoid(
      sql`UPDATE syncs SET alive_at = to_timestamp(0) WHERE name = ${group} AND id = ${self}`
    ),
    end: sql`DELETE FROM ${sql(`${group}_replies`)}`.pipe(
      // Executions of an earlier submitter whose results no one needs any more.
      Effect.andThen(sql`DELETE FROM ${sql(`${group}_messages`)}`),
      Effect.andThen(sql`DELETE FROM syncs WHERE name = ${group} AND id = ${self}`),
      sql.withTransaction,
      Effect.asVoid
    ),
    workers: Effect.map(
      sql<{ readonly count: number; readonly slots: number }>`
        SELECT count(*)::int AS count, coalesce(sum(slots), 0)::int AS slots
        FROM workers WHERE name = ${group} AND ${isAlive}
      `,
      ([row]) => ({ count: row?.count ?? 0, slots: row?.slots ?? 0 })
    ),
    work: (slots) =>
      Effect.asVoid(sql`
        WITH gone AS (DELETE FROM workers WHERE alive_at < now() - interval '1 day'),
          used AS (UPDATE groups SET used_at = now() WHERE name = ${group} AND used_at < now() - interval '1 hour')
        INSERT INTO workers (name, destination, settings, slots, id)
        VALUES (${group}, ${destination}, ${json}, ${slots}, ${self})
        ON CONFLICT (id) DO UPDATE SET alive_at = now()
      `),
    rest: Effect.asVoid(sql`DELETE FROM workers WHERE id = ${self}`),
    strangers: (of) =>
      Effect.map(
        sql<Row>`
          SELECT id, settings FROM ${sql(of)}
          WHERE destination = ${destination} AND name <> ${group} AND ${isAlive}
        `,
        (rows) => rows.map(({ id, settings }) => ({ id, settings: JSON.parse(settings) as SyncSettings }))
      )
  })
})

const dropUnused = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const unused = sql.literal(`used_at < now() - interval '${UNUSED_DAYS} days'`)
  const groups = yield* sql<{ readonly name: string }>`SELECT name FROM groups WHERE ${unused}`
  yield* Effect.forEach(
    groups,
    ({ name }) =>
      alone(
        Effect.gen(function* () {
          const tables = yield* sql<{ readonly tablename: string }>`
            SELECT tablename FROM pg_tables
            WHERE schemaname = current_schema() AND starts_with(tablename, ${`${name}_`})
          `
          yield* Effect.forEach(
            tables,
            ({ tablename }) => sql`DROP TABLE IF EXISTS ${sql(tablename)} CASCADE`
          )
          yield* sql`DELETE FROM syncs WHERE name = ${name}`
          yield* sql`DELETE FROM budgets WHERE name = ${name}`
          yield* sql`DELETE FROM groups WHERE name = ${name}`
        })
      ),
    { discard: true }
  )
})
