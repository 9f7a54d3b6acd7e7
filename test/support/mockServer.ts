/** The mock Prometheus on a socket, and a configuration for the built connector. */
import { Effect } from "effect"
import * as faults from "../../src/mock/faults.ts"
import type { Fault, MockRequest } from "../../src/mock/http.ts"
import { type MockOptions, MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { type MockSeries, makeDatabase } from "../../src/mock/MockSeries.ts"
import * as MockServer from "../../src/mock/MockServer.ts"
import { iso, minute, start } from "./gauge.ts"

/** A mock server, and a configuration that reads so many minutes from `start` on. */
export const serve = (
  series: ReadonlyArray<MockSeries>,
  minutes: number,
  options: MockOptions = {},
  more: object = {}
) => {
  const all = { lookbackMillis: 1000, version: "3.0.0", ...options }
  return serveMock(new MockPrometheus(makeDatabase(series), all), minutes, more)
}

/** The same for any mock. */
export const serveMock = Effect.fnUntraced(function* (
  mock: MockPrometheus,
  minutes: number,
  more: object = {}
) {
  const { baseUrl } = yield* MockServer.make(mock)
  const config = {
    base_url: baseUrl,
    start_date: iso(start),
    end_date: iso(start + (minutes - 1) * minute),
    step: 60,
    ...more
  }
  return { config, mock }
})

/** A fault for the range queries and remote reads of one metric, optionally only for windows after the first. */
export const onMetric =
  (metric: string, fault: Fault, laterOnly = false) =>
  (request: Pick<MockRequest, "body" | "params" | "path">): Fault | undefined =>
    laterOnly && Number(request.params.get("start")) * 1000 === start
      ? undefined
      : faults.onMetric(metric, fault)(request)

/** The number of points in a request; zero, if it is not a range query. */
export const pointsOf = ({ params, path }: Pick<MockRequest, "params" | "path">): number =>
  path.endsWith("/api/v1/query_range")
    ? Math.floor((Number(params.get("end")) - Number(params.get("start"))) / Number(params.get("step"))) + 1
    : 0

/** A server's error for a query that loads more samples than it allows. */
export const refusal = faults.refusal(
  422,
  "query processing would load too many samples into memory in query execution"
)
