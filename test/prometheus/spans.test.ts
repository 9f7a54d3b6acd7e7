/** The spans of a client's requests. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Stream, Tracer } from "effect"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import { firstTries, onPath, refusal } from "../../src/mock/faults.ts"
import { type MockOptions, MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import * as MockServer from "../../src/mock/MockServer.ts"
import { PrometheusClient } from "../../src/prometheus/PrometheusClient.ts"

const start = Date.UTC(2026, 0, 1, 12)
const range = { startMillis: start, endMillis: start + 60_000 }
const secret = "Geheim-4711"

const database = makeDatabase([makeSeries({ __name__: "m", token: secret }, [[start, 1]])])

/** All spans that are started while a client is used, in order. */
const spansOf = Effect.fnUntraced(function* <A, E>(
  use: (client: PrometheusClient["Service"]) => Effect.Effect<A, E>,
  options: MockOptions = {},
  config: object = {}
) {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      // Which kind of server it is, is asked in a number of requests that does not matter here.
      if (span.name !== "PrometheusClient.backend") spans.push(span)
      return span
    }
  })
  yield* Effect.gen(function* () {
    const { baseUrl } = yield* MockServer.make(new MockPrometheus(database, options))
    const settings = ConnectorConfig.layerFrom({ base_url: baseUrl, start_date: "2026-01-01", ...config })
    const services = yield* Layer.build(Layer.provide(PrometheusClient.layer, settings))
    const client = yield* Effect.provide(PrometheusClient, services)
    yield* Effect.exit(use(client))
  }).pipe(
    Effect.withSpan("test"),
    Effect.provideService(Tracer.Tracer, tracer),
    Effect.provide(Logger.layer([])),
    Effect.scoped
  )
  assert.strictEqual(spans.shift()?.name, "test")
  return spans
})

const readAll = (client: PrometheusClient["Service"], query = '{__name__="m"}') =>
  client.queryRange({ ...range, query, stepMillis: 60_000 }).pipe(
    Effect.flatMap((blocks) => Stream.runDrain(blocks)),
    Effect.scoped
  )

const statusOf = ({ status }: Tracer.Span) => (status._tag === "Ended" ? status.exit._tag : status._tag)

describe("the spans of a client", () => {
  it.live("are one per request, named by the method", () =>
    Effect.gen(function* () {
      const spans = yield* spansOf((client) =>
        Effect.gen(function* () {
          yield* client.clock
          yield* client.now
          yield* client.metricNames(range)
          yield* client.labelNames(range)
          yield* client.labelValues("job", range)
          yield* client.metadata
          yield* readAll(client)
        })
      )
      assert.deepStrictEqual(
        spans.map(({ name }) => name),
        ["clock", "clock", "metricNames", "labelNames", "labelValues", "metadata", "queryRange"].map(
          (method) => `PrometheusClient.${method}`
        )
      )
      for (const span of spans) {
        assert.strictEqual(statusOf(span), "Success", span.name)
        assert.strictEqual(span.kind, "client")
        assert.strictEqual(span.attributes.get("http.response.status_code"), 200)
        assert.isFalse(span.attributes.has("retries"))
      }
    })
  )

  it.live("show the endpoint and its parameters", () =>
    Effect.gen(function* () {
      const [span] = yield* spansOf((client) => readAll(client))
      const { "url.full": address, ...attributes } = Object.fromEntries(span!.attributes)
      assert.match(String(address), /^http:\/\/127\.0\.0\.1:\d+\/api\/v1\/query_range$/)
      assert.deepStrictEqual(attributes, {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "prometheus.query": '{__name__="m"}',
        "prometheus.start": `${start / 1000}`,
        "prometheus.end": `${start / 1000 + 60}`,
        "prometheus.step": "60"
      })
    })
  )

  it.live("last until the complete response has been read, and fail with it", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const spans = yield* spansOf(
        (client) =>
          Effect.gen(function* () {
            const blocks = yield* client.queryRange({ ...range, query: '{__name__="m"}', stepMillis: 60_000 })
            seen.push("begun")
            yield* Stream.runDrain(blocks)
          }).pipe(Effect.scoped),
        { faults: onPath("", { cutAfterBytes: 90 }) }
      )
      assert.deepStrictEqual(seen, ["begun"])
      assert.lengthOf(spans, 1)
      assert.strictEqual(statusOf(spans[0]!), "Failure")
    })
  )

  it.live("count retries, and have the status of the last response", () =>
    Effect.gen(function* () {
      const spans = yield* spansOf((client) => client.labelNames(range), {
        faults: firstTries(2, onPath("", refusal(503, "later")))
      })
      assert.lengthOf(spans, 1)
      assert.strictEqual(spans[0]!.attributes.get("retries"), 2)
      assert.strictEqual(spans[0]!.attributes.get("http.response.status_code"), 200)
    })
  )

  it.live("contain no secret, wherever it was", () =>
    Effect.gen(function* () {
      const spans = yield* spansOf(
        (client) =>
          Effect.gen(function* () {
            yield* client.metricNames(range)
            yield* readAll(client, `m{token="${secret}"}`)
          }).pipe(Effect.tap(client.now)),
        { pathPrefix: `/${secret}`, requiredHeaders: { "x-token": secret } },
        {
          basic_auth_user: "u",
          basic_auth_pass: secret,
          headers: [{ name: "x-token", value: secret }],
          selector: `{token="${secret}"}`
        }
      )
      assert.lengthOf(spans, 3)
      const text = JSON.stringify(
        spans.map(({ attributes, events, links, name, status }) => ({
          name,
          attributes: [...attributes],
          events,
          links,
          status: String(status._tag === "Ended" ? status.exit : "")
        })),
        (_, value) => (typeof value === "bigint" ? String(value) : value)
      )
      assert.include(text, "****/api/v1/query_range")
      assert.include(text, 'm{token=\\"****\\"}')
      assert.notInclude(text, secret)
      assert.notInclude(text, Buffer.from(`u:${secret}`).toString("base64"))
    })
  )
})
