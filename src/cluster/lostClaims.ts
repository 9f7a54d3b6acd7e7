/**
 * Executes parts again that a worker has taken from the storage, and then lost.
 *
 * Effect's worker claims a message when it reads it. If the result cannot be stored, because the database is not there, it wants to
 * give up the claim, which cannot be stored either. The same happens to messages whose reading is cut off. Claims expire only
 * after ten minutes, so each worker gives up those of its own shards again and again. It does not take a message twice.
 */
import { Effect } from "effect"
import { MessageStorage, ShardId, Sharding } from "effect/cluster"
import { SHARD_GROUP, SHARDS } from "./shards.ts"
import { LOST_CLAIMS } from "./timings.ts"

export const giveUpLostClaims = Effect.gen(function* () {
  const sharding = yield* Sharding.Sharding
  const storage = yield* MessageStorage.MessageStorage
  const shards = Array.from({ length: SHARDS }, (_, i) => ShardId.make(SHARD_GROUP, i + 1))
  const giveUp = Effect.suspend(() => {
    const own = shards.filter((shard) => sharding.hasShardId(shard))
    return own.length === 0 ? Effect.void : storage.resetShards(own)
  })
  yield* Effect.forkScoped(Effect.forever(Effect.delay(Effect.ignore(giveUp), LOST_CLAIMS)))
})
