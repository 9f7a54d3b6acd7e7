import { assert, describe, it } from "@effect/vitest"
import {
  type ErrorAction,
  type ErrorAttribution,
  PrometheusError,
  type Reason
} from "../../src/prometheus/PrometheusError.ts"

describe("PrometheusError", () => {
  it.each<readonly [Reason, ErrorAction, "stream" | "sync", ErrorAttribution]>([
    ["Unreachable", "retry", "sync", "transient"],
    ["Tls", "sync", "sync", "config"],
    ["Timeout", "retry", "stream", "transient"],
    ["Unauthorized", "sync", "sync", "config"],
    ["WrongPath", "sync", "sync", "config"],
    ["NotPrometheus", "sync", "sync", "config"],
    ["Redirected", "sync", "sync", "config"],
    ["ProxyRefused", "sync", "sync", "config"],
    ["RateLimited", "retry", "stream", "transient"],
    ["Unavailable", "retry", "stream", "transient"],
    ["BrokenResponse", "retry", "stream", "transient"],
    ["UnexpectedSample", "split", "stream", "system"],
    ["TooLarge", "split", "stream", "config"],
    ["InvalidQuery", "stream", "stream", "config"],
    ["Damaged", "split", "stream", "system"],
    ["NoServer", "retry", "sync", "transient"],
    ["Disconnected", "retry", "stream", "transient"],
    ["Forbidden", "stream", "stream", "config"],
    ["NothingStored", "sync", "sync", "config"],
    ["TooLongRequest", "stream", "stream", "config"],
    ["FailedExpression", "split", "stream", "config"],
    ["Refused", "split", "stream", "config"]
  ])("%s leads to %s, then fails the %s, and is a %s problem", (reason, action, last, attribution) => {
    const error = new PrometheusError({ reason, summary: "It failed." })
    assert.deepInclude(error.policy, { action, onExhausted: last, attribution })
    assert.strictEqual(error._tag, "PrometheusError")
    assert.isTrue(error.message.startsWith("It failed."))
    assert.match(error.message, /\.$/)
    assert.strictEqual(error.message.trim(), error.message)
  })

  it("gives better advice than that of its reason where it has some", () => {
    const error = new PrometheusError({ reason: "Refused", summary: "It failed.", advice: "Try this." })
    assert.strictEqual(error.message, "It failed. Try this.")
    assert.strictEqual(error.saying("It failed twice.").message, "It failed twice. Try this.")
    const plain = new PrometheusError({ reason: "Refused", summary: "It failed." })
    assert.strictEqual(
      plain.saying("It failed twice.").message,
      plain.message.replace("failed", "failed twice")
    )
  })

  it("names the configuration keys that can help", () => {
    const advice = (reason: Reason): string => new PrometheusError({ reason, summary: "" }).message
    assert.match(advice("Unauthorized"), /basic_auth_user.*basic_auth_pass/)
    assert.match(advice("WrongPath"), /base_url/)
    assert.match(advice("NotPrometheus"), /base_url/)
    assert.match(advice("Timeout"), /request_timeout.*concurrency/)
    assert.match(advice("RateLimited"), /concurrency/)
    assert.match(advice("TooLarge"), /selector/)
  })
})
