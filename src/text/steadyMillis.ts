/** Milliseconds on a monotonic clock, to measure durations: the wall clock may be set meanwhile. */
import { Clock, Effect } from "effect"

/** Since an arbitrary moment; only differences have a meaning. */
export const steadyMillis: Effect.Effect<number> = Effect.map(Clock.monotonicTimeNanos, (nanos) =>
  Number(nanos / 1_000_000n)
)
