import { createHash } from "node:crypto"
import { gzipSync } from "node:zlib"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import {
  callLibrary,
  errorOfFetch,
  libraryFetch
} from "../../../../src/prometheus/http/authentication/libraryFetch.ts"
import { PrometheusError } from "../../../../src/prometheus/PrometheusError.ts"
import { endless, send, serveRaw } from "../../../support/rawServer.ts"

const server = { addressKey: "authentication.token_url" }

const fetchOf = Effect.map(HttpClient.HttpClient, (tokenClient) =>
  libraryFetch({ tokenClient, timeoutMillis: 5000 }, server)
)

/** The error of a promise that is rejected. */
const rejection = (promise: () => Promise<unknown>): Effect.Effect<unknown> =>
  Effect.flip(Effect.tryPromise({ try: promise, catch: (error) => error })) as Effect.Effect<unknown>

const prometheusError = (promise: () => Promise<unknown>) =>
  Effect.map(rejection(promise), (error) => {
    assert.instanceOf(error, PrometheusError)
    return error
  })

layer(NodeHttpClient.layerNodeHttp)("libraryFetch", (it) => {
  it.effect("sends method, address, headers and body, and returns status, headers and body", () =>
    Effect.gen(function* () {
      const seen: Array<Record<string, unknown>> = []
      const url = yield* serveRaw(async (request, response) => {
        const chunks: Array<Uint8Array> = []
        for await (const chunk of request) chunks.push(chunk as Uint8Array)
        const { headers, method, url } = request
        seen.push({ method, url, headers, body: Buffer.concat(chunks).toString() })
        send(response, ["not ", "found: ü"], { "x-reason": "why" }, 404)
      })
      const fetch = yield* fetchOf
      const response = yield* Effect.promise(() =>
        fetch(`${url}/token?tenant=1`, {
          method: "POST",
          headers: { authorization: "Basic eDp5", "user-agent": "a-library/1" },
          body: new URLSearchParams({ scope: "a b", x: "ü&" })
        })
      )
      assert.strictEqual(response.status, 404)
      assert.strictEqual(response.headers.get("x-reason"), "why")
      assert.strictEqual(yield* Effect.promise(() => response.text()), "not found: ü")
      const [{ headers, ...request }] = seen as [Record<string, unknown>]
      assert.deepStrictEqual(request, {
        method: "POST",
        url: "/token?tenant=1",
        body: "scope=a+b&x=%C3%BC%26"
      })
      const {
        authorization,
        "accept-encoding": encoding,
        traceparent,
        "user-agent": agent,
        ...others
      } = headers as Record<string, string>
      assert.deepStrictEqual(
        [authorization, others["content-type"], encoding, agent, traceparent],
        [
          "Basic eDp5",
          "application/x-www-form-urlencoded;charset=UTF-8",
          "identity",
          "source-prometheus",
          undefined
        ]
      )
    })
  )

  it.effect("sends a GET without a body, from a URL or a Request", () =>
    Effect.gen(function* () {
      const url = yield* serveRaw((request, response) =>
        send(response, [
          `${request.method} ${request.url} ${request.headers["content-length"]} ${request.headers["x-a"]}`
        ])
      )
      const fetch = yield* fetchOf
      const textOf = (response: Promise<Response>) => Effect.promise(async () => (await response).text())
      assert.strictEqual(yield* textOf(fetch(new URL(`${url}/a`))), "GET /a undefined undefined")
      assert.strictEqual(
        yield* textOf(fetch(new Request(`${url}/b`, { headers: { "x-a": "1" } }))),
        "GET /b undefined 1"
      )
    })
  )

  it.effect("returns redirects and does not follow them", () =>
    Effect.gen(function* () {
      let requests = 0
      const url = yield* serveRaw((_request, response) => {
        requests++
        send(response, [], { location: "/elsewhere" }, 307)
      })
      const fetch = yield* fetchOf
      const response = yield* Effect.promise(() => fetch(`${url}/token`, { method: "POST", body: "secret" }))
      assert.deepStrictEqual([response.status, response.headers.get("location")], [307, "/elsewhere"])
      assert.strictEqual(requests, 1)
    })
  )

  it.effect("uncompresses what was compressed without being asked", () =>
    Effect.gen(function* () {
      const url = yield* serveRaw((_request, response) =>
        send(response, [gzipSync('{"a":1}')], { "content-encoding": "gzip" })
      )
      const fetch = yield* fetchOf
      const response = yield* Effect.promise(() => fetch(url))
      assert.isNull(response.headers.get("content-encoding"))
      assert.deepStrictEqual(yield* Effect.promise(() => response.json()), { a: 1 })
    })
  )

  it.effect.each([204, 205])("returns HTTP %i without a body", (status) =>
    Effect.gen(function* () {
      const url = yield* serveRaw((_request, response) => {
        response.writeHead(status).end()
      })
      const fetch = yield* fetchOf
      const response = yield* Effect.promise(() => fetch(url))
      assert.deepStrictEqual([response.status, response.body], [status, null])
    })
  )

  it.effect.each([199, 600, 999])("refuses the status %i, which a Response cannot have", (status) =>
    Effect.gen(function* () {
      const url = yield* serveRaw((request) => {
        request.socket.end(`HTTP/1.1 ${status} What\r\ncontent-length: 0\r\n\r\n`)
      })
      const fetch = yield* fetchOf
      const error = yield* prometheusError(() => fetch(`${url}/token?a=b`))
      assert.strictEqual(error.policy.onExhausted, "sync")
      if (status !== 199) assert.strictEqual(error.summary, `${url}/token returned HTTP ${status}.`)
    })
  )

  it.effect("reads a megabyte, and not more", () =>
    Effect.gen(function* () {
      const megabyte = "x".repeat(1024 * 1024)
      const url = yield* serveRaw((request, response) =>
        send(response, request.url === "/all" ? [megabyte] : endless("", megabyte))
      )
      const fetch = yield* fetchOf
      const text = yield* Effect.promise(async () => (await fetch(`${url}/all`)).text())
      assert.strictEqual(
        createHash("sha1").update(text).digest("hex"),
        createHash("sha1").update(megabyte).digest("hex")
      )
      const error = yield* prometheusError(() => fetch(`${url}/more`))
      assert.strictEqual(
        error.message,
        `The response from ${url}/more has more than 1024 KiB. Check authentication.token_url: the server there sends more than a token.`
      )
      assert.strictEqual(error.policy.action, "sync")
    })
  )

  it.effect("says that nothing listens, with the key that sets the address", () =>
    Effect.gen(function* () {
      const url = yield* Effect.scoped(serveRaw(() => {}))
      const fetch = yield* fetchOf
      const error = yield* prometheusError(() => fetch(`${url}/token?key=secret`))
      assert.strictEqual(error.reason, "NoServer")
      assert.strictEqual(
        error.message,
        `${url}/token cannot be reached (connection refused). Check authentication.token_url, that the server runs, and that this machine may connect to it.`
      )
    })
  )

  it.effect("retries a response that breaks off, and neither splits requests nor skips points for it", () =>
    Effect.gen(function* () {
      const url = yield* serveRaw((request) => {
        request.socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"access_')
      })
      const fetch = yield* fetchOf
      const { policy, reason, summary } = yield* prometheusError(() => fetch(url))
      assert.match(summary, /broke off/)
      assert.strictEqual(reason, "Unreachable")
      assert.deepStrictEqual(
        [policy.action, policy.onExhausted, policy.splitBy, policy.mayBeDamage],
        ["retry", "sync", undefined, undefined]
      )
    })
  )

  it.effect("is rejected with the reason of an aborted signal, before and during a request", () =>
    Effect.gen(function* () {
      const closed = yield* Deferred.make<void>()
      const controller = new AbortController()
      const url = yield* serveRaw((request) => {
        request.socket.on("close", () => Deferred.doneUnsafe(closed, Effect.void))
        controller.abort(new Error("enough"))
      })
      const fetch = yield* fetchOf
      const during = yield* rejection(() => fetch(url, { signal: controller.signal }))
      assert.strictEqual((during as Error).message, "enough")
      yield* Deferred.await(closed)
      const before = yield* rejection(() => fetch(url, { signal: AbortSignal.abort(new Error("never")) }))
      assert.strictEqual((before as Error).message, "never")
    })
  )

  it.effect("ends the request of a library that is interrupted", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const closed = yield* Deferred.make<void>()
      const url = yield* serveRaw((request) => {
        request.socket.on("close", () => Deferred.doneUnsafe(closed, Effect.void))
        Deferred.doneUnsafe(started, Effect.void)
      })
      const tokenClient = yield* HttpClient.HttpClient
      const fiber = yield* Effect.forkChild(
        callLibrary({ tokenClient, timeoutMillis: 5000 }, server, (fetch) => fetch(url), unexpected)
      )
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      yield* Deferred.await(closed)
    })
  )

  it.effect("keeps its error when a library wraps it", () =>
    Effect.gen(function* () {
      const url = yield* Effect.scoped(serveRaw(() => {}))
      const tokenClient = yield* HttpClient.HttpClient
      const error = yield* callLibrary(
        { tokenClient, timeoutMillis: 5000 },
        server,
        (fetch) =>
          fetch(url).catch((cause: unknown) => {
            throw new Error("a library", { cause: new Error("its transport", { cause }) })
          }),
        unexpected
      ).pipe(Effect.flip)
      assert.strictEqual(error.reason, "NoServer")
    })
  )
})

