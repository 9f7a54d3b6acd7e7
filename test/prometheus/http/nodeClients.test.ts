/** Node's clients on real connections: with proxies that misbehave, and what servers get of the certificates. */
import { once } from "node:events"
import type { IncomingMessage } from "node:http"
import { createServer as createHttpsServer } from "node:https"
import { type AddressInfo, createServer, type Server, type Socket } from "node:net"
import type { TLSSocket } from "node:tls"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import { HttpClient } from "effect/http"
import { ConnectorConfig } from "../../../src/config/ConnectorConfig.ts"
import { layerNode, ProxyEnvironment, TokenClient } from "../../../src/prometheus/http/nodeClients.ts"
import { fromTransport } from "../../../src/prometheus/http/transportError.ts"
import { PrometheusClient } from "../../../src/prometheus/PrometheusClient.ts"
import { certificate } from "../../support/certificates.ts"

const root = certificate({ commonName: "Root", isAuthority: true })
const pair = certificate({ hosts: ["127.0.0.1"], issuer: root })
const client = certificate({ commonName: "reader", issuer: root })
const tls = { ca_certificate: root.cert, client_certificate: client.cert, client_key: client.key }

const listening = <S extends Server>(server: S) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      await once(server.listen(0, "127.0.0.1"), "listening")
      return (server.address() as AddressInfo).port
    }),
    () => Effect.sync(() => server.close())
  )

/** A proxy that does something with each connection after it has received a request. */
const proxyThat = (handle: (socket: Socket, head: string) => void) => {
  const heads: Array<string> = []
  const sockets: Array<Socket> = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on("error", () => {})
    socket.once("data", (data) => {
      heads.push(data.toString("latin1"))
      handle(socket, data.toString("latin1"))
    })
  })
  return Effect.map(listening(server), (port) => ({ port, heads, sockets }))
}

/** A proxy that tunnels. */
const makeTunnel = () =>
  proxyThat((socket, head) => {
    const [, host = "", port = ""] = /^CONNECT ([^:]+):(\d+) /.exec(head) ?? []
    const server = new (socket.constructor as new () => Socket)().connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n")
      socket.pipe(server).pipe(socket)
    })
    server.on("error", () => socket.destroy())
  })

interface Seen {
  readonly servername: string | false | null | undefined
  readonly client: string | string[] | undefined
  readonly headers: IncomingMessage["headers"]
}

/** A server with TLS that takes any client certificate. */
const secureServer = Effect.gen(function* () {
  const seen: Array<Seen> = []
  const server = createHttpsServer(
    { ...pair, requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      const socket = request.socket as TLSSocket
      seen.push({
        servername: socket.servername as Seen["servername"],
        client: socket.getPeerCertificate().subject?.CN,
        headers: request.headers
      })
      response.end("{}")
    }
  )
  server.on("tlsClientError", () => {})
  return { port: yield* listening(server), seen }
})

const layerFor = (config: object, environment = {}) =>
  layerNode.pipe(
    Layer.provide(Layer.succeed(ProxyEnvironment, environment)),
    Layer.provide(
      ConnectorConfig.layerFrom({
        base_url: "https://127.0.0.1",
        start_date: "2026-01-01",
        step: 60,
        ...config
      })
    )
  )

const statusOf = (httpClient: HttpClient.HttpClient, url: string) =>
  Effect.flatMap(httpClient.get(url), (response) => Effect.as(response.text, response.status))

const failureOf = (url: string, config: object) =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(statusOf(yield* HttpClient.HttpClient, url))
    return fromTransport(url, error)
  }).pipe(Effect.provide(layerFor(config)))

