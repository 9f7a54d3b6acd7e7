/** Timeouts for what a server takes. The time that requests wait for the load budget does not count. */
import { Context, Duration, Effect } from "effect"
import { preciseMillis } from "./preciseMillis.ts"

/** How long the requests of an effect have waited. Several that wait at the same time count once. */
class Waited {
  #millis = 0
  #waiting = 0
  #since = 0
  readonly #outer: Waited | undefined

  constructor(outer: Waited | undefined) {
    this.#outer = outer
  }

  begin(now: number): void {
    if (this.#waiting++ === 0) this.#since = now
    this.#outer?.begin(now)
  }

  end(now: number): void {
    if (--this.#waiting === 0) this.#millis += now - this.#since
    this.#outer?.end(now)
  }

  millis(now: number): number {
    return this.#millis + (this.#waiting === 0 ? 0 : now - this.#since)
  }
}

/** The innermost timeout. */
const CurrentWaited = Context.Reference<Waited | undefined>(
  "source-prometheus/prometheus/load/CurrentWaited",
  { defaultValue: () => undefined }
)

/** Waits for the load budget. */
export const uncounted = <A, E, R>(wait: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(CurrentWaited, (waited) =>
    waited === undefined
      ? wait
      : Effect.acquireUseRelease(
          Effect.map(preciseMillis, (now) => waited.begin(now)),
          () => wait,
          () => Effect.map(preciseMillis, (now) => waited.end(now))
        )
  )

/** Like `Effect.timeoutOrElse`, but requests may wait for the load budget in addition. */
export const serverTimeout =
  <A2, E2, R2>(duration: Duration.Input, orElse: () => Effect.Effect<A2, E2, R2>) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A | A2, E | E2, R | R2> =>
    Effect.flatMap(CurrentWaited, (outer) => {
      const waited = new Waited(outer)
      const timer = Effect.gen(function* () {
        let counted = 0
        for (let left = Duration.toMillis(duration); left > 0; ) {
          yield* Effect.sleep(Math.ceil(left))
          const now = waited.millis(yield* preciseMillis)
          left = now - counted
          counted = now
        }
      })
      return Effect.raceFirst(
        Effect.map(Effect.provideService(effect, CurrentWaited, waited), (value) => ({ value })),
        Effect.as(timer, undefined)
      ).pipe(
        Effect.flatMap(
          (result): Effect.Effect<A | A2, E2, R2> =>
            result === undefined ? orElse() : Effect.succeed(result.value)
        )
      )
    })
