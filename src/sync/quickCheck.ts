/** A fast check of whether a server can be read, while a user waits for the result. */
import { Effect, Layer, Schema } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { tableStreamName } from "../config/StreamSettings.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../prometheus/PrometheusError.ts"
import { discoverNamesQuickly, streamNames } from "./Discovery.ts"
import { checkQueries } from "./queryProbe.ts"
import { refuseClockAhead, warnOfConnection } from "./syncWarnings.ts"

/** The maximum time to wait for a response. */
const MAX_TIMEOUT_MILLIS = 15_000

/** The server did not respond within the timeout of a check, which is shorter than the configured one. */
export class CheckTimeout extends Schema.TaggedError<CheckTimeout>()("CheckTimeout", {
  message: Schema.String
}) {}

/** The configuration of a check: one retry, and a short timeout. */
export const layerQuick = Layer.effect(
  ConnectorConfig,
  Effect.map(ConnectorConfig, (settings) => ({
    ...settings,
    maxRetries: Math.min(1, settings.maxRetries),
    requestTimeoutMillis: Math.min(MAX_TIMEOUT_MILLIS, settings.requestTimeoutMillis)
  }))
)

/** Logs a warning for each table that cannot be read. Other streams can still be read. */
const checkTables = Effect.fnUntraced(function* (nowMillis: number) {
  const { concurrency, tables } = yield* ConnectorConfig
  const client = yield* PrometheusClient
  const second = { startMillis: nowMillis - 1000, endMillis: nowMillis }
  yield* Effect.forEach(
    tables,
    (table) =>
      Effect.catch(
        Effect.asVoid<unknown, PrometheusError, never>(
          table === "exemplars" ? client.exemplars(second) : client.snapshot(table, nowMillis)
        ),
        ({ message }) => Effect.logWarning(`The table ${tableStreamName(table)} cannot be read: ${message}`)
      ),
    { concurrency, discard: true }
  )
})

/**
 * The names of the metrics and of all streams to read, from the requests that a sync makes first; the patterns that select none;
 * and what kind of server it is, if that is known. Evaluates each query at one point, and requests each table.
 */
export const quickCheck = Effect.gen(function* () {
  const { requestTimeoutMillis } = yield* ConnectorConfig
  yield* warnOfConnection
  const client = yield* PrometheusClient
  const { clock, names, unmatched } = yield* discoverNamesQuickly.pipe(
    Effect.mapError((error) =>
      error.reason === "Timeout" && requestTimeoutMillis === MAX_TIMEOUT_MILLIS
        ? new CheckTimeout({
            message: `${error.summary} A check does not wait longer. Check whether the server is overloaded, or whether a proxy or firewall drops requests.`
          })
        : error
    )
  )
  yield* refuseClockAhead(clock)
  const streams = yield* streamNames(names)
  yield* checkQueries(clock.nowMillis)
  yield* checkTables(clock.nowMillis)
  const { kind, name } = yield* client.backend
  return { names, streams, unmatched, backend: kind === "unknown" ? undefined : name }
})
