/** The verb `check`. */
import { Effect } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { streamsText } from "../sync/Discovery.ts"
import { groupMetrics } from "../sync/groups.ts"
import { limitWarning } from "../sync/platformLimits.ts"
import { quickCheck } from "../sync/quickCheck.ts"
import { Output } from "./Output.ts"

/** Checks that a sync can read from the server. */
export const check = Effect.gen(function* () {
  const output = yield* Output
  const { backend, names, streams, unmatched } = yield* quickCheck
  if (backend !== undefined) yield* Effect.logInfo(`The server is ${backend}.`)
  const settings = yield* ConnectorConfig
  if (streams.length === 0) {
    yield* Effect.logWarning(
      [
        "The server responds, but no metric has data in the configured range: check start_date, end_date, metrics and selector.",
        ...unmatched
      ].join(" ")
    )
  } else {
    yield* Effect.logInfo(`Streams to read: ${streamsText(settings, names)}.`)
    // A check does not wait for the labels, so the number of fields is unknown.
    const metrics = groupMetrics(settings, names).ungrouped.map((name) => ({ name, fields: undefined }))
    const warning = limitWarning(metrics, { streams: streams.length - metrics.length, fields: 0 })
    if (warning !== undefined) yield* Effect.logWarning(warning)
  }
  output.message({ type: "CONNECTION_STATUS", connectionStatus: { status: "SUCCEEDED" } })
  return true
})

/** Reports why a connection cannot be used. For a check, that is a result, not a failure. */
export const checkFailed = Effect.fnUntraced(function* ({ message }: { readonly message: string }) {
  const output = yield* Output
  output.message({ type: "CONNECTION_STATUS", connectionStatus: { status: "FAILED", message } })
  return true
})
