/** Credentials that another program renews while this one runs, such as a file with a token or a certificate. */
import { Effect, Equal } from "effect"
import type { Settings } from "../config/ConnectorConfig.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"

/** Other settings with the credentials of `renewed`. Nothing else of a running command changes. */
export const withCredentialsOf = (renewed: Settings, settings: Settings): Settings => ({
  ...settings,
  ...credentialsOf(renewed)
})

const credentialsOf = ({ authentication, headers, parameters, proxyUrl, tls }: Settings) => ({
  authentication,
  headers,
  parameters,
  proxyUrl,
  tls
})

interface Tagged {
  readonly _tag: string
}

/**
 * Runs with these settings. If the server does not accept the credentials, and `renewed` has others, runs once more with those:
 * a token or a certificate may have expired in the meantime.
 */
export const withRenewal = <A, E extends Tagged, R, E2, R2>(
  settings: Settings,
  renewed: Effect.Effect<Settings, E2, R2>,
  run: (settings: Settings) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R | R2> =>
  Effect.catchIf(run(settings), mayConcernCredentials<E>, (error) =>
    Effect.matchEffect(renewed, {
      // The first error says more.
      onFailure: () => Effect.fail(error),
      onSuccess: (now) =>
        Equal.equals(credentialsOf(now), credentialsOf(settings))
          ? Effect.fail(error)
          : Effect.andThen(
              Effect.logWarning(
                `${error.summary} The credentials have been renewed, so it is tried with the new ones.`
              ),
              run(now)
            )
    })
  )

/** A server that refuses the client's certificate ends the connection. */
const mayConcernCredentials = <E extends Tagged>(error: E): error is Extract<E, PrometheusError> =>
  error._tag === "PrometheusError" &&
  "reason" in error &&
  (error.reason === "Unauthorized" || error.reason === "Tls")
