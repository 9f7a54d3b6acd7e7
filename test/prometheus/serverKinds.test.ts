/** The client against servers of several kinds, over real sockets: what it sends to each, and what it makes of the responses. */
import type { IncomingMessage, ServerResponse } from "node:http"
import { gzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Stream } from "effect"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import { PrometheusClient } from "../../src/prometheus/PrometheusClient.ts"
import { type SampleBlock, textAt } from "../../src/samples/Sample.ts"
import { addressOf, clockJson, serveRaw } from "../support/rawServer.ts"

const range = { startMillis: Date.UTC(2026, 0, 1), endMillis: Date.UTC(2026, 0, 2) }
const query = { query: "m", startMillis: 1767225600_000, endMillis: 1767225660_000, stepMillis: 60_000 }

type Client = PrometheusClient["Service"]

interface Received {
  readonly method: string
  readonly path: string
  readonly params: URLSearchParams
  readonly headers: IncomingMessage["headers"]
}

interface Reply {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
}

const success = (data: unknown, more: object = {}): Reply => ({
  body: JSON.stringify({ status: "success", data, ...more })
})

const refused = (status: number, error: string): Reply => ({
  status,
  body: JSON.stringify({ status: "error", errorType: "bad_data", error })
})

const notFound: Reply = { status: 404, headers: { "content-type": "text/plain" }, body: "404 page not found" }

const matrix = (values: string): Reply => ({
  body: `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"m"},"values":${values}}]}}`
})

const samples = matrix('[[1767225600,"7"]]')

/** What a server without peculiarities responds; `own` comes first. */
const reply = (request: Received, own: (request: Received) => Reply | undefined): Reply => {
  const given = own(request)
  if (given !== undefined) return given
  switch (request.path) {
    case "/api/v1/query":
      return request.params.get("query") === "time()"
        ? { body: clockJson("1767225600") }
        : refused(400, 'unknown function with name "default_rollup"')
    case "/api/v1/query_range":
      return samples
    case "/api/v1/labels":
      return success(["__name__", "job"])
    case "/api/v1/metadata":
      return success({ m: [{ type: "gauge", help: "M.", unit: "" }] })
    default:
      return /^\/api\/v1\/label\/.*\/values$/.test(request.path) ? success(["m"]) : notFound
  }
}

const receive = async (request: IncomingMessage): Promise<Received> => {
  const { pathname, searchParams } = addressOf(request)
  let body = ""
  for await (const chunk of request) body += chunk
  const params = new URLSearchParams(body)
  for (const [name, value] of searchParams) params.append(name, value)
  return { method: request.method ?? "", path: pathname, params, headers: request.headers }
}

/** A client of a server with some peculiarities. Without a reply (`undefined`), it never responds. */
const withServer = <A, E>(
  own: (request: Received) => Reply | undefined | "silence",
  use: (
    client: Client,
    received: ReadonlyArray<Received>,
    logs: ReadonlyArray<string>
  ) => Effect.Effect<A, E>,
  config: object = {}
) =>
  Effect.gen(function* () {
    const received: Array<Received> = []
    const logs: Array<string> = []
    const handle = async (request: IncomingMessage, response: ServerResponse) => {
      const one = await receive(request)
      received.push(one)
      const first = own(one)
      if (first === "silence") return
      const { body, headers, status = 200 } = reply(one, () => first)
      response.writeHead(status, { "content-type": "application/json", ...headers })
      response.end(body)
    }
    const baseUrl = yield* serveRaw((request, response) => void handle(request, response))
    const settings = ConnectorConfig.layerFrom({
      base_url: baseUrl,
      start_date: "2026-01-01",
      max_retries: 0,
      ...config
    })
    const services = yield* Layer.build(Layer.provide(PrometheusClient.layer, settings))
    const client = yield* Effect.provide(PrometheusClient, services)
    const logger = Logger.make(
      ({ logLevel, message }) => void logs.push(`${logLevel} ${[message].flat().join(" ")}`)
    )
    return yield* use(client, received, logs).pipe(Effect.provide(Logger.layer([logger])))
  }).pipe(Effect.scoped)

