import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import type { ErrorAction, PrometheusError, Reason } from "../../src/prometheus/PrometheusError.ts"
import { fromRefusal, type Refusal } from "../../src/prometheus/refusal.ts"
import { longText } from "../support/runs.ts"

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
    body: json("execution", "expanding series: context canceled"),
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
  // Refused for a reason that is not known: smaller requests are tried.
  {
    status: 422,
    body: json("execution", "cannot do this"),
    reason: "Refused",
    action: "split"
  },
  { status: 406, body: json("not_acceptable", "x"), reason: "Refused", action: "split" },
  { status: 200, body: json("execution", "it failed"), reason: "Refused", action: "split" },
  // Fail.
  { status: 401, body: "Unauthorized", type: plain, reason: "Unauthorized", action: "sync" },
  { status: 401, body: "no org id", type: plain, reason: "Unauthorized", action: "sync" },
  { status: 403, body: html, type: "text/html", reason: "Forbidden", action: "stream" },
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
  {
    status: 200,
    body: json("execution", "query processing would load too many samples into memory"),
    reason: "TooLarge",
    action: "split"
  }
]

/** Texts of limits, by what their words make of them. All are tried smaller. */
const limits: ReadonlyArray<readonly [reason: Reason, texts: ReadonlyArray<string>]> = [
  [
    "TooManySeries",
    [
      "query would load too many series into memory in query execution",
      "the response contains more than -search.maxResponseSeries=10 time series: 12 series; either increase -search.maxResponseSeries or change the query",
      "the query exceeded the maximum number of series (limit: 5 series)",
      "query cardinality limit reached"
    ]
  ],
  [
    "TooLarge",
    [
      "query would read too many samples in query execution",
      "the query exceeded the aggregated chunks size limit (limit: 50 bytes)",
      "the query hit the aggregated data size limit (limit: 50 bytes)",
      "the query response size exceeds limit",
      "the query exceeded the maximum number of chunks (limit: 2 chunks)",
      "the query time range exceeds the limit (query length: 800h, limit: 768h)",
      // Not known, by what they limit.
      "the range of a query may have at most 31 days",
      "query range is longer than 30d",
      "this tier is limited to 100000 points",
      "User /CONSUMER:0 has requested 5853MiB of memory for processing queries on one node (limit 5847MiB), refusing to grant further memory for this query.",
      "response of 120 MB is too big, narrow the query",
      "error parsing the query response: body exceeds 64 MB",
      "failed to parse query range: it must be no more than 7 days",
      "cannot parse response: message too large",
      "invalid time range: 40d, maximum 32d"
    ]
  ],
  [
    "TooSlow",
    [
      "query timed out in expression evaluation",
      "query timed out in query execution",
      "context deadline exceeded",
      "expanding series: rpc error: code = DeadlineExceeded desc = context deadline exceeded",
      "expanding series: proxy Series(): failed to receive any data in 2s from store-1: context canceled",
      "expanding series: rpc error: code = Internal desc = stream terminated by RST_STREAM with error code: NO_ERROR",
      "timeout exceeded while fetching data block #5 from storage: 1.000 seconds"
    ]
  ]
]

/** The query is wrong, however large it is. */
const invalidQueries: ReadonlyArray<readonly [status: number, text: string]> = [
  [400, 'invalid parameter "query": 1:5: parse error: unexpected end of input'],
  [400, "invalid parameter 'query': parse error at char 54: duration must be greater than 0"],
  [400, 'invalid parameter "match[]": 1:2: parse error: unexpected identifier "limit"'],
  [400, "1:9: parse error: unexpected character inside braces: '\"'"],
  [400, 'invalid parameter "query": unknown function with name "top"'],
  [422, 'cannot parse "x{": unexpected token ""; want "}"; unparsed data: ""'],
  [422, 'unparsed data left: "}"'],
  [422, 'invalid regexp in a="(": error parsing regexp: missing closing ): `(`'],
  [400, "error parsing regexp: invalid nested repetition operator: `**`"],
  [400, 'unknown func "top"'],
  [400, 'unsupported function "top"'],
  [422, "invalid regular expression in label_replace(): ("],
  [422, "invalid destination label name in label_replace(): a b"],
  [400, "match[] must contain at least one non-empty matcher"],
  [400, "failed to parse query: unexpected symbol"],
  [
    422,
    'error when executing query="up{" on the time range (start=1, end=2, step=60): cannot parse "up{": unexpected token ""; want "}"; unparsed data: ""'
  ],
  [400, 'invalid expression type "range vector" for range query, must be Scalar or instant Vector']
]

