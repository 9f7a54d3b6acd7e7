import { assert, describe, it } from "@effect/vitest"
import { anyOf, type Faults, firstTries, onMetric, onPath, refusal } from "../../src/mock/faults.ts"
import { makeRequest } from "../../src/mock/http.ts"
import { fromRefusal } from "../../src/prometheus/refusal.ts"

const fault = { status: 500 }

const faultOf = (faults: Faults, path: string, query = "", attempt = 1) =>
  faults(makeRequest("GET", new URL(`http://h${path}?${new URLSearchParams({ query })}`), [], ""), attempt)

describe("a fault", () => {
  const cases = [
    ["m", '{__name__="m"}', true],
    ["m", '{__name__="m",job="a"}', true],
    ["m", "m", true],
    ["m", 'rate(m{job="a"}[5m])', true],
    ["m", '{__name__="mm"}', false],
    ["m", "a:m", false],
    ["m", "m_total", false],
    ["a.b", '{__name__="a.b"}', true],
    ["a.b", '{__name__="axb"}', false],
    ['q"', '{__name__="q\\""}', true]
  ] as const
  it.each(cases)("of the metric %s in %s: %s", (metric, query, happens) => {
    const faults = onMetric(metric, fault)
    assert.strictEqual(faultOf(faults, "/prefix/api/v1/query_range", query), happens ? fault : undefined)
    assert.isUndefined(faultOf(faults, "/api/v1/query", query))
  })

  it("of a path, or of all", () => {
    assert.strictEqual(faultOf(onPath("/api/v1/labels", fault), "/p/api/v1/labels"), fault)
    assert.isUndefined(faultOf(onPath("/api/v1/labels", fault), "/api/v1/series"))
    assert.strictEqual(faultOf(onPath("", fault), "/anything"), fault)
  })

  it("of the first attempts only", () => {
    const faults = firstTries(2, onPath("", fault))
    assert.deepStrictEqual(
      [1, 2, 3].map((attempt) => faultOf(faults, "/x", "", attempt)),
      [fault, fault, undefined]
    )
  })

  it("of a list is the first that applies", () => {
    const other = { reset: true }
    const faults = anyOf(onPath("/a", fault), onPath("/b", other), onPath("", { delayMillis: 1 }))
    assert.deepStrictEqual(
      ["/a", "/b", "/c"].map((path) => faultOf(faults, path)),
      [fault, other, { delayMillis: 1 }]
    )
    assert.isUndefined(faultOf(anyOf(), "/a"))
  })

  // The client interprets the mock's messages like those of Prometheus.
  it.each([
    [400, "parse error", "Refused"],
    [422, "query processing would load too many samples into memory in query execution", "TooLarge"],
    [429, "slow down", "RateLimited"],
    [503, "starting", "Unavailable"]
  ] as const)("that refuses with %s %s means %s", (status, error, reason) => {
    const { body, headers } = refusal(status, error)
    const understood = fromRefusal("http://h", {
      status,
      body: String(body),
      contentType: headers!["content-type"]!,
      retryAfterMillis: undefined
    })
    assert.strictEqual(understood.reason, reason)
    assert.include(understood.summary, error)
  })
})
