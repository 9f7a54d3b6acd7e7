/** What happens while PostgreSQL cannot be reached: the process waits for it, and says so once. */
import { type Duration, Effect, Exit, Layer, Schedule, Scope } from "effect"
import type { ClusterError } from "./PartQueue.ts"

/** Retries an effect until it succeeds. The log has one line for all effects when it begins, and one when it ends. */
export const outage = Effect.sync(() => {
  let isOut = false
  return <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, never, R> =>
    effect.pipe(
      Effect.tapError((error) => {
        if (isOut) return Effect.void
        isOut = true
        return Effect.logWarning(`The cluster's database cannot be used: ${messageOf(error)}. Trying again.`)
      }),
      Effect.retry(Schedule.jittered(Schedule.spaced("1 second"))),
      Effect.tap(() => {
        if (!isOut) return Effect.void
        isOut = false
        return Effect.logInfo("The cluster's database can be used again.")
      }),
      Effect.orDie
    )
})

/**
 * Starts a process, again if the database restarts meanwhile or has not started yet. Other errors do not pass by themselves.
 * `patience`: how long it tries; undefined for ever.
 */
export const untilReachable =
  (patience?: Duration.Duration) =>
  <A, R>(start: Effect.Effect<A, ClusterError, R>): Effect.Effect<A, ClusterError, R> => {
    const often = Schedule.spaced("2 seconds")
    let isOut = false
    return start.pipe(
      Effect.tapError(({ isPassing = false, message }) => {
        if (!isPassing || isOut) return Effect.void
        isOut = true
        return Effect.logWarning(`${message} Trying again.`)
      }),
      Effect.retry({
        while: ({ isPassing = false }) => isPassing,
        schedule: patience === undefined ? often : often.pipe(Schedule.upTo({ duration: patience }))
      })
    )
  }

/** A layer that is built again in the same way. */
export const layerUntilReachable =
  (patience?: Duration.Duration) =>
  <A, R>(layer: Layer.Layer<A, ClusterError, R>): Layer.Layer<A, ClusterError, R> =>
    Layer.effectContext(
      Effect.gen(function* () {
        const outer = yield* Effect.scope
        const build = Effect.gen(function* () {
          const scope = yield* Scope.fork(outer)
          return yield* Effect.onError(Layer.buildWithScope(layer, scope), (cause) =>
            Scope.close(scope, Exit.failCause(cause))
          )
        })
        return yield* untilReachable(patience)(build)
      })
    )

/** The innermost message: the outer ones only say which layer failed. */
const messageOf = (error: unknown): string => {
  const { cause, message } = error as { readonly cause?: unknown; readonly message?: string }
  const inner = cause instanceof Error ? messageOf(cause) : ""
  return (inner || message || String(error)).replace(/\.$/, "")
}
