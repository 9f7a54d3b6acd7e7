import { Clock, Effect } from "effect"

/** Milliseconds since an arbitrary moment, to measure durations: unlike the wall clock, they are never adjusted. */
export const steadyMillis: Effect.Effect<number> = Effect.map(Clock.monotonicTimeNanos, (nanos) =>
  Number(nanos / 1_000_000n)
)
