import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { selectCurve, sparkline } from "../../src/report/sparkline.ts"
import { curveOf } from "./summaries.ts"

const spark = (values: ReadonlyArray<number>, columns: number) => sparkline(curveOf(values), columns)

describe("sparkline", () => {
  it("is high where values are high", () => {
    assert.strictEqual(spark([0, 1, 2, 3, 4, 5, 6, 7], 8), "▁▂▃▄▅▆▇█")
    assert.strictEqual(spark([0, 0, 10, 10, -10, -10], 3), "▅█▁")
  })

  it("has blanks for gaps", () => {
    assert.strictEqual(spark([0, 7, NaN, NaN, 7, 0, Infinity, 0], 8), "▁█  █▁ ▁")
    assert.strictEqual(spark([NaN, -Infinity], 8), "")
    assert.strictEqual(spark([], 8), "")
  })

  it("is level for constant values, and for one value", () => {
    assert.strictEqual(spark([5, 5, 5, 5], 4), "▄▄▄▄")
    assert.strictEqual(spark([5], 4), "▄   ")
  })

  it("shows few values as steps, gaps between them as gaps", () => {
    assert.strictEqual(spark([0, 1, 0], 9), "▁▁▁▁████▁")
    assert.strictEqual(spark([0, NaN, 1], 9), "▁▁▁▁    █")
  })

  it("has blanks only for gaps if samples are at uneven distances", () => {
    const pairs = Array.from({ length: 23 }, (_, i) => [i * 64, i * 64 + 9]).flat()
    const shown = (values: ReadonlyArray<number>) =>
      sparkline({ times: Float64Array.from(pairs), values: Float64Array.from(values) }, 30)
    assert.notInclude(shown(pairs.map((_, i) => i)), " ")
    // A gap lasts to the next sample, even if it begins in the character of the sample before.
    assert.match(shown(pairs.map((_, i) => (i % 2 === 1 && i > 10 ? NaN : 1))), /^▄+ /)
  })

  it("handles the largest floats", () => {
    assert.strictEqual(spark([-1.7e308, 1.7e308, 1.7e308, -1.7e308], 4), "▁██▁")
    assert.strictEqual(spark([1.7e308, 1.7e308, 0, 0], 2), "█▁")
  })

  it("handles the smallest floats", () => {
    assert.strictEqual(spark([-5e-324, 0], 2), "▁█")
  })

  const columns = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 30 }))
  it.prop("has the requested width", [Schema.Array(Schema.Number), columns], ([values, columns]) => {
    const text = spark(values, columns)
    assert.match(text, /^[ ▁▂▃▄▅▆▇█]*$/)
    assert.strictEqual(text.length, values.some(Number.isFinite) ? columns : 0)
  })
})

describe("selectCurve", () => {
  it("prefers a curve that changes", () => {
    const [flat, empty, moving] = [curveOf([NaN, 1, 1]), curveOf([NaN]), curveOf([NaN, 1, 2])]
    assert.strictEqual(selectCurve([flat, empty, moving]), moving)
    assert.strictEqual(selectCurve([flat, empty]), flat)
    assert.isUndefined(selectCurve([]))
  })
})
