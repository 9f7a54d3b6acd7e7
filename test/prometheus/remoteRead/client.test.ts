/** Remote read over real sockets: what is sent, and what the responses mean. */
import type { IncomingMessage, ServerResponse } from "node:http"
import { buffer } from "node:stream/consumers"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Stream } from "effect"
import { ConnectorConfig } from "../../../src/config/ConnectorConfig.ts"
import { PrometheusClient } from "../../../src/prometheus/PrometheusClient.ts"
import type { RemoteReadQuery } from "../../../src/prometheus/RangeQuery.ts"
import { snappyDecompress, snappyLiteral } from "../../../src/prometheus/remoteRead/snappy.ts"
import { textAt } from "../../../src/samples/Sample.ts"
import { send, serveRaw } from "../../support/rawServer.ts"
import { field } from "../../support/remoteWrite.ts"
import { bitsOf, bytesOf, xorChunk } from "./bitTexts.ts"
import { chunkedSeries, frame, integer } from "./messages.ts"

const streamedType = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"

const chunk = {
  encoding: 1,
  data: bytesOf(xorChunk([{ time: 1000n, value: bitsOf(1.5) }], { oneIn: () => false } as never))
}

const oneSample = frame(chunkedSeries([["__name__", "up"]], [chunk]))

const query: RemoteReadQuery = {
  matchers: [
    { label: "__name__", operator: "=", value: "up" },
    { label: "job", operator: "!~", value: "a.*é" }
  ],
  startMillis: -1,
  endMillis: 2000
}

const nothing = '{"status":"success","data":{"resultType":"vector","result":[]}}'

interface Received {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: IncomingMessage["headers"]
  readonly body: Buffer
}

/**
 * The samples that a client reads from a server with such responses, or its error, and the reads that the server received. Queries
 * return nothing.
 */
const readFrom = (
  respond: (response: ServerResponse, request: Received) => void,
  config: object = {},
  overrides: Partial<RemoteReadQuery> = {}
) =>
  Effect.gen(function* () {
    const received: Array<Received> = []
    const baseUrl = yield* serveRaw((request, response) => {
      void buffer(request).then((body) => {
        const { headers, method, url } = request
        if (!url?.includes("/api/v1/read")) {
          send(response, [nothing])
          return
        }
        received.push({ method, url, headers, body })
        respond(response, received.at(-1)!)
      })
    })
    const settings = { base_url: baseUrl, start_date: "2026-01-01", max_retries: 0, ...config }
    const layer = Layer.provide(PrometheusClient.layer, ConnectorConfig.layerFrom(settings))
    const outcome = yield* Effect.gen(function* () {
      const client = yield* PrometheusClient
      const blocks = yield* client.remoteRead({ ...query, ...overrides })
      const read = yield* Stream.runCollect(blocks)
      return read.flatMap((block) =>
        block._tag === "HistogramBlock"
          ? []
          : Array.from(block.times, (time, i) => `${time} ${textAt(block, i)}`)
      )
    }).pipe(Effect.provide(layer), Effect.scoped, Effect.result)
    return { outcome, received }
  }).pipe(Effect.provide(Logger.layer([])), Effect.scoped)

const failureOf = (...args: Parameters<typeof readFrom>) =>
  Effect.map(readFrom(...args), ({ outcome }) => {
    if (outcome._tag === "Success") return assert.fail(`It succeeded: ${outcome.success}`)
    const { failure } = outcome
    return failure._tag === "PrometheusError" ? failure : assert.fail(failure.message)
  })

