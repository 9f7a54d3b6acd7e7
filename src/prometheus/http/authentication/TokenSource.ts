/** A token that expires, fetched when it is needed and shared by all requests. */
import { Clock, Effect } from "effect"
import type { PrometheusError } from "../../PrometheusError.ts"
import { sharedWhileRunning } from "./whileRunning.ts"

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

/** How long a request waits for a new token while the current one is still valid. */
const PATIENCE_MILLIS = 5000

/** How long the current token is used after it could not be renewed, before the next try. */
const PAUSE_MILLIS = 10_000

/**
 * Creates a source. Requests that need a token at the same time share one `fetch`, which ends early only if all of them are
 * interrupted. Failures are not kept.
 */
export const makeTokenSource = (fetch: Effect.Effect<Token, PrometheusError>): TokenSource => {
  let current: Token | undefined
  let renewAtMillis = 0

  const next = sharedWhileRunning(
    Effect.gen(function* () {
      const startMillis = yield* Clock.currentTimeMillis
      const token = yield* fetch
      const lifeMillis = expiryOf(token) - startMillis
      current = token
      // A token of a minute is used for most of that minute.
      renewAtMillis = startMillis + lifeMillis - Math.min(MARGIN_MILLIS, lifeMillis / 4)
      return token
    })
  )

  /** Renews a token that is still valid. A failure does no harm yet, and a slow server need not be waited for. */
  const renewEarly = (known: Token, leftMillis: number) =>
    next.pipe(
      Effect.map((token) => ({ token, problem: undefined })),
      Effect.catch(({ summary }) => Effect.succeed({ token: known, problem: summary })),
      Effect.timeoutOrElse({
        duration: Math.min(PATIENCE_MILLIS, leftMillis / 2),
        orElse: () => Effect.succeed({ token: known, problem: "The server for tokens is slow." })
      }),
      Effect.tap(({ problem }) =>
        Effect.gen(function* () {
          const now = yield* Clock.currentTimeMillis
          // Requests at the same time log it once.
          if (problem === undefined || current !== known || now < renewAtMillis) return
          renewAtMillis = now + Math.min(PAUSE_MILLIS, leftMillis / 2)
          yield* Effect.logWarning(
            `${problem} The current token is used until it expires in ${Math.ceil((expiryOf(known) - now) / 1000)} s.`
          )
        })
      ),
      Effect.map(({ token }) => token)
    )

  const token = Effect.gen(function* () {
    const known = current
    if (known === undefined) return (yield* next).value
    const now = yield* Clock.currentTimeMillis
    if (now < renewAtMillis) return known.value
    const leftMillis = expiryOf(known) - now
    return (yield* leftMillis > 0 ? renewEarly(known, leftMillis) : next).value
  })

  return {
    token,
    renew: (refused) =>
      Effect.suspend(() => {
        // Another request has already renewed it.
        if (current !== undefined && current.value !== refused) return Effect.succeed(true)
        // If this fails, the next request must not send it again.
        current = undefined
        return Effect.map(next, ({ value }) => value !== refused)
      })
  }
}

const expiryOf = ({ expiresAtMillis = Number.POSITIVE_INFINITY }: Token): number => expiresAtMillis
