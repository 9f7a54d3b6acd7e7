/** The messages of failures that depend on how a request was sent. The platform's errors are those of real servers, in integration tests. */
import { assert, describe, it } from "@effect/vitest"
import { ProxyFailure } from "../../../src/prometheus/http/ProxyFailure.ts"
import type { Proxy } from "../../../src/prometheus/http/proxies.ts"
import { fromTransport } from "../../../src/prometheus/http/transportError.ts"
import { FailedOnWay, type Way } from "../../../src/prometheus/http/Way.ts"
import type { Reason } from "../../../src/prometheus/PrometheusError.ts"

const endpoint = "https://prometheus.example.com/api/v1/query"

const direct: Way = {
  kind: "prometheus",
  server: { protocol: "https:", host: "prometheus.example.com", port: 443 },
  proxy: undefined,
  tls: { verify: true }
}
const withCertificate: Way = { ...direct, tls: { verify: true, client_certificate: "PEM" } }
const forTokens: Way = { ...withCertificate, kind: "tokens" }
const proxy: Proxy = {
  protocol: "http:",
  host: "proxy.example.com",
  port: 3128,
  address: "http://proxy.example.com:3128",
  authorization: undefined,
  source: "HTTPS_PROXY"
}
const throughProxy: Way = { ...direct, proxy }
const forwarded: Way = { ...throughProxy, server: { ...direct.server, protocol: "http:", port: 80 } }

const systemError = (code: string, message: string = code) => Object.assign(new Error(message), { code })

const failed = (way: Way, cause: unknown) => fromTransport(endpoint, new FailedOnWay({ cause, way }))

describe("an alert about the client's certificate", () => {
  it.each<readonly [alert: string, refused: RegExp]>([
    ["tlsv13 alert certificate required", /\(it got no client certificate that it accepts\)/],
    ["sslv3 alert bad certificate", /\(it refuses the client certificate\).*tls\.client_certificate/],
    ["ssl/tls alert certificate unknown", /\(it refuses the client certificate\)/],
    ["sslv3 alert unsupported certificate", /\(it refuses the client certificate\)/],
    ["tlsv1 alert access denied", /\(it refuses the client certificate\)/],
    [
      "tlsv1 alert unknown ca",
      /does not know the authority of the client certificate.*its own certificate after it/
    ],
    [
      "sslv3 alert certificate expired",
      /refuses the client certificate as expired\)\. Renew tls\.client_certificate/
    ],
    ["sslv3 alert certificate revoked", /refuses the client certificate as revoked/]
  ])("%s depends on whether there is one", (alert, refused) => {
    const cause = systemError(
      "ERR_SSL_ALERT",
      `C0D8:error:0A000412:SSL routines:ssl3_read_bytes:${alert}:rec_layer_s3.c:916:SSL alert number 42`
    )
    const wanted = failed(direct, cause)
    assert.strictEqual(wanted.reason, "Tls")
    assert.match(
      wanted.message,
      /\(certificate required\)\. The server wants a client certificate: set tls\.client_certificate and tls\.client_key\.$/
    )
    assert.match(failed(withCertificate, cause).message, refused)
    // Token servers get no certificate.
    assert.match(
      failed(forTokens, cause).message,
      /\(certificate required\)\. The server that issues tokens wants/
    )
  })

  it("is likely if a connection with TLS breaks without one", () => {
    for (const code of ["ECONNRESET", "EPIPE"]) {
      assert.match(
        failed(direct, systemError(code)).message,
        /If it wants a client certificate, set tls\.client_certificate/
      )
      assert.match(
        failed(withCertificate, systemError(code)).message,
        /It may refuse tls\.client_certificate\./
      )
      assert.notMatch(failed(forTokens, systemError(code)).message, /tls\./)
    }
  })

  it("may be hidden in a failure of the handshake", () => {
    const cause = systemError(
      "EPROTO",
      "error:SSL routines:ssl3_read_bytes:sslv3 alert handshake failure:x.c:1:"
    )
    assert.match(
      failed(direct, cause).message,
      /requires a client certificate\).*set tls\.client_certificate and tls\.client_key/
    )
    assert.match(failed(withCertificate, cause).message, /refuses the client certificate\)/)
  })
})