describe("PrometheusClient.remoteRead", () => {
  it.live("sends the request with the configured credentials, headers and parameters", () =>
    Effect.gen(function* () {
      const { outcome, received } = yield* readFrom(
        (response) => send(response, [oneSample], { "content-type": streamedType }),
        {
          basic_auth_user: "user",
          basic_auth_pass: "secret",
          headers: [{ name: "X-Scope-OrgID", value: "team" }],
          parameters: [{ name: "namespace", value: "n 1" }]
        },
        // Only whole milliseconds can be requested.
        { startMillis: -1.9, endMillis: 2000.9 }
      )
      assert.deepStrictEqual(outcome._tag === "Success" && outcome.success, ["1000 1.5"])
      assert.lengthOf(received, 1)
      const [{ body, headers, method, url }] = received as [Received]
      assert.deepStrictEqual([method, url], ["POST", "/api/v1/read?namespace=n+1"])
      assert.deepInclude(headers, {
        authorization: `Basic ${Buffer.from("user:secret").toString("base64")}`,
        "x-scope-orgid": "team",
        "content-type": "application/x-protobuf",
        "content-encoding": "snappy",
        "x-prometheus-remote-read-version": "0.1.0",
        "content-length": `${body.length}`
      })
      const text = (number: number, value: string) => field(number, Buffer.from(value))
      const expected = Buffer.concat([
        field(
          1,
          Buffer.concat([
            integer(1, -1),
            integer(2, 2000),
            field(3, Buffer.concat([integer(1, 0), text(2, "__name__"), text(3, "up")])),
            field(3, Buffer.concat([integer(1, 3), text(2, "job"), text(3, "a.*é")]))
          ])
        ),
        field(2, Buffer.of(1))
      ])
      assert.strictEqual(Buffer.from(snappyDecompress(body, 1000)).toString("hex"), expected.toString("hex"))
    })
  )

  it.live("follows a redirect with the same body", () =>
    Effect.gen(function* () {
      const { outcome, received } = yield* readFrom((response, { url }) =>
        url === "/api/v1/read"
          ? send(response, [], { location: "/other/api/v1/read" }, 307)
          : send(response, [oneSample], { "content-type": streamedType })
      )
      assert.strictEqual(outcome._tag, "Success")
      assert.deepStrictEqual(
        received.map(({ body, method, url }) => [method, url, body.toString("hex")]),
        ["/api/v1/read", "/other/api/v1/read"].map((url) => ["POST", url, received[0]!.body.toString("hex")])
      )
    })
  )

  it.live("reads a response in one message, too", () =>
    Effect.gen(function* () {
      const value = Buffer.alloc(8)
      value.writeDoubleLE(-0.25)
      const sample = field(2, Buffer.concat([Buffer.of(9), value, integer(2, 7)]))
      const message = field(1, field(1, sample))
      const { outcome, received } = yield* readFrom(
        (response) =>
          send(response, [snappyLiteral(message)], {
            "content-type": "application/x-protobuf",
            "content-encoding": "snappy"
          }),
        {},
        { accepted: ["chunks", "samples"] }
      )
      assert.deepStrictEqual(outcome._tag === "Success" && outcome.success, ["7 -0.25"])
      assert.isTrue(
        Buffer.from(snappyDecompress(received[0]!.body, 1000)).toString("hex").endsWith("12020100")
      )
    })
  )

  it.live("refuses samples where only chunks are accepted: a zero has no sign in them", () =>
    Effect.gen(function* () {
      const error = yield* failureOf((response) =>
        send(response, [snappyLiteral(Buffer.alloc(0))], {
          "content-type": "application/x-protobuf",
          "content-encoding": "snappy"
        })
      )
      assert.strictEqual(error.reason, "UnknownEncoding", error.message)
      assert.match(error.message, /has samples instead of chunks/)
    })
  )

  it.live.each([
    [404, "404 page not found", "NoRemoteRead"],
    [405, "", "NoRemoteRead"],
    [400, "unsupported path requested: /api/v1/read", "NoRemoteRead"],
    [401, "", "Unauthorized"],
    [429, "too many outstanding requests", "RateLimited"],
    [503, "Service Unavailable", "Unavailable"],
    [500, "exceeded sample limit (10)", "TooLarge"]
  ] as const)("understands a refusal: %i %s", ([status, text, reason]) =>
    Effect.gen(function* () {
      const error = yield* failureOf((response) =>
        send(response, [text], { "content-type": "text/plain; charset=utf-8" }, status)
      )
      assert.strictEqual(error.reason, reason, error.message)
    })
  )

  it.live("refuses a web page", () =>
    Effect.gen(function* () {
      const error = yield* failureOf((response) =>
        send(response, ["<html><title>Sign in</title></html>"], { "content-type": "text/html" })
      )
      assert.strictEqual(error.reason, "NotPrometheus", error.message)
    })
  )

  it.live.each([
    [206, {}, /its status is 206/i],
    [200, { "x-results-partial": "true" }, /header x-results-partial is true/]
  ] as const)("refuses a response that says that it lacks data: %i %o", ([status, headers, message]) =>
    Effect.gen(function* () {
      const respond = (response: ServerResponse) =>
        send(response, [oneSample], { "content-type": streamedType, ...headers }, status)
      const error = yield* failureOf(respond)
      assert.strictEqual(error.reason, "PartialResponse", error.message)
      assert.match(error.message, message)
      const { outcome } = yield* readFrom(respond, { partial_data: "accept" })
      assert.deepStrictEqual(outcome._tag === "Success" && outcome.success, ["1000 1.5"])
    })
  )

  it.live.each([
    [[oneSample, oneSample.subarray(0, 9)], "BrokenResponse", /cut short within the frame at byte \d+/],
    [[oneSample, Buffer.from("no more memory")], "BrokenResponse", /ends with the text "no more memory"/],
    [[frame(chunkedSeries([], [{ ...chunk, encoding: 9 }]))], "UnknownEncoding", /unknown encoding 9/],
    [[Buffer.of(0xff, 0xff, 0xff, 0xff, 0x0f)], "TooLarge", /claims 4294967295 bytes/]
  ] as const)("reports what cannot be read: %#", ([body, reason, message]) =>
    Effect.gen(function* () {
      const error = yield* failureOf((response) => send(response, body, { "content-type": streamedType }))
      assert.strictEqual(error.reason, reason, error.message)
      assert.match(error.message, message)
    })
  )
})
