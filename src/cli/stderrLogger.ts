/** Logs for a person: plain lines on standard error. Standard output is for results. */
import { Cause, Effect, Layer, Logger } from "effect"
import type { ConfigError } from "../config/ConnectorConfig.ts"
import type { InputFileError } from "../config/inputFile.ts"
import { GrowingMask } from "../config/SecretMask.ts"
import type { DestinationError } from "../destinations/Destination.ts"
import { OnFetchedSecret } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { CheckTimeout } from "../sync/quickCheck.ts"
import { truncateText } from "../text/excerpt.ts"
import { printableLines, visibleLines } from "../text/printable.ts"
import { ExitWithCode } from "./ExitWithCode.ts"

/** The most characters printed of a message or of a bug's stack. Either may quote a server's text. */
const MAX_CHARACTERS = 20_000

const printError = (text: string): void => void process.stderr.write(`${text}\n`)

/**
 * Prints logs as lines on standard error, or with `print`, which writes above the picture of a `Screen`. Secrets are masked, also
 * those that are fetched later. A server's text can neither forge a log line nor control the terminal.
 */
export const stderrLogger = (secrets: ReadonlyArray<string>, print: (text: string) => void = printError) => {
  const { addFetched, mask } = new GrowingMask(secrets)
  const logger = Logger.layer([
    Logger.make(({ cause, message }) => {
      const texts = Array.isArray(message) ? message : [message]
      const text = printableLines(mask(texts.join(" ")), MAX_CHARACTERS)
      if (cause.reasons.length === 0) return print(text)
      print(`${text} ${visibleLines(truncateText(mask(Cause.pretty(cause)), MAX_CHARACTERS))}`)
    })
  ])
  return Layer.merge(logger, Layer.succeed(OnFetchedSecret, addFetched))
}

/** Errors with a message for users. */
export type ExpectedError =
  | ConfigError
  | InputFileError
  | PrometheusError
  | CheckTimeout
  | DestinationError
  | ExitWithCode

/** Logs an expected error, possibly with a reworded message, and exits with a code. */
export const reportErrors =
  (reword = (message: string): string => message) =>
  <A, R>(effect: Effect.Effect<A, ExpectedError, R>): Effect.Effect<A, ExitWithCode, R> =>
    Effect.catch(effect, (error) =>
      error._tag === "ExitWithCode"
        ? Effect.fail(error)
        : Effect.andThen(Effect.logError(reword(error.message)), new ExitWithCode({}))
    )
