/** Milliseconds on a clock that nobody sets, for how long something takes: the clock of the wall may jump meanwhile. */
import { Clock, Effect } from "effect"

/** Since any moment; only differences mean something. */
export const steadyMillis: Effect.Effect<number> = Effect.map(Clock.monotonicTimeNanos, (nanos) =>
  Number(nanos / 1_000_000n)
)
