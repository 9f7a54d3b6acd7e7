/** Logs for a person: plain lines on standard error. Standard output is for results. */
import { Cause, Effect, Logger } from "effect"
import type { ConfigError } from "../config/ConnectorConfig.ts"
import type { InputFileError } from "../config/inputFile.ts"
import { makeMask } from "../config/SecretMask.ts"
import type { DestinationError } from "../destinations/Destination.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import type { CheckTimeout } from "../sync/quickCheck.ts"
import { cutTo, printableLines, visibleLines } from "../text/printable.ts"
import { ExitWithCode } from "./ExitWithCode.ts"

/** How much of a message or of a bug's stack is printed: either may repeat what a server sent. */
const MAX_CHARACTERS = 20_000

const printError = (text: string): void => void process.stderr.write(`${text}\n`)

/**
 * Prints logs as lines on standard error, or with `print`: where a `Screen` draws, above its picture. Secrets are masked, and
 * text of a server can neither forge a line nor control a terminal.
 */
export const stderrLogger = (secrets: ReadonlyArray<string>, print: (text: string) => void = printError) => {
  const mask = makeMask(secrets)
  return Logger.layer([
    Logger.make(({ cause, message }) => {
      const texts = Array.isArray(message) ? message : [message]
      const text = printableLines(mask(texts.join(" ")), MAX_CHARACTERS)
      if (cause.reasons.length === 0) return print(text)
      print(`${text} ${visibleLines(cutTo(mask(Cause.pretty(cause)), MAX_CHARACTERS))}`)
    })
  ])
}

/** Errors with a message for users. */
export type ExpectedError =
  | ConfigError
  | InputFileError
  | PrometheusError
  | CheckTimeout
  | DestinationError
  | ExitWithCode

/** Logs an expected error, with its message reworded, and then exits with a code. */
export const reportErrorsAs =
  (reword: (message: string) => string) =>
  <A, R>(effect: Effect.Effect<A, ExpectedError, R>): Effect.Effect<A, ExitWithCode, R> =>
    Effect.catch(effect, (error) =>
      error._tag === "ExitWithCode"
        ? Effect.fail(error)
        : Effect.andThen(Effect.logError(reword(error.message)), new ExitWithCode({}))
    )

/** The same with the message as it is. */
export const reportErrors = reportErrorsAs((message) => message)
