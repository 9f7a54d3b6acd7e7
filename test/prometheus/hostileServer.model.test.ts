/**
 * The client against a server that sends what no Prometheus would: bodies that are too large, too deep, too slow or
 * invalid. Each request ends soon, with a readable error.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import { gzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Stream } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import { PrometheusClient } from "../../src/prometheus/PrometheusClient.ts"
import type { PrometheusError } from "../../src/prometheus/PrometheusError.ts"
import { clockJson, drip, endless, send, serveRaw } from "../support/rawServer.ts"

const range = { startMillis: Date.UTC(2026, 0, 1), endMillis: Date.UTC(2026, 0, 2) }
const query = { query: "m", startMillis: 1767225600_000, endMillis: 1767225660_000, stepMillis: 60_000 }

type Client = PrometheusClient["Service"]

/** The logs of a client, each line with its level. */
const collecting = () => {
  const logs: Array<string> = []
  const layer = Logger.layer([
    Logger.make(({ logLevel, message }) => void logs.push(`${logLevel} ${[message].flat().join(" ")}`))
  ])
  return { layer, logs }
}

/** A client of a server that handles requests with `listener`. */
const withServer = <A, E>(
  listener: (request: IncomingMessage, response: ServerResponse) => void,
  use: (client: Client, logs: ReadonlyArray<string>) => Effect.Effect<A, E>,
  config: object = {}
) =>
  Effect.gen(function* () {
    const baseUrl = yield* serveRaw(listener)
    const { layer, logs } = collecting()
    const settings = ConnectorConfig.layerFrom({
      base_url: baseUrl,
      start_date: "2026-01-01",
      max_retries: 0,
      ...config
    })
    const services = yield* Layer.build(Layer.provide(PrometheusClient.layer, settings))
    const client = yield* Effect.provide(PrometheusClient, services)
    return yield* use(client, logs).pipe(Effect.provide(layer))
  }).pipe(Effect.scoped)

const labelNamesOf = (client: Client) => client.labelNames(range)
const metricNamesOf = (client: Client) => client.metricNames(range)
const nowOf = (client: Client) => client.now
const samplesOf = (client: Client) =>
  client.queryRange(query).pipe(
    Effect.flatMap((blocks) => Stream.runDrain(blocks)),
    Effect.scoped
  )

const isSentence = (error: PrometheusError): void => {
  assert.match(error.message, /^[A-Zh].{20,700}\.$/s)
  assert.notMatch(error.message, /RangeError|TypeError|undefined|\bat .*\.ts:/)
}

const names = (data: string) => `{"status":"success","data":${data}}`

const megabyte = 1_000_000
const bomb = gzipSync(Buffer.alloc(64 * megabyte, "["))
const gzip = { "content-encoding": "gzip" }

describe("a clock", { concurrent: true }, () => {
  for (const text of [
    "",
    " ",
    "0x69",
    "0b1",
    " 1767225600",
    "1767225600 ",
    "1_767_225_600",
    "-1",
    "NaN",
    "+Inf",
    "Infinity",
    "1e300",
    "1e999",
    "253402300800",
    "01767225600",
    "2026-01-01T00:00:00Z",
    `1767225600.${"0".repeat(1000)}`
  ]) {
    it.live(`that shows ${JSON.stringify(text.slice(0, 30))} is refused`, () =>
      withServer(
        (_, response) => send(response, [clockJson(text)]),
        (client) =>
          Effect.gen(function* () {
            const error = yield* Effect.flip(client.now)
            assert.strictEqual(error.reason, "NotPrometheus")
            isSentence(error)
          })
      )
    )
  }

  for (const [text, millis] of [
    ["1767225600", 1_767_225_600_000],
    ["1767225600.123", 1_767_225_600_123],
    ["1.7672256e+09", 1_767_225_600_000],
    ["0", 0]
  ] as const) {
    it.live(`that shows ${text} is accepted`, () =>
      withServer(
        (_, response) => send(response, [clockJson(text)]),
        (client) => Effect.map(client.now, (now) => assert.strictEqual(now, millis))
      )
    )
  }

  it.live("ten years ahead of its own Date and of this machine is not used", () =>
    withServer(
      (_, response) => send(response, [clockJson(`${Date.now() / 1000 + 315_360_000}`)]),
      (client) =>
        Effect.gen(function* () {
          const clock = yield* client.clock
          assert.closeTo(clock.nowMillis, Date.now(), 60_000)
          assert.isTrue(clock.isAhead)
        })
    )
  )
})

