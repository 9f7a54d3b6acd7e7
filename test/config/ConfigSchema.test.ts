import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import {
  accepted,
  type Config,
  ConfigSchema,
  DATE_PATTERN,
  defaults,
  parseMoment
} from "../../src/config/ConfigSchema.ts"

const minimal = { base_url: "http://localhost:9090", start_date: "2026-01-01", step: 60 }

const decode = (given: Readonly<Record<string, unknown>>) =>
  Schema.decodeUnknownResult(ConfigSchema)({ ...minimal, ...given })

const decoded = <Key extends keyof Config>(key: Key, value: unknown): Config[Key] =>
  Result.getOrThrow(decode({ [key]: value }))[key]

const refuses = (key: string, value: unknown): void => {
  assert.isTrue(Result.isFailure(decode({ [key]: value })), `${key}: ${JSON.stringify(value)}`)
}

describe("parseMoment", () => {
  it.each([
    ["1970-01-01", 0],
    ["2026-01-01", 1_767_225_600_000],
    ["2026-01-01T00:00:00Z", 1_767_225_600_000],
    ["2026-01-01T12:34:56Z", 1_767_270_896_000],
    ["2026-12-31T23:59:59Z", 1_798_761_599_000],
    ["2024-02-29", 1_709_164_800_000],
    ["2000-02-29", 951_782_400_000],
    ["2024-02-29T23:59:59Z", 1_709_251_199_000],
    ["1969-12-31", -86_400_000]
  ])("%s is %i", (text, millis) => {
    assert.strictEqual(parseMoment(text), millis)
  })

  it.each([
    "2026-02-29",
    "2025-02-29T00:00:00Z",
    "2100-02-29",
    "1900-02-29",
    "2026-02-30",
    "2026-02-31",
    "2026-04-31",
    "2026-06-31T10:00:00Z",
    "2026-09-31",
    "2026-11-31",
    "2026-01-32",
    "2026-01-00",
    "2026-00-01",
    "2026-13-01",
    "2026-01-01T24:00:00Z",
    "2026-01-01T25:00:00Z",
    "2026-01-01T00:60:00Z",
    "2026-01-01T00:00:60Z",
    "2026-01-01T00:00:00",
    "2026-01-01T00:00:00+00:00",
    "2026-01-01T00:00:00.000Z",
    "2026-01-01T00:00Z",
    "2026-01-01 00:00:00Z",
    "2026-01-01t00:00:00z",
    "2026-1-1",
    "26-01-01",
    "02026-01-01",
    "+002026-01-01",
    "20260101",
    "01/01/2026",
    "2026-01",
    "2026",
    " 2026-01-01",
    "2026-01-01\n",
    "today",
    "1767225600",
    ""
  ])("%j is none", (text) => {
    assert.isNaN(parseMoment(text))
  })

  it("knows every day of four centuries", () => {
    let days = 0
    for (let year = 1970; year < 2370; year++) {
      for (let month = 1; month <= 12; month++) {
        for (let day = 1; day <= 31; day++) {
          const pad = (n: number) => String(n).padStart(2, "0")
          const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
          const length = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]!
          const millis = parseMoment(`${year}-${pad(month)}-${pad(day)}`)
          const expected = day <= length ? days++ * 86_400_000 : Number.NaN
          if (!Object.is(millis, expected)) assert.strictEqual(millis, expected, `${year}-${month}-${day}`)
        }
      }
    }
    assert.strictEqual(days, 146_097)
  })

  it("keeps to the pattern of the spec", () => {
    const pattern = new RegExp(DATE_PATTERN)
    assert.isTrue(pattern.test("2026-01-01"))
    assert.isTrue(pattern.test("2026-01-01T00:00:00Z"))
    assert.isFalse(pattern.test("2026-01-01T00:00:00"))
  })
})

describe("ConfigSchema", () => {
  it("takes a number of seconds in all its forms", () => {
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

  it("takes zero seconds where that means something", () => {
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
    ["basic_auth_pass", ["p", ""], [1, true, [], {}]],
    ["selector", ["", '{a="b"}'], [1, [], {}]],
    ["start_date", ["2026-01-01", "2026-01-01T00:00:00Z"], ["2026-02-30", "", 0, 1767225600, {}]],
    ["end_date", ["2026-01-01", "2026-01-01T00:00:00Z"], ["2026-02-30", "now", 0, {}]]
  ] as const)("%s", (key, valid, invalid) => {
    for (const value of valid) assert.strictEqual(decoded(key, value), value)
    for (const value of invalid) refuses(key, value)
  })

  it("takes lists of patterns and of headers", () => {
    for (const metrics of [{}, { include: [] }, { include: ["a"], exclude: ["b", "c"] }]) {
      assert.deepStrictEqual(decoded("metrics", metrics), metrics)
    }
    for (const metrics of [[], "a", { include: "a" }, { exclude: [1] }, { include: {} }])
      refuses("metrics", metrics)
    for (const headers of [[], [{ name: "a", value: "" }]]) {
      assert.deepStrictEqual(decoded("headers", headers), headers)
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

  it("has a default for the step, and wants the rest of what it needs", () => {
    const { step, ...others } = minimal
    assert.strictEqual(step, 60)
    assert.strictEqual(
      Result.getOrThrow(Schema.decodeUnknownResult(ConfigSchema)(others)).step,
      defaults.step
    )
    for (const key of ["base_url", "start_date"] as const) {
      const { [key]: _, ...without } = minimal
      assert.isTrue(Result.isFailure(Schema.decodeUnknownResult(ConfigSchema)(without)), key)
    }
  })

  it("says for every key what it accepts", () => {
    assert.sameMembers(Object.keys(accepted), Object.keys(ConfigSchema.fields))
  })
})
