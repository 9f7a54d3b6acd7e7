/** Which requests to a mock fail, and how: for `MockOptions.faults`. */
import { METRIC_NAME } from "../samples/Series.ts"
import type { Fault, MockRequest } from "./http.ts"
import { isRead, parseReadRequest } from "./readRequest.ts"

/** Chooses the fault of a request, if any. `attempt` counts equal requests, from 1. */
export type Faults = (request: MockRequest, attempt: number) => Fault | undefined

/** Applies a fault to the range queries and the remote reads of one metric. */
export const onMetric = (metric: string, fault: Fault) => {
  const quoted = JSON.stringify(metric).slice(1, -1)
  // Only the complete name, not a part of a longer one.
  const named = new RegExp(`(?<![\\w:])${quoted.replace(/[^\w:]/g, "\\$&")}(?![\\w:])`)
  return (request: Pick<MockRequest, "body" | "params" | "path">): Fault | undefined => {
    const { body, params, path } = request
    const applies = isRead(request)
      ? parseReadRequest(body).queries.some(({ matchers }) =>
          matchers.some(({ label, value }) => label === METRIC_NAME && value === metric)
        )
      : path.endsWith("/api/v1/query_range") && named.test(params.get("query") ?? "")
    return applies ? fault : undefined
  }
}

/** Applies a fault to all requests whose path ends so: `/api/v1/labels`, or `""` for every request. */
export const onPath =
  (end: string, fault: Fault) =>
  ({ path }: Pick<MockRequest, "path">): Fault | undefined =>
    path.endsWith(end) ? fault : undefined

/** Applies faults only to the first `count` attempts of a request, so that the next one succeeds. */
export const firstTries =
  (count: number, faults: Faults): Faults =>
  (request, attempt) =>
    attempt <= count ? faults(request, attempt) : undefined

/** Combines faults: the first one that applies to a request is used. */
export const anyOf =
  (...all: ReadonlyArray<Faults>): Faults =>
  (request, attempt) => {
    for (const faults of all) {
      const fault = faults(request, attempt)
      if (fault !== undefined) return fault
    }
    return undefined
  }

/** An error response of Prometheus, in its JSON: 422 is a query that failed, 503 a server that is not ready. */
export const refusal = (status: number, error: string): Fault => ({
  status,
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ status: "error", errorType: errorTypes[status] ?? "internal", error })
})

const errorTypes: Readonly<Record<number, string>> = {
  400: "bad_data",
  422: "execution",
  429: "too_many_requests",
  503: "unavailable"
}
