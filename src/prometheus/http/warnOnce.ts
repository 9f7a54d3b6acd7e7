/** Warnings about a server, each logged once: a server repeats its own in every response. */
import { Effect } from "effect"

/** How many different warnings are logged. */
const MAX_WARNINGS = 100

/** Logs a warning unless it has been logged before. */
export type WarnOnce = (warning: string) => Effect.Effect<void>

/** Makes a `WarnOnce` for the server at `baseUrl`. */
export const makeWarnOnce = (baseUrl: string): WarnOnce => {
  const logged = new Set<string>()
  return (warning) =>
    Effect.suspend(() => {
      if (logged.has(warning) || logged.size > MAX_WARNINGS) return Effect.void
      logged.add(warning)
      return Effect.logWarning(
        logged.size > MAX_WARNINGS
          ? `${baseUrl} gave more than ${MAX_WARNINGS} different warnings. The others are not reported.`
          : warning
      )
    })
}