describe("a failure through a proxy", () => {
  const proxied = "the proxy http://proxy.example.com:3128 of HTTPS_PROXY"
  const noProxy =
    "To connect without the proxy, name prometheus.example.com in the environment variable NO_PROXY."

  it.each<readonly [cause: unknown, Reason, what: string, advice: string]>([
    [
      systemError("ECONNREFUSED"),
      "NoServer",
      "cannot be reached (connection refused).",
      "Check HTTPS_PROXY, that the proxy runs,"
    ],
    [
      systemError("ENOTFOUND"),
      "NoServer",
      "cannot be reached (the host name does not exist).",
      "Check HTTPS_PROXY,"
    ],
    [
      systemError("ETIMEDOUT"),
      "Unreachable",
      "cannot be reached (the connection timed out).",
      "Check HTTPS_PROXY,"
    ],
    [
      systemError("ECONNRESET"),
      "Disconnected",
      "ended the connection (the connection was reset).",
      "See the log of the proxy"
    ],
    [
      systemError("HPE_INVALID_CONSTANT", "Parse Error"),
      "ProxyRefused",
      "does not respond with HTTP (Parse Error).",
      "Check HTTPS_PROXY: another kind of server"
    ],
    [
      systemError("EPROTO", "SSL routines:x:wrong version number:y.c"),
      "Tls",
      "cannot be reached securely (it does not use TLS, which https requires).",
      "Write http instead of https in HTTPS_PROXY."
    ],
    [
      systemError("SELF_SIGNED_CERT_IN_CHAIN", "self-signed"),
      "Tls",
      "cannot be reached securely (self-signed).",
      "If the proxy is the right one, set tls.ca_certificate"
    ]
  ])("of the connection to it names the proxy: %s", (cause, reason, what, advice) => {
    const inTunnel = failed(throughProxy, new ProxyFailure("", proxy, undefined, { cause }))
    for (const error of [inTunnel, failed(forwarded, cause)]) {
      assert.strictEqual(error.reason, reason)
      assert.strictEqual(error.summary, `${endpoint} cannot be reached: ${proxied} ${what}`)
      assert.include(error.message, advice)
    }
  })

  it.each<readonly [status: number, Reason, what: RegExp, advice: RegExp]>([
    [
      403,
      "ProxyRefused",
      /does not connect to prometheus\.example\.com:443 \(HTTP 403 Said\)/,
      /rules may forbid this host or port.*NO_PROXY/
    ],
    [405, "ProxyRefused", /does not connect to/, /rules may forbid/],
    [
      407,
      "ProxyRefused",
      /wants a user and a password \(HTTP 407 Said\)/,
      /Set them in HTTPS_PROXY, as in http:\/\/user:password@/
    ],
    [
      429,
      "Unreachable",
      /cannot connect to prometheus\.example\.com:443 \(HTTP 429 Said\)/,
      /host and port of base_url/
    ],
    [500, "Unreachable", /cannot connect to/, /the proxy may connect to it/],
    [503, "Unreachable", /cannot connect to/, /NO_PROXY/]
  ])("that the proxy refuses with status %i says why", (status, reason, what, advice) => {
    const error = failed(throughProxy, new ProxyFailure("", proxy, { status, text: "Said" }))
    assert.strictEqual(error.reason, reason)
    assert.match(error.summary, what)
    assert.match(error.message, advice)
  })

  it("for its credentials says whether there are any", () => {
    const used = { ...proxy, authorization: "Basic dGVzdA==", source: "proxy_url" }
    const error = failed(throughProxy, new ProxyFailure("", used, { status: 407, text: "" }))
    assert.match(error.message, /refuses the user and the password \(HTTP 407\)\. Check them in proxy_url\./)
    assert.notInclude(error.message, "dGVzdA")
  })

  it("for the kind of credentials that it wants names that kind", () => {
    const challenged = (challenge: string) =>
      failed(throughProxy, new ProxyFailure("", proxy, { status: 407, text: "", challenge }))
    assert.match(
      challenged("Negotiate, NTLM").message,
      /wants credentials of a kind that is not supported, Negotiate, NTLM \(HTTP 407\)\. It must offer Basic/
    )
    assert.match(challenged('Negotiate, Basic realm="x"').message, /wants a user and a password/)
  })

  it("because the variable is not valid has its problem", () => {
    const error = failed(throughProxy, new ProxyFailure("HTTPS_PROXY must be a URL."))
    assert.strictEqual(error.reason, "ProxyRefused")
    assert.strictEqual(error.message, `${endpoint} cannot be reached: HTTPS_PROXY must be a URL. ${noProxy}`)
  })

  it("of the server behind it says that it was used", () => {
    assert.strictEqual(
      failed(throughProxy, systemError("EPROTO", "SSL routines:x:wrong version number:y.c")).summary,
      `${endpoint} cannot be reached securely through ${proxied} (it does not use TLS, which https requires).`
    )
    assert.strictEqual(
      failed(throughProxy, systemError("ECONNRESET")).summary,
      `${endpoint} cannot be reached through ${proxied} (the connection was reset).`
    )
    assert.match(
      failed(throughProxy, systemError("SELF_SIGNED_CERT_IN_CHAIN")).message,
      /A proxy that inspects TLS/
    )
  })
})
