/** Runs at a fixed interval until stopped. */
import { Clock, Effect } from "effect"
import type { ConfigError } from "../config/ConnectorConfig.ts"
import type { InputFileError } from "../config/inputFile.ts"
import type { DestinationError } from "../destinations/Destination.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { formatTime } from "../text/formatTime.ts"
import { steadyMillis } from "../text/steadyMillis.ts"

/** Errors that may be gone in the next run. */
type Passing = ConfigError | DestinationError | InputFileError | PrometheusError

/**
 * Runs `first` now, and then `later` every `everyMillis` after the start of the first run. A run that takes longer delays the
 * next one, and missed runs are skipped.
 *
 * An error of the first run ends the command, because it is likely to be in the configuration. Later errors, and those of
 * single streams, are logged, and the next run tries again.
 */
export const repeatedly = Effect.fnUntraced(function* <E extends Passing, R>(
  everyMillis: number,
  first: Effect.Effect<void, E, R>,
  later: Effect.Effect<void, E, R>
) {
  const begunAt = yield* steadyMillis
  yield* first
  for (;;) {
    const elapsed = (yield* steadyMillis) - begunAt
    const wait = everyMillis - (elapsed % everyMillis)
    const at = formatTime(Math.round(((yield* Clock.currentTimeMillis) + wait) / 1000) * 1000)
    yield* Effect.logInfo(`Next run at ${at}; press Ctrl-C to stop.`)
    yield* Effect.sleep(wait).pipe(
      Effect.onInterrupt(() => Effect.logInfo("Stopped between runs. All data is saved."))
    )
    yield* Effect.catch(later, ({ message }) => Effect.logError(message))
  }
})
