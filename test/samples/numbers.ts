/** Blocks of numbers for tests. */
import { Schema } from "effect"
import { formatFloat64 } from "../../src/samples/formatFloat64.ts"
import type { FloatBlock, NumberBlock, Series, TextBlock } from "../../src/samples/Sample.ts"

/** Values of all kinds: any float, values that are not finite, and short ones. */
export const Values = Schema.Array(Schema.Union([Schema.Number, Schema.Int])).check(Schema.isMaxLength(40))

/** One sample per minute from a time on. */
export const numberBlock = (series: Series, start: number, values: ReadonlyArray<number>): NumberBlock => ({
  _tag: "NumberBlock",
  series,
  length: values.length,
  times: Float64Array.from(values, (_, i) => start + i * 60_000),
  values: Float64Array.from(values)
})

/** The same samples as text. */
export const asTextBlock = (block: FloatBlock): TextBlock => {
  if (block._tag === "TextBlock") return block
  const { length, series, times, values } = block
  const starts = new Uint32Array(length)
  const ends = new Uint32Array(length)
  let text = ""
  for (let i = 0; i < length; i++) {
    starts[i] = text.length
    text += formatFloat64(values[i]!)
    ends[i] = text.length
  }
  return { _tag: "TextBlock", series, length, times, bytes: Buffer.from(text, "latin1"), starts, ends }
}
