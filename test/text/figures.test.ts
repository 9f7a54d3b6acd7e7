import { assert, describe, it } from "@effect/vitest"
import { byteText, durationText, grouped, rounded, stepText, timeText } from "../../src/text/figures.ts"

describe("figures", () => {
  it("are rounded to a readable number of digits", () => {
    assert.deepStrictEqual(
      [0, 7, 999, 1000, 1234, 9996, 99_960, 123_456, 999_600, 1_500_000, 2e18].map(rounded),
      ["0", "7", "999", "1.00 k", "1.23 k", "10.0 k", "100 k", "123 k", "1.00 M", "1.50 M", "2000 P"]
    )
    assert.deepStrictEqual([0, 1, 2, 2048].map(byteText), ["0 bytes", "1 byte", "2 bytes", "2.05 kB"])
    assert.deepStrictEqual([1, 1234567].map(grouped), ["1", "1,234,567"])
  })

  it("show durations in one or two units", () => {
    assert.deepStrictEqual(
      [0, 0.42, 9.96, 59.4, 59.6, 60, 185, 3599.7, 7800, 86_400, 277_200].map(durationText),
      ["0.0 s", "0.4 s", "10 s", "59 s", "1 min", "1 min", "3 min 5 s", "1 h", "2 h 10 min", "1 d", "3 d 5 h"]
    )
    assert.deepStrictEqual([15, 90, 300, 7200].map(stepText), ["15 s", "90 s", "5 min", "2 h"])
  })

  it("show times in UTC", () => {
    assert.strictEqual(timeText(Date.UTC(2026, 0, 1, 12, 30)), "2026-01-01 12:30")
    assert.strictEqual(timeText(Date.UTC(2026, 0, 1, 12, 30, 15)), "2026-01-01 12:30:15")
  })
})
