import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { formatSecond, formatTime } from "../../src/text/formatTime.ts"

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

describe("formatTime", () => {
  it.each([
    [0, "1970-01-01T00:00:00Z"],
    [1, "1970-01-01T00:00:00.001Z"],
    [1_767_225_600_000, "2026-01-01T00:00:00Z"],
    [1_767_225_600_500, "2026-01-01T00:00:00.500Z"],
    [1_709_164_800_000, "2024-02-29T00:00:00Z"]
  ])("%i ms is %s", (millis, text) => {
    assert.strictEqual(formatTime(millis), text)
    assert.strictEqual(formatSecond(millis), text.replace(/\.\d+/, ""))
  })

  it.prop("reads back", [integer(0, 253_402_300_799_999)], ([millis]) => {
    assert.strictEqual(Date.parse(formatTime(millis)), millis)
    assert.match(formatTime(millis), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$/)
    assert.strictEqual(formatTime(millis).includes("."), millis % 1000 !== 0)
  })
})
