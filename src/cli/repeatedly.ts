/** Runs again and again, at a fixed pace, until it is stopped. */
import { Clock, Effect } from "effect"
import type { ConfigError } from "../config/ConnectorConfig.ts"
import type { DestinationError } from "../destinations/Destination.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { formatTime } from "../text/formatTime.ts"
import { steadyMillis } from "../text/steadyMillis.ts"

/** What may be over by the next time. */
type Passing = ConfigError | DestinationError | PrometheusError

/**
 * Runs once, and then every `everyMillis` from the beginning of the first run on. A run that takes longer than that delays
 * the next one, and those that it leaves no time for are left out.
 *
 * A first run that fails as a whole fails it all, since nobody wants a mistake in the configuration repeated all night. What
 * fails later, or a stream alone, is told, and tried again when it is time.
 */
export const repeatedly = Effect.fnUntraced(function* <E extends Passing, R>(
  everyMillis: number,
  runOnce: Effect.Effect<void, E, R>
) {
  const begunAt = yield* steadyMillis
  yield* runOnce
  for (;;) {
    const elapsed = (yield* steadyMillis) - begunAt
    const wait = everyMillis - (elapsed % everyMillis)
    const at = formatTime(Math.round(((yield* Clock.currentTimeMillis) + wait) / 1000) * 1000)
    yield* Effect.logInfo(`The next run is at ${at}; Ctrl-C stops.`)
    yield* Effect.sleep(wait).pipe(
      Effect.onInterrupt(() => Effect.logInfo("Stopped between two runs: all that was read is saved."))
    )
    yield* Effect.catch(runOnce, ({ message }) => Effect.logError(message))
  }
})
