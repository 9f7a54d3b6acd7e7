/** Both halves of each endpoint, without a client. The responses were recorded from Prometheus 2.42 and VictoriaMetrics 1.79. */
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { Headers } from "effect/http"
import * as Api from "../../src/prometheus/api.ts"
import type { BackendKind } from "../../src/prometheus/Backend.ts"
import { profiles } from "../../src/prometheus/backend/profiles.ts"
import type { Envelope } from "../../src/prometheus/query/ResponseDecoder.ts"
import { parse } from "../../src/promql/Matcher.ts"

const range = { startMillis: 1_795_944_815_000, endMillis: 1_795_944_817_250 }
const context = {
  address: "http://h/api",
  mask: (text: string) => text.replaceAll("s3cret", "****"),
  status: 200,
  headers: Headers.empty
}
const matchers = Result.getOrThrow(parse('{job="a",code!~"5.."}'))

/** The parameters for a kind of server. */
const exactness = (kind: BackendKind, overrides: Partial<Api.Exactness> = {}): Api.Exactness => ({
  profile: profiles[kind],
  isGuess: kind === "unknown",
  partialData: "fail",
  maxSourceResolution: "raw",
  ...overrides
})

const prometheus = exactness("prometheus")

const decodeAll = <A>({ decode }: Api.Endpoint<A>, text: string, headers: Record<string, string> = {}) =>
  decode(text, { ...context, headers: Headers.fromInput(headers) })

const decode = <A>(endpoint: Api.Endpoint<A>, text: string, headers: Record<string, string> = {}) =>
  Result.map(decodeAll(endpoint, text, headers), ({ value }) => value)

const success = (data: string) => `{"status":"success","data":${data}}`

const Millis = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Date.UTC(9999, 0) }))

describe("requests", () => {
  it("get the server's time", () => {
    const { request } = Api.serverTime
    assert.deepStrictEqual(request, {
      method: "GET",
      path: "/api/v1/query",
      params: { query: "time()" },
      takesForm: true
    })
  })

  it("get label values of the series that a selector and matchers select in a range", () => {
    const selection = { matchers, selector: Result.getOrThrow(parse('{env="prod"}')) }
    assert.deepInclude(Api.labelValues("näme/x", range, selection, prometheus).request, {
      method: "GET",
      path: "/api/v1/label/U__n_e4_me_2f_x/values",
      params: {
        start: "1795944815",
        end: "1795944817.25",
        "match[]": '{job="a",code!~"5..",env="prod"}'
      }
    })
    assert.strictEqual(
      Api.labelNames(range, { selector: selection.selector }, prometheus).request.params["match[]"],
      '{__name__!="",env="prod"}'
    )
    assert.notProperty(Api.labelNames(range, { selector: [] }, prometheus).request.params, "match[]")
  })

  const optional = (kind: BackendKind, overrides: Partial<Api.Exactness> = {}) =>
    Api.rangeRequest({ ...range, query: "up", stepMillis: 15_000 }, 60_000, exactness(kind, overrides))
      .optional

  it("demand exact data of a range query, and a response before the timeout", () => {
    const request = Api.rangeRequest({ ...range, query: "up", stepMillis: 15_000 }, 60_000, prometheus)
    assert.strictEqual(request.method, "GET")
    assert.strictEqual(request.path, "/api/v1/query_range")
    assert.deepStrictEqual(request.params, {
      query: "up",
      start: "1795944815",
      end: "1795944817.25",
      step: "15"
    })
    assert.isFalse(request.isGuess)
  })

  it("have the parameters that the kind of server takes, and all where it is not known", () => {
    const timeout = "54"
    for (const kind of [
      "prometheus2",
      "prometheus3",
      "mimir",
      "cortex",
      "amazon",
      "google",
      "azure"
    ] as const) {
      assert.deepStrictEqual(optional(kind), { timeout }, kind)
    }
    const thanos = { timeout, partial_response: "false", dedup: "true", max_source_resolution: "0s" }
    assert.deepStrictEqual(optional("thanos"), thanos)
    assert.deepStrictEqual(optional("victoriaMetrics"), { timeout, nocache: "1" })
    const cluster = { timeout, nocache: "1", deny_partial_response: "1" }
    assert.deepStrictEqual(optional("victoriaMetricsCluster"), cluster)
    assert.deepStrictEqual(optional("unknown"), { ...thanos, ...cluster })
  })

  it("allow partial and coarse data where the configuration does", () => {
    assert.deepInclude(optional("thanos", { partialData: "accept", maxSourceResolution: "1h" }), {
      partial_response: "true",
      max_source_resolution: "1h"
    })
    assert.notProperty(optional("victoriaMetricsCluster", { partialData: "accept" }), "deny_partial_response")
    for (const kind of ["unknown", "prometheus2", "mimir"] as const) {
      assert.deepInclude(optional(kind, { maxSourceResolution: "auto" }), { max_source_resolution: "auto" })
    }
  })

  it("forbid partial lists where the kind of server can", () => {
    const lists = (kind: BackendKind) => {
      const names = Api.labelNames(range, { selector: [] }, exactness(kind)).request.optional
      assert.deepStrictEqual(
        Api.labelValues("a", range, { selector: [] }, exactness(kind)).request.optional,
        names
      )
      return names
    }
    assert.deepStrictEqual(lists("prometheus3"), {})
    assert.deepStrictEqual(lists("victoriaMetrics"), {})
    assert.deepStrictEqual(lists("thanos"), { partial_response: "false" })
    assert.deepStrictEqual(lists("victoriaMetricsCluster"), { deny_partial_response: "1" })
    assert.deepStrictEqual(lists("unknown"), { partial_response: "false", deny_partial_response: "1" })
  })

  it.prop(
    "have times in seconds, exact to the millisecond; a range that ends at midnight ends a millisecond later",
    [Millis, Millis],
    ([startMillis, endMillis]) => {
      const { params } = Api.labelNames({ startMillis, endMillis }, { selector: [] }, prometheus).request
      assert.strictEqual(Math.round(Number(params.start) * 1000), startMillis)
      const isMidnight = endMillis % 86_400_000 === 0
      assert.strictEqual(Math.round(Number(params.end) * 1000), isMidnight ? endMillis + 1 : endMillis)
    }
  )

  it("of more than 4000 characters are sent as a form, except for label values", () => {
    const query = (length: number) =>
      Api.rangeRequest({ ...range, query: "x".repeat(length), stepMillis: 1 }, 1000, prometheus)
    const fixed = new URLSearchParams({ ...query(0).params, ...query(0).optional }).toString().length
    assert.strictEqual(query(4000 - fixed).method, "GET")
    assert.strictEqual(query(4001 - fixed).method, "POST")
    const selector = [{ label: "a", operator: "=", value: "x".repeat(5000) } as const]
    assert.strictEqual(Api.labelNames(range, { selector }, prometheus).request.method, "POST")
    assert.strictEqual(Api.labelValues("a", range, { selector }, prometheus).request.method, "GET")
  })
})