/** They are no errors of the query's syntax, or it is not certain. */
const uncertain: ReadonlyArray<string> = [
  'parameter "query" must select exactly one metric by name',
  'Invalid JSON payload received. Unknown name "step": Cannot bind query parameter.',
  "cannot parse response of the store",
  "failed to parse query response",
  "Request contains an invalid argument.",
  'cannot add the match group {a="parse error"}'
]

const everywhere = /group_left/
const sameLabels = /Two series of the result have the same labels/

/** What servers say of an expression that fails at some points, whose labels may be called like a limit. */
const failures: ReadonlyArray<readonly [text: string, advice: RegExp]> = [
  [
    'found duplicate series for the match group {limit="exceeded"} on the right hand-side of the operation: [{__name__="max-series", x="1"}, {__name__="too many samples", x="1"}];many-to-many matching not allowed: matching labels must be unique on one side',
    everywhere
  ],
  ["multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)", everywhere],
  ["multiple matches for labels: grouping labels must ensure unique matches", everywhere],
  [
    'found duplicate series for the match group {x="1"} on the right side of the operation at timestamp 2026-01-01T00:00:00Z: {__name__="b"} and {__name__="c"}',
    everywhere
  ],
  [
    'error when executing query="a * on(limit) b" on the time range (start=1, end=2, step=60): cannot evaluate "a * on(limit) b": duplicate time series on the right side of * on(limit): {x="1"} and {x="2"}',
    everywhere
  ],
  [
    'cannot execute query: cannot evaluate "a": duplicate time series on the left side of `* on (maximum) group_left ()`: {x="1"} and {x="2"}',
    everywhere
  ],
  ["vector cannot contain metrics with the same labelset", sameLabels],
  ['duplicate output timeseries: max_limit{x="1"}', sameLabels],
  ['duplicate output timeseries: container_cpu_cfs_throttled_seconds{x="1"}', sameLabels],
  ["Scalar value NaN overflows int64", /no usable value at this time/],
  ["Scalar value 1e+20 overflows int64", /no usable value/],
  ["Parameter value is NaN", /no usable value/]
]

/** What servers say of damage in their own data. */
const damages: ReadonlyArray<string> = [
  "cannot populate chunk 719 from block 00000000000000000000000000: checksum mismatch expected:690397ab, actual:de9b2393",
  "expanding series: get series 3: block: 01M8KZXQAGKPJ26V77KCH57BQ5: invalid uvarint 0",
  "expanding series: rpc error: code = Aborted desc = fetch series for block 01M8KZXQAGKPJ26V77KCH57BQ5: load chunks: invalid checksum",
  "cannot populate chunk 8 from block 00000000000000000000000000: segment index 2 out of range",
  "cannot populate chunk 8 from block 00000000000000000000000000: segment doesn't include enough bytes to read the chunk - required:900, available:800",
  'cannot populate chunk 8: invalid chunk encoding "<unknown>"',
  "corruption in head chunk file /data/chunks_head/000001: checksum mismatch expected:0, actual:1",
  "open index reader: open /data/01M8KZXQAGKPJ26V77KCH57BQ5/index: no such file or directory",
  "read /data/chunks/000001: input/output error",
  "iterate series: chunk 3: unexpected EOF",
  "fetch chunk range: get range reader: block 01M8KZXQAGKPJ26V77KCH57BQ5: The specified key does not exist.",
  "search error after reading 3 data blocks: cannot decompress index block: cannot decompress",
  "error during time series unpacking: cannot unpack block: cannot unmarshal block: cannot unmarshal timestamps",
  "data corruption: the last char in k=00 must be 01"
]