describe("too much", { concurrent: true }, () => {
  const oversized: Readonly<
    Record<
      string,
      readonly [call: (client: Client) => Effect.Effect<unknown, PrometheusError>, message: RegExp]
    >
  > = {
    "for the clock": [nowOf, /more than 64 KiB/],
    "for a list of metrics": [metricNamesOf, /more than 65536 KiB/],
    "for a list of labels": [labelNamesOf, /more than 65536 KiB/]
  }
  for (const [what, [call, message]] of Object.entries(oversized)) {
    it.live(`${what} is not read to its end`, () =>
      withServer(
        (_, response) => send(response, endless('{"status":"success","data":["', "x".repeat(50_000))),
        (client) =>
          Effect.gen(function* () {
            const error = yield* Effect.flip(call(client))
            assert.strictEqual(error.reason, "Oversized")
            assert.match(error.message, message)
            isSentence(error)
          })
      )
    )

    for (const [kind, body, headers] of [
      ["64 MB of lists in 64 kB of gzip", [bomb], gzip],
      ["nested lists", ["[".repeat(50_000)], {}],
      ["nested objects", [`{"status":"success","data":${'{"a":'.repeat(10_000)}`], {}],
      ["very many objects", [names(`[${"{},".repeat(10_000)}1]`)], {}]
    ] as const) {
      it.live(`${what} is refused before it is parsed: ${kind}`, () =>
        withServer(
          (_, response) => send(response, body, headers),
          (client) =>
            Effect.gen(function* () {
              const error = yield* Effect.flip(call(client))
              assert.strictEqual(error.reason, "Oversized")
              assert.match(error.message, /too many objects or lists/)
              isSentence(error)
            })
        )
      )
    }
  }

  it.live("of metadata is ignored", () =>
    withServer(
      (_, response) => send(response, endless('{"status":"success","data":{"a":[', "{},".repeat(20_000))),
      (client, logs) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* client.metadata).size, 0)
          assert.lengthOf(logs, 1)
          assert.match(logs[0]!, /^Info Metric types .* too many objects or lists/)
        })
    )
  )

  it.live("of a help text is shortened", () =>
    withServer(
      (_, response) =>
        send(response, [
          names(`{"m":[{"type":"gauge","help":"${"h".repeat(megabyte)}","unit":""},{"type":"x","help":"y"}]}`)
        ]),
      (client) =>
        Effect.gen(function* () {
          assert.match((yield* client.metadata).get("m")!.help, /^h{1000,10000}$/)
        })
    )
  )

  for (const [kind, body, headers] of [
    ["that never ends", () => endless('{"status":"error","error":"', "x".repeat(50_000)), {}],
    ["of nested lists", () => ["[".repeat(60_000)], {}],
    ["that unpacks to 64 MB", () => [bomb], gzip],
    [
      "of a page that never ends",
      () => endless("<html>", "<title".repeat(10_000)),
      { "content-type": "text/html" }
    ]
  ] as const) {
    it.live(`of a refusal ${kind} is not read`, () =>
      withServer(
        (_, response) => send(response, body(), headers, 422),
        (client) =>
          Effect.gen(function* () {
            for (const call of [nowOf, metricNamesOf, samplesOf]) {
              const error = yield* Effect.flip(call(client))
              assert.match(error.message, /HTTP 422/)
              isSentence(error)
            }
          })
      )
    )
  }

  it.live("of warnings is neither kept nor logged", () => {
    let count = 0
    return withServer(
      (_, response) => {
        const warnings = Array.from({ length: 30 }, () => `${count++} ${"w".repeat(50_000)}`)
        send(response, [
          `{"status":"success","warnings":${JSON.stringify(warnings)},"data":{"resultType":"matrix","result":[]}}`
        ])
      },
      (client, logs) =>
        Effect.gen(function* () {
          for (let i = 0; i < 20; i++) yield* samplesOf(client)
          assert.lengthOf(logs, 101)
          for (const log of logs) assert.isBelow(log.length, 500)
          assert.match(logs[100]!, /more than 100 different warnings\. The others are not reported\.$/)
        }),
      { partial_data: "accept" }
    )
  })
})

