/** Decodes the chunks of a body within a stream. */
import { Array as Arr, Effect, type Pull, Stream } from "effect"

/** Enough items for one step of a stream. More would only stay in memory longer. */
const MANY = 64

/** Decodes a chunk, and turns what that throws into an error. */
export interface Decoding<A, E> {
  readonly try: (chunk: Uint8Array) => Iterable<A>
  readonly catch: (error: unknown) => E
}

/**
 * Decodes chunks as they arrive, many of those that arrived together in one step. A failure comes after everything decoded
 * before it.
 */
export const decodeChunks =
  <A, E>(decoding: Decoding<A, E>) =>
  (chunks: Stream.Stream<Uint8Array, E>): Stream.Stream<A, E> =>
    Stream.transformPull(chunks, (pull) =>
      Effect.sync(() => {
        let arrived: ReadonlyArray<Uint8Array> = []
        let at = 0
        let end: Pull.Pull<never, E> | undefined
        const decode = (): Array<A> => {
          const items: Array<A> = []
          try {
            while (at < arrived.length && items.length < MANY) {
              for (const item of decoding.try(arrived[at++]!)) items.push(item)
            }
          } catch (error) {
            end = Effect.fail(decoding.catch(error))
          }
          return items
        }
        const next: Pull.Pull<Arr.NonEmptyReadonlyArray<A>, E> = Effect.suspend(() => {
          if (end !== undefined) return end
          const items = decode()
          if (Arr.isArrayNonEmpty(items)) return Effect.succeed(items)
          if (end !== undefined) return end
          return Effect.flatMap(pull, (chunks) => {
            arrived = chunks
            at = 0
            return next
          })
        })
        return next
      })
    )
