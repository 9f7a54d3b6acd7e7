/** The verb `check`. */
import { Effect, Layer, Schema } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { discoverNames } from "../sync/Discovery.ts"
import { refuseClockAhead, warnOfConnection } from "../sync/syncWarnings.ts"
import { pluralize } from "../text/pluralize.ts"
import { Output } from "./Output.ts"

/** Nobody waits longer for a response in front of an open form. */
const CHECK_TIMEOUT_MILLIS = 15_000

/** The server has not responded within the timeout of a check, which is shorter than the configured one. */
export class CheckTimeout extends Schema.TaggedError<CheckTimeout>()("CheckTimeout", {
  message: Schema.String
}) {}

/** The configuration of a check: one retry after a transient failure, and a short timeout. */
export const quickCheck = Layer.effect(
  ConnectorConfig,
  Effect.map(ConnectorConfig, (settings) => ({
    ...settings,
    maxRetries: Math.min(1, settings.maxRetries),
    requestTimeoutMillis: Math.min(CHECK_TIMEOUT_MILLIS, settings.requestTimeoutMillis)
  }))
)

/** Makes the first requests of a sync: the server's time and the names of its metrics. */
export const check = Effect.gen(function* () {
  const output = yield* Output
  const { requestTimeoutMillis } = yield* ConnectorConfig
  yield* warnOfConnection
  const { clock, names } = yield* discoverNames.pipe(
    Effect.mapError((error) =>
      error.reason === "Timeout" && requestTimeoutMillis === CHECK_TIMEOUT_MILLIS
        ? new CheckTimeout({
            message: `${error.summary} A check waits no longer: see whether the server is overloaded, or whether something on the way to it swallows requests.`
          })
        : error
    )
  )
  yield* refuseClockAhead(clock)
  if (names.length === 0) {
    yield* Effect.logWarning(
      "The server responds, but no metric has data in the configured range: check start_date, end_date, metrics and selector."
    )
  } else {
    yield* Effect.logInfo(`The server has ${pluralize(names.length, "metric")} to read.`)
  }
  output.message({ type: "CONNECTION_STATUS", connectionStatus: { status: "SUCCEEDED" } })
  return true
})

/** Reports why a connection cannot be used: for a check that is a result, not a failure. */
export const checkFailed = Effect.fnUntraced(function* ({ message }: { readonly message: string }) {
  const output = yield* Output
  output.message({ type: "CONNECTION_STATUS", connectionStatus: { status: "FAILED", message } })
  return true
})