const valuesOf = (client: Client, overrides: Partial<typeof query> = {}) =>
  client.queryRange({ ...query, ...overrides }).pipe(
    Effect.flatMap((blocks) => Stream.runCollect(blocks)),
    Effect.map((blocks: ReadonlyArray<SampleBlock>) =>
      blocks.flatMap(
        (block): Array<unknown> =>
          block._tag === "TextBlock" ? Array.from(block.times, (_, i) => textAt(block, i)) : [block]
      )
    ),
    Effect.scoped
  )

const to = (path: string, received: ReadonlyArray<Received>) =>
  received.filter((request) => request.path === path)

const rangeRequests = (received: ReadonlyArray<Received>) => to("/api/v1/query_range", received)

const store = (name: string, lastError: unknown) => ({
  name,
  lastCheck: "2026-01-01T00:00:00Z",
  lastError,
  labelSets: [],
  minTime: 0,
  maxTime: 1
})

const thanos =
  (stores: () => Reply | "silence" = () => success({ sidecar: [store("a:10901", null)] })) =>
  ({ path }: Received) => {
    if (path === "/api/v1/stores") return stores()
    return path === "/api/v1/status/buildinfo"
      ? success({ version: "2.42.0", goVersion: "go1.26" })
      : undefined
  }

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

describe("a partial response", () => {
  const ways: Readonly<Record<string, (body: string) => Reply>> = {
    "a warning": (body) => ({ body: body.replace("{", '{"warnings":["remote_read: not implemented"],') }),
    "a member": (body) => ({ body: body.replace("{", '{"isPartial":true,') }),
    "another member": (body) => ({ body: body.replace("{", '{"truncated":"yes",') }),
    "a header": (body) => ({ body, headers: { "M3-Results-Limited": "true" } }),
    "a header with an object": (body) => ({
      body,
      headers: { "M3-Returned-Metadata-Limited": '{"Results":5,"Limited":true}' }
    }),
    "its status": (body) => ({ body, status: 206 })
  }
  const endpoints: Readonly<
    Record<string, readonly [RegExp, (client: Client) => Effect.Effect<unknown, unknown>]>
  > = {
    "names of metrics": [/__name__\/values/, (client) => client.metricNames(range)],
    "values of a label": [/job\/values/, (client) => client.labelValues("job", range)],
    "names of labels": [/\/labels/, (client) => client.labelNames(range)],
    samples: [/query_range/, (client) => valuesOf(client)]
  }

  for (const [way, change] of Object.entries(ways)) {
    it.live(`of the clock, as ${way} says, does not matter: the time does not depend on data`, () =>
      withServer(
        (request) =>
          request.path === "/api/v1/query" && request.params.get("query") === "time()"
            ? change(String(reply(request, () => undefined).body))
            : undefined,
        (client) => Effect.map(client.now, (now) => assert.strictEqual(now, 1_767_225_600_000))
      )
    )

    for (const [what, [path, use]] of Object.entries(endpoints)) {
      const own = (request: Received): Reply | undefined =>
        path.test(request.path) && !request.params.get("query")?.includes("rollup")
          ? change(String(reply(request, () => undefined).body))
          : undefined

      it.live(`of ${what}, as ${way} says, fails`, () =>
        withServer(own, (client) =>
          Effect.map(Effect.flip(use(client)), (error) => {
            assert.deepInclude(error, { reason: "PartialResponse" })
            assert.match(String((error as Error).message), /may lack data/)
          })
        )
      )

      it.live(`of ${what}, as ${way} says, is accepted with one warning if configured`, () =>
        withServer(
          own,
          (client, _received, logs) =>
            Effect.gen(function* () {
              yield* use(client)
              yield* use(client)
              const warnings = logs.filter((line) => line.startsWith("Warn"))
              assert.lengthOf(warnings, 1, logs.join("\n"))
              assert.match(warnings[0]!, /not implemented|lacks data/)
            }),
          { partial_data: "accept" }
        )
      )
    }
  }

  it.live("that is empty since no store has data of that time is complete", () =>
    Effect.gen(function* () {
      const warnings = { warnings: ["No StoreAPIs matched for this query"] }
      const own = ({ path }: Received): Reply | undefined => {
        if (path === "/api/v1/query_range") return success({ resultType: "matrix", result: [] }, warnings)
        return path === "/api/v1/labels" ? success([], warnings) : undefined
      }
      yield* withServer(own, (client, _received, logs) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* valuesOf(client), [])
          assert.deepStrictEqual(yield* client.labelNames(range), [])
          assert.deepStrictEqual(logs, [])
        })
      )
    })
  )

  it.live("of metadata is only logged", () =>
    withServer(
      ({ path }) =>
        path === "/api/v1/metadata"
          ? success(
              { m: [{ type: null, help: null }], n: null, o: [null, { type: "counter" }] },
              { isPartial: true }
            )
          : undefined,
      (client, _received, logs) =>
        Effect.map(client.metadata, (metadata) => {
          assert.deepStrictEqual(
            [...metadata],
            [
              ["m", { type: "unknown", help: "", unit: "" }],
              ["o", { type: "counter", help: "", unit: "" }]
            ]
          )
          assert.match(logs.join("\n"), /^Info .*may be incomplete: isPartial is true$/)
        })
    )
  )
})

