/** When a failed request is retried: one schedule for all requests. */
import { Duration, Effect, Schedule } from "effect"
import type { PrometheusError } from "../PrometheusError.ts"

/** The longest `Retry-After` that is obeyed. */
const MAX_RETRY_AFTER = Duration.minutes(5)

/** No retry starts later than this after the first failure. */
const MAX_ELAPSED = Duration.minutes(15)

/**
 * Exponential from half a second, at most 30 s, with a jitter of 20 %; at least the pause of `Retry-After`.
 *
 * Ends after `maxRetries` retries, 15 minutes after the first failure, and at once for an error that a retry cannot fix. While
 * `isFirst`, an error of a reason with `firstRetries` ends after so many. The current span counts the retries. `subject` starts
 * the logged warning: the stream, or the request.
 */
export const retryPolicy = (maxRetries: number, subject = "", isFirst: () => boolean = () => false) => {
  const retriesOf = ({ policy }: PrometheusError): number =>
    isFirst() ? Math.min(maxRetries, policy.firstRetries ?? maxRetries) : maxRetries
  return Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")]).pipe(
    Schedule.jittered,
    Schedule.setInputType<PrometheusError>(),
    Schedule.while(({ attempt, input }) => input.policy.action === "retry" && attempt <= retriesOf(input)),
    Schedule.modifyDelay(({ duration, input }) =>
      Effect.succeed(
        Duration.max(duration, Duration.min(MAX_RETRY_AFTER, Duration.millis(input.retryAfterMillis ?? 0)))
      )
    ),
    Schedule.while(
      ({ duration, elapsed }) => elapsed + Duration.toMillis(duration) <= Duration.toMillis(MAX_ELAPSED)
    ),
    Schedule.tap(({ attempt, duration, input }) =>
      Effect.andThen(
        Effect.annotateCurrentSpan("retries", attempt),
        Effect.logWarning(
          `${subject}${input.summary} Retrying in ${(Duration.toMillis(duration) / 1000).toFixed(1)} s (${attempt} of ${retriesOf(input)}).`
        )
      )
    )
  )
}
