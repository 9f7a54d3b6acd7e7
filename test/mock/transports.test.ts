/** Both transports have the same responses and the same faults. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Layer, Option, Scope, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import type { Fault } from "../../src/mock/http.ts"
import * as MockHttpClient from "../../src/mock/MockHttpClient.ts"
import { type MockOptions, MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import * as MockServer from "../../src/mock/MockServer.ts"

const start = 1_700_000_000
const database = makeDatabase(
  ["é", "b", "c"].map((zone) =>
    makeSeries(
      { __name__: "m", zone },
      Array.from({ length: 5000 }, (_, i) => [(start + i) * 1000, i / 7] as const)
    )
  )
)

const path = "/api/v1/query_range"
const params = { query: "m", start: `${start}`, end: `${start + 4999}`, step: "1" }

/** A mock, the address of its API, and a client of it. */
interface Transport {
  readonly name: string
  readonly connect: (
    mock: MockPrometheus
  ) => Effect.Effect<{ baseUrl: string; client: HttpClient.HttpClient }, never, Scope.Scope>
}

const transports: ReadonlyArray<Transport> = [
  {
    name: "in the process",
    connect: (mock) =>
      Effect.succeed({
        baseUrl: `http://prometheus.example${mock.options.pathPrefix ?? ""}`,
        client: MockHttpClient.make(mock)
      })
  },
  {
    name: "on a socket",
    connect: Effect.fnUntraced(function* (mock) {
      const { baseUrl } = yield* MockServer.make(mock)
      const context = yield* Layer.build(FetchHttpClient.layer)
      return { baseUrl, client: yield* HttpClient.HttpClient.pipe(Effect.provide(context)) }
    })
  }
]

describe.each(transports)("the mock $name", ({ connect }) => {
  const open = Effect.fnUntraced(function* (options: MockOptions = {}) {
    const mock = new MockPrometheus(database, options)
    return { mock, ...(yield* connect(mock)) }
  })

  const faulty = (fault: Fault, options: MockOptions = {}) => open({ ...options, faults: () => fault })

  it.live("streams a body in chunks", () =>
    Effect.gen(function* () {
      const { mock, baseUrl, client } = yield* open({ chunkBytes: 10_000 })
      const response = yield* client.get(`${baseUrl}${path}`, { urlParams: params })
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.headers["content-type"], "application/json")
      const chunks = yield* Stream.runCollect(response.stream)
      assert.isAbove(chunks.length, 5)
      const body = JSON.parse(Buffer.concat(chunks).toString("utf8"))
      assert.deepStrictEqual(
        body.data.result.map((s: { metric: { zone: string }; values: ReadonlyArray<unknown> }) => [
          s.metric.zone,
          s.values.length,
          s.values.at(-1)
        ]),
        ["b", "c", "é"].map((zone) => [zone, 5000, [start + 4999, "714.1428571428571"]])
      )
      assert.deepStrictEqual([...mock.requests[0]!.params], Object.entries(params))
    })
  )

  it.live("accepts a form, a prefix and headers", () =>
    Effect.gen(function* () {
      const { mock, baseUrl, client } = yield* open({
        pathPrefix: "/prometheus",
        basicAuth: { user: "u", password: "p:é" },
        requiredHeaders: { "X-Scope-OrgID": "team" }
      })
      const request = HttpClientRequest.post(`${baseUrl}/api/v1/series?match[]=nope`).pipe(
        HttpClientRequest.bodyUrlParams([["match[]", 'm{zone="é"}']]),
        HttpClientRequest.setHeader("X-Scope-OrgID", "team")
      )
      const refused = yield* client.execute(request)
      assert.strictEqual(refused.status, 401)
      const authorized = HttpClientRequest.basicAuth(request, "u", "p:é")
      const response = yield* client.execute(authorized)
      assert.deepStrictEqual(yield* response.json, {
        status: "success",
        data: [{ __name__: "m", zone: "é" }]
      })
      assert.strictEqual(mock.requests.length, 2)
      assert.strictEqual(mock.requests[1]?.url, `${baseUrl}/api/v1/series?match[]=nope`)
      assert.strictEqual(mock.requests[1]?.headers.get("x-scope-orgid"), "team")
    })
  )

  it.live("returns a redirect", () =>
    Effect.gen(function* () {
      const { baseUrl, client } = yield* open({
        faults: ({ path }) =>
          path === "/old" ? { status: 302, headers: { location: "/api/v1/labels" } } : undefined
      })
      const init = Layer.succeed(FetchHttpClient.RequestInit, { redirect: "manual" as const })
      const response = yield* client.get(`${baseUrl}/old`).pipe(Effect.provide(init))
      assert.strictEqual(response.status, 302)
      assert.strictEqual(response.headers.location, "/api/v1/labels")
    })
  )

  it.live("breaks the connection after the given number of bytes", () =>
    Effect.gen(function* () {
      const { baseUrl, client } = yield* faulty({ cutAfterBytes: 100_000 })
      const response = yield* client.get(`${baseUrl}${path}`, { urlParams: params })
      let bytes = 0
      const exit = yield* response.stream.pipe(
        Stream.runForEach((chunk) => Effect.sync(() => (bytes += chunk.length))),
        Effect.exit
      )
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual(bytes, 100_000)
      const text = yield* Effect.exit((yield* client.get(`${baseUrl}${path}`, { urlParams: params })).text)
      assert.isTrue(Exit.isFailure(text))
    })
  )

  it.live("breaks the connection before a response", () =>
    Effect.gen(function* () {
      const { baseUrl, client } = yield* faulty({ reset: true })
      const error = yield* Effect.flip(client.get(`${baseUrl}${path}`))
      assert.strictEqual(error.reason._tag, "TransportError")
    })
  )

  it.live("stalls within a body, or sends no response", () =>
    Effect.gen(function* () {
      const stalled = yield* faulty({ stallAfterBytes: 10 })
      const response = yield* stalled.client.get(`${stalled.baseUrl}/api/v1/labels`)
      const received = yield* response.stream.pipe(Stream.take(1), Stream.runCollect)
      assert.strictEqual(Buffer.concat(received).toString(), '{"status":')
      const again = yield* stalled.client.get(`${stalled.baseUrl}/api/v1/labels`)
      const text = yield* Effect.timeoutOption(again.text, 100)
      assert.isTrue(Option.isNone(text))
      const silent = yield* faulty({ delayMillis: Number.POSITIVE_INFINITY })
      const never = yield* Effect.timeoutOption(silent.client.get(`${silent.baseUrl}/api/v1/labels`), 100)
      assert.isTrue(Option.isNone(never))
      assert.strictEqual(silent.mock.requests.length, 1)
    })
  )

  it.live("waits before a response", () =>
    Effect.gen(function* () {
      const { baseUrl, client } = yield* faulty({ delayMillis: 50 })
      const before = yield* Clock.currentTimeMillis
      const response = yield* client.get(`${baseUrl}/api/v1/labels`)
      assert.strictEqual(response.status, 200)
      assert.isAtLeast((yield* Clock.currentTimeMillis) - before, 45)
    })
  )

  it.live("survives a client that disconnects", () =>
    Effect.gen(function* () {
      const { baseUrl, client } = yield* open({ chunkBytes: 1000 })
      const response = yield* client.get(`${baseUrl}${path}`, { urlParams: params })
      yield* response.stream.pipe(Stream.take(1), Stream.runDrain)
      const next = yield* client.get(`${baseUrl}/api/v1/labels`)
      assert.deepStrictEqual(yield* next.json, { status: "success", data: ["__name__", "zone"] })
    })
  )

  it.effect("uses Effect's clock", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(start * 1000)
      const { mock, baseUrl, client } = yield* open()
      const request = client.get(`${baseUrl}/api/v1/query`, { urlParams: { query: "time()" } })
      const response = yield* request
      assert.strictEqual(response.headers.date, "Tue, 14 Nov 2023 22:13:20 GMT")
      yield* TestClock.adjust(1500)
      const later = yield* Effect.flatMap(request, (r) => r.json)
      assert.deepStrictEqual(later, {
        status: "success",
        data: { resultType: "scalar", result: [start + 1.5, `${start + 1.5}`] }
      })
      assert.deepStrictEqual(
        mock.requests.map((r) => r.nowMillis - start * 1000),
        [0, 1500]
      )
    })
  )
})

