/** Which parameters and headers requests carry, and what happens if a server refuses some of them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  type Received,
  type Reply,
  range,
  rangeRequests,
  refused,
  samples,
  to,
  valuesOf,
  withServer
} from "./oddServer.ts"

describe("a front end", () => {
  const strict =
    (known: ReadonlyArray<string>, names: boolean) =>
    ({ params, path }: Received): Reply | undefined => {
      if (!/query_range|label/.test(path)) return undefined
      const unknown = [...params.keys()].find((name) => !known.includes(name))
      if (unknown === undefined) return undefined
      const message = names
        ? `Invalid JSON payload received. Unknown name "${unknown}": Cannot bind query parameter.`
        : "Request contains an invalid argument."
      return {
        status: 400,
        body: JSON.stringify({ error: { code: 400, message, status: "INVALID_ARGUMENT" } })
      }
    }

  it.live("that refuses unknown parameters by name gets them once each", () =>
    withServer(strict(["query", "start", "end", "step", "timeout", "match[]"], true), (client, received) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* valuesOf(client), ["7"])
        assert.lengthOf(rangeRequests(received), 1 + 5)
        assert.deepStrictEqual(yield* valuesOf(client), ["7"])
        assert.lengthOf(rangeRequests(received), 1 + 5 + 1)
        assert.deepStrictEqual(yield* client.labelNames(range), ["job"])
        assert.lengthOf(to("/api/v1/labels", received), 1)
        assert.strictEqual((yield* client.backend).kind, "google")
        assert.strictEqual(rangeRequests(received).at(-1)!.params.get("timeout"), "108")
      })
    )
  )

  it.live("that refuses them without a name gets none after the first request", () =>
    withServer(strict(["query", "start", "end", "step"], false), (client, received) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* valuesOf(client), ["7"])
        assert.deepStrictEqual(yield* valuesOf(client), ["7"])
        assert.lengthOf(rangeRequests(received), 3)
      })
    )
  )

  it.live("that refuses a query itself reports that", () =>
    withServer(
      ({ path }) => (path === "/api/v1/query_range" ? refused(400, "1:1: parse error: no") : undefined),
      (client) =>
        Effect.map(Effect.flip(valuesOf(client)), (error) => assert.include(error.message, "parse error: no"))
    )
  )

  const longQuery = { query: `m{a=~"${"x|".repeat(3000)}b"}` }

  for (const status of [403, 404, 405, 501]) {
    it.live(`that refuses forms with HTTP ${status} gets long addresses from then on`, () =>
      withServer(
        ({ method }) => (method === "POST" ? { status, body: "no" } : undefined),
        (client, received) =>
          Effect.gen(function* () {
            assert.deepStrictEqual(yield* valuesOf(client, longQuery), ["7"])
            assert.deepStrictEqual(yield* valuesOf(client, longQuery), ["7"])
            assert.deepStrictEqual(
              rangeRequests(received).map(({ method }) => method),
              ["POST", "GET", "GET"]
            )
          })
      )
    )
  }

  it.live("that takes neither forms nor long addresses says both", () =>
    withServer(
      ({ method, params }) => {
        if (method === "POST")
          return { status: 405, headers: { "content-type": "text/plain" }, body: "no forms" }
        return (params.get("query") ?? "").length > 4000 ? { status: 414, body: "too long" } : undefined
      },
      (client) =>
        Effect.map(Effect.flip(valuesOf(client, longQuery)), (error) => {
          assert.strictEqual(error.reason, "InvalidQuery")
          assert.match(error.message, /HTTP 405: no forms.*HTTP 414.*6009 characters/)
        })
    )
  )

  it.live.each([
    [431, ""],
    [400, "<html><head><title>400 Request Header Or Cookie Too Large</title></head></html>"]
  ] as const)(
    "that refuses the headers in both forms with HTTP %i is no error of the query",
    ([status, body]) =>
      withServer(
        () => ({ status, headers: { "content-type": "text/html" }, body }),
        (client) =>
          Effect.map(Effect.flip(valuesOf(client)), (error) => {
            assert.strictEqual(error.reason, "TooLongRequest")
            assert.match(
              error.message,
              /Check headers and selector: a token or a cookie may be the longest part/
            )
          })
      )
  )

  it.live("that takes short addresses only gets forms", () =>
    withServer(
      ({ method, params }) =>
        method === "GET" && (params.get("query") ?? "").length > 1000
          ? { status: 414, body: "too long" }
          : undefined,
      (client, received) =>
        Effect.gen(function* () {
          const medium = { query: `m{a="${"x".repeat(2000)}"}` }
          assert.deepStrictEqual(yield* valuesOf(client, medium), ["7"])
          assert.deepStrictEqual(yield* valuesOf(client, medium), ["7"])
          assert.deepStrictEqual(yield* valuesOf(client), ["7"])
          assert.deepStrictEqual(
            rangeRequests(received).map(({ method }) => method),
            ["GET", "POST", "POST", "GET"]
          )
        })
    )
  )

  it.live("with a cache is asked for stored responses by no request, unless configured", () =>
    Effect.forEach(
      [
        [{}, "no-store"],
        [{ headers: [{ name: "Cache-Control", value: "max-age=5" }] }, "max-age=5"]
      ] as const,
      ([config, expected]) =>
        withServer(
          () => undefined,
          (client, received) =>
            Effect.gen(function* () {
              yield* client.now
              yield* valuesOf(client)
              yield* client.metadata
              for (const { headers } of received) assert.strictEqual(headers["cache-control"], expected)
            }),
          config
        ),
      { discard: true }
    )
  )
})

describe("the parameters of the configuration", () => {
  const config = {
    parameters: [
      { name: "namespace", value: "a b+c&d" },
      { name: "api_key", value: "s3cr3t/key" },
      { name: "extra", value: "1" },
      { name: "extra", value: "2" }
    ]
  }
  const inAddress = ({ addressParams }: Received) => [
    addressParams.get("namespace"),
    addressParams.get("api_key"),
    ...addressParams.getAll("extra")
  ]
  const expected = ["a b+c&d", "s3cr3t/key", "1", "2"]
  const long = { query: `m{a=~"${"x|".repeat(3000)}b"}` }

  it.live("are in the address of every request, of forms too", () =>
    withServer(
      ({ method }) => (method === "GET" ? undefined : samples),
      (client, received) =>
        Effect.gen(function* () {
          yield* client.now
          yield* client.backend
          yield* client.metadata
          yield* client.labelNames(range)
          yield* client.metricNames(range)
          assert.deepStrictEqual(yield* valuesOf(client), ["7"])
          assert.deepStrictEqual(yield* valuesOf(client, long), ["7"])
          assert.isAbove(received.length, 6)
          assert.include(
            received.map(({ method }) => method),
            "POST"
          )
          for (const request of received) assert.deepStrictEqual(inAddress(request), expected)
          const form = received.at(-1)!
          assert.isFalse(form.addressParams.has("query"))
          assert.strictEqual(form.params.get("query"), long.query)
        }),
      config
    )
  )

  it.live("replace those that make responses exact", () =>
    withServer(
      () => undefined,
      (client, received) =>
        Effect.gen(function* () {
          yield* valuesOf(client)
          const [before] = rangeRequests(received)
          assert.deepStrictEqual(before!.params.getAll("partial_response"), ["true"])
          assert.deepStrictEqual(before!.params.getAll("nocache"), ["1"])
        }),
      { parameters: [{ name: "partial_response", value: "true" }] }
    )
  )

  for (const keeps of [true, false]) {
    it.live(`are kept by a redirect whose address ${keeps ? "contains" : "lacks"} the query of a form`, () =>
      withServer(
        ({ addressParams, method, path }) =>
          method === "POST" && !path.startsWith("/new")
            ? {
                status: 307,
                headers: { location: `/new${path}${keeps ? `?${addressParams}` : ""}` },
                body: ""
              }
            : path.startsWith("/new")
              ? samples
              : undefined,
        (client, received) =>
          Effect.gen(function* () {
            assert.deepStrictEqual(yield* valuesOf(client, long), ["7"])
            const last = received.at(-1)!
            assert.strictEqual(last.path, "/new/api/v1/query_range")
            assert.deepStrictEqual(inAddress(last), expected)
          }),
        config
      )
    )
  }

  it.live("are masked in what a server repeats of them", () =>
    withServer(
      ({ addressParams, path }) =>
        path === "/api/v1/query_range"
          ? refused(403, `key ${addressParams.get("api_key")} of ?${addressParams} is not allowed`)
          : undefined,
      (client) =>
        Effect.map(Effect.flip(valuesOf(client)), ({ message }) => {
          assert.include(message, "key **** of")
          assert.notMatch(message, /s3cr3t/)
        }),
      config
    )
  )
})
