import { assert, describe, it } from "@effect/vitest"
import { Redacted, Result, Schema } from "effect"
import { type Config, ConfigSchema, keys } from "../../src/config/keys.ts"

const minimal = { base_url: "http://localhost:9090", start_date: "2026-01-01", step: 60 }

const decode = (given: Readonly<Record<string, unknown>>) =>
  Schema.decodeUnknownResult(ConfigSchema)({ ...minimal, ...given })

const decoded = <Key extends keyof Config>(key: Key, value: unknown): Config[Key] =>
  Result.getOrThrow(decode({ [key]: value }))[key]

const refuses = (key: string, value: unknown): void => {
  assert.isTrue(Result.isFailure(decode({ [key]: value })), `${key}: ${JSON.stringify(value)}`)
}

describe("ConfigSchema", () => {
  it("accepts a number of seconds in all its forms", () => {
    for (const key of ["step", "lookback_window", "settle_delay", "request_timeout"] as const) {
      for (const [value, seconds] of [
        [1, 1],
        [3600, 3600],
        ["1", 1],
        ["3600", 3600],
        ["0060", 60],
        [" 60 ", 60],
        ["30s", 30],
        ["5m", 300],
        ["1h", 3600],
        ["1d", 86_400],
        ["1h30m", 5400],
        ["12h30m15s", 45_015],
        [86_400, 86_400]
      ] as const) {
        assert.strictEqual(decoded(key, value), seconds, `${key}: ${value}`)
      }
      for (const value of [
        -1,
        0.5,
        1.5,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        4_000_000_001,
        "",
        " ",
        "-1",
        "+1",
        "1.5",
        "1.5h",
        "1e3",
        "0x10",
        "1,000",
        "h",
        "1 h",
        "1H",
        "1ms",
        "500ms",
        "1y",
        "1h30",
        "one",
        "9".repeat(400),
        true,
        [60],
        { seconds: 60 }
      ]) {
        refuses(key, value)
      }
    }
  })

  it("accepts zero seconds where it is meaningful", () => {
    for (const key of ["lookback_window", "settle_delay"] as const) {
      for (const zero of [0, "0", "0s", "0h"]) assert.strictEqual(decoded(key, zero), 0)
    }
    for (const key of ["step", "request_timeout"] as const) {
      for (const zero of [0, "0", "0s"]) refuses(key, zero)
    }
  })

  it.each([
    ["concurrency", [1, 4, 64], [0, -1, 65, 1.5, "4", true]],
    ["max_retries", [0, 5, 20], [-1, 21, 0.5, "5", false]],
    ["compression", ["none", "gzip"], ["zstd", "", "GZIP", 0, true]],
    ["label_columns", [true, false], ["true", "false", 0, 1, ""]],
    ["base_url", ["http://x"], [1, true, [], {}]],
    ["basic_auth_user", ["u", ""], [1, true, [], {}]],
    ["selector", ["", '{a="b"}'], [1, [], {}]],
    ["start_date", ["2026-01-01", "2026-01-01T00:00:00Z"], ["2026-02-30", "", 0, 1767225600, {}]],
    ["end_date", ["2026-01-01", "2026-01-01T00:00:00Z"], ["2026-02-30", "now", 0, {}]]
  ] as const)("%s", (key, valid, invalid) => {
    for (const value of valid) assert.strictEqual(decoded(key, value), value)
    for (const value of invalid) refuses(key, value)
  })

  it.each(["max_requests_per_second", "max_samples_per_second"] as const)("%s, also as a text", (key) => {
    for (const [value, expected] of [
      [1, 1],
      [2.5, 2.5],
      ["2.5", 2.5],
      [" 100 ", 100]
    ] as const) {
      assert.strictEqual(decoded(key, value), expected)
    }
    for (const value of [
      0,
      -1,
      "0",
      "-1",
      "",
      "1e3",
      "0x10",
      "1,5",
      ".5",
      "five",
      Number.NaN,
      true,
      [1],
      {}
    ]) {
      refuses(key, value)
    }
    for (const value of [Number.POSITIVE_INFINITY, "9".repeat(400)]) refuses(key, value)
  })

  it("accepts lists of patterns and of headers", () => {
    for (const metrics of [{}, { include: [] }, { include: ["a"], exclude: ["b", "c"] }]) {
      assert.deepStrictEqual(decoded("metrics", metrics), metrics)
    }
    for (const metrics of [[], "a", { include: "a" }, { exclude: [1] }, { include: {} }])
      refuses("metrics", metrics)
    for (const headers of [[], [{ name: "a", value: "" }]]) {
      assert.deepStrictEqual(
        decoded("headers", headers),
        headers.map(({ name, value }) => ({ name, value: Redacted.make(value) }))
      )
    }
    for (const headers of [
      {},
      "a: b",
      ["a: b"],
      [{ name: "a" }],
      [{ value: "a" }],
      [{ name: "a", value: 1 }]
    ]) {
      refuses("headers", headers)
    }
  })

  it("has a default for the step, and requires the other required keys", () => {
    const { step, ...others } = minimal
    assert.strictEqual(step, 60)
    assert.strictEqual(
      Result.getOrThrow(Schema.decodeUnknownResult(ConfigSchema)(others)).step,
      keys.step.default
    )
    for (const key of ["base_url", "start_date"] as const) {
      const { [key]: _, ...without } = minimal
      assert.isTrue(Result.isFailure(Schema.decodeUnknownResult(ConfigSchema)(without)), key)
    }
  })

  it("decodes secrets as Redacted", () => {
    for (const password of ["p", ""]) {
      const decoded_ = decoded("basic_auth_pass", password)
      assert.strictEqual(Redacted.value(decoded_!), password)
      assert.notInclude(JSON.stringify(decoded_), '"p"')
    }
    for (const value of [1, true, [], {}]) refuses("basic_auth_pass", value)
  })
})
