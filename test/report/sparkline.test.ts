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
