/** Blocks of numbers for tests. */
import { Schema } from "effect"
import type { NumberBlock, Series } from "../../src/samples/Sample.ts"

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