describe("metadata", () => {
  it.live("that does not come, or fails, is one short try", () =>
    Effect.forEach(
      ["silence", { status: 503, body: "later" }, success(null), { body: "][" }] as const,
      (answer) =>
        withServer(
          ({ path }) => (path === "/api/v1/metadata" ? answer : undefined),
          (client, received) =>
            Effect.gen(function* () {
              assert.strictEqual((yield* client.metadata).size, 0)
              assert.lengthOf(to("/api/v1/metadata", received), 1)
            }),
          { request_timeout: 1, max_retries: 5 }
        ),
      { discard: true }
    )
  )
})

describe("the label API", () => {
  it.live("is missing where a server has it not, forbids it, or returns nothing", () =>
    Effect.forEach(
      [
        notFound,
        { status: 403, body: "forbidden" },
        { status: 405, body: "no" },
        { status: 501, body: "not implemented" },
        success(null)
      ],
      (answer) =>
        withServer(
          ({ path }) => (/label/.test(path) ? answer : undefined),
          (client) =>
            Effect.gen(function* () {
              yield* client.now
              for (const list of [
                client.metricNames(range),
                client.labelNames(range),
                client.labelValues("job", range)
              ]) {
                const { message, reason } = yield* Effect.flip(list)
                assert.strictEqual(reason, "NoLabelApi", message)
              }
            })
        ),
      { discard: true }
    )
  )

  it.live("is not missing where credentials are refused, or the server has a problem", () =>
    Effect.forEach(
      [
        [401, "Unauthorized"],
        [503, "Unavailable"]
      ] as const,
      ([status, reason]) =>
        withServer(
          ({ path }) => (/label/.test(path) ? { status, body: "no" } : undefined),
          (client) =>
            Effect.map(Effect.flip(client.labelNames(range)), (error) =>
              assert.strictEqual(error.reason, reason)
            )
        ),
      { discard: true }
    )
  )

  it.live("may list what is no name", () =>
    withServer(
      ({ path }) =>
        /label/.test(path) ? success(["a", null, "", 5, "b", "a", { c: 1 }, ["d"], "__name__"]) : undefined,
      (client) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* client.labelNames(range), ["a", "b"])
          assert.deepStrictEqual(yield* client.metricNames(range), ["a", "b", "__name__"])
        })
    )
  )
})

