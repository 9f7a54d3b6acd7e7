/** Work that callers at the same time share. */
import { Deferred, Effect, Fiber } from "effect"

interface Run<A, E> {
  readonly result: Deferred.Deferred<A, E>
  fiber: Fiber.Fiber<unknown> | undefined
  callers: number
}

/**
 * Runs an effect for all who call while it runs. They share its result, which is not kept for later ones. If one of them is
 * interrupted, it continues for the others; with the last of them, it is interrupted too.
 */
export const sharedWhileRunning = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  let current: Run<A, E> | undefined

  const start = (run: Run<A, E>): Effect.Effect<void, never, R> =>
    effect.pipe(
      Effect.onExit((exit) =>
        Effect.sync(() => {
          if (current === run) current = undefined
          Deferred.doneUnsafe(run.result, exit)
        })
      ),
      Effect.exit,
      Effect.forkDetach({ startImmediately: true }),
      Effect.map((fiber) => {
        run.fiber = fiber
      })
    )

  const leave = (run: Run<A, E>): Effect.Effect<void> =>
    Effect.suspend(() => {
      run.callers--
      if (run.callers > 0 || run.fiber === undefined) return Effect.void
      // The next caller must not wait for a run that ends without a result.
      if (current === run) current = undefined
      return Fiber.interrupt(run.fiber)
    })

  return Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      const running = current
      const run = running ?? { result: Deferred.makeUnsafe<A, E>(), fiber: undefined, callers: 0 }
      current = run
      run.callers++
      return Effect.andThen(
        running === undefined ? start(run) : Effect.void,
        restore(Deferred.await(run.result))
      ).pipe(Effect.ensuring(leave(run)))
    })
  )
}
