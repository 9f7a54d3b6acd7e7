import { assert, describe, it } from "@effect/vitest"
import { formatDuration, parseDuration, parseTime } from "../../src/mock/parameters.ts"

describe("parseTime", () => {
  it.each([
    ["0", 0],
    ["1700000000", 1_700_000_000_000],
    ["1700000000.5", 1_700_000_000_500],
    ["1700000000.1234", 1_700_000_000_123],
    ["1700000000.1236", 1_700_000_000_124],
    ["1.7e9", 1_700_000_000_000],
    ["-1.5", -1500],
    ["2023-11-14T22:13:20Z", 1_700_000_000_000],
    ["2023-11-14T22:13:20.1239Z", 1_700_000_000_123],
    ["2023-11-14T23:43:20.5+01:30", 1_700_000_000_500],
    ["2023-11-14T21:13:20-01:00", 1_700_000_000_000],
    ["2024-02-29T00:00:00Z", 1_709_164_800_000],
    ["0099-01-01T00:00:00Z", -59_042_995_200_000]
  ])("%s is %d", (text, time) => {
    assert.strictEqual(parseTime(text), time)
  })

  it.each([
    "",
    "foo",
    "now",
    "NaN",
    "2023-11-14",
    "2023-11-14T22:13:20",
    "2023-02-29T00:00:00Z",
    "2023-11-14T24:00:00Z",
    "2023-11-14T22:60:00Z",
    "2023-11-14T22:13:20+01:75",
    " 1"
  ])("refuses %s", (text) => {
    assert.isUndefined(parseTime(text))
  })

  it("is exact to the millisecond", () => {
    for (let ms = 0; ms < 1000; ms++) {
      const text = `1700000000.${String(ms).padStart(3, "0")}`
      assert.strictEqual(parseTime(text), 1_700_000_000_000 + ms)
    }
  })
})

describe("parseDuration", () => {
  it.each([
    ["60", 60_000],
    ["0.5", 500],
    ["0", 0],
    ["-1", -1000],
    ["1h", 3_600_000],
    ["1h30m", 5_400_000],
    ["1y2w3d4h5m6s7ms", 33_019_506_007]
  ])("%s is %d ms", (text, milliseconds) => {
    assert.strictEqual(parseDuration(text), milliseconds)
  })

  it.each(["", "abc", "1x", "1m1h", "1.5h", "h"])("refuses %s", (text) => {
    assert.isUndefined(parseDuration(text))
  })
})

describe("formatDuration", () => {
  it.each([
    [300_000, "5m"],
    [5_400_000, "1h30m"],
    [86_400_000, "1d"],
    [604_800_000, "1w"],
    [691_200_000, "8d"],
    [1_500, "1s500ms"],
    [0, "0s"]
  ])("%d ms is %s", (milliseconds, text) => {
    assert.strictEqual(formatDuration(milliseconds), text)
    assert.strictEqual(parseDuration(text), milliseconds)
  })
})
