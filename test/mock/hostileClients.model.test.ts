/** The mock on a socket against clients that send anything. It refuses invalid requests, and continues to serve others. */
import { connect, type Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { generate } from "../../src/mock/generate.ts"
import { makeRequest } from "../../src/mock/http.ts"
import { MAX_KEPT, MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import * as MockServer from "../../src/mock/MockServer.ts"
import { Choices } from "../choices.ts"
import { runs } from "../support/runs.ts"

const seed = Number(process.env.MOCK_SEED ?? "1")

const endMillis = Date.UTC(2026, 0, 2)
const database = generate({ endMillis, hours: 2 })

const serve = Effect.map(
  MockServer.make(new MockPrometheus(database, { version: "3.0.0" })),
  ({ baseUrl }) => ({
    baseUrl,
    port: Number(new URL(baseUrl).port)
  })
)

/** The maximum time until a response begins, even on a busy machine. */
const FIRST_BYTE_MILLIS = 2000

/** Sends a text, and returns what arrives until the server closes the connection or is silent for a moment. */
const sendText = (port: number, text: string | Buffer, silentMillis = 150): Effect.Effect<string> =>
  Effect.callback((resume) => {
    let received = ""
    const socket = connect(port, "127.0.0.1", () => socket.write(text))
    const done = (): void => {
      socket.destroy()
      resume(Effect.succeed(received))
    }
    let timer = setTimeout(done, FIRST_BYTE_MILLIS)
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1")
      clearTimeout(timer)
      timer = setTimeout(done, silentMillis)
    })
    socket.on("error", () => {})
    socket.on("close", () => {
      clearTimeout(timer)
      done()
    })
  })

/** Checks that the server still serves others. */
const assertServes = (baseUrl: string, after: string) =>
  Effect.promise(async () => {
    const response = await fetch(`${baseUrl}/api/v1/label/job/values`, {
      signal: AbortSignal.timeout(20_000)
    })
    assert.strictEqual(response.status, 200, after)
    assert.include(await response.text(), '"success"', after)
  })

const statusOf = (received: string): number => Number(/^HTTP\/1\.1 (\d+)/.exec(received)?.[1] ?? 0)

const get = (target: string, ...headers: ReadonlyArray<string>): string =>
  [`GET ${target} HTTP/1.1`, ...(headers.length === 0 ? ["Host: a"] : headers), "", ""].join("\r\n")

const post = (body: string, ...headers: ReadonlyArray<string>): string =>
  [
    "POST /api/v1/query_range HTTP/1.1",
    "Host: a",
    "Content-Type: application/x-www-form-urlencoded",
    ...headers,
    "",
    body
  ].join("\r\n")

