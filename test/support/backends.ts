/**
 * Programs with Prometheus' API, as far as a client can tell: their responses as faults of the mock, and mocks that
 * handle requests as those programs do.
 *
 * The texts of VictoriaMetrics were recorded from version 1.79.5; test/integration/victoriaMetrics.test.ts compares status,
 * type and the relevant words with a real server. Mimir, Thanos and Cortex were not available: their texts are assembled
 * from public documentation and bug reports, so their key words and codes are more reliable than the rest.
 */
import { type Fault, type MockRequest, type MockResponse, makeRequest } from "../../src/mock/http.ts"
import { type MockOptions, MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import type { MockDatabase } from "../../src/mock/MockSeries.ts"
import { pointsOf } from "./mockServer.ts"

const text = { "content-type": "text/plain; charset=utf-8" }
const json = { "content-type": "application/json" }

const refusal = (status: number, errorType: string, error: string): Fault => ({
  status,
  headers: json,
  body: JSON.stringify({ status: "error", errorType, error })
})

const mimirLimit = (what: string, id: string, flag: string): Fault =>
  refusal(
    422,
    "execution",
    `expanding series: the query exceeded the maximum number of ${what} (${id}). Consider reducing the time range and/or number of series selected by the query. One way to reduce the number of selected series is to add more label matchers to the query. Otherwise, to adjust the related per-tenant limit, configure -${flag}, or contact your service administrator.`
  )

/** Mimir and Grafana Cloud. */
export const mimir = {
  maxChunks: mimirLimit(
    "chunks (limit: 2000000 chunks)",
    "err-mimir-max-chunks-per-query",
    "querier.max-fetched-chunks-per-query"
  ),
  maxSeries: mimirLimit(
    "series (limit: 100000 series)",
    "err-mimir-max-series-per-query",
    "querier.max-fetched-series-per-query"
  ),
  maxTotalQueryLength: refusal(
    400,
    "bad_data",
    "the total query time range exceeds the limit (query length: 1440h0m0s, limit: 768h0m0s) (err-mimir-max-total-query-length). To adjust the related per-tenant limit, configure -query-frontend.max-total-query-length, or contact your service administrator."
  ),
  /** The queue of the query frontend is full. */
  queueFull: { status: 429, headers: text, body: "too many outstanding requests" },
  /** The same through a gateway that reports when to retry. */
  queueFullFor: (seconds: number): Fault => ({
    status: 429,
    headers: { ...text, "retry-after": `${seconds}` },
    body: "too many outstanding requests"
  }),
  tooLarge: refusal(
    413,
    "too_large_entry",
    "response larger than the max message size (104857600 vs 109051904)"
  ),
  storeGatewaysMissing: refusal(
    500,
    "internal",
    "expanding series: failed to fetch some blocks (err-mimir-store-consistency-check-failed). The failed blocks are: 01GZDNGK5PHCQCDJQPPR9J0YHM"
  ),
  noTenant: { status: 401, headers: text, body: "no org id\n" }
} satisfies Record<string, Fault | ((seconds: number) => Fault)>

const missingStore =
  'receive series from Addr: 10.0.0.7:10901 LabelSets: {replica="a"} MinTime: 1767225600000 MaxTime: 9223372036854775807: rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial tcp 10.0.0.7:10901: connect: connection refused"'

/** Thanos Query, and Cortex, which reads blocks with the same code. */
export const thanos = {
  /** A store that a query needs does not respond. */
  storeMissing: refusal(
    422,
    "execution",
    `expanding series: proxy Series(): rpc error: code = Aborted desc = ${missingStore}`
  ),
  /** The same from the query frontend, if it cannot reach the querier. */
  unavailable: refusal(503, "unavailable", missingStore),
  maxSeries: refusal(
    422,
    "execution",
    "expanding series: proxy Series(): rpc error: code = Aborted desc = fetch series for block 01GS9S165XPR46FQZR26GYCFSA: exceeded series limit: rpc error: code = ResourceExhausted desc = limit 1000 violated (got 1024)"
  )
} satisfies Record<string, Fault>

const evaluated = (query: string) =>
  `error when executing query="${query}" on the time range (start=1767225600000, end=1767229200000, step=60000): `

/** VictoriaMetrics, queried for `wide` from 2026-01-01T00:00:00Z, one hour in steps of a minute. */
export const victoriaMetrics = {
  maxSamplesPerQuery: refusal(
    422,
    "422",
    `${evaluated("wide")}cannot execute query: cannot evaluate "wide": cannot select more than -search.maxSamplesPerQuery=1000 samples; possible solutions: to increase the -search.maxSamplesPerQuery; to reduce time range for the query; to use more specific label filters in order to select lower number of series`
  ),
  maxUniqueTimeseries: refusal(
    422,
    "422",
    `${evaluated("wide")}cannot execute query: cannot evaluate "wide": search error after reading 0 data blocks: error when searching for tagFilters=[{__name__="wide"}] on the time range [2025-12-31T23:54:00Z..2026-01-01T01:00:00Z]: error when searching tsids: the number of matching timeseries exceeds 20; either narrow down the search or increase -search.max* command-line flag values at vmselect; see https://docs.victoriametrics.com/#resource-usage-limits`
  ),
  /** Recorded from version 1.151. */
  maxResponseSeries: refusal(
    422,
    "422",
    `${evaluated("wide")}the response contains more than -search.maxResponseSeries=20 time series: 30 series; either increase -search.maxResponseSeries or change the query in order to return smaller number of series`
  ),
  maxPointsPerTimeseries: refusal(
    422,
    "422",
    `${evaluated("wide")}too many points for the given step=60000, start=1767225600000 and end=1767229200000: 61; cannot exceed -search.maxPointsPerTimeseries=50`
  ),
  maxSamplesPerSeries: refusal(
    422,
    "422",
    `${evaluated("wide")}cannot execute query: cannot evaluate "wide": error during time series unpacking: cannot process more than 30 samples per series; either increase -search.maxSamplesPerSeries or reduce time range for the query`
  ),
  memory: refusal(
    422,
    "422",
    `${evaluated("wide")}cannot execute query: cannot evaluate "wide": not enough memory for processing 1830 data points across 30 time series with 61 points in each time series; total available memory for concurrent requests: 25000 bytes; requested memory: 29280 bytes; possible solutions are: reducing the number of matching time series; switching to node with more RAM; increasing -memory.allowedPercent; increasing \`step\` query arg (60s)`
  ),
  maxQueryLen: refusal(
    422,
    "422",
    `${evaluated("wide")}too long query; got 4 bytes; mustn't exceed \`-search.maxQueryLen=3\` bytes`
  ),
  /** Not compared with a real server: this needs a query that runs for seconds. */
  maxQueryDuration: refusal(
    422,
    "422",
    `${evaluated("wide")}cannot execute query: cannot evaluate "wide": timeout exceeded during query execution: 1.000 seconds (elapsed 3.585 seconds); the timeout can be adjusted with \`-search.maxQueryDuration\` command-line flag`
  ),
  /** Not compared with a real server: this needs a concurrent query that runs for seconds. */
  queueFull: {
    status: 503,
    headers: text,
    body: 'remoteAddr: "127.0.0.1:53430"; requestURI: /api/v1/query_range?query=wide&start=1767225600&end=1767229200&step=60; cannot handle more than 1 concurrent search requests during 100ms; possible solutions: increase `-search.maxQueueDuration`; increase `-search.maxQueryDuration`; increase `-search.maxConcurrentRequests`; increase server capacity\n'
  }
} satisfies Record<string, Fault>

/** Responds with a fault to the range queries to which it applies. */
export const onRangeQueries =
  (fault: Fault, applies: (request: MockRequest, attempt: number) => boolean = () => true) =>
  (request: MockRequest, attempt: number): Fault | undefined =>
    pointsOf(request) > 0 && applies(request, attempt) ? fault : undefined

/**
 * A Mimir: it serves under `/prometheus`, requires a tenant, and limits how far queries look back. It silently truncates
 * a range that begins earlier, and responds to a range that ends earlier with an empty success.
 */
export class MimirMock extends MockPrometheus {
  readonly lookbackMillis: number

  constructor(database: MockDatabase, options: MockOptions = {}, lookbackMillis = Number.POSITIVE_INFINITY) {
    const faults: MockOptions["faults"] = (request, attempt) =>
      (request.headers.get("x-scope-orgid") ?? "") === ""
        ? mimir.noTenant
        : options.faults?.(request, attempt)
    super(database, { pathPrefix: "/prometheus", ...options, faults })
    this.lookbackMillis = lookbackMillis
  }

  override handle(request: MockRequest, nowMillis: number): MockResponse {
    const earliest = (nowMillis - this.lookbackMillis) / 1000
    const [from, to] = ["start", "end"].map((key) => Number(request.params.get(key) ?? Number.NaN)) as [
      number,
      number
    ]
    if (!(from < earliest)) return super.handle(request, nowMillis)
    const url = new URL(request.url)
    url.search = `${request.params}`
    if (to < earliest) {
      // No series has this name.
      for (const key of ["query", "match[]"]) url.searchParams.set(key, '{__name__="no such series"}')
    } else {
      const step = Number(request.params.get("step") ?? "1")
      url.searchParams.set("start", `${from + Math.ceil((earliest - from) / step) * step}`)
    }
    return super.handle(makeRequest("GET", url, request.headers, ""), nowMillis)
  }
}

/**
 * A Thanos Query. It adds members to its data. While a store is missing it returns partial data with a warning, or an
 * error if the request does not allow partial data.
 */
export class ThanosMock extends MockPrometheus {
  readonly storeIsMissing: () => boolean

  constructor(database: MockDatabase, options: MockOptions = {}, storeIsMissing = () => false) {
    const faults: MockOptions["faults"] = (request, attempt) =>
      pointsOf(request) > 0 && storeIsMissing() && request.params.get("partial_response") === "false"
        ? thanos.storeMissing
        : options.faults?.(request, attempt)
    super(database, { remoteRead: false, ...options, faults })
    this.storeIsMissing = storeIsMissing
  }

  override handle(request: MockRequest, nowMillis: number): MockResponse {
    const response = super.handle(request, nowMillis)
    if (request.path.endsWith("/api/v1/stores")) {
      // A store that is missing is not marked at once.
      const stores = { status: "success", data: { sidecar: [{ name: "10.0.0.7:10901", lastError: null }] } }
      return { ...response, status: 200, headers: json, body: [Buffer.from(JSON.stringify(stores))] }
    }
    if (response.status !== 200 || pointsOf(request) === 0) return response
    const body = Buffer.concat([...response.body]).toString()
    const warnings = this.storeIsMissing() ? `,"warnings":[${JSON.stringify(missingStore)}]` : ""
    const members =
      '"stats":{"timings":{"evalTotalTime":0.01},"samples":{"totalQueryableSamples":61}},"analysis":{"name":"[*vectorSelector]","children":[]}'
    return { ...response, body: [Buffer.from(body.replace(/\}\}$/, `,${members}}${warnings}}`))] }
  }
}
