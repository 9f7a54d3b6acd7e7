/** Ways in through a forward proxy: Squid, with and without users, to servers with and without TLS. */
import { once } from "node:events"
import { type AddressInfo, connect } from "node:net"
import { createServer } from "node:tls"
import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { certificate } from "../support/certificates.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import * as Nginx from "../support/nginx.ts"
import { basicAuthHeader, basicAuthPassword, basicAuthUser } from "../support/RealServer.ts"
import { prometheusServers } from "../support/servers.ts"
import * as Squid from "../support/squid.ts"
import { assertReads, refusalOf, series } from "../support/waysIn.ts"

const user = { basic_auth_user: basicAuthUser, basic_auth_pass: basicAuthPassword }

/** Nothing of the environment of the tests. */
const noProxy = {
  http_proxy: undefined,
  HTTP_PROXY: undefined,
  https_proxy: undefined,
  HTTPS_PROXY: undefined,
  no_proxy: undefined,
  NO_PROXY: undefined
}

/** TLS in front of a proxy. */
const secureProxy = (port: number, pair: { readonly cert: string; readonly key: string }) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer(pair, (socket) => {
        const proxy = connect(port, "127.0.0.1")
        socket.pipe(proxy).pipe(socket)
        socket.on("error", () => proxy.destroy())
        proxy.on("error", () => socket.destroy())
      })
      // Failed handshakes are the subject of a test.
      server.on("tlsClientError", () => {})
      await once(server.listen(0, "127.0.0.1"), "listening")
      return server
    }),
    (server) => Effect.sync(() => server.close())
  ).pipe(Effect.map((server) => (server.address() as AddressInfo).port))

const setting = Effect.gen(function* () {
  const root = certificate({ commonName: "Test Root", isAuthority: true })
  const prometheus = yield* prometheusServers[1]!.make({ series, basicAuth: true })
  const forbidden = yield* prometheusServers[0]!.make({ series })
  const pair = certificate({ hosts: ["127.0.0.1", "localhost"], issuer: root })
  const nginx = yield* Nginx.make({
    upstream: prometheus.baseUrl,
    sites: [{ name: "localhost", certificate: pair }]
  })
  const squid = yield* Squid.make({ hasUsers: true })
  const forbiddenPort = Number(new URL(forbidden.baseUrl).port)
  return {
    nginx,
    squid,
    /** Without users; it does not connect to one of the servers. */
    strict: yield* Squid.make({ forbiddenPort }),
    forbidden: forbidden.baseUrl,
    plain: { base_url: prometheus.baseUrl, ...user },
    secure: { base_url: nginx.baseUrl, ...user, tls: { ca_certificate: root.cert } },
    secureProxyPort: yield* secureProxy(squid.port, pair)
  }
})

class Setting extends Context.Service<Setting, Effect.Success<typeof setting>>()("test/Setting") {}

const hostOf = (url: string): string => new URL(url).host

