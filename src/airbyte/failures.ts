/** Failures as messages of the protocol. */
import { Effect } from "effect"
import type { ConfigError } from "../config/ConnectorConfig.ts"
import type { InputFileError } from "../config/inputFile.ts"
import type { ErrorAttribution, PrometheusError } from "../prometheus/PrometheusError.ts"
import type { StateStoreError } from "../sync/StateStore.ts"
import { Output } from "./Output.ts"
import type { Failure } from "./Protocol.ts"

/** Writes a TRACE ERROR. */
export const traceError = (error: Failure) =>
  Effect.flatMap(Output, (output) => output.trace({ type: "ERROR", error }))

type ExpectedError = ConfigError | InputFileError | PrometheusError | StateStoreError

/** An expected error. Its message is for users, and its attribution decides the failure type. */
export const toFailure = (error: ExpectedError): Failure => ({
  message: error.message,
  failure_type: `${attributionOf(error)}_error`
})

const attributionOf = (error: ExpectedError): ErrorAttribution => {
  switch (error._tag) {
    case "PrometheusError":
      return error.policy.attribution
    case "StateStoreError":
      return "system"
    case "ConfigError":
    case "InputFileError":
      return "config"
  }
}
