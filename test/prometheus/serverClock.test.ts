import { assert, describe, it } from "@effect/vitest"
import { type ClockReading, judgeClock } from "../../src/prometheus/serverClock.ts"

const now = Date.UTC(2026, 10, 29, 12)
const hour = 3_600_000
const day = 24 * hour
const year = 365 * day

const judge = (reading: Partial<ClockReading>) =>
  judgeClock("http://server", { serverMillis: now, dateMillis: now, ownMillis: now, ...reading })

describe("the server's clock", () => {
  it.each([
    { serverMillis: now + 1500 },
    { dateMillis: undefined },
    { ownMillis: now - 6 * hour },
    { ownMillis: now + 23 * hour },
    { dateMillis: now - day, ownMillis: now + day }
  ])("is used if the others are within a day of it: %j", (reading) => {
    assert.deepStrictEqual(judge(reading), {
      nowMillis: reading.serverMillis ?? now,
      problem: undefined,
      isAhead: false
    })
  })

  it("is not used if its own Date and this machine contradict it", () => {
    const clock = judge({ serverMillis: now + 10 * year, dateMillis: now - 3000 })
    assert.deepStrictEqual(clock, {
      nowMillis: now - 3000,
      problem:
        "The clock of http://server shows 2036-11-26T12:00:00Z, more than a day ahead of the Date header of its response (2026-11-29T11:59:57Z) and ahead of this machine's clock (2026-11-29T12:00:00Z). Samples are read only up to the time of that header. Correct the server's clock.",
      isAhead: true
    })
  })

  it.each([
    [
      "only this machine is behind",
      { ownMillis: now - 3 * year },
      /ahead of this machine's clock \(2023/,
      true
    ],
    ["there is no Date", { dateMillis: undefined, ownMillis: now - 3 * year }, /ahead of this machine/, true],
    [
      "only its Date is behind",
      { dateMillis: now - 2 * day },
      /ahead of the Date header of its response/,
      true
    ],
    ["this machine is ahead", { ownMillis: now + 2 * day }, /behind this machine's clock/, false],
    [
      "both others are a year ahead",
      { dateMillis: now + year, ownMillis: now + year },
      /behind the Date header of its response \(2027-\S+\) and behind this machine's clock \(2027/,
      false
    ],
    [
      "no two clocks agree",
      { dateMillis: now + year, ownMillis: now - year },
      /ahead of this machine's clock \(2025-\S+\) and behind the Date header/,
      true
    ]
  ] as const)("is used with a warning if %s", (_, reading, problem, isAhead) => {
    const clock = judge(reading)
    assert.strictEqual(clock.nowMillis, now)
    assert.strictEqual(clock.isAhead, isAhead)
    assert.match(clock.problem!, problem)
    assert.match(
      clock.problem!,
      /^The clock of http:\/\/server shows 2026-11-29T12:00:00Z, .*\. Check both clocks: .*\.$/
    )
  })
})
