/** What kind of server a client recognises, and whether its sources respond. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { clockJson } from "../support/rawServer.ts"
import {
  type Received,
  range,
  rangeRequests,
  store,
  success,
  thanos,
  to,
  valuesOf,
  withServer
} from "./oddServer.ts"

describe("the kind of server", () => {
  it.live("is asked once, by however many ask at the same time", () =>
    withServer(thanos(), (client, received) =>
      Effect.gen(function* () {
        const all = yield* Effect.all(
          [client.backend, client.labelNames(range), client.backend, valuesOf(client), client.backend],
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual([all[0].kind, all[2].kind, all[4].kind], ["thanos", "thanos", "thanos"])
        for (const path of ["/api/v1/stores", "/api/v1/status/buildinfo", "/api/v1/status/flags"]) {
          assert.lengthOf(to(path, received), 1)
        }
      })
    )
  )

  it.live("is asked once, even if the first who asked was interrupted", () =>
    withServer(
      ({ path }) => (path === "/api/v1/status/flags" ? "silence" : undefined),
      (client, received) =>
        Effect.gen(function* () {
          yield* Effect.timeoutOption(client.backend, "200 millis")
          assert.strictEqual((yield* client.backend).kind, "unknown")
          assert.lengthOf(to("/api/v1/status/flags", received), 1)
        }),
      { request_timeout: 1 }
    )
  )

  it.live("does not hold up a read by more than the timeout, and is no reason to fail", () =>
    withServer(
      ({ path }) => (/\/(status|stores)/.test(path) ? "silence" : undefined),
      (client, received) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* valuesOf(client), ["7"])
          assert.deepStrictEqual(yield* valuesOf(client), ["7"])
          assert.lengthOf(
            received.filter(({ path }) => /\/(status|stores)/.test(path)),
            3
          )
        }),
      { request_timeout: 1 }
    )
  )

  it.live("follows from any response", () =>
    withServer(
      ({ path }) =>
        path === "/api/v1/query"
          ? { body: clockJson("1767225600"), headers: { "X-Server-Hostname": "vm" } }
          : undefined,
      (client, received) =>
        Effect.gen(function* () {
          yield* client.now
          const { kind, latestSample } = yield* client.backend
          assert.strictEqual(kind, "victoriaMetrics")
          // The clock's response for `default_rollup` is a result, so the window is not fixed.
          assert.include(latestSample("m"), "default_rollup(m[5m])")
          assert.lengthOf(to("/api/v1/stores", received), 0)
          yield* valuesOf(client)
          const { params } = rangeRequests(received)[0]!
          assert.strictEqual(params.get("nocache"), "1")
          assert.isFalse(params.has("partial_response"))
        })
    )
  )

  it.live("with members of VictoriaMetrics' cluster in front of another server has no other expression", () =>
    withServer(
      ({ params, path }) =>
        path === "/api/v1/query" && params.get("query") === "time()"
          ? { body: clockJson("1767225600").replace("{", '{"isPartial":false,') }
          : undefined,
      (client, received) =>
        Effect.gen(function* () {
          yield* client.now
          const { kind, latestSample } = yield* client.backend
          assert.strictEqual(kind, "victoriaMetricsCluster")
          assert.strictEqual(latestSample("m"), "m")
          yield* valuesOf(client)
          yield* client.labelNames(range)
          assert.strictEqual(rangeRequests(received)[0]!.params.get("deny_partial_response"), "1")
          assert.strictEqual(to("/api/v1/labels", received)[0]!.params.get("deny_partial_response"), "1")
        })
    )
  )

  it.live("tells its look-back", () =>
    withServer(
      ({ path }) =>
        path === "/api/v1/status/flags" ? success({ "query.lookback-delta": "7m30s", other: 5 }) : undefined,
      (client) =>
        Effect.map(client.backend, ({ lookbackMillis }) => assert.strictEqual(lookbackMillis, 450_000))
    )
  )

  it.live("gets all parameters for exact data if it is not known, and only its own if it is", () =>
    Effect.forEach(
      [
        [
          () => undefined,
          ["partial_response", "dedup", "max_source_resolution", "deny_partial_response", "nocache"]
        ],
        [thanos(), ["partial_response", "dedup", "max_source_resolution"]],
        [
          ({ path }: Received) =>
            path === "/api/v1/status/buildinfo"
              ? success({ version: "3.16.0", goVersion: "go1" })
              : undefined,
          []
        ]
      ] as const,
      ([own, expected]) =>
        withServer(own, (client, received) =>
          Effect.gen(function* () {
            yield* valuesOf(client)
            const { params } = rangeRequests(received)[0]!
            const names = [...params.keys()].filter(
              (name) => !["query", "start", "end", "step", "timeout"].includes(name)
            )
            assert.deepStrictEqual(names.sort(), [...expected].sort())
          })
        ),
      { discard: true }
    )
  )
})

describe("a missing source", () => {
  it.live("is a store with an error, of any type", () =>
    Effect.forEach(
      [
        [{ sidecar: [store("a:10901", null)], store: [store("b:10901", "")] }, undefined],
        [
          { sidecar: [store("a:10901", null)], receive: [store("b:10901", "rpc error: s3cret refused")] },
          /^http.* cannot reach its store b:10901: rpc error: \*+ refused\.$/
        ],
        [{ rule: [store("c", { code: 14 })], debug: null }, /store c: \{"code":14\}\.$/],
        [{ store: [store("a", "x"), store("b", "y")] }, /store a \(and 1 more\): x\.$/]
      ] as const,
      ([data, expected]) =>
        withServer(
          thanos(() => success(data)),
          (client) =>
            Effect.map(client.missingSource, (sentence) => {
              if (expected === undefined) assert.isUndefined(sentence)
              else assert.match(sentence ?? "", expected)
            }),
          { headers: [{ name: "x-token", value: "s3cret" }] }
        ),
      { discard: true }
    )
  )

  it.live("is asked for again each time, and its failure fails", () => {
    let asked = 0
    return withServer(
      thanos(() => {
        asked++
        if (asked === 3) return success({ store: [store("b", "gone")] })
        return asked < 4 ? success({ store: [store("b", null)] }) : { status: 503, body: "later" }
      }),
      (client) =>
        Effect.gen(function* () {
          assert.isUndefined(yield* client.missingSource)
          assert.match((yield* client.missingSource) ?? "", /gone/)
          assert.strictEqual((yield* Effect.flip(client.missingSource)).reason, "Unavailable")
          assert.strictEqual(asked, 4)
        })
    )
  })

  it.live("does not matter if partial data are accepted, or on another server", () =>
    Effect.gen(function* () {
      yield* withServer(
        thanos(() => success({ store: [store("b", "gone")] })),
        (client, received) =>
          Effect.gen(function* () {
            assert.isUndefined(yield* client.missingSource)
            yield* valuesOf(client)
            assert.strictEqual(rangeRequests(received)[0]!.params.get("partial_response"), "true")
          }),
        { partial_data: "accept" }
      )
      yield* withServer(
        () => undefined,
        (client, received) =>
          Effect.gen(function* () {
            yield* client.backend
            assert.isUndefined(yield* client.missingSource)
            assert.lengthOf(to("/api/v1/stores", received), 1)
          })
      )
    })
  )
})
