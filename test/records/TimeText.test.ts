import { assert, describe, it } from "@effect/vitest"
import { MAX_TIME_BYTES, TimeText } from "../../src/records/TimeText.ts"
import { choices } from "../choices.ts"

const PADDING = 0x7e

const write = (times: TimeText, millis: number, at = 0): string => {
  const out = new Uint8Array(at + MAX_TIME_BYTES + 3).fill(PADDING)
  const end = times.write(out, at, millis)
  assert.isAtMost(end, at + MAX_TIME_BYTES)
  for (const byte of [...out.subarray(0, at), ...out.subarray(at + MAX_TIME_BYTES)]) {
    assert.strictEqual(byte, PADDING)
  }
  return Buffer.from(out.subarray(at, end)).toString("latin1")
}

const expected = (millis: number): string => new Date(millis).toISOString().replace(".000Z", "Z")

const DAY = 86_400_000
const MAX = 8_640_000_000_000_000

describe("TimeText", () => {
  it.prop("writes any time as Date does, without milliseconds that are zero", [choices], ([choices]) => {
    const times = new TimeText()
    for (let i = 0; i < 40; i++) {
      const span = choices.pick([1000, 3_600_000, DAY, 366 * DAY, 10_000 * DAY, 100_000_000 * DAY])
      const unit = choices.pick([1, 10, 100, 1000, 60_000, 3_600_000])
      const origin = choices.pick([0, Date.UTC(2026, 0, 1), Date.UTC(1969, 11, 31, 23)])
      const offset = Math.floor((choices.below(1_000_000) / 1_000_000) * span)
      const sign = choices.oneIn(3) ? -1 : 1
      const millis = Math.max(-MAX, Math.min(MAX, Math.floor((origin + sign * offset) / unit) * unit))
      assert.strictEqual(write(times, millis, choices.below(5)), expected(millis))
    }
  })

  it("writes the first and the last time there is, years beyond 9999 and before 0 included", () => {
    const times = new TimeText()
    for (const millis of [
      MAX,
      MAX - 1,
      -MAX,
      -MAX + 1,
      -1,
      0,
      1,
      999,
      Date.UTC(9999, 11, 31, 23, 59, 59, 999),
      Date.UTC(9999, 11, 31, 23, 59, 59, 999) + 1,
      Date.UTC(-1, 0, 1),
      Date.UTC(2024, 1, 29, 12, 34, 56, 78)
    ]) {
      assert.strictEqual(write(times, millis), expected(millis))
    }
    assert.strictEqual(write(times, MAX).length, "+275760-09-13T00:00:00Z".length)
  })

  it("writes every second of an hour and every millisecond of a second", () => {
    const times = new TimeText()
    const hour = Date.UTC(2026, 6, 4, 17)
    for (let second = 0; second < 3600; second++) {
      assert.strictEqual(write(times, hour + second * 1000), expected(hour + second * 1000))
    }
    for (let milli = 0; milli < 1000; milli++) {
      assert.strictEqual(write(times, hour + milli), expected(hour + milli))
    }
  })

  it("stays right when it has seen more hours than it keeps", () => {
    const times = new TimeText()
    const hour = (i: number) => Date.UTC(2020, 0, 1) + i * 3_600_000
    for (let i = 0; i < 10_500; i++) assert.strictEqual(write(times, hour(i)), expected(hour(i)))
    assert.strictEqual(write(times, hour(0)), expected(hour(0)))
  })
})
