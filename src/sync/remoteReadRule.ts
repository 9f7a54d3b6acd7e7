/** Whether remote read of a server has all samples that its queries have, and by which rule it evaluates points. */
import { Effect } from "effect"
import type { Lookback } from "../prometheus/Backend.ts"
import type { PrometheusClient } from "../prometheus/PrometheusClient.ts"

/** The rule by which the records are those of a query; or why that is not certain, as the part of a sentence after "because". */
export const remoteReadRule = Effect.fnUntraced(function* (
  client: PrometheusClient["Service"]
): Effect.fn.Return<Lookback | string> {
  const { lookback, name } = yield* client.backend
  if (lookback === undefined) {
    return name === "unknown"
      ? "it is not known what kind of server it is"
      : `it is not known exactly how ${name} evaluates data points`
  }
  const configuration = yield* client.configuration
  if (configuration === undefined) return "the server does not show its configuration"
  // A query fails then, or warns. A remote read just lacks the samples.
  return configuration.readsFromOthers
    ? "the server also reads from other servers, and remote read does not report when one of them is unavailable"
    : lookback
})
