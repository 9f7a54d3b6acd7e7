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
    assert.deepStrictEqual(initial, { points: FIRST_POINTS, limit: MAX_POINTS })
    assert.isAtMost(MAX_POINTS, 11_000)
    assertSane(initial)
  })

  it("grows eightfold at most, where answers are small", () => {
    assert.strictEqual(afterAnswer(initial, 32, 32).points, 256)
    assert.strictEqual(afterAnswer(initial, 32, 0).points, 256)
    assert.strictEqual(afterAnswer(initial, 256, 256).points, 2048)
    assert.strictEqual(afterAnswer(initial, 2048, 2048).points, MAX_POINTS)
    assert.strictEqual(afterAnswer(initial, MAX_POINTS, 0).points, MAX_POINTS)
  })

  it("aims at the target", () => {
    assert.strictEqual(afterAnswer(initial, 32, 32_000).points, 100)
    assert.strictEqual(afterAnswer(initial, 32, 320_000).points, 10)
    assert.strictEqual(afterAnswer(initial, 100, TARGET_SAMPLES).points, 100)
    assert.strictEqual(afterAnswer(initial, 1, 10_000_000).points, 1)
  })

  it("halves what was refused, for ever", () => {
    const refused = afterRefusal({ points: 256, limit: MAX_POINTS }, 256)
    assert.deepStrictEqual(refused, { points: 128, limit: 128 })
    assert.deepStrictEqual(afterAnswer(refused, 128, 0), { points: 128, limit: 128 })
    assert.deepStrictEqual(afterRefusal(refused, 2000), { points: 128, limit: 128 })
    assert.deepStrictEqual(afterRefusal(refused, 3), { points: 2, limit: 2 })
    assert.deepStrictEqual(afterRefusal(refused, 1), { points: 1, limit: 1 })
  })

  it.prop(
    "is sane, whatever happens",
    [Schema.Array(Schema.Tuple([Schema.Boolean, integer(1, MAX_POINTS), integer(0, 50_000_000)]))],
    ([events]) => {
      let size = initial
      for (const [isAnswer, points, samples] of events) {
        const before = size
        size = isAnswer ? afterAnswer(size, points, samples) : afterRefusal(size, points)
        assertSane(size)
        assert.isAtMost(size.limit, before.limit)
        if (isAnswer) assert.isAtMost(size.points, points * 8)
        else if (points > 1) assert.isBelow(size.points, points)
      }
    }
  )

  it.prop("settles near the target for a steady stream", [integer(1, 200_000)], ([seriesCount]) => {
    let size = initial
    for (let window = 0; window < 10; window++)
      size = afterAnswer(size, size.points, size.points * seriesCount)
    const samples = size.points * seriesCount
    assert.isTrue(samples <= TARGET_SAMPLES || size.points === 1)
    // One point more would be too much.
    assert.isTrue((size.points + 1) * seriesCount > TARGET_SAMPLES || size.points === MAX_POINTS)
    assert.deepStrictEqual(afterAnswer(size, size.points, samples), size)
  })

  it.prop(
    "gets below any limit of the server, and stays there",
    [integer(1, MAX_POINTS)],
    ([serverLimit]) => {
      let size = initial
      let refusals = 0
      for (let window = 0; window < 40; window++) {
        if (size.points > serverLimit) {
          refusals++
          size = afterRefusal(size, size.points)
        } else {
          size = afterAnswer(size, size.points, 0)
        }
      }
      assert.isAtMost(size.points, serverLimit)
      assert.isAtMost(refusals, 14)
      assert.isAbove(size.points * 4, serverLimit)
    }
  )
})
