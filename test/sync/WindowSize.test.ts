import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import {
  afterAnswer,
  afterRefusal,
  FIRST_POINTS,
  initial,
  MAX_POINTS,
  TARGET_SAMPLES,
  type WindowSize
} from "../../src/sync/WindowSize.ts"

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

  it("grows by a factor at most, where answers are small", () => {
    assert.strictEqual(afterAnswer(initial, 32, 32, 0).points, 256)
    assert.strictEqual(afterAnswer(initial, 32, 0, 0).points, 256)
    assert.strictEqual(afterAnswer(initial, 256, 256, 0).points, 2048)
    assert.strictEqual(afterAnswer(initial, 2048, 2048, 0).points, MAX_POINTS)
    assert.strictEqual(afterAnswer(initial, MAX_POINTS, 0, 0).points, MAX_POINTS)
  })

  it("takes a step as large as any answer that the server has been seen to give", () => {
    assert.strictEqual(afterAnswer(initial, 32, 3200, TARGET_SAMPLES / 2).points, 1250)
    assert.isTrue(afterAnswer(initial, 32, 3200, TARGET_SAMPLES / 2).isGrowing)
    assert.strictEqual(afterAnswer(initial, 32, 3200, TARGET_SAMPLES).points, 2500)
    assert.isFalse(afterAnswer(initial, 32, 3200, TARGET_SAMPLES).isGrowing)
    assert.strictEqual(afterAnswer(initial, 32, 3200, TARGET_SAMPLES * 9).points, 2500)
    assert.strictEqual(afterAnswer(initial, 32, 3200, 3200).points, 256)
  })

  it("aims at the target", () => {
    assert.strictEqual(afterAnswer(initial, 32, 32_000, 0).points, 250)
    assert.strictEqual(afterAnswer(initial, 32, 320_000, 0).points, 25)
    assert.strictEqual(afterAnswer(initial, 100, TARGET_SAMPLES, 0).points, 100)
    assert.strictEqual(afterAnswer(initial, 1, 10_000_000, 0).points, 1)
  })

  it("halves what was refused", () => {
    const refused = afterRefusal({ ...initial, points: 256 }, 256)
    assert.deepInclude(refused, { points: 128, limit: 128 })
    assert.deepInclude(afterAnswer(refused, 128, 0, 0), { points: 128, limit: 128 })
    assert.deepInclude(afterRefusal(refused, 2000), { points: 128, limit: 128 })
    assert.deepInclude(afterRefusal(refused, 3), { points: 2, limit: 2 })
    assert.deepInclude(afterRefusal(refused, 1), { points: 1, limit: 1 })
  })

  it("recovers from one heavy moment", () => {
    let size = initial
    for (let points = 256; points > 1; points = Math.ceil(points / 2)) size = afterRefusal(size, points)
    assert.strictEqual(size.points, 1)
    let windows = 0
    while (size.points < MAX_POINTS) {
      size = afterAnswer(size, size.points, size.points, 0)
      windows++
    }
    assert.isBelow(windows, 150)
  })

  it.prop(
    "is sane, whatever happens",
    [Schema.Array(Schema.Tuple([Schema.Boolean, integer(1, MAX_POINTS), integer(0, 50_000_000)]))],
    ([events]) => {
      let size = initial
      for (const [isAnswer, points, samples] of events) {
        const before = size
        size = isAnswer ? afterAnswer(size, points, samples, 0) : afterRefusal(size, points)
        assertSane(size)
        assert.isAtMost(size.limit, isAnswer ? before.limit * 2 : before.limit)
        if (isAnswer) assert.isAtMost(size.points, points * 8)
        else if (points > 1) assert.isBelow(size.points, points)
      }
    }
  )

  it.prop("settles near the target for a steady stream", [integer(1, 200_000)], ([seriesCount]) => {
    let size = initial
    for (let window = 0; window < 10; window++)
      size = afterAnswer(size, size.points, size.points * seriesCount, 0)
    const samples = size.points * seriesCount
    assert.isTrue(samples <= TARGET_SAMPLES || size.points === 1)
    // One point more would be too much.
    assert.isTrue((size.points + 1) * seriesCount > TARGET_SAMPLES || size.points === MAX_POINTS)
    assert.strictEqual(afterAnswer(size, size.points, samples, 0).points, size.points)
  })

  it.prop(
    "gets below any limit of the server, and tries a higher one ever more rarely",
    [integer(1, MAX_POINTS)],
    ([serverLimit]) => {
      let size = initial
      let refusals = 0
      const ask = (): void => {
        if (size.points > serverLimit) {
          refusals++
          size = afterRefusal(size, size.points)
        } else {
          size = afterAnswer(size, size.points, 0, 0)
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
