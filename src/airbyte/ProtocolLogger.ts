/** Effect's log as the protocol's LOG messages, and the level from which it is written. */
import { Cause, Config, Effect, Layer, Logger, type LogLevel } from "effect"
import { Output } from "./Output.ts"
import type * as Protocol from "./Protocol.ts"

/** Sends all logs to the `Output` only. */
export const layer: Layer.Layer<never, never, Output> = Layer.unwrap(
  Effect.map(Output, (output) =>
    Logger.layer([
      Logger.make(({ cause, logLevel, message }) => {
        const texts = (Array.isArray(message) ? message : [message]).map((part) =>
          typeof part === "string" ? part : JSON.stringify(part)
        )
        const stack = cause.reasons.length === 0 ? {} : { stack_trace: Cause.pretty(cause) }
        // No message has the levels All and None.
        const level = logLevel.toUpperCase() as Protocol.LogLevel
        output.message({ type: "LOG", log: { level, message: texts.join(" "), ...stack } })
      })
    ])
  )
)

/** The level names that platforms use, including Python's. */
const levels: Readonly<Record<string, LogLevel.LogLevel>> = {
  CRITICAL: "Fatal",
  FATAL: "Fatal",
  ERROR: "Error",
  WARNING: "Warn",
  WARN: "Warn",
  INFO: "Info",
  DEBUG: "Debug",
  TRACE: "Trace"
}

/**
 * The minimum level to log: the environment variable LOG_LEVEL, in upper or lower case, or INFO. `--debug` overrides it. Logs a
 * warning if the variable is invalid.
 */
export const minimumLevel = Effect.fnUntraced(function* (debug: boolean) {
  const text = yield* Effect.orElseSucceed(Config.String("LOG_LEVEL"), () => "")
  const level = text === "" ? "Info" : levels[text.trim().toUpperCase()]
  if (level === undefined) {
    yield* Effect.logWarning(
      `LOG_LEVEL is ${JSON.stringify(text)}, but must be one of ${Object.keys(levels).join(", ")}: INFO is used.`
    )
  }
  return debug ? "Debug" : (level ?? "Info")
})
