/**
 * Executes parts again that a worker has taken from the database, and then lost.
 *
 * Effect's worker claims a message when it reads it. If PostgreSQL is away at certain moments, the worker neither executes the part
 * nor gives up the claim, which expires only after ten minutes. So each worker gives up the claims in its own shards again and
 * again: it does not take a message twice. If that does not help, it believes that it executes the part, and must start all its parts again.
 */
import { Effect, type Scope } from "effect"
import { MessageStorage, ShardId, Sharding } from "effect/cluster"
import { SqlClient } from "effect/sql"
import { SHARD_GROUP, SHARDS } from "./shards.ts"
import { LOST_PARTS } from "./timings.ts"

/**
 * Watches the parts of a worker that executes those with these ids. `onLost` is called if only a new start may help: if a part was
 * not executed at so many checks.
 */
export const watchForLostParts = Effect.fnUntraced(function* (
  group: string,
  executing: ReadonlySet<string>,
  checks: number,
  onLost: Effect.Effect<unknown>
): Effect.fn.Return<
  void,
  never,
  MessageStorage.MessageStorage | Sharding.Sharding | SqlClient.SqlClient | Scope.Scope
> {
  const sharding = yield* Sharding.Sharding
  const storage = yield* MessageStorage.MessageStorage
  const sql = yield* SqlClient.SqlClient
  const messages = sql(`${group}_messages`)
  const shards = Array.from({ length: SHARDS }, (_, i) => ShardId.make(SHARD_GROUP, i + 1))
  /** How often a part was found that is not executed. */
  let found = new Map<string, number>()
  const check = Effect.gen(function* () {
    const own = shards.filter((shard) => sharding.hasShardId(shard))
    if (own.length === 0) return
    const waiting = yield* sql<{ readonly id: string }>`
      SELECT DISTINCT entity_id AS id FROM ${messages}
      WHERE NOT processed AND kind = 0 AND ${sql.in("shard_id", own.map(String))}
    `
    const idle = waiting.map(({ id }) => id).filter((id) => !executing.has(id))
    found = new Map(idle.map((id) => [id, (found.get(id) ?? 0) + 1]))
    if (Math.max(0, ...found.values()) >= checks) yield* onLost
    else if (idle.length > 0) yield* storage.resetShards(own)
  })
  yield* Effect.forkScoped(Effect.forever(Effect.delay(Effect.ignore(check), LOST_PARTS)))
})
