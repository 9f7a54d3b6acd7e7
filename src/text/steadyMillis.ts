/** Monotonic milliseconds to measure durations, because the wall clock may be adjusted. */
import { Clock, Effect } from "effect"

/** Milliseconds since an arbitrary moment. Only differences are meaningful. */
export const steadyMillis: Effect.Effect<number> = Effect.map(Clock.monotonicTimeNanos, (nanos) =>
  Number(nanos / 1_000_000n)
)