/** They name damage, and are something else. */
const undamaged: ReadonlyArray<readonly [text: string, reason: Reason]> = [
  [
    'cannot evaluate "data_corrupted_total": cannot select more than -search.maxSamplesPerQuery=1 samples',
    "TooLarge"
  ],
  ['found duplicate series for the match group {error="checksum mismatch"}', "FailedExpression"],
  ["cannot add prometheus_tsdb_wal_corruptions_total", "Refused"],
  ["cannot populate chunk 719 from block 0: context deadline exceeded", "TooSlow"],
  ["expanding series: rpc error: snappy: corrupt input", "Unavailable"],
  ["expanding series: Get http://store/x: unexpected EOF", "Unavailable"]
]

/** The advice where the reason alone says too little. */
const advices: ReadonlyArray<readonly [status: number, body: string, reason: Reason, message: RegExp]> = [
  [
    400,
    "Client sent an HTTP request to an HTTPS server.\n",
    "Tls",
    /set base_url to .* https instead of http/
  ],
  [
    400,
    "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>",
    "Tls",
    /sent to HTTPS port".* set base_url to .* https/
  ],
  [
    400,
    "<html><head><title>400 Bad Request</title></head><body>Reason: You're speaking plain HTTP to an SSL-enabled server port.</body></html>",
    "Tls",
    /set base_url to .* https/
  ],
  [400, "Bad Request\nThis combination of host and port requires TLS.\n", "Tls", /https/],
  [
    400,
    "<html><head><title>400 No required SSL certificate was sent</title></head></html>",
    "Tls",
    /wants a client certificate: set tls.client_certificate and tls.client_key/
  ],
  [
    400,
    "<html><head><title>400 The SSL certificate error</title></head></html>",
    "Tls",
    /client certificate/
  ],
  [
    400,
    "<html><head><title>400 Request Header Or Cookie Too Large</title></head></html>",
    "TooLongRequest",
    /requests of this length\. Check headers and selector/
  ],
  [400, "<html><h1>Bad Request - Request Too Long</h1></html>", "TooLongRequest", /headers and selector/],
  [
    400,
    "<html><title>400 Bad Request</title>Size of a request header field exceeds server limit.</html>",
    "TooLongRequest",
    /headers and selector/
  ],
  [431, "", "TooLongRequest", /headers and selector/],
  [414, "<html><head><title>414 Request-URI Too Large</title></head></html>", "TooLongRequest", /selector/],
  [
    400,
    json("400", "too long query; got 20000 bytes; mustn't exceed `-search.maxQueryLen=16384` bytes"),
    "TooLongRequest",
    /selector/
  ],
  [
    422,
    json("execution", "unavailable with Prometheus Agent"),
    "NothingStored",
    /agent mode only forwards samples.* base_url .* forwards to/
  ],
  [404, "unavailable with Prometheus Agent", "NothingStored", /agent mode/],
  [401, "no org id", "Unauthorized", /X-Scope-OrgID/],
  [
    403,
    '{"message":"Missing Authentication Token"}',
    "Unauthorized",
    /Missing Authentication Token.* set authentication\.auth_type to aws_sigv4/
  ],
  [
    403,
    '{"message":"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method."}',
    "Unauthorized",
    /Check authentication\.secret_access_key, authentication\.region and authentication\.service/
  ],
  [
    403,
    '{"message":"Credential should be scoped to correct service: \'aps\'."}',
    "Unauthorized",
    /another region or service: check authentication\.region, and authentication\.service/
  ],
  [
    403,
    '{"message":"The security token included in the request is invalid."}',
    "Unauthorized",
    /does not know the access key: check authentication\.access_key_id, and authentication\.session_token/
  ],
  [
    403,
    '{"message":"The security token included in the request is expired"}',
    "Unauthorized",
    /has expired: set authentication\.access_key_id, .* authentication\.session_token/
  ],
  [
    400,
    '{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}',
    "Unauthorized",
    /temporary access key has expired/
  ],
  [
    403,
    '{"message":"Signature expired: 20261129T120000Z is now earlier than 20261129T121500Z (20261129T122000Z - 5 min.)"}',
    "Unauthorized",
    /correct the clock of this machine/
  ],
  [
    403,
    '{"message":"Signature not yet current: 20261129T123000Z is still later than 20261129T122500Z (20261129T122000Z + 5 min.)"}',
    "Unauthorized",
    /correct the clock of this machine/
  ],
  [
    403,
    '{"Message":"User: arn:aws:iam::123456789012:user/reader is not authorized to perform: aps:QueryMetrics on resource: arn:aws:aps:eu-central-1:123456789012:workspace/ws-1 because no identity-based policy allows the aps:QueryMetrics action"}',
    "Forbidden",
    /may not do this: allow it in a policy .*AmazonPrometheusQueryAccess.*authentication\.role_arn/
  ],
  [401, "Unauthorized", "Unauthorized", /basic_auth_user, basic_auth_pass, authentication and headers/],
  [403, "Forbidden", "Forbidden", /does not let these credentials read this\. Check what they may read/],
  [407, "", "Unauthorized", /Proxy-Authorization in headers/],
  [511, "", "Unauthorized", /network .* login/],
  [421, "", "WrongPath", /host of base_url/],
  [451, "", "Forbidden", /legal/],
  [
    522,
    "<title>prom.example.com | 522: Connection timed out</title>",
    "Unavailable",
    /Cloudflare cannot reach/
  ],
  [526, "", "Unavailable", /Cloudflare cannot use TLS/],
  [200, "<html><title>Grafana</title></html>", "NotPrometheus", /often a login page, which needs a token/],
  [200, html, "NotPrometheus", /looks like a login page.*Set authentication .* bearer token/],
  [200, '<html><title>x</title><input type="password"></html>', "NotPrometheus", /looks like a login page/]
]