describe("responses", () => {
  it.each([
    ['{"resultType":"scalar","result":[1795944817.984,"1795944817.984"]}', 1_795_944_817_984],
    [
      '{"resultType":"vector","result":[{"metric":{},"value":[1795944818,"1795944788.175"]}]}',
      1_795_944_788_175
    ]
  ])("have the server's time: %s", (data, serverMillis) => {
    const date = "Sun, 29 Nov 2026 09:33:37 GMT"
    assert.deepStrictEqual(Result.getOrThrow(decode(Api.serverTime, success(data), { date })), {
      serverMillis,
      dateMillis: 1_795_944_817_000
    })
    assert.isUndefined(Result.getOrThrow(decode(Api.serverTime, success(data))).dateMillis)
  })

  it("have names", () => {
    const names = '["scrape_duration_seconds","scrape_samples_scraped","up"]'
    assert.deepStrictEqual(
      Result.getOrThrow(
        decode(Api.labelValues("__name__", range, { selector: [] }, prometheus), success(names))
      ),
      ["scrape_duration_seconds", "scrape_samples_scraped", "up"]
    )
    const labels = '["__name__","instance","job"]'
    assert.deepStrictEqual(
      Result.getOrThrow(decode(Api.labelNames(range, { selector: [] }, prometheus), success(labels))),
      ["instance", "job"]
    )
  })

  it.prop("have distinct names, and no empty one", [Schema.Array(Schema.String)], ([given]) => {
    const endpoint = Api.labelValues("job", range, { selector: [] }, prometheus)
    const names = Result.getOrThrow(decode(endpoint, success(JSON.stringify([...given, ...given]))))
    assert.deepStrictEqual(
      names,
      [...new Set(given)].filter((name) => name !== "")
    )
  })

  it("have metadata by family", () => {
    const data =
      '{"go_memstats_last_gc_time_seconds":[{"type":"gauge","help":"Number of seconds since 1970 of last garbage collection.","unit":""}],"old":[{"type":"summary","help":"Without a unit."},{"type":"gauge","help":"Another."}],"empty":[]}'
    assert.deepStrictEqual(
      [...Result.getOrThrow(decode(Api.metadata, success(data)))],
      [
        [
          "go_memstats_last_gc_time_seconds",
          { type: "gauge", help: "Number of seconds since 1970 of last garbage collection.", unit: "" }
        ],
        ["old", { type: "summary", help: "Without a unit.", unit: "" }]
      ]
    )
    assert.strictEqual(Result.getOrThrow(decode(Api.metadata, success("{}"))).size, 0)
  })

  const endpoints: ReadonlyArray<Api.Endpoint<unknown>> = [
    Api.serverTime,
    Api.metadata,
    Api.labelNames(range, { selector: [] }, prometheus)
  ]

  it.prop("with any other text are errors with a sentence", [Schema.String, Schema.Json], ([text, json]) => {
    for (const endpoint of endpoints) {
      const broken = Result.getOrThrow(Result.flip(decode(endpoint, `${text}{`)))
      assert.strictEqual(broken.reason, "BrokenResponse")
      const other = Result.getOrThrow(
        Result.flip(decode(endpoint, JSON.stringify({ status: "error", data: json })))
      )
      assert.strictEqual(other.reason, "NotPrometheus")
      assert.match(
        other.summary,
        /^The response from http:\/\/h\/api is not a Prometheus response: \{"status"/
      )
    }
  })

  it("are masked before they are shortened", () => {
    const text = `${"x".repeat(97)}s3cret`
    const error = Result.getOrThrow(Result.flip(decode(Api.metadata, text)))
    assert.isTrue(error.summary.endsWith(`${"x".repeat(97)}***`))
  })
})

describe("the end of a range query's response", () => {
  const envelope = (overrides: Partial<Envelope> = {}): Envelope => ({
    status: "success",
    errorType: undefined,
    error: undefined,
    warnings: [],
    signs: [],
    isEmpty: false,
    ...overrides
  })
  const outcome = (overrides: Partial<Envelope>, partialData: "accept" | "fail" = "fail") =>
    Api.rangeOutcome(envelope(overrides), partialData, context)
  const error = (overrides: Partial<Envelope>) => Result.getOrThrow(Result.flip(outcome(overrides)))

  it("is a success without warnings", () => {
    assert.deepStrictEqual(Result.getOrThrow(outcome({})), [])
  })

  it.each([
    ["exceeded maximum resolution of 11,000 points per timeseries. Try decreasing …", "TooLarge"],
    ["1:4: parse error: unexpected end of input inside braces", "InvalidQuery"],
    ["query timed out in expression evaluation", "TooSlow"]
  ])("is an error: %s", (text, reason) => {
    const failure = error({ status: "error", errorType: "bad_data", error: `${text} s3cret` })
    assert.strictEqual(failure.reason, reason)
    assert.include(failure.summary, `http://h/api returned HTTP 200: ${text} ****`)
  })

  it("describes an error that has no text", () => {
    assert.include(error({ status: "error", errorType: "execution" }).summary, "HTTP 200: execution.")
    assert.include(error({ status: "pending" }).summary, "HTTP 200: status pending.")
  })

  const missing = ["No StoreAPIs matched", "s3cret: rpc error"]

  it("rejects partial data, or accepts it with warnings", () => {
    assert.strictEqual(error({ signs: ["isPartial is true"] }).reason, "PartialResponse")
    const failure = error({ warnings: ["PromQL info: a", ...missing] })
    assert.strictEqual(failure.reason, "PartialResponse")
    assert.strictEqual(
      failure.summary,
      "The response from http://h/api may lack data. It warns: No StoreAPIs matched; ****: rpc error."
    )
    assert.deepStrictEqual(
      Result.getOrThrow(outcome({ signs: ["isPartial is true"], warnings: missing }, "accept")),
      [
        "No StoreAPIs matched",
        "****: rpc error",
        "the response lacks data because some of the server's sources did not respond"
      ]
    )
  })

  it("has warnings about the query", () => {
    const warnings = ["PromQL warning: mixed s3cret"]
    assert.deepStrictEqual(Result.getOrThrow(outcome({ warnings })), ["PromQL warning: mixed ****"])
  })
})
