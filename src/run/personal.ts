/** How a person is spoken to: plain lines on standard error, so that standard output stays free for what was asked for. */
import { Cause, Effect, Logger } from "effect"
import type { ConfigError, InputFileError } from "../ConnectorConfig.ts"
import { makeMask } from "../config/SecretMask.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { Unsuccessful } from "../Unsuccessful.ts"
import type { DestinationError } from "./JsonLines.ts"

/** Writes logs as lines. Secrets are masked in them. */
export const personalLog = (secrets: ReadonlyArray<string>) => {
  const mask = makeMask(secrets)
  return Logger.layer([
    Logger.make(({ cause, message }) => {
      const texts = Array.isArray(message) ? message : [message]
      const text = cause.reasons.length === 0 ? texts.join(" ") : `${texts.join(" ")} ${Cause.pretty(cause)}`
      process.stderr.write(`${mask(text)}\n`)
    })
  ])
}

/** Tells what is expected to go wrong now and then, in its own words. */
export const tellErrors = <A, R>(
  effect: Effect.Effect<
    A,
    ConfigError | InputFileError | PrometheusError | DestinationError | Unsuccessful,
    R
  >
): Effect.Effect<A, Unsuccessful, R> =>
  Effect.catch(effect, (error) =>
    error._tag === "Unsuccessful"
      ? Effect.fail(error)
      : Effect.andThen(Effect.logError(error.message), new Unsuccessful())
  )
