import { assert, describe, it } from "@effect/vitest"
import { RateMeter } from "../../src/report/RateMeter.ts"

describe("RateMeter", () => {
  it("returns the rate of the last five seconds", () => {
    const meter = new RateMeter()
    assert.strictEqual(meter.perSecond, 0)
    meter.add(0, 0)
    assert.strictEqual(meter.perSecond, 0)
    for (let now = 100; now <= 10_000; now += 100) meter.add(now, now * 2)
    assert.strictEqual(meter.perSecond, 2000)
    // The run stalls.
    for (let now = 10_100; now <= 12_500; now += 100) meter.add(now, 20_000)
    assert.strictEqual(meter.perSecond, 1000)
    for (let now = 12_600; now <= 15_000; now += 100) meter.add(now, 20_000)
    assert.strictEqual(meter.perSecond, 0)
  })
})