describe("the mock within the process", () => {
  it.effect("waits on the TestClock, to the millisecond", () =>
    Effect.gen(function* () {
      const mock = new MockPrometheus(database, { faults: () => ({ delayMillis: 1000 }) })
      const client = MockHttpClient.make(mock)
      const body = client
        .get("http://prometheus.example/api/v1/labels")
        .pipe(Effect.flatMap((response) => response.text))
      const fiber = yield* Effect.forkChild(body)
      yield* TestClock.adjust(999)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isDefined(fiber.pollUnsafe())
      assert.include(yield* Fiber.join(fiber), "zone")
    })
  )

  it.effect("is provided as a layer", () =>
    Effect.gen(function* () {
      const response = yield* HttpClient.get("https://any.example/api/v1/label/zone/values")
      assert.deepStrictEqual(yield* response.json, { status: "success", data: ["b", "c", "é"] })
    }).pipe(Effect.provide(MockHttpClient.layer(new MockPrometheus(database))))
  )
})

describe("the mock on a socket", () => {
  it.live("stops when its scope closes, whatever is still open", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const mock = new MockPrometheus(database, { faults: () => ({ stallAfterBytes: 1 }) })
      const { baseUrl } = yield* MockServer.make(mock).pipe(Scope.provide(scope))
      const response = yield* Effect.promise(() => fetch(`${baseUrl}/api/v1/labels`))
      yield* Scope.close(scope, Exit.void)
      const cut = yield* Effect.exit(Effect.tryPromise(() => response.text()))
      assert.isTrue(Exit.isFailure(cut))
      const refused = yield* Effect.exit(Effect.tryPromise(() => fetch(baseUrl)))
      assert.isTrue(Exit.isFailure(refused))
    })
  )
})
