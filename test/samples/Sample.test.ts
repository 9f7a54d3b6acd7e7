import { assert, describe, it } from "@effect/vitest"
import { type FloatBlock, valueText } from "../../src/samples/Sample.ts"
import { DecodedSeries } from "../../src/samples/Series.ts"

describe("valueText", () => {
  it("is what the server sent", () => {
    const block: FloatBlock = {
      _tag: "FloatBlock",
      series: new DecodedSeries(),
      length: 3,
      times: Float64Array.of(1000, 2000, 3000),
      bytes: Buffer.from('[1,"1.50"],[2,"NaN"],[3,"-0"]'),
      starts: Uint32Array.of(4, 15, 25),
      ends: Uint32Array.of(8, 18, 27)
    }
    assert.deepStrictEqual(
      [0, 1, 2].map((index) => valueText(block, index)),
      ["1.50", "NaN", "-0"]
    )
  })
})
