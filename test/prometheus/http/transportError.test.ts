import { assert, describe, it } from "@effect/vitest"
import { causeText, fromTransport } from "../../../src/prometheus/http/transportError.ts"
import type { Reason } from "../../../src/prometheus/PrometheusError.ts"

const endpoint = "http://localhost:9090/api/v1/query_range"

describe("fromTransport", () => {
  const systemError = (code: string, message = `connect ${code} 127.0.0.1:9090`) =>
    Object.assign(new Error(message), { code })

  it.each<readonly [code: string, text: string, reason: Reason, exhausted: "stream" | "sync"]>([
    ["ECONNREFUSED", "connection refused", "NoServer", "sync"],
    ["ENOTFOUND", "the host name does not exist", "NoServer", "sync"],
    ["EAI_AGAIN", "the host name cannot be looked up at the moment", "Unreachable", "sync"],
    ["ECONNRESET", "the connection was reset", "Disconnected", "stream"],
    ["EPIPE", "the connection was closed", "Disconnected", "stream"],
    ["ETIMEDOUT", "the connection timed out", "Unreachable", "sync"],
    ["EHOSTUNREACH", "no route to the host", "Unreachable", "sync"],
    ["ENETUNREACH", "no route to the network", "Unreachable", "sync"],
    ["EWHATEVER", "connect EWHATEVER 127.0.0.1:9090", "Unreachable", "sync"]
  ])("%s reads: %s", (code, text, reason, exhausted) => {
    const error = fromTransport(endpoint, systemError(code))
    assert.strictEqual(error.reason, reason)
    assert.strictEqual(error.summary, `${endpoint} cannot be reached (${text}).`)
    assert.strictEqual(error.policy.action, "retry")
    assert.strictEqual(error.policy.onExhausted, exhausted)
  })

  it("says of a connection that ended without TLS that https may be wanted", () => {
    const messageFor = (address: string) => fromTransport(address, systemError("ECONNRESET")).message
    assert.match(
      messageFor("http://localhost:9090"),
      /If it expects TLS, set base_url to an address with https/
    )
    assert.notMatch(messageFor("https://localhost:9090"), /https\./)
    assert.match(messageFor("https://localhost:9090"), /see its log/)
  })

  it.each([
    "CERT_HAS_EXPIRED",
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    "ERR_TLS_CERT_ALTNAME_INVALID",
    "ERR_SSL_WRONG_VERSION_NUMBER",
    "EPROTO"
  ])("%s is a problem of certificates or of the scheme, which no retry can fix", (code) => {
    const error = fromTransport(endpoint, systemError(code, "it is wrong"))
    assert.strictEqual(error.reason, "Tls")
    const text = code === "EPROTO" ? "the TLS handshake failed" : "it is wrong"
    assert.strictEqual(error.summary, `${endpoint} cannot be reached securely (${text}).`)
    assert.strictEqual(error.policy.action, "sync")
  })

  it.each([
    ["tlsv1 alert protocol version", /does not offer TLS 1.2 or later/],
    ["unsupported protocol", /does not offer TLS 1.2 or later/],
    ["wrong version number", /does not use TLS, which https requires/],
    ["packet length too long", /does not use TLS, which https requires/],
    ["ssl/tls alert handshake failure", /no cipher or key exchange.*requires a client certificate/],
    [
      "sslv3 alert handshake failure",
      /host of base_url.*client certificate, set tls.client_certificate and tls.client_key/
    ],
    [
      "tlsv13 alert certificate required",
      /\(certificate required\).*wants a client certificate: set tls.client_certificate/
    ],
    ["sslv3 alert bad certificate", /wants a client certificate/],
    ["tlsv1 alert unrecognized name", /no certificate for this host name.*host of base_url/],
    ["wrong version number", /set base_url to the same address with http instead of https/i]
  ])("says why a handshake failed, and what to do: %s", (words, text) => {
    const message = `write EPROTO C0D8:error:0A00042E:SSL routines:ssl3_read_bytes:${words}:ssl/record/rec_layer_s3.c:916:`
    const error = fromTransport(endpoint, systemError("EPROTO", message))
    assert.strictEqual(error.reason, "Tls")
    assert.match(error.message, text)
    assert.notInclude(error.message, "rec_layer")
  })

  it("reports bytes that are not HTTP as a broken response", () => {
    const error = fromTransport(endpoint, systemError("HPE_INVALID_CONSTANT", "Parse Error: Expected HTTP/"))
    assert.strictEqual(error.reason, "BrokenResponse")
    assert.strictEqual(
      error.summary,
      `The response from ${endpoint} is not HTTP (Parse Error: Expected HTTP/).`
    )
  })

  it.each<readonly [code: string, advice: RegExp]>([
    ["DEPTH_ZERO_SELF_SIGNED_CERT", /set tls\.ca_certificate to the certificate of/],
    ["SELF_SIGNED_CERT_IN_CHAIN", /set tls\.ca_certificate to the certificate of/],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", /set tls\.ca_certificate to the certificate of/],
    ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", /set tls\.ca_certificate to the certificate of/],
    ["ERR_TLS_CERT_ALTNAME_INVALID", /host of base_url/],
    ["CERT_HAS_EXPIRED", /Renew the server's certificate/],
    ["CERT_NOT_YET_VALID", /clock of this machine/]
  ])("says what to do about a certificate: %s", (code, advice) => {
    assert.match(fromTransport(endpoint, systemError(code, "it is wrong")).message, advice)
  })

  describe("names what was received instead of HTTP:", () => {
    const received = (bytes: string) =>
      fromTransport(
        endpoint,
        Object.assign(systemError("HPE_INVALID_CONSTANT", "Parse Error: Expected HTTP/"), {
          rawPacket: Buffer.from(bytes, "latin1")
        })
      )

    it("an alert of TLS", () => {
      const error = received("\x15\x03\x01\0\x02\x02\x46")
      assert.strictEqual(error.policy.action, "sync")
      assert.match(error.message, /is not HTTP \(it is TLS\)\..*https instead of http/)
    })

    it("the first frame of HTTP/2", () => {
      for (const frame of ["\0\0\0\x04\0\0\0\0\0", "\0\0\x06\x04\0\0\0\0\0\0\x05\0\0@\0"]) {
        const error = received(frame)
        assert.strictEqual(error.policy.action, "sync")
        assert.match(error.message, /HTTP\/2, as gRPC uses it.*10902/)
      }
    })

    it("the greeting of another protocol, which may be an accident and is retried", () => {
      const error = received("SSH-2.0-OpenSSH_9.2\r\n")
      assert.strictEqual(error.reason, "BrokenResponse")
      assert.match(
        error.message,
        /is not HTTP \(it begins with "SSH-2.0-OpenSSH_9.2"\)\. Check the host and port/
      )
      assert.match(received("\x01\x02\x03").message, /it begins with other bytes/)
    })

    it("a response of HTTP that is broken", () => {
      assert.match(received("HTTP/1.1 200 OK\r\nx: \x01\r\n").message, /Parse Error.*check proxies/)
    })
  })

  it("omits Node's advice about its flags", () => {
    const text =
      "unable to verify the first certificate; if the root CA is installed locally, try running Node.js with --use-system-ca"
    assert.strictEqual(
      fromTransport(endpoint, systemError("UNABLE_TO_VERIFY_LEAF_SIGNATURE", text)).summary,
      `${endpoint} cannot be reached securely (unable to verify the first certificate).`
    )
  })

  it("finds the innermost informative failure", () => {
    const refused = systemError("ECONNREFUSED")
    const wrapped: ReadonlyArray<unknown> = [
      { cause: refused },
      { reason: { cause: refused } },
      { reason: { cause: new Error("fetch failed", { cause: refused }) } },
      new AggregateError([refused, systemError("EHOSTUNREACH")], "all failed"),
      { cause: new AggregateError([refused]) },
      Object.assign(new AggregateError([]), { code: "ECONNREFUSED" })
    ]
    for (const cause of wrapped) assert.strictEqual(causeText(cause), "connection refused")
  })

  it.each<readonly [cause: unknown, text: string]>([
    [new Error("socket hang up"), "socket hang up"],
    [{ cause: new Error("inner\n  text") }, "inner text"],
    ["a text", "a text"],
    [42, "42"],
    [undefined, "undefined"],
    [null, "null"],
    [{ code: "ESOMETHING" }, "ESOMETHING"]
  ])("accepts %s", (cause, text) => {
    assert.strictEqual(causeText(cause), text)
  })

  it("returns a text without inner failures", () => {
    assert.strictEqual(causeText(new AggregateError([], "all failed")), "all failed")
  })

  it("terminates for an error that is its own cause", () => {
    const cause: { cause?: unknown; message: string } = { message: "round" }
    cause.cause = cause
    assert.strictEqual(causeText(cause), "round")
  })
})
