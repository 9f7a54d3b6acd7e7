/** The verb `check`. */
import { Effect, Layer, Schema } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { discoverNames } from "../sync/Discovery.ts"
import { refuseClockAhead, warnOfConnection } from "../sync/syncWarnings.ts"
import { pluralize } from "../text/pluralize.ts"
import { Output } from "./Output.ts"

/** Nobody waits longer for one answer while a form is open in front of them. */
const PATIENCE_MILLIS = 15_000

/** The server has not answered within the patience of a check, which is shorter than the configured one. */
export class CheckGaveUp extends Schema.TaggedError<CheckGaveUp>()("CheckGaveUp", {
  message: Schema.String
}) {}

/** The configuration as a check uses it: a passing failure gets one more try, and a silent server not long. */
export const hasty = Layer.effect(
  ConnectorConfig,
  Effect.map(ConnectorConfig, (settings) => ({
    ...settings,
    maxRetries: Math.min(1, settings.maxRetries),
    requestTimeoutMillis: Math.min(PATIENCE_MILLIS, settings.requestTimeoutMillis)
  }))
)

/** Asks the server what a sync would ask it first: its time, and which metrics there are. */
export const check = Effect.gen(function* () {
  const output = yield* Output
  const { requestTimeoutMillis } = yield* ConnectorConfig
  yield* warnOfConnection
  const { clock, names } = yield* discoverNames.pipe(
    Effect.mapError((error) =>
      error.reason === "Timeout" && requestTimeoutMillis === PATIENCE_MILLIS
        ? new CheckGaveUp({
            message: `${error.summary} A check waits no longer: see whether the server is overloaded, or whether something on the way to it swallows requests.`
          })
        : error
    )
  )
  yield* refuseClockAhead(clock)
  if (names.length === 0) {
    yield* Effect.logWarning(
      "The server answers, but no metric has data in the configured range: check start_date, end_date, metrics and selector."
    )
  } else {
    yield* Effect.logInfo(`The server has ${pluralize(names.length, "metric")} to read.`)
  }
  output.message({ type: "CONNECTION_STATUS", connectionStatus: { status: "SUCCEEDED" } })
  return true
})

/** Tells why a connection cannot be used: for a check that is an answer, not a failure. */
export const checkFailed = Effect.fnUntraced(function* ({ message }: { readonly message: string }) {
  const output = yield* Output
  output.message({ type: "CONNECTION_STATUS", connectionStatus: { status: "FAILED", message } })
  return true
})
