/** From chunks to what they hold. */
import { Array as Arr, Effect, type Pull, Stream } from "effect"

/** How a chunk is decoded, and what becomes of what that throws. */
export interface Decoding<A, E> {
  readonly try: (chunk: Uint8Array) => Iterable<A>
  readonly catch: (error: unknown) => E
}

/** Decodes chunks as they arrive, all that arrive together in one step. A failure comes after all that was decoded before it. */
export const decodeArrays =
  <A, E>(decoding: Decoding<A, E>) =>
  (chunks: Stream.Stream<Uint8Array, E>): Stream.Stream<A, E> =>
    Stream.transformPull(chunks, (pull) =>
      Effect.sync(() => {
        let end: Pull.Pull<never, E> | undefined
        const next: Pull.Pull<Arr.NonEmptyReadonlyArray<A>, E> = Effect.suspend(
          () =>
            end ??
            Effect.flatMap(pull, (chunks) => {
              const items: Array<A> = []
              try {
                for (const chunk of chunks) {
                  for (const item of decoding.try(chunk)) items.push(item)
                }
              } catch (error) {
                end = Effect.fail(decoding.catch(error))
              }
              return Arr.isArrayNonEmpty(items) ? Effect.succeed(items) : next
            })
        )
        return next
      })
    )
