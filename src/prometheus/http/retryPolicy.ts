/** When a failed request is tried again: one schedule for all requests. */
import { Duration, Effect, Schedule } from "effect"
import type { PrometheusError } from "../PrometheusError.ts"

/** A server that asks for a longer pause than this is asked again after this. */
const MAX_RETRY_AFTER = Duration.minutes(5)

/** A request that has failed for so long is given up, however many retries are left. */
const MAX_ELAPSED = Duration.minutes(15)

/**
 * Exponential from half a second, at most 30 s, give or take a jitter of 20 %; at least what `Retry-After` asked for.
 *
 * Ends after `maxRetries` retries, where the next one would come later than 15 minutes after the first failure, and at once
 * for an error that no retry can mend. Of an answer that breaks off again and again, any new samples begin all that anew. `subject` begins what is logged: whatever is tried again.
 */
export const retryPolicy = (maxRetries: number, subject = "") =>
  Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")]).pipe(
    Schedule.jittered,
    Schedule.setInputType<PrometheusError>(),
    Schedule.while(({ input }) => input.policy.action === "retry"),
    Schedule.upTo({ times: maxRetries }),
    Schedule.modifyDelay(({ duration, input }) =>
      Effect.succeed(
        Duration.max(duration, Duration.min(MAX_RETRY_AFTER, Duration.millis(input.retryAfterMillis ?? 0)))
      )
    ),
    Schedule.while(
      ({ duration, elapsed }) => elapsed + Duration.toMillis(duration) <= Duration.toMillis(MAX_ELAPSED)
    ),
    Schedule.tap(({ attempt, duration, input }) =>
      Effect.logWarning(
        `${subject}${input.summary} Trying again in ${(Duration.toMillis(duration) / 1000).toFixed(1)} s (${attempt} of ${maxRetries}).`
      )
    )
  )
