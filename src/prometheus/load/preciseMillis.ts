import { Clock, Effect } from "effect"

/** Milliseconds since an arbitrary moment, with fractions: 5000 requests per second are five per millisecond. */
export const preciseMillis: Effect.Effect<number> = Effect.map(
  Clock.monotonicTimeNanos,
  (nanos) => Number(nanos / 1000n) / 1000
)
