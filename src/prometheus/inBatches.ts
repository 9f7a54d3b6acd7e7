/** From the chunks of the network to batches that are worth the way through a stream. */
import { Array as Arr, Clock, Effect, type Pull, Stream } from "effect"

/** How many bytes are decoded at most before what they hold is handed on; the first chunk is not held up. */
const BATCH_BYTES = 128 * 1024

/** Each batch may be so much larger than the one before it. */
const GROWTH = 64

/** A server that sends slowly does not hold up what it has sent for longer than this. */
const BATCH_MILLIS = 100

/** How a chunk is decoded, and what becomes of what that throws. */
export interface Decoding<A, E> {
  readonly try: (chunk: Uint8Array) => Iterable<A>
  readonly catch: (error: unknown) => E
}

/**
 * Decodes chunks as they arrive, and hands on what many of them hold together: a step of a stream costs as much as
 * decoding 64 KiB, and a read has a dozen steps. A failure comes after all that was decoded before it.
 */
export const inBatches = <A, E>(
  chunks: Stream.Stream<Uint8Array, E>,
  decoding: Decoding<A, E>
): Stream.Stream<A, E> =>
  Stream.transformPull(chunks, (pull) =>
    Effect.map(Clock.Clock, (clock) => {
      let end: Pull.Pull<never, E> | undefined
      let wanted = 1
      /** Pulls and decodes until there is enough, or no more. */
      const fill = (items: Array<A>, bytes: number, began: number): Pull.Pull<void, E> =>
        Effect.flatMap(pull, (chunks) => {
          let total = bytes
          try {
            for (const chunk of chunks) {
              total += chunk.length
              for (const item of decoding.try(chunk)) items.push(item)
            }
          } catch (error) {
            return Effect.fail(decoding.catch(error))
          }
          return total < wanted && clock.currentTimeMillisUnsafe() - began < BATCH_MILLIS
            ? fill(items, total, began)
            : Effect.void
        })
      const next: Pull.Pull<Arr.NonEmptyReadonlyArray<A>, E> = Effect.suspend(() => {
        if (end !== undefined) return end
        const items: Array<A> = []
        wanted = Math.min(BATCH_BYTES, wanted * GROWTH)
        return fill(items, 0, clock.currentTimeMillisUnsafe()).pipe(
          Effect.catchCause((cause) =>
            Effect.sync(() => {
              end = Effect.failCause(cause)
            })
          ),
          Effect.flatMap(() => (Arr.isArrayNonEmpty(items) ? Effect.succeed(items) : next))
        )
      })
      return next
    })
  )