describe("a forward proxy", () => {
  layer(Layer.effect(Setting, setting), { timeout: 120_000 })((it) => {
    it.effect("of proxy_url forwards requests without TLS", () =>
      Effect.gen(function* () {
        const { plain, squid } = yield* Setting
        const before = squid.requests().length
        const { output } = yield* assertReads({ ...plain, proxy_url: squid.urlWithUser }, noProxy)
        const seen = squid.requests().slice(before)
        assert.isAbove(seen.length, 10)
        for (const line of seen) {
          assert.match(line, new RegExp(`^(GET|POST) ${plain.base_url}/(api/v1/|metrics\\|)`))
          // The log encodes spaces.
          assert.include(line, `|${encodeURI(basicAuthHeader)}|`)
          assert.match(line, /\|(200|40\d)$/)
          assert.notMatch(line, /\|407$/)
        }
        assertHidden(output)
      })
    )

    it.effect("of proxy_url tunnels requests with TLS, and sees nothing of them", () =>
      Effect.gen(function* () {
        const { nginx, secure, squid } = yield* Setting
        const before = squid.requests().length
        const { output } = yield* assertReads({ ...secure, proxy_url: squid.urlWithUser }, noProxy)
        const seen = squid.requests().slice(before)
        // One at least for each of the four commands.
        assert.isAtLeast(seen.length, 4)
        for (const line of seen) {
          assert.match(line, new RegExp(`^CONNECT ${hostOf(secure.base_url)}\\|`))
          assert.match(line, /\|-\|200$/)
        }
        assertHidden(output)
        // Each request to the server has its own credentials, and none has the proxy's.
        assert.isAbove(nginx.requests().length, 10)
        for (const line of nginx.requests()) {
          assert.match(line, new RegExp(`\\|${basicAuthHeader.replace(/[+=]/g, "\\$&")}\\|-\\|`))
        }
      })
    )

    it.effect("of the environment is used by its scheme, and NO_PROXY leaves hosts out", () =>
      Effect.gen(function* () {
        const { plain, secure, squid } = yield* Setting
        const used = Effect.fnUntraced(function* (
          way: typeof plain | typeof secure,
          env: Readonly<Record<string, string>>
        ) {
          const before = squid.requests().length
          const { output } = yield* assertReads(way, { ...noProxy, ...env })
          assertHidden(output)
          return squid.requests().length > before
        })
        const url = squid.urlWithUser
        assert.isTrue(yield* used(plain, { HTTP_PROXY: url }))
        assert.isTrue(yield* used(secure, { https_proxy: url.replace("http://", "") }))
        assert.isFalse(yield* used(secure, { HTTP_PROXY: url }))
        assert.isFalse(yield* used(plain, { HTTPS_PROXY: url }))
        assert.isFalse(yield* used(plain, { HTTP_PROXY: url, NO_PROXY: "localhost,127.0.0.0/8" }))
        assert.isFalse(yield* used(secure, { HTTPS_PROXY: url, no_proxy: "127.0.0.1" }))
      })
    )

    it.effect("with TLS is verified, by tls.ca_certificate too", () =>
      Effect.gen(function* () {
        const { plain, secure, secureProxyPort, squid } = yield* Setting
        const proxy_url = `https://${Squid.proxyCredentials}@localhost:${secureProxyPort}`
        const before = squid.requests().length
        yield* assertReads({ ...secure, proxy_url }, noProxy)
        yield* assertReads({ ...plain, tls: secure.tls, proxy_url }, noProxy)
        assert.isAbove(squid.requests().length, before + 10)
        for (const way of [plain, { ...secure, tls: { verify: false } }]) {
          const message = yield* refusalOf({ ...way, proxy_url }, noProxy)
          assert.match(
            message,
            /cannot be reached: the proxy https:\/\/localhost:\d+ of proxy_url cannot be reached securely \(.*If the proxy is the right one, set tls\.ca_certificate/
          )
        }
      })
    )

    it.effect("that wants a user says so, and whether the one that it got is wrong", () =>
      Effect.gen(function* () {
        const { plain, secure, squid } = yield* Setting
        for (const way of [plain, secure]) {
          const missing = yield* refusalOf({ ...way, proxy_url: squid.url }, noProxy)
          assert.match(
            missing,
            /the proxy http:\/\/127\.0\.0\.1:\d+ of proxy_url wants a user and a password \(HTTP 407/
          )
          assert.match(
            missing,
            /Set them in proxy_url, as in http:\/\/user:password@proxy\.example\.com:3128\.$/
          )
          const wrong = squid.url.replace("//", "//tester:Geheim-4711@")
          const refused = yield* refusalOf(way, { ...noProxy, HTTP_PROXY: wrong, HTTPS_PROXY: wrong })
          assert.match(
            refused,
            /of HTTPS?_PROXY refuses the user and the password \(HTTP 407.*Check them in HTTPS?_PROXY\./
          )
          assert.notInclude(refused, "Geheim")
        }
      })
    )

    it.effect("that forbids a server says so", () =>
      Effect.gen(function* () {
        const { forbidden, secure, strict } = yield* Setting
        for (const base_url of [forbidden, forbidden.replace("http:", "https:")]) {
          const message = yield* refusalOf(
            { base_url },
            { ...noProxy, HTTP_PROXY: strict.url, https_proxy: strict.url }
          )
          assert.match(
            message,
            /the proxy http:\/\/127\.0\.0\.1:\d+ of (HTTP_PROXY|https_proxy) does not connect to 127\.0\.0\.1:\d+ \(HTTP 403.*ERR_ACCESS_DENIED/
          )
          assert.match(message, /name 127\.0\.0\.1 in the environment variable NO_PROXY\.$/)
        }
        yield* assertReads({ ...secure, proxy_url: strict.url }, noProxy)
      })
    )

    it.effect("that cannot reach a server says so, and is retried", () =>
      Effect.gen(function* () {
        const { strict } = yield* Setting
        for (const scheme of ["http", "https"]) {
          const message = yield* refusalOf(
            { base_url: `${scheme}://127.0.0.1:1`, proxy_url: strict.url },
            noProxy
          )
          assert.match(
            message,
            /the proxy http:.* of proxy_url cannot connect to 127\.0\.0\.1:1 \(HTTP 503.*ERR_CONNECT_FAIL/
          )
          const files = yield* connector.workspace
          const config = {
            base_url: `${scheme}://127.0.0.1:1`,
            proxy_url: strict.url,
            max_retries: 1,
            start_date: "2026-01-01"
          }
          const before = strict.requests().length
          yield* connector.read(files, config, connector.catalogOf("level"), undefined, { env: noProxy })
          assert.isAtLeast(strict.requests().length, before + 2)
        }
      })
    )

    it.effect("that cannot be reached itself is named, without its password", () =>
      Effect.gen(function* () {
        const { plain, secure } = yield* Setting
        for (const way of [plain, secure]) {
          for (const [address, reason] of [
            ["127.0.0.1:1", "connection refused"],
            ["proxy.invalid:3128", "the host name does not exist"]
          ]) {
            const message = yield* refusalOf(
              { ...way, proxy_url: `http://tester:Geheim-4711@${address}` },
              noProxy
            )
            assert.include(
              message,
              `: the proxy http://${address} of proxy_url cannot be reached (${reason}). Check proxy_url`
            )
          }
        }
      })
    )

    it.effect("that a variable does not name correctly is refused with the variable", () =>
      Effect.gen(function* () {
        const { plain, secure } = yield* Setting
        const socks = yield* refusalOf(secure, {
          ...noProxy,
          HTTPS_PROXY: "socks5://tester:Geheim-4711@127.0.0.1:1080"
        })
        assert.match(socks, /: HTTPS_PROXY names a proxy of the kind socks5:\/\/, which is not supported/)
        const invalid = yield* refusalOf(plain, {
          ...noProxy,
          http_proxy: "http://tester:Geheim-47#11@proxy:1"
        })
        assert.match(invalid, /: http_proxy must be the http or https URL of a proxy/)
        for (const message of [socks, invalid]) assert.notInclude(message, "Geheim")
        yield* assertReads(plain, {
          ...noProxy,
          HTTP_PROXY: "socks5://127.0.0.1:1080",
          NO_PROXY: "127.0.0.1"
        })
      })
    )

    it.effect("does not hide what is wrong with the server's TLS", () =>
      Effect.gen(function* () {
        const { plain, secure, strict } = yield* Setting
        const unknown = yield* refusalOf({ ...secure, tls: { verify: true }, proxy_url: strict.url }, noProxy)
        assert.match(
          unknown,
          /cannot be reached securely through the proxy http:.* of proxy_url \(.*"Test Root".*A proxy that inspects TLS/
        )
        const notTls = yield* refusalOf(
          { ...plain, base_url: plain.base_url.replace("http:", "https:"), proxy_url: strict.url },
          noProxy
        )
        assert.match(notTls, /through the proxy .* \(it does not use TLS, which https requires\)/)
      })
    )

    it.effect("is not used for the demo", () =>
      Effect.gen(function* () {
        const files = yield* connector.workspace
        const env = { ...noProxy, HTTP_PROXY: "http://127.0.0.1:1" }
        const { code, stderr } = yield* child.run(["run", "--demo", "--to", `jsonl:${files.path("demo")}`], {
          env
        })
        assert.strictEqual(code, 0, stderr)
      })
    )
  })
})

/** Asserts that nothing is printed of the proxy's credentials. */
const assertHidden = (output: string): void => {
  for (const secret of [
    Squid.proxyPassword,
    Squid.proxyCredentials,
    encodeURIComponent(Squid.proxyPassword),
    Buffer.from(`${Squid.proxyUser}:${Squid.proxyPassword}`).toString("base64")
  ]) {
    assert.notInclude(output, secret)
  }
}
