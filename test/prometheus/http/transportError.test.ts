import { assert, describe, it } from "@effect/vitest"
import { causeText, fromTransport } from "../../../src/prometheus/http/transportError.ts"

const endpoint = "http://localhost:9090/api/v1/query_range"

describe("fromTransport", () => {
  const systemError = (code: string, message = `connect ${code} 127.0.0.1:9090`) =>
    Object.assign(new Error(message), { code })

  it.each([
    ["ECONNREFUSED", "connection refused"],
    ["ENOTFOUND", "the host name does not exist"],
    ["EAI_AGAIN", "the host name cannot be looked up at the moment"],
    ["ECONNRESET", "the connection was reset"],
    ["EPIPE", "the connection was closed"],
    ["ETIMEDOUT", "the connection timed out"],
    ["EHOSTUNREACH", "no route to the host"],
    ["ENETUNREACH", "no route to the network"],
    ["EWHATEVER", "connect EWHATEVER 127.0.0.1:9090"]
  ])("%s reads: %s", (code, text) => {
    const error = fromTransport(endpoint, systemError(code))
    assert.strictEqual(error.reason, "Unreachable")
    assert.strictEqual(error.summary, `${endpoint} cannot be reached (${text}).`)
    assert.strictEqual(error.policy.action, "retry")
    assert.strictEqual(error.policy.onExhausted, "sync")
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
    ["ssl/tls alert handshake failure", /no cipher or key exchange/]
  ])("says why a handshake failed: %s", (words, text) => {
    const message = `write EPROTO C0D8:error:0A00042E:SSL routines:ssl3_read_bytes:${words}:ssl/record/rec_layer_s3.c:916:`
    const { summary } = fromTransport(endpoint, systemError("EPROTO", message))
    assert.match(summary, text)
    assert.notInclude(summary, "rec_layer")
  })

  it("reports bytes that are not HTTP as a broken response", () => {
    const error = fromTransport(endpoint, systemError("HPE_INVALID_CONSTANT", "Parse Error: Expected HTTP/"))
    assert.strictEqual(error.reason, "BrokenResponse")
    assert.strictEqual(
      error.summary,
      `The response from ${endpoint} is not HTTP (Parse Error: Expected HTTP/).`
    )
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
