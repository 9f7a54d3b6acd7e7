/** Failures as messages of the protocol. */
import { Clock, Effect } from "effect"
import type { ConfigError } from "../config/ConnectorConfig.ts"
import type { InputFileError } from "../config/inputFile.ts"
import type { ErrorAttribution, PrometheusError } from "../prometheus/PrometheusError.ts"
import type { StateStoreError } from "../sync/StateStore.ts"
import { Output } from "./Output.ts"
import type { FailureType } from "./Protocol.ts"

const failureTypes: Readonly<Record<ErrorAttribution, FailureType>> = {
  config: "config_error",
  transient: "transient_error",
  system: "system_error"
}

/** The parts of an error that a platform uses. */
export interface Failure {
  readonly message: string
  readonly failureType: FailureType
  readonly stream?: string
  readonly internal?: string
}

/** An expected error. Its message is for users, and its attribution decides the failure type. */
export const toFailure = (
  error: ConfigError | InputFileError | PrometheusError | StateStoreError
): Failure => ({
  message: error.message,
  failureType:
    error._tag === "PrometheusError"
      ? failureTypes[error.policy.attribution]
      : error._tag === "StateStoreError"
        ? "system_error"
        : "config_error"
})

/** Writes a TRACE ERROR. */
export const traceError = Effect.fnUntraced(function* ({ failureType, internal, message, stream }: Failure) {
  const output = yield* Output
  output.message({
    type: "TRACE",
    trace: {
      type: "ERROR",
      emitted_at: yield* Clock.currentTimeMillis,
      error: {
        message,
        ...(internal === undefined ? {} : { internal_message: internal }),
        failure_type: failureType,
        ...(stream === undefined ? {} : { stream_descriptor: { name: stream } })
      }
    }
  })
})
