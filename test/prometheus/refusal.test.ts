import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import type { ErrorAction, PrometheusError, Reason } from "../../src/prometheus/PrometheusError.ts"
import { fromRefusal, type Refusal } from "../../src/prometheus/refusal.ts"

const endpoint = "http://localhost:9090/api/v1/query_range"

const json = (errorType: string, error: string): string =>
  JSON.stringify({ status: "error", errorType, error })

const refuse = (status: number, body: string, contentType = "application/json"): PrometheusError =>
  fromRefusal(endpoint, { status, body, contentType, retryAfterMillis: undefined })

const html = "<!DOCTYPE html>\n<html><head><title>\n Sign in </title></head><body>x</body></html>"

interface Case {
  readonly status: number
  readonly body: string
  readonly type?: string
  readonly reason: Reason
  readonly action: ErrorAction
}

const plain = "text/plain; charset=utf-8"

const cases: ReadonlyArray<Case> = [
  // Split by time.
  {
    status: 400,
    body: json(
      "bad_data",
      "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
    ),
    reason: "TooLarge",
    action: "split"
  },
  {
    status: 422,
    body: json("422", "too many points for the given start=1, end=2 and step=1: 40000; the maximum is 30000"),
    reason: "TooLarge",
    action: "split"
  },
  // Split by time, then by label.
  {
    status: 422,
    body: json("execution", "query processing would load too many samples into memory in query execution"),
    reason: "TooLarge",
    action: "split"
  },
  {
    status: 503,
    body: json("timeout", "query timed out in expression evaluation"),
    reason: "TooSlow",
    action: "split"
  },
  // Split.
  { status: 422, body: json("execution", "exceeded sample limit"), reason: "TooLarge", action: "split" },
  { status: 413, body: json("too_large_entry", "x"), reason: "TooLarge", action: "split" },
  { status: 413, body: html, type: "text/html", reason: "TooLarge", action: "split" },
  { status: 413, body: "", type: plain, reason: "TooLarge", action: "split" },
  {
    status: 422,
    body: json(
      "execution",
      "the query exceeded the maximum number of series (limit: 100000 series) (err-mimir-max-series-per-query)"
    ),
    reason: "TooManySeries",
    action: "split"
  },
  {
    status: 422,
    body: json("execution", "the query exceeded the limit (err-mimir-max-chunks-per-query). Consider …"),
    reason: "TooLarge",
    action: "split"
  },
  {
    status: 400,
    body: json("bad_data", "the total query time range exceeds the limit (err-mimir-max-total-query-length)"),
    reason: "TooLarge",
    action: "split"
  },
  {
    status: 429,
    body: "the query exceeded the limit (err-mimir-max-estimated-memory-consumption-per-query)",
    type: plain,
    reason: "TooLarge",
    action: "split"
  },
  {
    status: 422,
    body: json("422", "the number of matching timeseries exceeds 30000; either narrow down the search"),
    reason: "TooManySeries",
    action: "split"
  },
  {
    status: 422,
    body: json("422", "cannot select more than -search.maxSamplesPerQuery=1000000000 samples"),
    reason: "TooLarge",
    action: "split"
  },
  {
    status: 422,
    body: json("execution", "expanding series: exceeded series limit: limit 10 violated (got 11)"),
    reason: "TooManySeries",
    action: "split"
  },
  {
    status: 422,
    body: json("execution", "the query exceeded the limit (err-mimir-max-fetched-series-per-query)"),
    reason: "TooManySeries",
    action: "split"
  },
  // VictoriaMetrics, with the query before it.
  ...(
    [
      [
        'cannot execute query: cannot evaluate "wide": cannot select more than -search.maxSamplesPerQuery=1000 samples; possible solutions: …',
        "TooLarge"
      ],
      [
        'cannot execute query: cannot evaluate "wide": search error after reading 0 data blocks: error when searching tsids: the number of matching timeseries exceeds 100; either narrow down the search',
        "TooManySeries"
      ],
      [
        "too many points for the given step=60000, start=1767225600000 and end=1767229200000: 61; cannot exceed -search.maxPointsPerTimeseries=50",
        "TooLarge"
      ],
      [
        "cannot execute query: error during time series unpacking: cannot process more than 100 samples per series; either increase -search.maxSamplesPerSeries or reduce time range for the query",
        "TooLarge"
      ],
      [
        "cannot execute query: timeout exceeded during query execution: 1.000 seconds (elapsed 3.585 seconds); the timeout can be adjusted",
        "TooSlow"
      ],
      [
        "cannot execute query: not enough memory for processing 2160300 data points across 300 time series with 7201 points in each time series",
        "TooLarge"
      ]
    ] as const
  ).map(
    ([text, reason]): Case => ({
      status: 422,
      body: json(
        "422",
        `error when executing query="{__name__="a",b=~"exceeded series limit"}" on the time range (start=1767225600000, end=1767229200000, step=60000): ${text}`
      ),
      reason,
      action: "split"
    })
  ),
  ...[
    "exceeded chunks limit: limit 10 violated",
    "rpc error: received message larger than max (5 vs. 4)"
  ].map(
    (text): Case => ({ status: 422, body: json("execution", text), reason: "TooLarge", action: "split" })
  ),
  {
    status: 422,
    body: json("execution", "the query hit the max number of series limit (limit: 100000 series)"),
    reason: "TooManySeries",
    action: "split"
  },
  // Retry.
  {
    status: 503,
    body: 'remoteAddr: "127.0.0.1:53430"; requestURI: /api/v1/query_range?query=wide; cannot handle more than 1 concurrent search requests during 100ms',
    type: plain,
    reason: "Unavailable",
    action: "retry"
  },
  {
    status: 422,
    body: json("execution", "expanding series: proxy Series(): rpc error: code = Unavailable desc = down"),
    reason: "Unavailable",
    action: "retry"
  },
  {
    status: 422,
    body: json("execution", "expanding series: context deadline exceeded"),
    reason: "Unavailable",
    action: "retry"
  },
  {
    status: 503,
    body: json("timeout", "query timed out in query queue"),
    reason: "Unavailable",
    action: "retry"
  },
  { status: 429, body: json("too_many_requests", "x"), reason: "RateLimited", action: "retry" },
  { status: 429, body: "too many outstanding requests", type: plain, reason: "RateLimited", action: "retry" },
  { status: 429, body: "", reason: "RateLimited", action: "retry" },
  { status: 500, body: json("internal", "TSDB not ready"), reason: "Unavailable", action: "retry" },
  { status: 500, body: json("unavailable", "TSDB not ready"), reason: "Unavailable", action: "retry" },
  { status: 502, body: html, type: "text/html", reason: "Unavailable", action: "retry" },
  { status: 503, body: "Service Unavailable", type: plain, reason: "Unavailable", action: "retry" },
  { status: 503, body: json("canceled", "query was canceled"), reason: "Unavailable", action: "retry" },
  { status: 499, body: json("canceled", "query was canceled"), reason: "Unavailable", action: "retry" },
  { status: 504, body: html, type: "text/html", reason: "Timeout", action: "retry" },
  { status: 524, body: html, type: "text/html", reason: "Timeout", action: "retry" },
  { status: 408, body: "", reason: "Unavailable", action: "retry" },
  { status: 599, body: "", reason: "Unavailable", action: "retry" },
  // Fail.
  {
    status: 400,
    body: json("bad_data", 'invalid parameter "query": 1:5: parse error: unexpected end of input'),
    reason: "Refused",
    action: "stream"
  },
  {
    status: 422,
    body: json("execution", "found duplicate series for the match group"),
    reason: "Refused",
    action: "stream"
  },
  {
    status: 422,
    body: json("422", 'cannot parse "x": unexpected token'),
    reason: "Refused",
    action: "stream"
  },
  { status: 406, body: json("not_acceptable", "x"), reason: "Refused", action: "stream" },
  { status: 401, body: "Unauthorized", type: plain, reason: "Unauthorized", action: "sync" },
  { status: 401, body: "no org id", type: plain, reason: "Unauthorized", action: "sync" },
  { status: 403, body: html, type: "text/html", reason: "Unauthorized", action: "sync" },
  { status: 404, body: "404 page not found", type: plain, reason: "WrongPath", action: "sync" },
  { status: 404, body: json("not_found", "x"), reason: "WrongPath", action: "sync" },
  { status: 404, body: html, type: "text/html", reason: "WrongPath", action: "sync" },
  { status: 405, body: "", reason: "WrongPath", action: "sync" },
  {
    status: 400,
    body: 'remoteAddr: "127.0.0.1:53940"; requestURI: /x/api/v1/query_range; unsupported path requested: "/x/api/v1/query_range"',
    type: plain,
    reason: "WrongPath",
    action: "sync"
  },
  {
    status: 400,
    body: 'requestURI: /api/v1/query_range; missing -http.pathPrefix="/vm" in the requested path "/api/v1/query_range"',
    type: plain,
    reason: "WrongPath",
    action: "sync"
  },
  { status: 200, body: html, type: "text/html; charset=utf-8", reason: "NotPrometheus", action: "sync" },
  { status: 200, body: "hello", type: plain, reason: "NotPrometheus", action: "sync" },
  { status: 200, body: "", type: plain, reason: "NotPrometheus", action: "sync" },
  { status: 302, body: "", type: plain, reason: "NotPrometheus", action: "sync" },
  { status: 304, body: "", type: plain, reason: "NotPrometheus", action: "sync" },
  { status: 200, body: json("execution", "it failed"), reason: "Refused", action: "stream" },
  {
    status: 200,
    body: json("execution", "query processing would load too many samples into memory"),
    reason: "TooLarge",
    action: "split"
  }
]