describe("the name of an error, in a header of AWS", () => {
  it.each([
    ["AccessDeniedException:http://internal.amazon.com/", "{}", "Forbidden", "AccessDeniedException: {}."],
    ["AccessDeniedException", "", "Forbidden", "AccessDeniedException."],
    ["UnrecognizedClientException", '{"message":"No."}', "Unauthorized", "UnrecognizedClientException: No."],
    [
      "ExpiredTokenException",
      '{"message":"ExpiredTokenException"}',
      "Unauthorized",
      "ExpiredTokenException."
    ],
    ["RequestTimeTooSkewed", "", "Unauthorized", "RequestTimeTooSkewed."],
    ["<script>", '{"message":"Forbidden"}', "Forbidden", "Forbidden."]
  ])("%s of %s means %s", (errorType, body, reason, text) => {
    const error = fromRefusal(endpoint, {
      status: 403,
      body,
      contentType: "application/json",
      errorType
    })
    assert.deepStrictEqual([error.reason, error.summary], [reason, `${endpoint} returned HTTP 403: ${text}`])
  })
})

describe("fromRefusal", () => {
  it.each(cases)("HTTP $status $body means $reason: $action", ({ body, action, reason, status, type }) => {
    const error = refuse(status, body, type)
    assert.strictEqual(error.reason, reason)
    assert.strictEqual(error.policy.action, action)
    assert.include(error.message, `${endpoint} returned HTTP ${status}`)
  })

  for (const [reason, texts] of limits) {
    it.each(texts)(`takes for ${reason}: %s`, (text) => {
      for (const status of [400, 422, 500]) {
        const error = refuse(status, json("execution", text))
        assert.strictEqual(error.reason, reason, `${status}`)
        assert.strictEqual(error.policy.action, "split")
      }
      // Through a gateway that only passes the text on.
      assert.strictEqual(refuse(422, text, plain).reason, reason)
    })
  }

  it("does not take the load of all requests for a limit of one", () => {
    const retried = [
      "query timed out in query queue",
      "too many concurrent queries: limit 20",
      "number of queries whose evaluation is blocked waiting for memory is 502, which exceeds the limit of 500",
      "request rate limit exceeded"
    ]
    for (const text of retried) {
      for (const status of [422, 429, 500, 503]) {
        const { policy } = refuse(status, json("execution", text))
        assert.strictEqual(policy.action, "retry", `${status} ${text}`)
      }
    }
  })

  it.each(invalidQueries)("HTTP %i is an error of the query, told at once: %s", (status, text) => {
    const error = refuse(status, json("bad_data", text))
    assert.strictEqual(error.reason, "InvalidQuery")
    assert.strictEqual(error.policy.action, "stream")
    assert.match(error.message, /Check selector/)
  })

  it.each(uncertain)("does not take for an error of the query: %s", (text) => {
    const error = refuse(400, json("bad_data", text))
    assert.strictEqual(error.reason, "Refused")
    assert.strictEqual(error.policy.action, "split")
  })

  it.each(failures)("recognises an expression that fails at some points: %s", (text, advice) => {
    for (const status of [200, 400, 422]) {
      const error = refuse(status, json("execution", text))
      assert.strictEqual(error.reason, "FailedExpression")
      assert.match(error.message, advice)
    }
  })

  it.each(damages)("recognises damage of the server's data: %s", (text) => {
    for (const status of [422, 500, 503]) {
      const error = refuse(status, json("execution", text))
      assert.strictEqual(error.reason, "Damaged", `${status}`)
      assert.match(error.message, /server's own data is damaged/)
    }
  })

  it.each(undamaged)("does not take for damage: %s", (text, reason) => {
    assert.strictEqual(refuse(422, json("execution", text)).reason, reason)
  })

  it.each(advices)("HTTP %i %s means %s, and says what to do", (status, body, reason, message) => {
    const error = refuse(status, body, body.startsWith("<") ? "text/html" : plain)
    assert.strictEqual(error.reason, reason)
    assert.match(error.message.replaceAll("\n", " "), message)
  })

  it("knows a login page by its address, too", () => {
    const page = (finalAddress: string) =>
      fromRefusal(endpoint, { status: 200, body: "<title>x</title>", contentType: "text/html", finalAddress })
        .message
    for (const address of [
      "http://localhost:9090/login?next=/api/v1/query",
      "https://sso.example.com/",
      "https://example.com/realms/x/protocol/openid-connect/auth",
      "https://example.com/start?client_id=1&response_type=code"
    ]) {
      assert.match(page(address), /looks like a login page/, address)
    }
    for (const address of ["http://localhost:9090/graph", "https://authors.example.com/blogin/ssos"]) {
      assert.match(page(address), /often a login page/, address)
    }
  })

  it.each([
    ['{"error":{"code":400,"message":"It is wrong.","status":"INVALID_ARGUMENT"}}', "It is wrong."],
    ['[{"error":{"code":400,"message":"It is wrong."}}]', "It is wrong."],
    ['{"message":"It is wrong."}', "It is wrong."],
    ['{"Message":"It is wrong."}', "It is wrong."],
    ['{"detail":"It is wrong."}', "It is wrong."],
    ['{"error":"invalid_token","error_description":"It is wrong."}', "It is wrong."],
    ['{"errors":[{"message":"It is wrong."},{"message":"Other."}]}', "It is wrong."],
    ['{"errors":["It is wrong."]}', "It is wrong."],
    ['{"error":{"errors":[{"message":"It is wrong."}]}}', "It is wrong."],
    ['{"error":{"code":"BadRequest","message":"It is wrong."}}', "It is wrong."],
    ['"It is wrong."', '"It is wrong."'],
    [
      '{"status":"error","errorType":"bad_data","error":""}',
      '{"status":"error","errorType":"bad_data","error":""}'
    ],
    ["[]", "[]"],
    ["null", "null"]
  ])("reads the text of %s", (body, text) => {
    const { summary } = refuse(400, body)
    assert.strictEqual(summary, `${endpoint} returned HTTP 400: ${text}${text.endsWith(".") ? "" : "."}`)
  })

  it("reads no text that is nested without end", () => {
    const body = `${'{"error":'.repeat(500)}"x"${"}".repeat(500)}`
    assert.strictEqual(refuse(400, body).reason, "Refused")
  })

  it("searches long texts in linear time", () => {
    // Each would be searched again from each of its characters.
    for (const part of ['"', '\\"', "{", "`", "chunk ", "<title"]) {
      const text = part.repeat(Math.floor(longText / part.length))
      assert.strictEqual(refuse(422, json("execution", text)).reason, "Refused")
      assert.strictEqual(refuse(422, text, "text/html").reason, "Refused")
      assert.strictEqual(refuse(422, text, plain).reason, "Refused")
    }
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