describe("a proxy", () => {
  it.live("is asked for one tunnel for several requests", () =>
    Effect.gen(function* () {
      const { port, seen } = yield* secureServer
      const proxy = yield* makeTunnel()
      yield* Effect.gen(function* () {
        const httpClient = yield* HttpClient.HttpClient
        for (let i = 0; i < 3; i++) {
          assert.strictEqual(yield* statusOf(httpClient, `https://127.0.0.1:${port}/`), 200)
        }
      }).pipe(Effect.provide(layerFor({ tls, proxy_url: `http://user:word@127.0.0.1:${proxy.port}` })))
      assert.strictEqual(seen.length, 3)
      assert.strictEqual(proxy.heads.length, 1)
      assert.match(proxy.heads[0]!, new RegExp(`^CONNECT 127.0.0.1:${port} HTTP/1.1\r\n`))
      assert.notMatch(proxy.heads[0]!, /connection: close/i)
      assert.match(proxy.heads[0]!, /\r\nproxy-authorization: Basic dXNlcjp3b3Jk\r\n/i)
      for (const { headers } of seen) assert.isUndefined(headers["proxy-authorization"])
    })
  )

  it.live("gets addresses of IPv6 in brackets", () =>
    Effect.gen(function* () {
      const proxy = yield* proxyThat((socket) => socket.end("HTTP/1.1 403 No\r\n\r\n"))
      const proxy_url = `http://127.0.0.1:${proxy.port}`
      const error = yield* failureOf("https://[::1]:9443/", { proxy_url })
      assert.match(proxy.heads[0]!, /^CONNECT \[::1\]:9443 HTTP\/1\.1\r\nhost: \[::1\]:9443\r\n/i)
      assert.match(error.message, /does not connect to ::1:9443 \(HTTP 403 No\)/)
      yield* Effect.provide(
        Effect.flatMap(HttpClient.HttpClient, (client) => statusOf(client, "http://[::1]:9090/x?y=1")),
        layerFor({ proxy_url })
      )
      assert.match(proxy.heads[1]!, /^GET http:\/\/\[::1\]:9090\/x\?y=1 HTTP\/1\.1\r\n/)
    })
  )

  it.live.each<readonly [what: string, handle: (socket: Socket) => void, message: RegExp]>([
    [
      "closes the connection",
      (socket) => socket.end(),
      /the proxy .* ended the connection \(the connection was reset\)/
    ],
    [
      "resets the connection",
      (socket) => socket.resetAndDestroy(),
      /the proxy .* ended the connection \(the connection was reset\)/
    ],
    [
      "is no proxy",
      (socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
      /the proxy .* does not respond with HTTP/
    ],
    [
      "never responds",
      () => {},
      /the proxy .* did not connect to 127\.0\.0\.1:9443 within 0\.9 s\. Check the host and port of base_url/
    ]
  ])("that %s is named", ([, handle, message]) =>
    Effect.gen(function* () {
      const proxy = yield* proxyThat(handle)
      const config = { proxy_url: `http://127.0.0.1:${proxy.port}`, request_timeout: 1 }
      const error = yield* failureOf("https://127.0.0.1:9443/", config)
      assert.match(error.message, message)
    })
  )

  it.live("that ends the connection after each response, and does not say so, is asked again", () =>
    Effect.gen(function* () {
      const proxy = yield* proxyThat((socket) => {
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        // As Tinyproxy does: it reads nothing more.
        socket.once("data", () => socket.resetAndDestroy())
        setTimeout(() => socket.end(), 50)
      })
      yield* Effect.gen(function* () {
        const httpClient = yield* HttpClient.HttpClient
        for (let i = 0; i < 3; i++) {
          assert.strictEqual(yield* statusOf(httpClient, "http://prometheus.test/"), 200)
        }
      }).pipe(Effect.provide(layerFor({ proxy_url: `http://127.0.0.1:${proxy.port}` })))
      assert.strictEqual(proxy.heads.length, 3)
    })
  )

  it.live("that may have responded itself is named beside the response", () =>
    Effect.gen(function* () {
      const proxy = yield* proxyThat((socket) =>
        socket.end("HTTP/1.1 403 No\r\ncontent-length: 6\r\n\r\nPolicy")
      )
      const settings = ConnectorConfig.layerFrom({
        base_url: "http://127.0.0.1:9090",
        start_date: "2026-01-01",
        step: 60,
        proxy_url: `http://127.0.0.1:${proxy.port}`
      })
      const error = yield* Effect.flatMap(PrometheusClient, ({ now }) => Effect.flip(now)).pipe(
        Effect.provide(PrometheusClient.layer.pipe(Layer.provide(settings)))
      )
      assert.strictEqual(
        error.summary,
        `http://127.0.0.1:9090/api/v1/query, through the proxy http://127.0.0.1:${proxy.port} of proxy_url, returned HTTP 403: Policy.`
      )
    })
  )

  it.live("keeps no connection after the client has ended", () =>
    Effect.gen(function* () {
      const proxy = yield* proxyThat(() => {})
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        layerFor({ proxy_url: `http://127.0.0.1:${proxy.port}` }),
        scope
      )
      const request = yield* Effect.forkChild(
        Effect.flatMap(HttpClient.HttpClient, (client) => statusOf(client, "https://127.0.0.1:9443/")).pipe(
          Effect.provide(context)
        )
      )
      while (proxy.heads.length === 0) yield* Effect.sleep(5)
      yield* Fiber.interrupt(request)
      const closed = Effect.promise(() => once(proxy.sockets[0]!, "close"))
      yield* Scope.close(scope, Exit.void)
      yield* Effect.timeout(closed, "5 seconds")
    })
  )
})

describe("a server that issues tokens", () => {
  const tokenStatus = Effect.fnUntraced(function* (url: string) {
    const tokenClient = yield* TokenClient
    return yield* statusOf(tokenClient!, url)
  })

  it.live("gets neither the client's certificate nor the name of Prometheus", () =>
    Effect.gen(function* () {
      const { port, seen } = yield* secureServer
      const url = `https://127.0.0.1:${port}/`
      // The certificate does not have that name.
      const config = { tls: { ...tls, server_name: "prometheus.test" } }
      assert.strictEqual(yield* Effect.provide(tokenStatus(url), layerFor(config)), 200)
      assert.deepStrictEqual(
        seen.map(({ client, servername }) => [client, servername]),
        [[undefined, false]]
      )
      const unverified = { tls: { ...tls, server_name: "prometheus.test", verify: false } }
      const asPrometheus = Effect.flatMap(HttpClient.HttpClient, (client) => statusOf(client, url))
      assert.strictEqual(yield* Effect.provide(asPrometheus, layerFor(unverified)), 200)
      assert.deepStrictEqual([seen[1]?.client, seen[1]?.servername], ["reader", "prometheus.test"])
    })
  )

  it.live("is always verified, and is behind the same proxy", () =>
    Effect.gen(function* () {
      const { port, seen } = yield* secureServer
      const url = `https://127.0.0.1:${port}/`
      const proxy = yield* makeTunnel()
      const proxy_url = `http://127.0.0.1:${proxy.port}`
      const unknown = yield* Effect.flip(
        Effect.provide(tokenStatus(url), layerFor({ proxy_url, tls: { verify: false } }))
      )
      assert.strictEqual(fromTransport(url, unknown).reason, "Tls")
      assert.deepStrictEqual(seen, [])
      assert.strictEqual(yield* Effect.provide(tokenStatus(url), layerFor({ proxy_url, tls })), 200)
      assert.strictEqual(proxy.heads.length, 2)
    })
  )
})
