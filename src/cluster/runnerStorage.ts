/**
 * The storage of the workers' locks, which gives many locks back with one statement.
 *
 * When a worker joins, the others give it a part of their locks. Effect gives each back with its own statement, all at the same
 * time on one connection. On a busy machine some then take longer than their deadline, which closes the connection: all fail, and
 * are tried again in the same way. Our locks are rows of a table, which any connection may delete.
 */
import { Deferred, Effect, Layer } from "effect"
import { ClusterError, RunnerStorage, SqlRunnerStorage } from "effect/cluster"
import { SqlClient } from "effect/sql"

/** How long locks to give back are collected. */
const COLLECTING = "20 millis"

interface Batch {
  readonly shards: Set<string>
  readonly done: Deferred.Deferred<void, ClusterError.PersistenceError>
}

export const layerRunnerStorage = (prefix: string) =>
  Layer.effect(
    RunnerStorage.RunnerStorage,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const storage = yield* SqlRunnerStorage.make({ prefix })
      const scope = yield* Effect.scope
      const locks = sql(`${prefix}_locks`)
      let collecting: Batch | undefined

      // In the order of all other statements, so that there is no deadlock.
      const deleteLocks = (address: string, shards: ReadonlyArray<string>) => sql`
        WITH locked AS (
          SELECT shard_id FROM ${locks}
          WHERE address = ${address} AND ${sql.in("shard_id", shards)}
          ORDER BY shard_id COLLATE "C" FOR UPDATE
        )
        DELETE FROM ${locks} WHERE address = ${address} AND shard_id IN (SELECT shard_id FROM locked)
      `

      return RunnerStorage.RunnerStorage.of({
        ...storage,
        release: Effect.fnUntraced(function* (address, shardId) {
          if (collecting !== undefined) {
            collecting.shards.add(shardId.toString())
            return yield* Deferred.await(collecting.done)
          }
          const batch: Batch = {
            shards: new Set([shardId.toString()]),
            done: Deferred.makeUnsafe<void, ClusterError.PersistenceError>()
          }
          collecting = batch
          yield* Effect.sleep(COLLECTING).pipe(
            Effect.andThen(
              Effect.suspend(() => {
                collecting = undefined
                return deleteLocks(`${address.host}:${address.port}`, Array.from(batch.shards))
              })
            ),
            ClusterError.PersistenceError.refail,
            Effect.asVoid,
            Deferred.into(batch.done),
            Effect.forkIn(scope)
          )
          return yield* Deferred.await(batch.done)
        })
      })
    })
  )
