/** Dates and date-times of the configuration, compared with a calendar that counts day by day. */
import { assert, describe, it } from "@effect/vitest"
import { DATE_PATTERN, parseMoment } from "../../src/config/times.ts"

const DAY = 86_400n

const isLeap = (year: number): boolean => year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)

const daysOf = (year: number, month: number): number =>
  month === 2 ? (isLeap(year) ? 29 : 28) : [4, 6, 9, 11].includes(month) ? 30 : 31

const text = (year: number, month: number, day: number): string =>
  [String(year).padStart(4, "0"), String(month).padStart(2, "0"), String(day).padStart(2, "0")].join("-")

describe("parseMoment", () => {
  it("accepts every day from 1970 to 9999, and no invalid one", () => {
    let seconds = 0n
    for (let year = 1970; year <= 9999; year++) {
      // The calendar repeats after 400 years. Beyond that, edge cases are enough.
      const months = year < 2401 ? [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] : [2, 12]
      let month = 1
      for (const checked of months) {
        for (; month < checked; month++) seconds += BigInt(daysOf(year, month)) * DAY
        for (let day = 1; day <= 31; day++) {
          const moment = parseMoment(text(year, month, day))
          if (day > daysOf(year, month)) {
            if (!Number.isNaN(moment)) assert.fail(`${text(year, month, day)} is ${moment}`)
          } else {
            if (BigInt(moment) !== seconds * 1000n) assert.fail(`${text(year, month, day)} is ${moment}`)
            seconds += DAY
          }
        }
        month++
      }
      for (; month <= 12; month++) seconds += BigInt(daysOf(year, month)) * DAY
    }
    assert.strictEqual(seconds, 253_402_300_800n)
  })

  it("accepts every second of a day, and no invalid one", () => {
    let seconds = 0
    for (let hour = 0; hour <= 25; hour++) {
      for (let minute = 0; minute <= 61; minute++) {
        for (let second = 0; second <= 61; second++) {
          const time = [hour, minute, second].map((part) => String(part).padStart(2, "0")).join(":")
          const moment = parseMoment(`1970-01-01T${time}Z`)
          const exists = hour < 24 && minute < 60 && second < 60
          const expected = exists ? seconds++ * 1000 : Number.NaN
          if (!Object.is(moment, expected)) assert.fail(`${time} is ${moment}`)
        }
      }
    }
    assert.strictEqual(seconds, 86_400)
  })

  it.each([
    ["2000-02-29", 951_782_400_000],
    ["2024-02-29T23:59:59Z", 1_709_251_199_000],
    ["2038-01-19T03:14:08Z", 2_147_483_648_000],
    ["9999-12-31T23:59:59Z", 253_402_300_799_000],
    ["1970-01-01", 0]
  ])("reads %s", (text, millis) => {
    assert.strictEqual(parseMoment(text), millis)
  })

  it.each([
    "2023-02-29",
    "2100-02-29",
    "1900-02-29",
    "2023-02-29T00:00:00Z",
    "2026-04-31",
    "2026-00-01",
    "2026-13-01",
    "2026-01-00",
    "2026-01-01T24:00:00Z",
    // Unix time, and with it Prometheus', has no leap seconds.
    "2016-12-31T23:59:60Z",
    "2026-01-01T00:00:00.5Z",
    "2026-01-01T00:00:00",
    "2026-01-01T00:00:00+00:00",
    "2026-01-01T00:00Z",
    "2026-01-01t00:00:00z",
    "2026-01-01 00:00:00Z",
    "2026-01",
    "10000-01-01",
    "+010000-01-01",
    "-000001-01-01",
    "26-01-01",
    " 2026-01-01",
    "2026-01-01\n"
  ])("does not read %j", (text) => {
    assert.isNaN(parseMoment(text))
  })

  // Times before 1970 are negative, and the schema refuses them. The zone of the machine has no effect.
  it("is the same in every zone", () => {
    const zone = process.env.TZ
    try {
      for (const other of ["UTC", "America/St_Johns", "Pacific/Apia"]) {
        process.env.TZ = other
        assert.strictEqual(parseMoment("2011-12-30"), 1_325_203_200_000, other)
        assert.strictEqual(parseMoment("2024-03-31T02:30:00Z"), 1_711_852_200_000, other)
        assert.strictEqual(parseMoment("1969-12-31T23:59:59Z"), -1000, other)
      }
    } finally {
      if (zone === undefined) delete process.env.TZ
      else process.env.TZ = zone
    }
  })
})

describe("parseMoment, by example", () => {
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

  it("accepts the same as the pattern of the spec", () => {
    const pattern = new RegExp(DATE_PATTERN)
    assert.isTrue(pattern.test("2026-01-01"))
    assert.isTrue(pattern.test("2026-01-01T00:00:00Z"))
    assert.isFalse(pattern.test("2026-01-01T00:00:00"))
  })
})