describe("fromRefusal", () => {
  it.each(cases)("HTTP $status $body means $reason: $action", ({ body, action, reason, status, type }) => {
    const error = refuse(status, body, type)
    assert.strictEqual(error.reason, reason)
    assert.strictEqual(error.policy.action, action)
    assert.include(error.message, `${endpoint} returned HTTP ${status}`)
  })

  it("reads the text behind a long query", () => {
    // VictoriaMetrics repeats the query before the error.
    const text = `error when executing query="${"x".repeat(2000)}" on the time range (start=1): cannot select more than -search.maxSamplesPerQuery=1 samples`
    assert.strictEqual(refuse(422, json("422", text)).reason, "TooLarge")
    assert.strictEqual(refuse(422, text, plain).reason, "TooLarge")
    assert.match(refuse(422, json("422", text)).summary, /HTTP 422: cannot select more than/)
  })

  it("reads the text behind the parts of a query that could not be evaluated", () => {
    const part = String.raw`m{a=~\"exceeded series limit.*\"}`
    const parts = `cannot execute query: cannot execute "default_rollup(${part}[5m]) if count_over_time(${part}[5m])": cannot evaluate "count_over_time(${part}[5m])": `
    const own = 'error when executing query="m" on the time range (start=1, end=2, step=1): '
    const error = refuse(422, json("422", `${own}${parts}not enough memory for processing 5 points`))
    assert.strictEqual(error.reason, "TooLarge")
    assert.match(error.summary, /HTTP 422: not enough memory for processing 5 points\.$/)
    assert.match(
      refuse(422, json("422", `${own}cannot execute "m`)).summary,
      /HTTP 422: cannot execute "m\.$/
    )
  })

  it("quotes the server", () => {
    assert.strictEqual(
      refuse(400, json("bad_data", "parse error")).summary,
      `${endpoint} returned HTTP 400: parse error.`
    )
    assert.strictEqual(
      refuse(404, "404 page not found\n", plain).summary,
      `${endpoint} returned HTTP 404: 404 page not found.`
    )
    assert.strictEqual(refuse(503, "", plain).summary, `${endpoint} returned HTTP 503.`)
    assert.strictEqual(refuse(503, "  \n ", plain).summary, `${endpoint} returned HTTP 503.`)
    assert.strictEqual(refuse(400, json("x", "Is it?")).summary, `${endpoint} returned HTTP 400: Is it?`)
    assert.strictEqual(refuse(400, json("x", "a\n\tb")).summary, `${endpoint} returned HTTP 400: a b.`)
  })

  it("quotes the title of a web page, not its source", () => {
    assert.strictEqual(
      refuse(502, html, "text/html").summary,
      `${endpoint} returned HTTP 502: a web page titled "Sign in".`
    )
    assert.strictEqual(
      refuse(502, html, "").summary,
      `${endpoint} returned HTTP 502: a web page titled "Sign in".`
    )
    assert.strictEqual(refuse(502, "<p>x", "text/html").summary, `${endpoint} returned HTTP 502: a web page.`)
    assert.strictEqual(
      refuse(502, "<title></title>", "text/html").summary,
      `${endpoint} returned HTTP 502: a web page.`
    )
  })

  it("shortens long texts", () => {
    for (const body of [
      "x".repeat(60_000),
      json("x", "y".repeat(60_000)),
      `<title>${"z".repeat(60_000)}</title>`
    ]) {
      assert.isBelow(refuse(400, body).message.length, 500)
    }
  })

  it("has the server's Retry-After", () => {
    const refusal: Refusal = { status: 429, body: "", contentType: "", retryAfterMillis: 7000 }
    assert.strictEqual(fromRefusal(endpoint, refusal).retryAfterMillis, 7000)
    assert.isUndefined(refuse(429, "").retryAfterMillis)
  })

  it.prop(
    "accepts any status and body",
    [Schema.Int.check(Schema.isBetween({ minimum: 100, maximum: 599 })), Schema.String, Schema.String],
    ([status, body, contentType]) => {
      const error = refuse(status, body, contentType)
      assert.include(["retry", "split", "stream", "sync"], error.policy.action)
      assert.isTrue(error.message.startsWith(`${endpoint} returned HTTP ${status}`))
    }
  )
})