describe("names", { concurrent: true }, () => {
  it.live("are distinct and not empty", () =>
    withServer(
      (_, response) =>
        send(response, [names('["b","a","","b","__name__","a","","constructor","__proto__"]')]),
      (client) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* metricNamesOf(client), [
            "b",
            "a",
            "__name__",
            "constructor",
            "__proto__"
          ])
          assert.deepStrictEqual(yield* client.labelValues("x", range), [
            "b",
            "a",
            "__name__",
            "constructor",
            "__proto__"
          ])
          assert.deepStrictEqual(yield* labelNamesOf(client), ["b", "a", "constructor", "__proto__"])
        })
    )
  )

  for (const [data, expected] of [
    ['["a",null]', ["a"]],
    ['["a",1]', ["a"]],
    ['[["a"]]', []]
  ] as const) {
    it.live(`that are not names are skipped: ${data}`, () =>
      withServer(
        (_, response) => send(response, [names(data)]),
        (client) =>
          Effect.gen(function* () {
            for (const call of [metricNamesOf, labelNamesOf]) {
              assert.deepStrictEqual(yield* call(client), expected)
            }
          })
      )
    )
  }

  for (const [data, reason] of [
    ['{"a":"b"}', "NotPrometheus"],
    ['"a"', "NotPrometheus"],
    ["null", "NoLabelApi"]
  ] as const) {
    it.live(`that are no list are refused: ${data}`, () =>
      withServer(
        (_, response) => send(response, [names(data)]),
        (client) =>
          Effect.gen(function* () {
            for (const call of [metricNamesOf, labelNamesOf]) {
              const error = yield* Effect.flip(call(client))
              assert.strictEqual(error.reason, reason)
              isSentence(error)
            }
          })
      )
    )
  }

  it.live("can be as many as 700,000", () =>
    withServer(
      (_, response) =>
        send(response, [
          names(JSON.stringify(Array.from({ length: 700_000 }, (_, i) => `metric_number_${i}`)))
        ]),
      (client) =>
        Effect.gen(function* () {
          assert.lengthOf(yield* metricNamesOf(client), 700_000)
        })
    )
  )
})

describe("a body that arrives too slowly", { concurrent: true }, () => {
  const config = { request_timeout: 1 }

  const endpoints: ReadonlyArray<
    readonly [what: string, call: (client: Client) => Effect.Effect<unknown, PrometheusError>, body: string]
  > = [
    ["the clock", nowOf, clockJson("1767225600")],
    ["a list of metrics", metricNamesOf, names('["a_metric_with_a_long_name","and_another_one"]')]
  ]
  for (const [what, call, body] of endpoints) {
    it.live(`is aborted: ${what}`, () =>
      withServer(
        (_, response) => send(response, drip(body, 200)),
        (client) =>
          Effect.gen(function* () {
            const error = yield* Effect.flip(call(client))
            assert.strictEqual(error.reason, "Timeout")
            assert.match(
              error.message,
              /(was not complete|did not continue|delivered only a few bytes) within 1 s\./
            )
          }),
        config
      )
    )
  }

  it.live("is aborted: a refusal", () =>
    withServer(
      (_, response) => send(response, drip("x".repeat(1000), 200), { "content-type": "text/plain" }, 400),
      (client) =>
        Effect.gen(function* () {
          assert.match(
            (yield* Effect.flip(client.now)).message,
            /(was not complete|did not continue|delivered only a few bytes) within 1 s\./
          )
        }),
      config
    )
  )

  it.live("is aborted: samples", () =>
    withServer(
      (_, response) => send(response, drip(" ".repeat(1000), 200)),
      (client) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(samplesOf(client))
          assert.strictEqual(error.reason, "Timeout")
          // On a busy machine, a second may pass between two bytes.
          assert.match(error.message, /(did not continue|delivered only a few bytes) within 1 s\./)
        }),
      config
    )
  )
})

describe("credentials in the clear", () => {
  /** A client over a network of two addresses. The first redirects to the other. */
  const redirected = Effect.fnUntraced(function* (from: string, to: string, config: object) {
    const http = HttpClient.make((request) => {
      const response = request.url.startsWith(to)
        ? new Response(clockJson("0"), { headers: { "content-type": "application/json" } })
        : new Response("", { status: 307, headers: { location: request.url.replace(from, to) } })
      return Effect.succeed(HttpClientResponse.fromWeb(request, response))
    })
    const { layer, logs } = collecting()
    const settings = ConnectorConfig.layerFrom({ base_url: from, start_date: "2026-01-01", ...config })
    const services = yield* Layer.build(
      PrometheusClient.layerNoDeps.pipe(
        Layer.provide(Layer.succeed(HttpClient.HttpClient, http)),
        Layer.provide(settings)
      )
    )
    const client = yield* Effect.provide(PrometheusClient, services)
    yield* Effect.provide(Effect.andThen(client.now, client.now), layer)
    return logs
  })

  const credentials = { basic_auth_user: "tester", basic_auth_pass: "Geheim-4711" }

  it.effect("cause one warning if every request is redirected to https", () =>
    Effect.gen(function* () {
      const logs = yield* redirected("http://a.example/p", "https://a.example/p", credentials)
      assert.deepStrictEqual(logs, [
        "Warn http://a.example/p redirects to https://a.example/p, but credentials are sent without encryption before the redirect. Set base_url to that address."
      ])
    }).pipe(Effect.scoped)
  )

  it.effect("cause no warning without credentials, or on loopback", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* redirected("http://a.example", "https://a.example", {}), [])
      assert.deepStrictEqual(yield* redirected("http://localhost:1", "https://localhost", credentials), [])
      assert.deepStrictEqual(yield* redirected("https://a.example/p", "https://a.example/q", credentials), [])
    }).pipe(Effect.scoped)
  )
})
