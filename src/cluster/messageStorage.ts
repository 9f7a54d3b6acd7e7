/**
 * The storage of submitted parts, which keeps trying to store a result.
 *
 * Effect's worker gives up after a second, and then neither executes the part again nor lets another worker do it. A restart of
 * PostgreSQL takes longer. If PostgreSQL is down for longer than this storage tries, the worker also loses its locks, and starts
 * all its parts again.
 */
import { Effect, Layer, Schedule } from "effect"
import { MessageStorage, SqlMessageStorage } from "effect/cluster"
import { ALIVE_SECONDS } from "./timings.ts"

const often = Schedule.spaced("500 millis").pipe(Schedule.upTo({ duration: `${ALIVE_SECONDS} seconds` }))

export const layerMessageStorage = (prefix: string) =>
  Layer.effect(
    MessageStorage.MessageStorage,
    Effect.map(MessageStorage.MessageStorage, (storage) =>
      MessageStorage.MessageStorage.of({
        ...storage,
        saveReply: (reply) =>
          Effect.retry(storage.saveReply(reply), {
            while: ({ _tag }) => _tag === "PersistenceError",
            schedule: often
          })
      })
    )
  ).pipe(Layer.provide(SqlMessageStorage.layerWith({ prefix })))
