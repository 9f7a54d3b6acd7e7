import { assert, describe, it } from "@effect/vitest"
import { parseRetryAfter } from "../../../src/prometheus/http/httpDate.ts"

const start = Date.UTC(2026, 0, 1)
const minute = 60_000

describe("parseRetryAfter", () => {
  it("reads Retry-After as seconds and as a date", () => {
    const read = (header?: string) => parseRetryAfter(header, undefined, start)
    assert.strictEqual(read(), undefined)
    assert.strictEqual(read("7"), 7000)
    assert.strictEqual(read(" 0 "), 0)
    assert.strictEqual(read("Thu, 01 Jan 2026 00:00:30 GMT"), 30_000)
    assert.strictEqual(read("Wed, 31 Dec 2025 00:00:00 GMT"), 0)
    assert.strictEqual(read("soon"), undefined)
  })

  it.each([0, -6, 6, -3 * 8766, 3 * 8766])(
    "compares its date with the response's own, %i hours off",
    (hours) => {
      const sent = "Thu, 01 Jan 2026 00:00:00 GMT"
      const read = (header: string, date = sent) => parseRetryAfter(header, date, start + hours * 60 * minute)
      assert.strictEqual(read("Thu, 01 Jan 2026 00:00:30 GMT"), 30_000)
      assert.strictEqual(read("Wed, 31 Dec 2025 23:59:30 GMT"), 0)
      assert.strictEqual(read("7"), 7000)
      assert.strictEqual(read("soon"), undefined)
      // Without a valid `Date` of the server, only our own clock is left.
      assert.strictEqual(
        read("Thu, 01 Jan 2026 00:00:30 GMT", "now"),
        Math.max(0, 30_000 - hours * 60 * minute)
      )
    }
  )

  // HTTP clients must still accept the two older forms.
  it.each([
    ["Thu, 01 Jan 2026 00:00:30 GMT", "Wed, 31 Dec 2025 23:59:30 GMT"],
    ["Thursday, 01-Jan-26 00:00:30 GMT", "Wednesday, 31-Dec-25 23:59:30 GMT"],
    ["Thu Jan  1 00:00:30 2026", "Wed Dec 31 23:59:30 2025"],
    ["2026-01-01T00:00:30Z", "2026-01-01T00:59:30+01:00"]
  ])("reads dates in every form, whatever this machine's time zone: %s", (until, sent) => {
    const zone = process.env.TZ
    try {
      for (const other of ["UTC", "America/St_Johns", "Pacific/Apia"]) {
        process.env.TZ = other
        assert.strictEqual(parseRetryAfter(until, sent, 0), 60_000, other)
        assert.strictEqual(parseRetryAfter(until, undefined, start), 30_000, other)
      }
    } finally {
      if (zone === undefined) delete process.env.TZ
      else process.env.TZ = zone
    }
  })
})
