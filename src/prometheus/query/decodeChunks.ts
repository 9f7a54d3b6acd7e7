/** Decodes the chunks of a body, or what they were decoded to, within a stream. */
import { Array as Arr, Effect, type Pull, Stream } from "effect"

/** Enough items for one step of a stream. More would only stay in memory longer. */
const MANY = 64

/**
 * Decodes chunks as they arrive, many of those that arrived together in one step. A failure comes after everything decoded
 * before it. `onError` turns what `decode` throws into an error.
 */
export const decodeChunks =
  <Chunk, A, E>(decode: (chunk: Chunk) => Iterable<A>, onError: (error: unknown) => E) =>
  (chunks: Stream.Stream<Chunk, E>): Stream.Stream<A, E> =>
    Stream.transformPull(chunks, (pull) =>
      Effect.sync(() => {
        let arrived: ReadonlyArray<Chunk> = []
        let at = 0
        let failure: Pull.Pull<never, E> | undefined
        const next: Pull.Pull<Arr.NonEmptyReadonlyArray<A>, E> = Effect.suspend(() => {
          if (failure !== undefined) return failure
          const items: Array<A> = []
          try {
            while (at < arrived.length && items.length < MANY) {
              for (const item of decode(arrived[at++]!)) items.push(item)
            }
          } catch (error) {
            failure = Effect.fail(onError(error))
          }
          if (Arr.isArrayNonEmpty(items)) return Effect.succeed(items)
          if (failure !== undefined) return failure
          return Effect.flatMap(pull, (chunks) => {
            arrived = chunks
            at = 0
            return next
          })
        })
        return next
      })
    )
