/** The verb `check`. */
import { Effect } from "effect"
import { discoverNames } from "../sync/Discovery.ts"
import { Output } from "./Output.ts"

/**
 * Asks the server what a sync would ask it first: its time, and which metrics there are. Fails with the reason
 * why that cannot be had.
 */
export const check = Effect.gen(function* () {
  const output = yield* Output
  const { names } = yield* discoverNames
  if (names.length === 0) {
    yield* Effect.logWarning(
      "The server answers, but no metric has data in the configured range: check start_date, end_date, metrics and selector."
    )
  } else {
    yield* Effect.logInfo(
      `The server has ${names.length} ${names.length === 1 ? "metric" : "metrics"} to read.`
    )
  }
  output.message({ type: "CONNECTION_STATUS", connectionStatus: { status: "SUCCEEDED" } })
  return true
})

/** Tells why a connection cannot be used. That is an answer, not a failure of the verb. */
export const checkFailed = Effect.fnUntraced(function* (error: { readonly message: string }) {
  const output = yield* Output
  output.message({
    type: "CONNECTION_STATUS",
    connectionStatus: { status: "FAILED", message: error.message }
  })
  return true
})
