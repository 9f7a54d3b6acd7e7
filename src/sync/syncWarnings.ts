/** Warnings of every sync: about insecure connections, and about implausible clocks and states. */
import { Clock, Effect } from "effect"
import { ConfigError, ConnectorConfig } from "../config/ConnectorConfig.ts"
import { connectionWarnings } from "../prometheus/http/connectionSafety.ts"
import type { ServerClock } from "../prometheus/serverClock.ts"
import { formatSecond } from "../text/formatTime.ts"
import { listSome } from "../text/listSome.ts"
import { pluralize } from "../text/pluralize.ts"
import type { StreamPlan } from "./plan.ts"

/** Warns about a connection that others can read or change. */
export const warnOfConnection = Effect.gen(function* () {
  const warnings = connectionWarnings(yield* ConnectorConfig, process.env, yield* Clock.currentTimeMillis)
  yield* Effect.forEach(warnings, (warning) => Effect.logWarning(warning), { discard: true })
})

/** Warns about a server's clock that is far from others. */
export const warnOfClock = ({ problem }: ServerClock): Effect.Effect<void> =>
  problem === undefined ? Effect.void : Effect.logWarning(problem)

/** Fails if the clock is far ahead, because a sync would leave a state in the future. Warns if it is behind. */
export const refuseClockAhead = (clock: ServerClock): Effect.Effect<void, ConfigError> =>
  clock.isAhead && clock.problem !== undefined
    ? Effect.fail(new ConfigError({ message: clock.problem }))
    : warnOfClock(clock)

/** The clocks of the servers behind one address may differ by seconds. */
const TOLERANCE_MILLIS = 60_000

/** The most streams named in a warning. */
const MAX_NAMES = 5

/** A warning about states later than the server's time, as a sentence; undefined if there are none. */
export const futureStates = (streams: ReadonlyArray<StreamPlan>, nowMillis: number): string | undefined => {
  const late = streams.filter(({ resumed }) => (resumed?.timeMillis ?? 0) > nowMillis + TOLERANCE_MILLIS)
  if (late.length === 0) return undefined
  const named = late.map(({ resumed, stream }) => `${stream} (${resumed?.time})`)
  return `The saved state of ${pluralize(late.length, "stream")} is later than the server's clock (${formatSecond(nowMillis)}): ${listSome(named, MAX_NAMES)}. Nothing is read until then. If a clock was wrong when they were saved, clear these states to read from start_date again.`
}
