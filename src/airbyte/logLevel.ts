/** The log level. */
import { Config, Effect, type LogLevel } from "effect"

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
 * The minimum level to log: the environment variable LOG_LEVEL, in upper or lower case, or INFO. `--debug` overrides it. Also
 * returns a warning if the variable is invalid.
 */
export const logLevel = Effect.fnUntraced(function* (debug: boolean) {
  const text = yield* Config.String("LOG_LEVEL").pipe(
    Config.withDefault(""),
    Effect.orElseSucceed(() => "")
  )
  const level = text === "" ? "Info" : levels[text.trim().toUpperCase()]
  const warnings =
    level === undefined
      ? [
          `LOG_LEVEL is ${JSON.stringify(text)}, but must be one of ${Object.keys(levels).join(", ")}: INFO is used.`
        ]
      : []
  return { level: debug ? ("Debug" as const) : (level ?? "Info"), warnings }
})
