/** How a person is spoken to: plain lines on standard error, so that standard output stays free for what was asked for. */
import { Cause, Effect, Logger } from "effect"
import type { ConfigError } from "../config/ConnectorConfig.ts"
import type { InputFileError } from "../config/inputFile.ts"
import { makeMask } from "../config/SecretMask.ts"
import type { DestinationError } from "../destinations/Destination.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { cutTo, printableLines, visibleLines } from "../text/printable.ts"
import { ExitWithCode } from "./ExitWithCode.ts"

/** How much is printed of a message, and of what a mistake in the program says: either may repeat what a server sent. */
const MOST_OF_A_MESSAGE = 20_000

/** Logs as lines of standard error. */
const printError = (text: string): void => void process.stderr.write(`${text}\n`)

/**
 * Prints logs as lines, on standard error unless told otherwise: where a `Screen` draws, above it. Secrets are masked in
 * them, and what a server sent cannot write a line of its own or control a terminal.
 */
export const stderrLogger = (secrets: ReadonlyArray<string>, print: (text: string) => void = printError) => {
  const mask = makeMask(secrets)
  return Logger.layer([
    Logger.make(({ cause, message }) => {
      const texts = Array.isArray(message) ? message : [message]
      const text = printableLines(mask(texts.join(" ")), MOST_OF_A_MESSAGE)
      if (cause.reasons.length === 0) return print(text)
      print(`${text} ${visibleLines(cutTo(mask(Cause.pretty(cause)), MOST_OF_A_MESSAGE))}`)
    })
  ])
}

type Told = ConfigError | InputFileError | PrometheusError | DestinationError | ExitWithCode

/** Tells what is expected to go wrong now and then, its message in other words. */
export const reportErrorsAs =
  (worded: (message: string) => string) =>
  <A, R>(effect: Effect.Effect<A, Told, R>): Effect.Effect<A, ExitWithCode, R> =>
    Effect.catch(effect, (error) =>
      error._tag === "ExitWithCode"
        ? Effect.fail(error)
        : Effect.andThen(Effect.logError(worded(error.message)), new ExitWithCode({}))
    )

/** The same in its own words. */
export const reportErrors = reportErrorsAs((message) => message)
