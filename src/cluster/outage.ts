/** What happens while PostgreSQL cannot be reached: the process waits for it, and says so once. */
import { Effect, Schedule } from "effect"

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

/** The innermost message: the outer ones only say which layer failed. */
const messageOf = (error: unknown): string => {
  const { cause, message } = error as { readonly cause?: unknown; readonly message?: string }
  const inner = cause instanceof Error ? messageOf(cause) : ""
  return (inner || message || String(error)).replace(/\.$/, "")
}
