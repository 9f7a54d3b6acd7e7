import { assert, describe, it } from "@effect/vitest"
import type { Fault } from "../../src/mock/http.ts"
import { makeRequest } from "../../src/mock/http.ts"
import { type MockOptions, MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"

const start = 1_700_000_000
const ms = start * 1000
const histogram = { count: "1", sum: "2", buckets: [] }

const database = makeDatabase(
  [
    makeSeries({ __name__: "a", x: "2" }, [
      [ms, 1.5],
      [ms + 60_000, Number.NaN]
    ]),
    makeSeries({ __name__: "a", x: "1", é: "<" }, [[ms, 1]]),
    makeSeries({ __name__: "b" }, [
      [ms, 1e-7],
      [ms + 1, "stale"]
    ]),
    makeSeries(
      [
        ["__name__", "h"],
        ["__proto__", "p"]
      ],
      [[ms + 600_000, histogram]]
    )
  ],
  [
    ["a", { type: "gauge", help: 'An "A".', unit: "" }],
    ["h", { type: "histogram", help: "H.", unit: "seconds" }],
    ["h", { type: "histogram", help: "Other.", unit: "" }]
  ]
)

const nowMillis = ms + 300_000

interface Sent {
  readonly method?: string
  readonly params?: ReadonlyArray<readonly [string, string]> | Record<string, string>
  readonly headers?: Record<string, string>
  readonly form?: string
}

const make = (options: MockOptions = {}) => {
  const mock = new MockPrometheus(database, options)
  const send = (path: string, { method = "GET", params = {}, headers = {}, form }: Sent = {}) => {
    const url = new URL(`http://mock${path}`)
    const pairs = Array.isArray(params) ? params : Object.entries(params)
    for (const [name, value] of pairs) url.searchParams.append(name, value)
    const type = form === undefined ? {} : { "Content-Type": "application/x-www-form-urlencoded" }
    const sent = Object.entries({ ...type, ...headers })
    const response = mock.handle(makeRequest(method, url, sent, form ?? ""), nowMillis)
    return { ...response, body: Buffer.concat([...response.body]).toString("utf8") }
  }
  return { mock, send }
}

const { send } = make()

const success = (data: string) => `{"status":"success","data":${data}}`
const failure = (error: string, errorType = "bad_data") =>
  `{"status":"error","errorType":"${errorType}","error":${JSON.stringify(error)}}`

const a1 = '{"__name__":"a","x":"1","é":"\\u003c"}'
const a2 = '{"__name__":"a","x":"2"}'

describe("query_range", () => {
  const params = { query: "a", start: `${start}`, end: `${start + 90}`, step: "30" }

  it("responds byte for byte as Prometheus does", () => {
    const response = send("/api/v1/query_range", { params })
    assert.strictEqual(response.status, 200)
    assert.deepStrictEqual(response.headers, {
      "content-type": "application/json",
      date: "Tue, 14 Nov 2023 22:18:20 GMT"
    })
    const one = `{"metric":${a1},"values":[[1700000000,"1"],[1700000030,"1"],[1700000060,"1"],[1700000090,"1"]]}`
    const two = `{"metric":${a2},"values":[[1700000000,"1.5"],[1700000030,"1.5"],[1700000060,"NaN"],[1700000090,"NaN"]]}`
    assert.strictEqual(response.body, success(`{"resultType":"matrix","result":[${one},${two}]}`))
  })

  it("returns an empty result when nothing is selected or there is no data", () => {
    const empty = success('{"resultType":"matrix","result":[]}')
    assert.strictEqual(send("/api/v1/query_range", { params: { ...params, query: "nope" } }).body, empty)
    const earlier = { ...params, start: "0", end: "100" }
    assert.strictEqual(send("/api/v1/query_range", { params: earlier }).body, empty)
  })

  it("counts series, and returns an empty result if there are none", () => {
    const count = (query: string, from = params.start) =>
      send("/api/v1/query_range", { params: { ...params, start: from, query: `count(${query})` } }).body
    assert.strictEqual(
      count("a"),
      success(
        '{"resultType":"matrix","result":[{"metric":{},"values":[[1700000000,"2"],[1700000030,"2"],[1700000060,"2"],[1700000090,"2"]]}]}'
      )
    )
    assert.strictEqual(count("nope"), success('{"resultType":"matrix","result":[]}'))
  })

  it("supports time()", () => {
    const response = send("/api/v1/query_range", { params: { ...params, query: "time()", step: "60" } })
    assert.strictEqual(
      response.body,
      success(
        '{"resultType":"matrix","result":[{"metric":{},"values":[[1700000000,"1700000000"],[1700000060,"1700000060"]]}]}'
      )
    )
  })

  it("accepts a form, whose parameters take precedence over those of the URL", () => {
    const form = new URLSearchParams(params).toString()
    const posted = send("/api/v1/query_range", { method: "POST", form, params: { query: "b" } })
    assert.strictEqual(posted.body, send("/api/v1/query_range", { params }).body)
    const json = send("/api/v1/query_range", {
      method: "POST",
      headers: { "content-type": "application/json" }
    })
    assert.strictEqual(json.body, failure('invalid parameter "start": cannot parse "" to a valid timestamp'))
  })

  it.each<[Record<string, string>, string]>([
    [{ start: "foo" }, 'invalid parameter "start": cannot parse "foo" to a valid timestamp'],
    [{ end: "" }, 'invalid parameter "end": cannot parse "" to a valid timestamp'],
    [{ end: "5" }, 'invalid parameter "end": end timestamp must not be before start time'],
    [{ step: "" }, 'invalid parameter "step": cannot parse "" to a valid duration'],
    [
      { step: "-1" },
      'invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer'
    ],
    [{ timeout: "soon" }, 'invalid parameter "timeout": cannot parse "soon" to a valid duration'],
    [{ query: "" }, "1:1: parse error: no expression found in input"]
  ])("refuses %o", (changed, error) => {
    const response = send("/api/v1/query_range", { params: { ...params, ...changed } })
    assert.strictEqual(response.status, 400)
    assert.strictEqual(response.body, failure(error))
  })

  it("allows 11,001 points", () => {
    const status = (end: string) =>
      send("/api/v1/query_range", { params: { query: "a", start: "0", end, step: "1" } }).status
    assert.strictEqual(status("11000"), 200)
    assert.strictEqual(status("11000.999"), 200)
    assert.strictEqual(status("11001"), 400)
    assert.include(
      send("/api/v1/query_range", { params: { query: "a", start: "0", end: "11001", step: "1" } }).body,
      "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
    )
  })

  it("has a limit of samples", () => {
    const limited = (maxSamples: number, query = "a") =>
      make({ maxSamples }).send("/api/v1/query_range", { params: { ...params, query } })
    assert.strictEqual(limited(8).status, 200)
    assert.strictEqual(limited(7).status, 422)
    assert.strictEqual(limited(4, "time()").status, 200)
    assert.strictEqual(limited(3, "time()").status, 422)
    assert.strictEqual(
      limited(7).body,
      failure("query processing would load too many samples into memory in query execution", "execution")
    )
  })

  it("accepts a look-back per request since version 2.43", () => {
    const one = { ...params, query: "b", start: `${start - 1}`, end: `${start}`, step: "1" }
    assert.include(send("/api/v1/query_range", { params: one }).body, '"values":[[1700000000,"1e-07"]]')
    const late = { ...params, query: 'a{x="1"}', start: `${start + 20}`, end: `${start + 20}` }
    assert.include(send("/api/v1/query_range", { params: late }).body, '"1"')
    const short = { ...late, lookback_delta: "10s" }
    const later = make({ version: "2.43.0" })
    assert.notInclude(later.send("/api/v1/query_range", { params: short }).body, '"1"')
    assert.include(send("/api/v1/query_range", { params: short }).body, '"1"')
  })

  it("adds warnings and infos", () => {
    const warned = make({ warnings: ["some store is away"], infos: ['an "info"'] })
    const { body } = warned.send("/api/v1/query_range", { params: { ...params, query: "nope" } })
    assert.strictEqual(
      body,
      '{"status":"success","data":{"resultType":"matrix","result":[]},"warnings":["some store is away"],"infos":["an \\"info\\""]}'
    )
  })
})

describe("query", () => {
  it("returns a vector", () => {
    const { body } = send("/api/v1/query", { params: { query: "a", time: "2023-11-14T22:13:20.5Z" } })
    const samples = `{"metric":${a1},"value":[1700000000.500,"1"]},{"metric":${a2},"value":[1700000000.500,"1.5"]}`
    assert.strictEqual(body, success(`{"resultType":"vector","result":[${samples}]}`))
  })

  it("evaluates at the current time by default, and returns native histograms", () => {
    assert.include(send("/api/v1/query", { params: { query: "a" } }).body, '"value":[1700000300,"NaN"]')
    const { body } = send("/api/v1/query", { params: { query: "h", time: `${start + 600}` } })
    assert.include(
      body,
      '{"metric":{"__name__":"h","__proto__":"p"},"histogram":[1700000600,{"count":"1","sum":"2"}]}'
    )
  })

  it("supports time(), a scalar", () => {
    assert.strictEqual(
      send("/api/v1/query", { params: { query: "time()" } }).body,
      success('{"resultType":"scalar","result":[1700000300,"1700000300"]}')
    )
    assert.strictEqual(
      send("/api/v1/query", { params: { query: "time()", time: "1700000000.5" } }).body,
      success('{"resultType":"scalar","result":[1700000000.5,"1700000000.5"]}')
    )
  })

  it("refuses an invalid time and an unsupported query", () => {
    const response = send("/api/v1/query", { params: { query: "a", time: "foo" } })
    assert.strictEqual(
      response.body,
      failure(
        'invalid parameter "time": Invalid time value for \'time\': cannot parse "foo" to a valid timestamp'
      )
    )
    assert.strictEqual(send("/api/v1/query", { params: { query: "sum(a)" } }).status, 400)
  })
})

describe("labels, label values and series", () => {
  const during = (from: number, to: number) =>
    [
      ["start", `${start + from}`],
      ["end", `${start + to}`]
    ] as const
  const matching = (...selectors: ReadonlyArray<string>) => selectors.map((s) => ["match[]", s] as const)

  it.each<[string, ReadonlyArray<readonly [string, string]>, string]>([
    ["labels", [], '["__name__","__proto__","x","é"]'],
    ["labels", matching("h"), '["__name__","__proto__"]'],
    ["labels", matching("b", 'a{x="2"}'), '["__name__","x"]'],
    ["labels", during(0, 0), '["__name__","x","é"]'],
    ["labels", during(600, 700), '["__name__","__proto__"]'],
    ["labels", during(601, 700), "[]"],
    ["labels", during(5, 1), "[]"],
    ["label/__name__/values", [], '["a","b","h"]'],
    ["label/__name__/values", during(60, 60), '["a"]'],
    ["label/__proto__/values", [], '["p"]'],
    ["label/x/values", matching('{x!="1"}', "a"), "400"],
    ["label/x/values", matching('a{x!="1"}'), '["2"]'],
    ["label/constructor/values", [], "[]"],
    ["series", matching("a", "b", 'a{x="2"}'), `[${a1},${a2},{"__name__":"b"}]`],
    ["series", [...matching("a"), ...during(60, 60)], `[${a2}]`],
    ["series", matching("nope"), "[]"]
  ])("%s with %o", (path, params, data) => {
    const response = send(`/api/v1/${path}`, { params })
    if (data === "400") return assert.strictEqual(response.status, 400)
    assert.strictEqual(response.body, success(data))
  })

  it.each<[string, ReadonlyArray<readonly [string, string]>, string]>([
    ["series", [], "no match[] parameter provided"],
    [
      "series",
      matching("a", "{}"),
      'invalid parameter "match[]": match[] must contain at least one non-empty matcher'
    ],
    ["labels", matching("{}"), "match[] must contain at least one non-empty matcher"],
    [
      "labels",
      [["start", "foo"]],
      'invalid parameter "start": Invalid time value for \'start\': cannot parse "foo" to a valid timestamp'
    ],
    ["label/b-c/values", [], 'invalid label name: "b-c"']
  ])("%s refuses %o", (path, params, error) => {
    const response = send(`/api/v1/${path}`, { params })
    assert.strictEqual(response.status, 400)
    assert.strictEqual(response.body, failure(error))
  })

  it("accept any label name since version 3", () => {
    const three = make({ version: "3.5.0" })
    assert.strictEqual(three.send("/api/v1/label/b-c/values").body, success("[]"))
    assert.strictEqual(three.send("/api/v1/label/%C3%A9/values").body, success('["\\u003c"]'))
    assert.strictEqual(three.send("/api/v1/label/%zz/values").status, 400)
  })
})

describe("metadata and status", () => {
  const h =
    '"h":[{"type":"histogram","help":"H.","unit":"seconds"},{"type":"histogram","help":"Other.","unit":""}]'
  const a = '"a":[{"type":"gauge","help":"An \\"A\\".","unit":""}]'

  it("returns a family's metadata", () => {
    assert.strictEqual(send("/api/v1/metadata").body, success(`{${a},${h}}`))
    assert.strictEqual(send("/api/v1/metadata", { params: { limit: "1" } }).body, success(`{${a}}`))
    assert.strictEqual(send("/api/v1/metadata", { params: { metric: "h" } }).body, success(`{${h}}`))
    assert.strictEqual(
      send("/api/v1/metadata", { params: { limit: "x" } }).body,
      failure("limit must be a number")
    )
  })

  it("returns its version and its limits", () => {
    assert.include(send("/api/v1/status/buildinfo").body, '"version":"2.42.0"')
    const { data } = JSON.parse(
      make({ maxSamples: 9, lookbackMillis: 90_000 }).send("/api/v1/status/flags").body
    )
    assert.deepStrictEqual(data, {
      "query.lookback-delta": "1m30s",
      "query.max-concurrency": "20",
      "query.max-samples": "9",
      "query.timeout": "2m"
    })
  })

  it("refuses other paths and methods", () => {
    for (const path of ["/", "/api/v1/nope", "/api/v1/query/", "/metrics"]) {
      const response = send(path)
      assert.strictEqual(response.status, 404)
      assert.strictEqual(response.body, "404 page not found\n")
      assert.strictEqual(response.headers["content-type"], "text/plain; charset=utf-8")
    }
    const put = send("/api/v1/query_range", { method: "PUT" })
    assert.strictEqual(put.status, 405)
    assert.strictEqual(put.headers.allow, "GET, OPTIONS, POST")
    assert.strictEqual(send("/api/v1/metadata", { method: "POST" }).headers.allow, "GET, OPTIONS")
  })
})

describe("options", () => {
  it("put the API below a prefix", () => {
    const below = make({ pathPrefix: "/team/prometheus" })
    assert.strictEqual(below.send("/team/prometheus/api/v1/labels").status, 200)
    assert.strictEqual(below.send("/api/v1/labels").status, 404)
    assert.strictEqual(below.send("/team/prometheusapi/v1/labels").status, 404)
  })

  it("require a password", () => {
    const guarded = make({ basicAuth: { user: "u", password: "p:é" } })
    const status = (credentials?: string) =>
      guarded.send("/api/v1/labels", {
        headers:
          credentials === undefined
            ? {}
            : { Authorization: `Basic ${Buffer.from(credentials).toString("base64")}` }
      }).status
    assert.strictEqual(status("u:p:é"), 200)
    assert.strictEqual(status("u:p"), 401)
    assert.strictEqual(status(), 401)
    const refused = guarded.send("/api/v1/labels")
    assert.strictEqual(refused.body, "Unauthorized\n")
    assert.strictEqual(refused.headers["www-authenticate"], "Basic")
  })

  it("require headers", () => {
    const tenant = make({ requiredHeaders: { "X-Scope-OrgID": "team" } })
    assert.strictEqual(tenant.send("/api/v1/labels").status, 401)
    assert.strictEqual(tenant.send("/api/v1/labels", { headers: { "x-scope-orgid": "other" } }).status, 401)
    assert.strictEqual(tenant.send("/api/v1/labels", { headers: { "X-SCOPE-ORGID": "team" } }).status, 200)
  })

  it("hide future samples", () => {
    const live = make({ hideFuture: true })
    assert.strictEqual(live.send("/api/v1/label/__name__/values").body, success('["a","b"]'))
    const params = { query: "h", start: `${start}`, end: `${start + 900}`, step: "60" }
    assert.notInclude(live.send("/api/v1/query_range", { params }).body, '"h"')
    assert.include(send("/api/v1/query_range", { params }).body, '"h"')
  })

  it("set the look-back of version 3", () => {
    const params = { query: 'a{x="1"}', time: `${start + 300}` }
    assert.include(send("/api/v1/query", { params }).body, '"value"')
    assert.notInclude(make({ version: "3.0.0" }).send("/api/v1/query", { params }).body, '"value"')
  })

  it("set the size of the chunks of a body", () => {
    const { mock } = make({ chunkBytes: 7 })
    const request = makeRequest("GET", new URL("http://mock/api/v1/series?match[]=a"), [], "")
    const chunks = [...mock.handle(request, nowMillis).body]
    assert.isTrue(chunks.slice(0, -1).every((chunk) => chunk.length === 7))
    assert.strictEqual(Buffer.concat(chunks).toString("utf8"), success(`[${a1},${a2}]`))
  })
})

describe("faults", () => {
  const withFault = (fault: Fault) => make({ faults: () => fault })
  const complete = success('["a","b","h"]')

  it("replace a response", () => {
    const faulty = withFault({ status: 429, headers: { "retry-after": "3" }, body: "too many" })
    const response = faulty.send("/anything", { method: "PUT" })
    assert.strictEqual(response.status, 429)
    assert.strictEqual(response.body, "too many")
    assert.deepStrictEqual(response.headers, {
      "retry-after": "3",
      date: "Tue, 14 Nov 2023 22:18:20 GMT"
    })
    assert.strictEqual(response.ending, "complete")
    assert.strictEqual(response.delayMillis, 0)
    assert.strictEqual(withFault({ body: "<html>" }).send("/").status, 200)
    assert.strictEqual(withFault({ status: 502 }).send("/").body, "")
  })

  it("change a real response", () => {
    const path = "/api/v1/label/__name__/values"
    const cut = withFault({ cutAfterBytes: 10 }).send(path)
    assert.strictEqual(cut.body, complete.slice(0, 10))
    assert.strictEqual(cut.ending, "cut")
    const stalled = withFault({ stallAfterBytes: 0, delayMillis: 5 }).send(path)
    assert.strictEqual(stalled.body, "")
    assert.strictEqual(stalled.ending, "stall")
    assert.strictEqual(stalled.delayMillis, 5)
    assert.strictEqual(withFault({ reset: true }).send(path).ending, "reset")
    const wrongDate = withFault({ headers: { date: "never" } }).send(path)
    assert.strictEqual(wrongDate.headers.date, "never")
    assert.strictEqual(wrongDate.body, complete)
  })

  it("are chosen by request and attempt, and requests are kept", () => {
    const { mock, send } = make({
      faults: (request, attempt) =>
        request.path === "/api/v1/labels" && attempt < 3 ? { status: 503 } : undefined
    })
    const statuses = [1, 2, 3].map(() => send("/api/v1/labels").status)
    assert.deepStrictEqual(statuses, [503, 503, 200])
    assert.strictEqual(send("/api/v1/labels", { params: { start: "0" } }).status, 503)
    assert.strictEqual(send("/api/v1/status/flags", { headers: { "X-A": "1" } }).status, 200)
    assert.deepStrictEqual(
      mock.requests.map((r) => [r.path, r.attempt, r.params.get("start"), r.nowMillis]),
      [
        ["/api/v1/labels", 1, null, nowMillis],
        ["/api/v1/labels", 2, null, nowMillis],
        ["/api/v1/labels", 3, null, nowMillis],
        ["/api/v1/labels", 1, "0", nowMillis],
        ["/api/v1/status/flags", 1, null, nowMillis]
      ]
    )
    assert.strictEqual(mock.requests.at(-1)?.headers.get("x-a"), "1")
  })
})
