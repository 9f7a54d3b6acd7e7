import { assert, describe, it } from "@effect/vitest"
import { numberAt, partOf, type TextBlock, textAt } from "../../src/samples/Sample.ts"
import { DecodedSeries } from "../../src/samples/Series.ts"
import { asTextBlock, numberBlock, Values } from "./numbers.ts"

const series = new DecodedSeries()

const text: TextBlock = {
  _tag: "TextBlock",
  series,
  length: 4,
  times: Float64Array.of(1000, 2000, 3000, 4000),
  bytes: Buffer.from('[1,"1.50"],[2,"NaN"],[3,"-0"],[4,"+Inf"]'),
  starts: Uint32Array.of(4, 15, 25, 34),
  ends: Uint32Array.of(8, 18, 27, 38)
}

const indices = [0, 1, 2, 3]

describe("a value of a block", () => {
  it("has the server's digits as its text", () => {
    assert.deepStrictEqual(
      indices.map((index) => textAt(text, index)),
      ["1.50", "NaN", "-0", "+Inf"]
    )
  })

  it("is a number", () => {
    assert.deepStrictEqual(
      indices.map((index) => numberAt(text, index)),
      [1.5, Number.NaN, -0, Number.POSITIVE_INFINITY]
    )
  })

  it.prop("is the same as text and as a number", [Values], ([values]) => {
    const numbers = numberBlock(series, 0, values)
    const texts = asTextBlock(numbers)
    assert.strictEqual(texts.length, values.length)
    assert.deepStrictEqual(texts.times, numbers.times)
    for (const [i, value] of values.entries()) {
      assert.isTrue(Object.is(numberAt(numbers, i), value))
      assert.isTrue(Object.is(numberAt(texts, i), value))
      assert.strictEqual(textAt(texts, i), textAt(numbers, i))
    }
  })
})

describe("a part of a block", () => {
  it.each([text, asTextBlock(text), numberBlock(series, 1000, [1.5, Number.NaN, -0, Infinity])])(
    "has the samples of a half-open range: $_tag",
    (block) => {
      const part = partOf(block, 1, 3)
      assert.strictEqual(part.length, 2)
      assert.deepStrictEqual(part.times, block.times.subarray(1, 3))
      assert.isTrue(part._tag !== "HistogramBlock")
      if (part._tag !== "HistogramBlock") {
        assert.deepStrictEqual([textAt(part, 0), textAt(part, 1)], ["NaN", "-0"])
      }
    }
  )
})
