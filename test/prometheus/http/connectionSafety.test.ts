import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import {
  type Connection,
  connectionWarnings,
  keepsCredentials
} from "../../../src/prometheus/http/connectionSafety.ts"
import { certificate } from "../../support/certificates.ts"

const authentication = {
  auth_type: "basic",
  user: "tester",
  password: Redacted.make("Geheim-4711")
} as const
const headers = [{ name: "Authorization", value: Redacted.make("Bearer Geheim-4711") }]

const root = certificate({ isAuthority: true })

const connection = (baseUrl: string, more: Partial<Connection> = { authentication }): Connection => ({
  baseUrl,
  authentication: { auth_type: "none" },
  headers: [],
  parameters: [],
  tls: { verify: true },
  ...more
})

describe("a connection", () => {
  it.each([
    connection("http://prometheus.example.com/api"),
    connection("http://10.0.0.7:9090"),
    connection("http://127.example.com"),
    connection("http://[fd00::1]:9090"),
    connection("http://localhost.example.com"),
    connection("HTTP://PROMETHEUS.EXAMPLE.COM"),
    connection("http://prometheus:9090", { headers }),
    connection("http://prometheus:9090", {
      parameters: [{ name: "key", value: Redacted.make("Geheim-4711") }]
    })
  ])("causes a warning if it carries credentials in the clear: $baseUrl", (connection) => {
    const warnings = connectionWarnings(connection, {}, 0)
    assert.lengthOf(warnings, 1)
    assert.include(warnings[0], connection.baseUrl)
    assert.match(warnings[0]!, /without encryption.*https/)
    assert.notInclude(warnings[0], "Geheim")
  })

  it.each([
    connection("https://prometheus.example.com"),
    connection("http://prometheus.example.com", {}),
    connection("http://localhost:9090"),
    connection("http://LOCALHOST:9090"),
    connection("http://prometheus.localhost"),
    connection("http://127.0.0.1:9090"),
    connection("http://127.1.2.3:9090"),
    connection("http://[::1]:9090"),
    connection("http://0x7f000001", { headers })
  ])("causes no warning otherwise: $baseUrl", (connection) => {
    assert.deepStrictEqual(connectionWarnings(connection, { NODE_TLS_REJECT_UNAUTHORIZED: "1" }, 0), [])
  })

  it.each([
    ["http://login.example.com/token?key=Geheim-4711", true],
    [" HTTP://10.0.0.7/token", true],
    ["http://127.0.0.1:8080/token", false],
    ["https://login.example.com/token", false]
  ])("causes a warning if it gets its tokens in the clear: %s: %s", (token_url, isWarned) => {
    const authentication = {
      auth_type: "oauth2",
      token_url,
      client_id: "x",
      client_secret: Redacted.make("Geheim-4711"),
      client_secret_in: "header"
    } as const
    const warnings = connectionWarnings(connection("https://a", { authentication }), {}, 0)
    assert.lengthOf(warnings, isWarned ? 1 : 0)
    if (!isWarned) return
    assert.match(
      warnings[0]!,
      /client secret is sent to http:[^ ?]+token without encryption.*token_url.*https/
    )
    assert.notInclude(warnings[0], "Geheim")
  })

  it("causes a warning if certificates are not checked", () => {
    const warnings = connectionWarnings(connection("https://a", { tls: { verify: false } }), {}, 0)
    assert.lengthOf(warnings, 1)
    assert.match(warnings[0]!, /^tls\.verify is false: .* https:\/\/a .*tls\.ca_certificate/)
  })

  it("causes a warning if the environment disables the verification of certificates", () => {
    const warnings = connectionWarnings(connection("https://a"), { NODE_TLS_REJECT_UNAUTHORIZED: "0" }, 0)
    assert.lengthOf(warnings, 1)
    assert.match(warnings[0]!, /^NODE_TLS_REJECT_UNAUTHORIZED is 0 .* certificates are not checked/)
  })

  it("causes a warning if keys of tls have no effect", () => {
    const tls = { verify: true, ca_certificate: root.cert, server_name: "a" }
    const warningsOf = (baseUrl: string, more: Partial<Connection> = {}) =>
      connectionWarnings(connection(baseUrl, { tls, ...more }), {}, Date.now())
    assert.deepStrictEqual(warningsOf("https://a"), [])
    assert.deepStrictEqual(warningsOf("HTTP://a"), [
      "tls.ca_certificate, tls.server_name have no effect, because HTTP://a is without TLS: set base_url to an address with https."
    ])
    // The servers that issue tokens need the authorities.
    const google: Partial<Connection> = { authentication: { auth_type: "google" } }
    assert.deepStrictEqual(warningsOf("http://localhost", google), [
      "tls.server_name has no effect, because http://localhost is without TLS: set base_url to an address with https."
    ])
  })

  it("causes a warning if a certificate of the configuration has expired", () => {
    const tls = { verify: true, ca_certificate: root.cert }
    const after = Date.parse("2051-01-01T00:00:00Z")
    const [warning, ...more] = connectionWarnings(connection("https://a", { tls }), {}, after)
    assert.match(
      warning!,
      /^The certificate in tls\.ca_certificate is no longer valid since 2049-12-31T23:59:59Z/
    )
    assert.deepStrictEqual(more, [])
  })
})

describe("a redirect", () => {
  it.each([
    ["http://a:9090/x", "http://a:9090/y", true],
    ["http://a/x", "https://a/x", true],
    ["http://a:9090/x", "https://a/x", true],
    ["https://a/x", "http://a/x", false],
    ["https://a/x", "https://a:8443/x", false],
    ["http://a:9090/x", "http://a:9091/x", false],
    ["http://a/x", "http://b/x", false],
    ["http://a/x", "https://b/x", false],
    ["http://a.example/x", "http://b.a.example/x", false]
  ])("from %s to %s keeps credentials: %s", (source, target, expected) => {
    assert.strictEqual(keepsCredentials(new URL(source), new URL(target)), expected)
  })
})
