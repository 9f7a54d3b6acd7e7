/** Effect's log as the protocol's LOG messages. */
import { Cause, Effect, Layer, Logger, type LogLevel } from "effect"
import { Output } from "./Output.ts"
import type * as Protocol from "./Protocol.ts"

const levels: Readonly<Record<LogLevel.LogLevel, Protocol.LogLevel>> = {
  All: "TRACE",
  Trace: "TRACE",
  Debug: "DEBUG",
  Info: "INFO",
  Warn: "WARN",
  Error: "ERROR",
  Fatal: "FATAL",
  None: "TRACE"
}

/** Sends all logs to the `Output` only. */
export const layer: Layer.Layer<never, never, Output> = Layer.unwrap(
  Effect.gen(function* () {
    const output = yield* Output
    return Logger.layer([
      Logger.make(({ cause, logLevel, message }) => {
        const texts = (Array.isArray(message) ? message : [message]).map((part) =>
          typeof part === "string" ? part : JSON.stringify(part)
        )
        const stack = cause.reasons.length === 0 ? {} : { stack_trace: Cause.pretty(cause) }
        output.message({ type: "LOG", log: { level: levels[logLevel], message: texts.join(" "), ...stack } })
      })
    ])
  })
)
