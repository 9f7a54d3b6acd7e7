/** A token that expires, fetched when it is needed and shared by all requests. */
import { Clock, Effect, Semaphore } from "effect"
import type { PrometheusError } from "../../PrometheusError.ts"

/** A token from a server. */
export interface Token {
  readonly value: string
  /** Undefined if the server does not say so: it is used until it is refused. */
  readonly expiresAtMillis: number | undefined
}

/** The current token. */
export interface TokenSource {
  /** The token, fetched if there is none or if it expires soon. */
  readonly token: Effect.Effect<string, PrometheusError>
  /** Called after the server refused a token. Succeeds with whether there is another one now. */
  readonly renew: (refused: string) => Effect.Effect<boolean, PrometheusError>
}

/** A token that expires sooner is renewed, so that it does not expire on its way. */
const MARGIN_MILLIS = 60_000

/** Creates a source. Requests that need a token at the same time share one `fetch`. */
export const makeTokenSource = (fetch: Effect.Effect<Token, PrometheusError>): TokenSource => {
  const one = Semaphore.makeUnsafe(1)
  let current: Token | undefined
  let renewAtMillis = 0

  const fetchNext = Effect.gen(function* () {
    const startMillis = yield* Clock.currentTimeMillis
    const next = yield* fetch
    const lifeMillis = (next.expiresAtMillis ?? Number.POSITIVE_INFINITY) - startMillis
    current = next
    // A token of a minute is used for most of that minute.
    renewAtMillis = startMillis + lifeMillis - Math.min(MARGIN_MILLIS, lifeMillis / 4)
    return next
  })

  const token = Effect.gen(function* () {
    const known = current
    if (known === undefined) return (yield* fetchNext).value
    const now = yield* Clock.currentTimeMillis
    if (now < renewAtMillis) return known.value
    // As long as it is valid, a failure to renew it does no harm.
    const isValid = now < (known.expiresAtMillis ?? Number.POSITIVE_INFINITY)
    return (yield* isValid ? Effect.orElseSucceed(fetchNext, () => known) : fetchNext).value
  })

  return {
    token: one.withPermit(token),
    renew: (refused) =>
      one.withPermit(
        Effect.suspend(() =>
          // Another request has already renewed it.
          current !== undefined && current.value !== refused
            ? Effect.succeed(true)
            : Effect.map(fetchNext, ({ value }) => value !== refused)
        )
      )
  }
}