describe("an invalid request", () => {
  it.live.each<[string, string, ReadonlyArray<number>]>([
    ["an invalid host", get("/api/v1/labels", "Host: ["), [400]],
    ["a host with a path", get("/api/v1/labels", "Host: a/b?c"), [400]],
    ["a host with a user", get("/api/v1/labels", "Host: u:p@a"), [400]],
    ["an invalid port", get("/api/v1/labels", "Host: a:99999"), [400]],
    ["an IPv6 address", get("/api/v1/labels", "Host: [::1]:80"), [200]],
    ["an invalid IPv6 address", get("/api/v1/labels", "Host: [:::::]:80"), [400]],
    ["no host", get("/api/v1/labels", "A: b"), [400]],
    ["two hosts", get("/api/v1/labels", "Host: a", "Host: b"), [200, 400]],
    ["an absolute URL", get("http://other.example/api/v1/labels"), [200]],
    ["an invalid absolute URL", get("http://[/api/v1/labels"), [400]],
    ["another scheme", get("ftp://a/api/v1/labels"), [400]],
    ["no path", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", [400]],
    ["a tunnel", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", [0, 400]],
    [
      "another protocol",
      get("/api/v1/labels", "Host: a", "Connection: Upgrade", "Upgrade: websocket"),
      [200]
    ],
    ["invalid percent escapes", get("/api/v1/label/%zz/values"), [400]],
    ["percent escapes that are not UTF-8", get("/api/v1/label/%ff%fe/values"), [400]],
    ["invalid percent escapes in a query", get("/api/v1/query?query=%zz%ff"), [400]],
    ["a path above the root", get("/../../../../etc/passwd"), [404]],
    ["a path with two slashes", get("//evil.example/api/v1/labels"), [404]],
    ["an unknown method", "BREW /api/v1/labels HTTP/1.1\r\nHost: a\r\n\r\n", [400]],
    ["another method", "DELETE /api/v1/labels HTTP/1.1\r\nHost: a\r\n\r\n", [405]],
    ["headers of a megabyte", get("/api/v1/labels", "Host: a", `A: ${"a".repeat(1_000_000)}`), [431, 0]],
    ["a URL of a megabyte", get(`/api/v1/labels?a=${"a".repeat(1_000_000)}`), [431, 0]],
    ["control characters", get("/api/v1/labels\u0000\u001b[2J"), [400]],
    ["binary data", "\u0016\u0003\u0001\u0002\u0000\u0001\u0000", [400]],
    ["two content lengths", post("a=b", "Content-Length: 3", "Content-Length: 4"), [400]],
    [
      "a content length and chunks",
      post("0\r\n\r\n", "Content-Length: 5", "Transfer-Encoding: chunked"),
      [400]
    ],
    ["invalid chunks", post("zz\r\n", "Transfer-Encoding: chunked"), [400]],
    ["an invalid content length", post("", "Content-Length: -1"), [400]],
    ["an unknown expectation", post("a=b", "Content-Length: 3", "Expect: miracles"), [417]],
    ["a body after `100 Continue`", post("a=b", "Content-Length: 3", "Expect: 100-continue"), [100]]
  ])("%s", ([name, request, statuses]) =>
    Effect.gen(function* () {
      const { baseUrl, port } = yield* serve
      const received = yield* sendText(port, Buffer.from(request, "latin1"))
      assert.include(statuses, statusOf(received), received)
      yield* assertServes(baseUrl, name)
    })
  )

  it.live("is refused, whatever it contains", () =>
    Effect.gen(function* () {
      const { baseUrl, port } = yield* serve
      const valid = [
        get("/api/v1/query_range?query=up&start=0&end=10&step=1"),
        get('/api/v1/series?match[]={__name__=~"a.*"}', "Host: a", "Connection: close"),
        post("query=up&start=0&end=1&step=1", "Content-Length: 29"),
        post("4\r\na=b&\r\n0\r\n\r\n", "Transfer-Encoding: chunked")
      ]
      const pieces = [
        "\r\n",
        "\n",
        "\u0000",
        "%",
        "[",
        "]",
        "//",
        "http://",
        ":",
        " ",
        "\u00ff",
        "HTTP/1.1",
        "-1",
        "9".repeat(30)
      ]
      const mutated = (choices: Choices): Buffer => {
        let text = choices.pick(valid)
        for (let count = choices.between(1, 6); count > 0; count--) {
          const at = choices.below(text.length)
          const to = Math.min(text.length, at + choices.below(12))
          const insert = choices.oneIn(2) ? choices.pick(pieces) : String.fromCharCode(choices.below(256))
          text = choices.oneIn(8) ? text.slice(0, at) : text.slice(0, at) + insert + text.slice(to)
          if (text === "") text = "x"
        }
        return Buffer.from(text, "latin1")
      }
      const requests = Array.from({ length: runs(30, 400) }, (_, i) =>
        mutated(new Choices(seed * 10_000 + i, 1e9))
      )
      const statuses = yield* Effect.forEach(
        requests,
        (request) => Effect.map(sendText(port, request, 40), statusOf),
        {
          concurrency: 100
        }
      )
      // Not all of them are refused, and none makes the server fail.
      assert.isAbove(statuses.filter((status) => status === 400).length, requests.length / 2)
      assert.notInclude(statuses, 500)
      yield* assertServes(baseUrl, "all of them")
    })
  )
})

describe("a body that is too large", () => {
  /** Sends up to `most` bytes. Returns how many were accepted before the connection was closed, and the response. */
  const flood = (port: number, head: string, piece: Buffer, most: number) =>
    Effect.callback<{ readonly sent: number; readonly received: string }>((resume) => {
      let received = ""
      let sent = 0
      const socket: Socket = connect(port, "127.0.0.1", () => {
        socket.write(head)
        const go = (): void => {
          while (sent < most && !socket.destroyed) {
            sent += piece.length
            if (!socket.write(piece)) {
              socket.once("drain", go)
              return
            }
          }
        }
        go()
      })
      socket.on("data", (chunk) => {
        received += chunk.toString("latin1")
      })
      socket.on("error", () => {})
      socket.on("close", () => resume(Effect.succeed({ received, sent })))
    })

  const piece = Buffer.alloc(65_536, "a")
  const most = 600_000_000

  it.live.each([
    ["with Content-Length", `Content-Length: ${most}`, piece],
    [
      "in chunks",
      "Transfer-Encoding: chunked",
      Buffer.concat([Buffer.from("10000\r\n"), piece, Buffer.from("\r\n")])
    ]
  ] as const)("is refused after a part of it, %s", ([, header, piece]) =>
    Effect.gen(function* () {
      const { baseUrl, port } = yield* serve
      const { received, sent } = yield* flood(port, post("", header), piece, most)
      assert.strictEqual(statusOf(received), 413, received)
      // Allows for the socket buffers and the maximum that the mock reads.
      assert.isBelow(sent, 40_000_000)
      yield* assertServes(baseUrl, header)
    })
  )

  it.live("is refused before it is sent, if the client expects `100 Continue`", () =>
    Effect.gen(function* () {
      const { port } = yield* serve
      const received = yield* sendText(port, post("", `Content-Length: ${most}`, "Expect: 100-continue"))
      assert.strictEqual(statusOf(received), 413, received)
    })
  )
})

describe("clients that are slow, or many", () => {
  it.live("do not delay the responses to others", () =>
    Effect.gen(function* () {
      const { baseUrl, port } = yield* serve
      const open = (isWriting: boolean) =>
        Effect.acquireRelease(
          Effect.callback<Socket>((resume) => {
            const socket = connect(port, "127.0.0.1", () => {
              // Headers without an end, and a body that is not read.
              socket.write(
                isWriting
                  ? "GET /api/v1/labels HTTP/1.1\r\nHost: a\r\nA: "
                  : get("/api/v1/query_range?query={__name__!=%22%22}&start=0&end=10999&step=1")
              )
              resume(Effect.succeed(socket))
            }).pause()
            socket.on("error", () => {})
          }),
          (socket) => Effect.sync(() => socket.destroy())
        )
      yield* Effect.forEach(
        Array.from({ length: 400 }, (_, i) => i % 2 === 0),
        open,
        { concurrency: 50 }
      )
      yield* assertServes(baseUrl, "400 clients")
      // A hundred requests at once on one connection get their responses in order.
      const received = yield* sendText(port, get("/api/v1/labels").repeat(100), 1000)
      assert.strictEqual(received.match(/HTTP\/1\.1 200/g)?.length, 100)
    }).pipe(Effect.scoped)
  )
})

describe("invalid parameters", () => {
  const texts = [
    ...[
      "0",
      "-1",
      "1e308",
      "-1e308",
      "1e-9",
      "NaN",
      "Inf",
      "0x69",
      "",
      " ",
      "9".repeat(400),
      `${"1".repeat(500_000)}x`
    ],
    ...[
      "1h",
      "99999999999999999999y",
      "-5m",
      "1e15",
      "9223372036854775.807",
      "8640000000000.001",
      "2026-13-45T99:99:99Z"
    ],
    ...[
      "2026-01-01T00:00:00Z",
      "+275760-09-13T00:00:00Z",
      `${endMillis / 1000}`,
      "0.1",
      "1e9",
      "\u0000",
      "\ud800"
    ]
  ]
  const queries = [
    ...[
      "up",
      "time()",
      "count(up)",
      "{}",
      "{",
      '{__name__=~".+"}',
      '{a=~"(a+)+$"}',
      '{a=~"("}',
      'up{a="',
      "up[5m]"
    ],
    `${"count(".repeat(100_000)}up${")".repeat(100_000)}`,
    `count(${") ".repeat(200_000)}x`,
    `{${"(".repeat(200_000)}`,
    `up{a="${"\\".repeat(200_001)}"}`,
    `up{${"=".repeat(200_000)}`,
    `up{a=~"${"(".repeat(100_000)}"}`,
    `up{${'a!="b",'.repeat(50_000)}}`,
    `up{a=${" ".repeat(200_000)}`,
    `up{a=~"${"\\\\pL{1000}".repeat(1000)}"}`
  ]
  const paths = [
    "query",
    "query_range",
    "series",
    "labels",
    "label/job/values",
    "metadata",
    "status/flags",
    "nothing"
  ]
  const names = [
    "query",
    "start",
    "end",
    "step",
    "time",
    "timeout",
    "lookback_delta",
    "match[]",
    "limit",
    "metric"
  ]

  it("are refused, or return no more points than a range may have", () => {
    const mock = new MockPrometheus(database, { version: "3.0.0", maxSamples: 50_000_000 })
    const requests = runs(20, 300)
    let succeeded = 0
    for (let i = 0; i < requests; i++) {
      const choices = new Choices(seed * 10_000 + i, 1e9)
      const url = new URL(`http://mock/api/v1/${choices.pick(paths)}`)
      for (const name of names) {
        if (choices.oneIn(5)) continue
        const isQuery = name === "query" || name === "match[]"
        url.searchParams.append(name, choices.pick(isQuery ? queries : texts))
      }
      const { body, status } = mock.handle(makeRequest("GET", url, [], ""), endMillis)
      let bytes = 0
      for (const chunk of body) bytes += chunk.length
      assert.include([200, 400, 404, 422], status)
      // 11,001 points of all series, and the quote in an error.
      assert.isBelow(bytes, 100_000_000)
      if (status === 200) succeeded++
    }
    assert.isAbove(succeeded, requests / 20)
  })

  it.each([
    ["1e308", "1e308", "1"],
    ["-1e308", "1e308", "1e300"],
    ["0", "1e308", "1e-9"],
    ["0", "10999", "0.000001"],
    ["8640000000000", "8640000000000", "1"]
  ])("end: from %s to %s by %s", (start, end, step) => {
    const mock = new MockPrometheus(database)
    const url = new URL(`http://mock/api/v1/query_range`)
    url.search = new URLSearchParams({ query: "time()", start, end, step }).toString()
    const { body, status } = mock.handle(makeRequest("GET", url, [], ""), endMillis)
    assert.include([200, 400], status)
    assert.isBelow(Buffer.concat([...body]).length, 1_000_000)
  })
})

describe("the requests that a mock keeps", () => {
  it("are bounded, and are the latest", () => {
    const mock = new MockPrometheus(database)
    const url = new URL("http://mock/api/v1/labels")
    const headers = [["content-type", "application/x-www-form-urlencoded"]] as const
    for (let i = 0; i < 200; i++) {
      mock.handle(makeRequest("POST", url, headers, `n=${i}&a=${"x".repeat(1_000_000)}`), endMillis)
    }
    const size = mock.requests.reduce((sum, { params }) => sum + params.get("a")!.length, 0)
    assert.isAtMost(size, MAX_KEPT)
    assert.isAbove(size, MAX_KEPT / 4)
    assert.strictEqual(mock.requests.at(-1)?.params.get("n"), "199")
    assert.strictEqual(mock.requests.at(-1)?.attempt, 1)
  })
})
