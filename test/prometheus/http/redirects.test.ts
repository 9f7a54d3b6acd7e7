import { assert, describe, it } from "@effect/vitest"
import { keepsCredentials } from "../../../src/prometheus/http/redirects.ts"

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
