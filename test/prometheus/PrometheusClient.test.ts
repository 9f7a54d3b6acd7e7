/** The client over real sockets: its requests, and how it reads responses. */
import { gzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Stream } from "effect"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import type { Fault } from "../../src/mock/http.ts"
import { type MockOptions, MockPrometheus, type ReceivedRequest } from "../../src/mock/MockPrometheus.ts"
import { makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import * as MockServer from "../../src/mock/MockServer.ts"
import { PrometheusClient } from "../../src/prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../../src/prometheus/PrometheusError.ts"
import { ofMetric } from "../../src/promql/Matcher.ts"
import { type SampleBlock, textAt } from "../../src/samples/Sample.ts"

const start = Date.UTC(2026, 0, 1)
const minute = 60_000

const database = () =>
  makeDatabase(
    ["a", "b"].map((job) =>
      makeSeries(
        { __name__: "m", job },
        Array.from({ length: 60 }, (_, i) => [start + i * minute, i + 0.5] as const)
      )
    ),
    [["m", { type: "gauge", help: "A metric.", unit: "" }]]
  )

const query = {
  query: '{__name__="m"}',
  startMillis: start,
  endMillis: start + 59 * 60_000,
  stepMillis: 60_000
}

const range = { startMillis: start, endMillis: start + 60 * minute }

/** The requests to a mock but for those that ask what kind of server it is. */
const requestsOf = (mock: MockPrometheus): ReadonlyArray<ReceivedRequest> =>
  mock.requests.filter(({ path }) => !/\/api\/v1\/(status\/|stores$)/.test(path))

/** Runs `use` with a mock server on loopback and a client of it. */
const withClient = <A, E, R>(
  setting: { readonly mock?: MockOptions; readonly config?: object },
  use: (client: PrometheusClient["Service"], mock: MockPrometheus) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function* () {
    const mock = new MockPrometheus(database(), setting.mock)
    const { baseUrl } = yield* MockServer.make(mock)
    const config = { base_url: baseUrl, start_date: "2026-01-01", max_retries: 0, ...setting.config }
    const client = yield* PrometheusClient.pipe(
      Effect.provide(
        yield* Layer.build(Layer.provide(PrometheusClient.layer, ConnectorConfig.layerFrom(config)))
      )
    )
    return yield* use(client, mock)
  }).pipe(Effect.provide(Logger.layer([])), Effect.scoped)

/** The samples of a range query, as text. */
const samples = (client: PrometheusClient["Service"], overrides: Partial<typeof query> = {}) =>
  client.queryRange({ ...query, ...overrides }).pipe(
    Effect.flatMap((blocks) => Stream.runCollect(blocks)),
    Effect.map((blocks: ReadonlyArray<SampleBlock>) =>
      blocks.flatMap((block) =>
        block._tag === "TextBlock" ? Array.from(block.times, (_, i) => textAt(block, i)) : []
      )
    ),
    Effect.scoped
  )

/** The error of an effect that must fail. */
const failure = <A, R>(effect: Effect.Effect<A, PrometheusError, R>) => Effect.flip(effect)

/** A fault for range queries only. */
const onRange = (fault: Fault) => (request: { readonly path: string }) =>
  request.path === "/api/v1/query_range" ? fault : undefined

describe("PrometheusClient", () => {
  it.live("sends the configured headers with every request, and no others", () =>
    withClient(
      {
        mock: { basicAuth: { user: "üser", password: "pässword: 1" } },
        config: {
          basic_auth_user: "üser",
          basic_auth_pass: "pässword: 1",
          headers: [{ name: "X-Scope-OrgID", value: "tenant" }]
        }
      },
      (client, mock) =>
        Effect.gen(function* () {
          yield* client.now
          yield* client.metricNames(range)
          yield* client.labelNames(range, [ofMetric("m")])
          yield* client.metadata
          assert.lengthOf(yield* samples(client), 120)
          assert.lengthOf(requestsOf(mock), 5)
          for (const { headers } of requestsOf(mock)) {
            assert.strictEqual(headers.get("x-scope-orgid"), "tenant")
            assert.strictEqual(headers.get("accept-encoding"), "identity")
            assert.isFalse(headers.has("traceparent"))
            assert.isFalse(headers.has("b3"))
          }
        })
    )
  )

  it.live("reuses its connection", () =>
    withClient({}, (client, mock) =>
      Effect.gen(function* () {
        for (let i = 0; i < 5; i++) yield* samples(client)
        yield* client.now
        assert.lengthOf(new Set(requestsOf(mock).map(({ headers }) => headers.get("connection"))), 1)
        assert.strictEqual(requestsOf(mock)[0]!.headers.get("connection"), "keep-alive")
      })
    )
  )

  it.live("sends times in seconds, and requests all metrics unless there is a selector", () =>
    withClient({}, (client, mock) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* client.metricNames(range), ["m"])
        assert.deepStrictEqual(Object.fromEntries(requestsOf(mock)[0]!.params), {
          start: `${start / 1000}`,
          end: `${start / 1000 + 3600}`
        })
      })
    )
  )

  it.live("extends a list that ends at midnight by a millisecond, but not a query of points", () =>
    withClient({}, (client, mock) =>
      Effect.gen(function* () {
        const end = () => requestsOf(mock).at(-1)?.params.get("end")
        assert.deepStrictEqual(yield* samples(client, { startMillis: start - 60_000, endMillis: start }), [
          "0.5",
          "0.5"
        ])
        assert.strictEqual(end(), `${start / 1000}`)
        yield* client.labelNames({ startMillis: start - minute, endMillis: start })
        assert.strictEqual(end(), `${start / 1000}.001`)
        yield* client.labelNames({ startMillis: start - minute, endMillis: start + minute })
        assert.strictEqual(end(), `${start / 1000 + 60}`)
      })
    )
  )

  it.live("adds the selector to its requests", () =>
    withClient({ config: { selector: '{job="b"}' } }, (client, mock) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* client.metricNames(range), ["m"])
        assert.deepStrictEqual(yield* client.labelNames(range, [ofMetric("m")]), ["job"])
        assert.deepStrictEqual(
          requestsOf(mock).map(({ params }) => params.get("match[]")),
          ['{__name__!="",job="b"}', '{__name__="m",job="b"}']
        )
      })
    )
  )

  it.live("sends long queries as a form", () =>
    withClient({}, (client, mock) =>
      Effect.gen(function* () {
        const long = `{__name__="m",job=~"${"x|".repeat(4000)}b"}`
        assert.lengthOf(yield* samples(client, { query: long }), 60)
        assert.deepStrictEqual(
          requestsOf(mock).map(({ method }: ReceivedRequest) => method),
          ["POST"]
        )
      })
    )
  )

  for (const [name, data] of [
    ["a scalar", '{"resultType":"scalar","result":[1767225600.25,"1767225600.25"]}'],
    [
      "a vector of one",
      '{"result":[{"metric":{},"value":[1767225600,"1767225600.25"]}],"resultType":"vector"}'
    ]
  ] as const) {
    it.live(`reads the server's time from ${name}`, () =>
      withClient(
        {
          mock: {
            faults: () => ({
              body: `{"status":"success","data":${data},"isPartial":false}`,
              headers: { "content-type": "application/json" }
            })
          }
        },
        (client) => Effect.map(client.now, (now) => assert.strictEqual(now, 1_767_225_600_250))
      )
    )
  }

  for (const text of ["NaN", "+Inf", "-Inf", "1e400", "1e300", "-1", "253402300800", "noon"]) {
    it.live(`refuses ${text} as the time`, () =>
      withClient(
        {
          mock: {
            faults: () => ({
              headers: { "content-type": "application/json" },
              body: `{"status":"success","data":{"resultType":"scalar","result":[0,"${text}"]}}`
            })
          }
        },
        (client) =>
          Effect.map(Effect.flip(client.now), (error) => {
            assert.strictEqual(error.reason, "NotPrometheus")
            assert.include(error.message, `"${text}"`)
          })
      )
    )
  }

  it.live("has no metadata if the server has none", () =>
    withClient({ mock: { faults: () => ({ status: 404, body: "404 page not found" }) } }, (client) =>
      Effect.map(client.metadata, (metadata) => assert.strictEqual(metadata.size, 0))
    )
  )

  const packed = gzipSync(
    `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"m"},"values":[[${start / 1000},"7"]]}]}}`
  )
  const gzip = { "content-type": "application/json", "content-encoding": "gzip" }

  it.live("requests gzip if configured, and decompresses it", () =>
    withClient(
      { mock: { faults: onRange({ body: packed, headers: gzip }) }, config: { compression: "gzip" } },
      (client, mock) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* samples(client), ["7"])
          assert.strictEqual(requestsOf(mock)[0]!.headers.get("accept-encoding"), "gzip")
        })
    )
  )

  for (const [name, fault] of [
    [
      "gzip that is damaged before any sample",
      { body: Buffer.concat([packed.subarray(0, 10), Buffer.alloc(50, 7)]), headers: gzip }
    ],
    ["gzip that ends early", { body: packed.subarray(0, 40), headers: gzip }],
    ["invalid gzip", { body: "x".repeat(100), headers: gzip }],
    ["an encoding that was not requested", { body: packed, headers: { ...gzip, "content-encoding": "br" } }],
    ["a response that is cut", { cutAfterBytes: 300 }],
    ["a response that is empty", { body: "", headers: { "content-type": "application/json" } }],
    ["a response that is not JSON", { body: "][", headers: { "content-type": "application/json" } }]
  ] as const) {
    it.live(`reports ${name} as broken`, () =>
      withClient({ mock: { faults: onRange(fault) } }, (client) =>
        Effect.gen(function* () {
          const error = yield* failure(samples(client))
          assert.strictEqual(error.reason, "BrokenResponse", error.message)
          assert.strictEqual(error.policy.action, "retry")
        })
      )
    )
  }

  const json = { "content-type": "application/json" }
  const tooMany = '{"status":"error","errorType":"execution","error":"would load too many samples"}'

  it.live("retries a refusal whose text broke off, since the rest may give the reason", () =>
    Effect.forEach(
      [
        { status: 422, body: tooMany, headers: json, cutAfterBytes: 40 },
        { status: 422, body: tooMany.slice(0, 60), headers: json },
        { status: 400, body: "", headers: json },
        { status: 400, body: gzipSync("no").subarray(0, 12), headers: { "content-encoding": "gzip" } }
      ],
      (fault) =>
        withClient({ mock: { faults: onRange(fault) } }, (client) =>
          Effect.gen(function* () {
            const error = yield* failure(samples(client))
            assert.strictEqual(error.reason, "BrokenResponse", error.message)
            assert.strictEqual(error.policy.action, "retry")
          })
        ),
      { discard: true }
    )
  )

  it.live("does not need the text of a refusal if its status gives the reason", () =>
    Effect.forEach(
      [
        [401, "Unauthorized"],
        [404, "WrongPath"],
        [413, "TooLarge"],
        [429, "RateLimited"],
        [503, "Unavailable"]
      ] as const,
      ([status, reason]) =>
        withClient(
          { mock: { faults: onRange({ status, body: tooMany, headers: json, cutAfterBytes: 40 }) } },
          (client) =>
            Effect.gen(function* () {
              const error = yield* failure(samples(client))
              assert.strictEqual(error.reason, reason, error.message)
            })
        ),
      { discard: true }
    )
  )

  it.live("does not retry damaged gzip after it has delivered samples", () => {
    const values = Array.from({ length: 50_000 }, (_, i) => `[${start / 1000 + i},"${(i * 7919) % 1000003}"]`)
    const changed = gzipSync(
      `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"m"},"values":[${values}]}]}}`
    )
    // Damages the checksum.
    changed[changed.length - 5]! ^= 1
    return withClient(
      { mock: { faults: onRange({ body: changed, headers: gzip }) }, config: { compression: "gzip" } },
      (client) =>
        Effect.gen(function* () {
          const error = yield* failure(samples(client))
          assert.strictEqual(error.reason, "Corrupted")
          assert.strictEqual(error.policy.action, "stream")
          assert.match(error.message, /is not valid gzip\. Its samples may be wrong/)
        })
    )
  })

  it.live("reports a response that ended early", () =>
    withClient(
      {
        mock: { faults: onRange({ body: packed.subarray(0, 40), headers: gzip }) },
        config: { compression: "gzip" }
      },
      (client) =>
        Effect.map(failure(samples(client)), (error) =>
          assert.match(error.message, /broke off \(its gzip ends early\)/)
        )
    )
  )

  it.live("recognises a refusal with status 200", () =>
    withClient(
      {
        mock: {
          faults: onRange({
            body: '{"status":"error","errorType":"execution","error":"exceeded series limit of 10"}',
            headers: { "content-type": "application/json" }
          })
        }
      },
      (client) =>
        Effect.gen(function* () {
          const error = yield* failure(samples(client))
          assert.strictEqual(error.reason, "TooManySeries")
          assert.match(error.message, /exceeded series limit of 10/)
        })
    )
  )

  const respondWith = (more: string) =>
    onRange({
      body: `{"status":"success",${more}"data":{"resultType":"matrix","result":[{"metric":{"__name__":"m"},"values":[[${start / 1000},"7"]]}]}}`,
      headers: { "content-type": "application/json" }
    })

  for (const [name, more, message] of [
    ["VictoriaMetrics says so", '"isPartial":true,', /query_range may lack data\. Check that/],
    [
      "Thanos warns of it",
      '"warnings":["No StoreAPIs matched for this query","fetch series for {a=\\"b\\"}: rpc error"],',
      /query_range may lack data\. It warns: No StoreAPIs matched for this query; fetch series for \{a="b"\}: rpc error\. Check that .* partial_data to accept\.$/
    ]
  ] as const) {
    it.live(`fails for partial data if ${name}`, () =>
      withClient({ mock: { faults: respondWith(more) } }, (client) =>
        Effect.gen(function* () {
          const error = yield* failure(samples(client))
          assert.strictEqual(error.reason, "PartialResponse")
          assert.strictEqual(error.policy.action, "retry")
          assert.match(error.message, message)
        })
      )
    )

    it.live(`accepts partial data if configured, with a warning: ${name}`, () => {
      const logs: Array<unknown> = []
      return withClient(
        { mock: { faults: respondWith(more) }, config: { partial_data: "accept" } },
        (client) =>
          Effect.gen(function* () {
            assert.deepStrictEqual(yield* samples(client), ["7"])
            assert.deepStrictEqual(yield* samples(client), ["7"])
            assert.lengthOf(logs, more.includes("rpc error") ? 2 : 1)
            assert.match(String(logs[0]), /^http:.* warns: (No StoreAPIs|the response lacks data)/)
          }).pipe(
            Effect.provide(
              Logger.layer([
                Logger.make(({ logLevel, message }) => {
                  if (logLevel === "Warn") logs.push(message)
                })
              ])
            )
          )
      )
    })
  }

  it.live("ignores warnings about the query", () =>
    withClient(
      {
        mock: {
          faults: respondWith('"warnings":["PromQL warning: mixed histograms"],"infos":["PromQL info: x"],')
        }
      },
      (client) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* samples(client), ["7"])
        })
    )
  )

  it.live("sends the server a timeout that is shorter than its own", () =>
    withClient({ config: { request_timeout: 60 } }, (client, mock) =>
      Effect.gen(function* () {
        yield* samples(client)
        assert.strictEqual(requestsOf(mock)[0]!.params.get("timeout"), "54")
      })
    )
  )

  it.live("times out on a response that does not start, or does not continue", () =>
    Effect.forEach(
      [{ delayMillis: Number.POSITIVE_INFINITY }, { stallAfterBytes: 300 }],
      (fault) =>
        withClient({ mock: { faults: onRange(fault) }, config: { request_timeout: 1 } }, (client) =>
          Effect.gen(function* () {
            const error = yield* failure(samples(client))
            assert.strictEqual(error.reason, "Timeout")
            assert.match(error.message, /within 1 s.*raise request_timeout/)
          })
        ),
      { concurrency: 2 }
    )
  )

  for (const status of [301, 302, 307, 308]) {
    it.live(`follows a redirect with ${status} on the same host, with credentials`, () =>
      withClient(
        {
          mock: {
            requiredHeaders: { "x-token": "secret" },
            faults: (request) =>
              request.path.startsWith("/old/")
                ? {
                    status,
                    headers: { location: `/api/v1/query_range${new URL(request.url).search}` }
                  }
                : undefined
          },
          config: { headers: [{ name: "x-token", value: "secret" }] }
        },
        (_client, mock) =>
          Effect.gen(function* () {
            const { baseUrl } = yield* MockServer.make(mock)
            const config = ConnectorConfig.layerFrom({
              base_url: `${baseUrl}/old`,
              start_date: "2026-01-01",
              headers: [{ name: "x-token", value: "secret" }]
            })
            const client = yield* PrometheusClient.pipe(
              Effect.provide(yield* Layer.build(Layer.provide(PrometheusClient.layer, config)))
            )
            assert.lengthOf(yield* samples(client), 120)
            const long = `{__name__="m",job=~"${"x|".repeat(4000)}b"}`
            assert.lengthOf(yield* samples(client, { query: long }), 60)
          })
      )
    )
  }

  it.live("never sends credentials to another host, and stops at a redirect loop", () =>
    Effect.gen(function* () {
      const other = new MockPrometheus(database())
      const { baseUrl: otherUrl } = yield* MockServer.make(other)
      for (const location of [otherUrl, "http://", "/api/v1/query_range"]) {
        yield* withClient(
          {
            mock: { faults: onRange({ status: 302, headers: { location } }) },
            config: { basic_auth_user: "u", basic_auth_pass: "p" }
          },
          (client, mock) =>
            Effect.gen(function* () {
              const error = yield* failure(samples(client))
              const isCircle = location.startsWith("/")
              assert.strictEqual(error.reason, isCircle ? "NotPrometheus" : "Redirected")
              assert.isAtMost(requestsOf(mock).length, 6)
            })
        )
      }
      assert.lengthOf(other.requests, 0)
    }).pipe(Effect.scoped)
  )

  it.live("closes the connection of a response that is not read to its end", () =>
    withClient({ mock: { faults: onRange({ stallAfterBytes: 300 }) } }, (client, mock) =>
      Effect.gen(function* () {
        yield* Effect.scoped(client.queryRange(query))
        // The connection is closed, so the next request opens another one.
        assert.isNumber(yield* client.now)
        assert.lengthOf(requestsOf(mock), 2)
      })
    )
  )
})