describe("a response", () => {
  it.live("is read without the type of JSON if it starts like an object", () =>
    Effect.forEach(
      ["text/plain", "text/plain; charset=utf-8", "application/octet-stream", "text/html", ""],
      (type) =>
        withServer(
          (request) => ({
            ...reply(request, () => undefined),
            headers: { "content-type": type }
          }),
          (client) =>
            Effect.gen(function* () {
              assert.strictEqual(yield* client.now, 1767225600_000)
              assert.deepStrictEqual(yield* client.metricNames(range), ["m"])
              assert.deepStrictEqual(yield* valuesOf(client), ["7"])
            })
        ),
      { discard: true }
    )
  )

  it.live("is not read if it is a page", () =>
    withServer(
      () => ({ headers: { "content-type": "text/html" }, body: "<html><title>Sign in</title>{}</html>" }),
      (client) =>
        Effect.gen(function* () {
          for (const use of [Effect.asVoid(client.now), Effect.asVoid(valuesOf(client))]) {
            const error = yield* Effect.flip(use)
            assert.strictEqual(error.reason, "NotPrometheus")
            assert.include(error.message, 'a web page titled "Sign in"')
          }
        })
    )
  )

  it.live("is read in any spelling of its encoding", () =>
    Effect.forEach(
      ["GZIP", "x-gzip", "Gzip", "identity, gzip", "Identity", "", "IDENTITY"],
      (encoding) =>
        withServer(
          (request) => {
            const { body } = reply(request, () => undefined)
            return {
              body: /gzip/i.test(encoding) ? gzipSync(body) : body,
              headers: { "content-encoding": encoding }
            }
          },
          (client) =>
            Effect.gen(function* () {
              assert.strictEqual(yield* client.now, 1767225600_000)
              assert.deepStrictEqual(yield* valuesOf(client), ["7"])
            })
        ),
      { discard: true }
    )
  )

  it.live("may have values in other spellings, in samples and in native histograms", () => {
    const values = [
      "Inf",
      "inf",
      "-inf",
      "Infinity",
      "nan",
      "+inf",
      "-Infinity",
      "+Infinity",
      "NaN",
      "+Inf",
      "-Inf"
    ]
    const floats = values.map((value, i) => `[${1767225600 + 60 * i},"${value}"]`)
    const histogram = '[1767225600,{"count":"2","sum":"inf","buckets":[[0,"-inf","Infinity","2"]]}]'
    const body = `{"status":"success","data":{"result":[{"metric":{"__name__":"m"},"values":[${floats},[1767229200,1.50]],"histograms":[${histogram}]}]}}`
    return withServer(
      ({ path }) => (path === "/api/v1/query_range" ? { body } : undefined),
      (client) =>
        Effect.map(valuesOf(client), (read) => {
          assert.deepStrictEqual(read.slice(0, -1), [
            "+Inf",
            "+Inf",
            "-Inf",
            "+Inf",
            "NaN",
            "+Inf",
            "-Inf",
            "+Inf",
            "NaN",
            "+Inf",
            "-Inf",
            "1.50"
          ])
          assert.deepInclude(read.at(-1), {
            histograms: [
              {
                count: "2",
                sum: "+Inf",
                buckets: [{ boundaries: 0, lower: "-Inf", upper: "+Inf", count: "2" }]
              }
            ]
          })
        })
    )
  })

  it.live("with a label that is too long is an error that names it, and a read without the label", () => {
    const labels = JSON.stringify({ __name__: "m", job: "api", blob: "x".repeat(1_200_000) })
    const body = `{"status":"success","data":{"result":[{"metric":${labels},"values":[[1767225600,"7"]]}]}}`
    const own = ({ path }: Received) => (path === "/api/v1/query_range" ? { body } : undefined)
    return Effect.gen(function* () {
      yield* withServer(own, (client) =>
        Effect.map(Effect.flip(valuesOf(client)), (error) => {
          assert.strictEqual(error.reason, "LongLabels")
          assert.strictEqual(error.policy.action, "stream")
          assert.match(
            error.message,
            /the label blob has 1200000 characters in the series \{__name__="m", blob="x+…", job="api"\}\. Leave the label out with exclude_labels/
          )
          assert.notMatch(error.message, /prox/)
        })
      )
      yield* withServer(
        own,
        (client) => Effect.map(valuesOf(client), (read) => assert.deepStrictEqual(read, ["7"])),
        {
          exclude_labels: ["blob"]
        }
      )
    })
  })
})
