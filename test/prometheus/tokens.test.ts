/** Requests with tokens: what happens if the server does not accept them, or no token is issued. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { OnFetchedSecret } from "../../src/prometheus/PrometheusClient.ts"
import { serveRaw } from "../support/rawServer.ts"
import {
  notFound,
  type Received,
  type Reply,
  range,
  refused,
  samples,
  to,
  valuesOf,
  withServer
} from "./oddServer.ts"

const SECRET = "Geheim-4711 +/"

const denied: Reply = { status: 401, headers: { "content-type": "text/plain" }, body: "token refused" }

/** A server that issues numbered tokens, and the configuration for it. */
const tokenServer = (more: object = {}) =>
  Effect.gen(function* () {
    let issued = 0
    const url = yield* serveRaw((_request, response) => {
      response.writeHead(200, { "content-type": "application/json" })
      response.end(JSON.stringify({ access_token: `access-${++issued}`, token_type: "Bearer", ...more }))
    })
    return { issued: () => issued, config: configOf(`${url}/token`), url }
  })

const configOf = (token_url: string) => ({
  authentication: { auth_type: "oauth2", token_url, client_id: "reader", client_secret: SECRET }
})

const tokenOf = ({ headers }: Received): string => headers.authorization ?? ""

describe("a token", () => {
  it.live("is fetched once for all requests, and another after 401", () =>
    Effect.gen(function* () {
      const { config, issued } = yield* tokenServer({ expires_in: 3600 })
      let accepted = "Bearer access-1"
      yield* withServer(
        (request) => (tokenOf(request) === accepted ? undefined : denied),
        (client, received) =>
          Effect.gen(function* () {
            const reads = Array.from({ length: 8 }, () => valuesOf(client))
            yield* Effect.all(reads, { concurrency: "unbounded" })
            assert.strictEqual(issued(), 1)
            accepted = "Bearer access-2"
            for (const values of yield* Effect.all(reads, { concurrency: "unbounded" })) {
              assert.deepStrictEqual(values, ["7"])
            }
            assert.strictEqual(issued(), 2)
            assert.deepStrictEqual(
              new Set(received.map(tokenOf)),
              new Set(["Bearer access-1", "Bearer access-2"])
            )
          }),
        config
      )
    }).pipe(Effect.scoped)
  )

  it.live("that the server never accepts is renewed once, and reported with the keys", () =>
    Effect.gen(function* () {
      const { config, issued } = yield* tokenServer()
      yield* withServer(
        () => denied,
        (client, received) =>
          Effect.gen(function* () {
            yield* client.backend
            const before = issued()
            const error = yield* Effect.flip(client.labelNames(range))
            assert.strictEqual(error.reason, "Unauthorized")
            assert.match(
              error.message,
              /returned HTTP 401: token refused\. Check which tokens the server accepts, with authentication\.token_url, authentication\.scopes and authentication\.audience\.$/
            )
            assert.strictEqual(issued(), before + 1)
            assert.lengthOf(to("/api/v1/labels", received), 2)
          }),
        config
      )
    }).pipe(Effect.scoped)
  )

  it.live("that may not read a stream is not renewed for each", () =>
    Effect.gen(function* () {
      const { config, issued } = yield* tokenServer()
      yield* withServer(
        () => ({ ...denied, status: 403, body: "not for you" }),
        (client) =>
          Effect.gen(function* () {
            for (let i = 0; i < 3; i++) {
              const error = yield* Effect.flip(valuesOf(client))
              assert.strictEqual(error.reason, "Forbidden")
              assert.match(error.message, /Check what they may read, and .*authentication\.scopes/)
            }
            assert.strictEqual(issued(), 1)
          }),
        config
      )
    }).pipe(Effect.scoped)
  )

  const login = '<html><title>Sign in</title><form><input type="password"></form></html>'

  it.live.each<readonly [what: string, reply: Reply]>([
    [
      "a redirect to a login page",
      { status: 302, headers: { location: "https://sso.example/login" }, body: "" }
    ],
    ["a login page", { status: 200, headers: { "content-type": "text/html" }, body: login }],
    ["a login page with status 403", { status: 403, headers: { "content-type": "text/html" }, body: login }],
    ["403 and words", { status: 403, body: '{"message":"Token expired"}' }],
    [
      "400 and a challenge",
      { status: 400, headers: { "www-authenticate": 'Bearer error="invalid_token"' }, body: "" }
    ]
  ])("is renewed once where %s is the refusal", ([, denial]) =>
    Effect.gen(function* () {
      const { config, issued } = yield* tokenServer()
      let accepted = "Bearer access-1"
      yield* withServer(
        (request) => (tokenOf(request) === accepted ? undefined : denial),
        (client, received) =>
          Effect.gen(function* () {
            assert.deepStrictEqual(yield* valuesOf(client), ["7"])
            accepted = "Bearer access-2"
            assert.deepStrictEqual(yield* valuesOf(client), ["7"])
            assert.strictEqual(issued(), 2)
            accepted = "none"
            const before = to("/api/v1/query_range", received).length
            yield* Effect.flip(valuesOf(client))
            assert.strictEqual(issued(), 3)
            assert.strictEqual(to("/api/v1/query_range", received).length, before + 2)
          }),
        config
      )
    }).pipe(Effect.scoped)
  )

  it.live("is masked wherever the server repeats it, and so is the secret", () =>
    Effect.gen(function* () {
      const { config } = yield* tokenServer()
      yield* withServer(
        (request) =>
          refused(422, `no: ${tokenOf(request)} ${encodeURIComponent(tokenOf(request))} ${SECRET}`),
        (client) =>
          Effect.gen(function* () {
            const { message } = yield* Effect.flip(client.labelNames(range))
            assert.include(message, "no: Bearer **** Bearer%20**** ****")
          }),
        config
      )
    }).pipe(Effect.scoped)
  )

  it.live("is masked in messages of the program too, unless any text may contain it", () =>
    Effect.gen(function* () {
      for (const [access_token, masked] of [
        ["Geheim-4711-token", ["Geheim-4711-token"]],
        ["token", []]
      ] as const) {
        const { config } = yield* tokenServer({ access_token })
        const fetched: Array<string> = []
        yield* withServer(
          (request) => refused(422, `no: ${tokenOf(request)}`),
          (client) =>
            Effect.gen(function* () {
              const { message } = yield* Effect.flip(client.labelNames(range))
              assert.include(message, "no: Bearer ****")
            }),
          config
        ).pipe(Effect.provideService(OnFetchedSecret, (secret) => void fetched.push(secret)))
        assert.deepStrictEqual(fetched, [...masked])
      }
    }).pipe(Effect.scoped)
  )

  it.live("that comes too late is not blamed on Prometheus", () =>
    Effect.gen(function* () {
      const silent = yield* serveRaw(() => {})
      yield* withServer(
        () => samples,
        (client, received) =>
          Effect.gen(function* () {
            const error = yield* Effect.flip(valuesOf(client))
            assert.strictEqual(
              error.message,
              `${silent}/token did not respond within 1 s. Check authentication.token_url, that the server runs, and that this machine may connect to it. If it is only slow, raise request_timeout.`
            )
            assert.strictEqual(error.policy.onExhausted, "sync")
            assert.lengthOf(received, 0)
          }),
        { ...configOf(`${silent}/token`), request_timeout: 1 }
      )
    }).pipe(Effect.scoped)
  )

  it.live("is not requested again without end where a query is refused", () =>
    Effect.gen(function* () {
      const { config, issued } = yield* tokenServer()
      yield* withServer(
        ({ path }) => (path === "/api/v1/labels" ? refused(400, "bad_data: no") : notFound),
        (client) =>
          Effect.gen(function* () {
            yield* Effect.flip(client.labelNames(range))
            assert.strictEqual(issued(), 1)
          }),
        config
      )
    }).pipe(Effect.scoped)
  )
})

describe("a fixed token", () => {
  it.live("is sent as it is, and its key is named if the server does not accept it", () =>
    withServer(
      (request) =>
        tokenOf(request) === "Bearer Geheim-4711" ? { ...denied, body: "Geheim-4711?" } : notFound,
      (client, received) =>
        Effect.gen(function* () {
          const { message } = yield* Effect.flip(client.labelNames(range))
          assert.match(message, /HTTP 401: \*\*\*\*\? Check authentication\.token and headers\.$/)
          assert.lengthOf(to("/api/v1/labels", received), 1)
        }),
      { authentication: { auth_type: "bearer_token", token: "Geheim-4711" } }
    )
  )
})
