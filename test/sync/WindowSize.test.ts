import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import {
  afterRefusal,
  afterResponse,
  gridBounds,
  initialSize,
  rawBounds,
  targetWithin,
  type WindowSize
} from "../../src/sync/WindowSize.ts"

const { firstPoints: FIRST_POINTS, mostPoints: MAX_POINTS, targetSamples: TARGET_SAMPLES } = gridBounds
const initial = initialSize(gridBounds)

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const assertSane = ({ limit, points }: WindowSize): void => {
  assert.isTrue(Number.isInteger(points) && Number.isInteger(limit), `${points} ${limit}`)
  assert.isAtLeast(points, 1)
  assert.isAtMost(points, limit)
  assert.isAtMost(limit, MAX_POINTS)
}

describe("WindowSize", () => {
  it("starts small and never passes the limit of Prometheus", () => {
    assert.deepInclude(initial, { points: FIRST_POINTS, limit: MAX_POINTS })
    assert.isAtMost(MAX_POINTS, 11_000)
    assertSane(initial)
  })

  it("grows at most by a factor if responses are small", () => {
    assert.strictEqual(afterResponse(initial, 32, 32, { largestResponse: 0 }).points, 256)
    assert.strictEqual(afterResponse(initial, 32, 0, { largestResponse: 0 }).points, 256)
    assert.strictEqual(afterResponse(initial, 256, 256, { largestResponse: 0 }).points, 2048)
    assert.strictEqual(afterResponse(initial, 2048, 2048, { largestResponse: 0 }).points, MAX_POINTS)
    assert.strictEqual(afterResponse(initial, MAX_POINTS, 0, { largestResponse: 0 }).points, MAX_POINTS)
  })

  it("grows immediately to the size of the largest response so far", () => {
    assert.strictEqual(afterResponse(initial, 32, 3200, { largestResponse: TARGET_SAMPLES / 2 }).points, 1250)
    assert.isTrue(afterResponse(initial, 32, 3200, { largestResponse: TARGET_SAMPLES / 2 }).isGrowing)
    assert.strictEqual(afterResponse(initial, 32, 3200, { largestResponse: TARGET_SAMPLES }).points, 2500)
    assert.isFalse(afterResponse(initial, 32, 3200, { largestResponse: TARGET_SAMPLES }).isGrowing)
    assert.strictEqual(afterResponse(initial, 32, 3200, { largestResponse: TARGET_SAMPLES * 9 }).points, 2500)
    assert.strictEqual(afterResponse(initial, 32, 3200, { largestResponse: 3200 }).points, 256)
  })

  it("aims at the target", () => {
    assert.strictEqual(afterResponse(initial, 32, 32_000, { largestResponse: 0 }).points, 250)
    assert.strictEqual(afterResponse(initial, 32, 320_000, { largestResponse: 0 }).points, 25)
    assert.strictEqual(afterResponse(initial, 100, TARGET_SAMPLES, { largestResponse: 0 }).points, 100)
    assert.strictEqual(afterResponse(initial, 1, 10_000_000, { largestResponse: 0 }).points, 1)
  })

  it("halves a refused size", () => {
    const refused = afterRefusal({ ...initial, points: 256 }, 256)
    assert.deepInclude(refused, { points: 128, limit: 128 })
    assert.deepInclude(afterResponse(refused, 128, 0, { largestResponse: 0 }), { points: 128, limit: 128 })
    assert.deepInclude(afterRefusal(refused, 2000), { points: 128, limit: 128 })
    assert.deepInclude(afterRefusal(refused, 3), { points: 2, limit: 2 })
    assert.deepInclude(afterRefusal(refused, 1), { points: 1, limit: 1 })
  })

  it("recovers from a moment of high load", () => {
    let size = initial
    for (let points = 256; points > 1; points = Math.ceil(points / 2)) size = afterRefusal(size, points)
    assert.strictEqual(size.points, 1)
    for (let windows = 0; windows < 150; windows++)
      size = afterResponse(size, size.points, size.points, { largestResponse: 0 })
    assert.strictEqual(size.points, MAX_POINTS)
  })

  it.prop(
    "stays within its limits for any responses",
    [Schema.Array(Schema.Tuple([Schema.Boolean, integer(1, MAX_POINTS), integer(0, 50_000_000)]))],
    ([events]) => {
      let size = initial
      for (const [isResponse, points, samples] of events) {
        const before = size
        size = isResponse
          ? afterResponse(size, points, samples, { largestResponse: 0 })
          : afterRefusal(size, points)
        assertSane(size)
        assert.isAtMost(size.limit, isResponse ? before.limit * 2 : before.limit)
        if (isResponse) assert.isAtMost(size.points, points * 8)
        else if (points > 1) assert.isBelow(size.points, points)
      }
    }
  )

  it.prop("converges to the target for a steady stream", [integer(1, 200_000)], ([seriesCount]) => {
    let size = initial
    for (let window = 0; window < 10; window++)
      size = afterResponse(size, size.points, size.points * seriesCount, { largestResponse: 0 })
    const samples = size.points * seriesCount
    assert.isTrue(samples <= TARGET_SAMPLES || size.points === 1)
    // One point more would be too much.
    assert.isTrue((size.points + 1) * seriesCount > TARGET_SAMPLES || size.points === MAX_POINTS)
    assert.strictEqual(afterResponse(size, size.points, samples, { largestResponse: 0 }).points, size.points)
  })

  it.prop(
    "gets below any limit of the server, and tries a higher one less and less often",
    [integer(1, MAX_POINTS)],
    ([serverLimit]) => {
      let size = initial
      let refusals = 0
      const ask = (): void => {
        if (size.points > serverLimit) {
          refusals++
          size = afterRefusal(size, size.points)
        } else {
          size = afterResponse(size, size.points, 0, { largestResponse: 0 })
        }
      }
      for (let window = 0; window < 40; window++) ask()
      assert.isAtMost(refusals, 16)
      assert.isAbove(size.points * 4, serverLimit)
      refusals = 0
      for (let window = 0; window < 4000; window++) ask()
      assert.isAtMost(refusals, 14)
    }
  )
})

describe("targetWithin", () => {
  const limits = (maxRequestsPerSecond?: number, maxSamplesPerSecond?: number) => ({
    maxRequestsPerSecond,
    maxSamplesPerSecond
  })

  it("is what the server returns in a second, or in the time of a request, and no more than without a budget", () => {
    assert.strictEqual(targetWithin(gridBounds, limits()), gridBounds.targetSamples)
    assert.strictEqual(targetWithin(gridBounds, limits(0.1)), gridBounds.targetSamples)
    assert.strictEqual(targetWithin(gridBounds, limits(undefined, 1e9)), gridBounds.targetSamples)
    assert.strictEqual(targetWithin(gridBounds, limits(undefined, 1000)), 1000)
    assert.strictEqual(targetWithin(gridBounds, limits(20, 1000)), 1000)
    assert.strictEqual(targetWithin(gridBounds, limits(0.25, 1000)), 4000)
    assert.strictEqual(targetWithin(gridBounds, limits(0.001, 1000)), 10_000)
    assert.strictEqual(targetWithin(gridBounds, limits(undefined, 1)), 1)
  })

  it("makes the first window small", () => {
    assert.strictEqual(initialSize(gridBounds, { targetSamples: 1000 }).points, 1)
    assert.strictEqual(initialSize(gridBounds, { targetSamples: 125_000 }).points, 16)
    assert.strictEqual(initialSize(rawBounds, { targetSamples: 5000 }).points, 72_000)
  })
})