const unexpected = (error: unknown) =>
  new PrometheusError({ reason: "Unauthorized", summary: `Another error: ${String(error)}.` })

describe("the time of libraryFetch", () => {
  it.effect("ends with the timeout, by the clock of the caller", () =>
    Effect.gen(function* () {
      const tokenClient = HttpClient.make(() => Effect.never)
      const fiber = yield* callLibrary(
        { tokenClient, timeoutMillis: 5000 },
        server,
        (fetch) => fetch("http://tokens.example/token?a=b"),
        unexpected
      ).pipe(Effect.flip, Effect.forkChild({ startImmediately: true }))
      // The promise of a request's body is resolved outside of Effect.
      yield* Effect.promise(() => new Promise(setImmediate))
      yield* TestClock.adjust(4999)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.reason, "Unreachable")
      assert.strictEqual(
        error.message,
        "http://tokens.example/token did not respond within 5 s. Check authentication.token_url, that the server runs, and that this machine may connect to it. If it is only slow, raise request_timeout."
      )
    })
  )
})

describe("errorOfFetch", () => {
  it("is undefined for other errors", () => {
    assert.isUndefined(errorOfFetch(new Error("a", { cause: "b" })))
    assert.isUndefined(errorOfFetch(undefined))
    const endless = new Error("a")
    endless.cause = endless
    assert.isUndefined(errorOfFetch(endless))
  })
})
