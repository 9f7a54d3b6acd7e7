import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { floatOf } from "../../../src/run/files/floatOf.ts"

const read = (text: string): number => {
  const bytes = Buffer.from(`[${text}]`)
  return floatOf(bytes, 1, bytes.length - 1)
}

describe("floatOf", () => {
  it.prop("reads what Number reads", [Schema.Number], ([number]) => {
    const text = Number.isFinite(number) ? `${number}` : "0"
    assert.strictEqual(read(text), Number(text))
  })

  it.prop("reads digits with a point to the last bit", [Schema.Int, Schema.Int], ([whole, part]) => {
    const text = `${whole}.${Math.abs(part)}`
    assert.strictEqual(read(text), Number(text))
  })

  it("reads what is no number", () => {
    assert.isNaN(read("NaN"))
    assert.strictEqual(read("+Inf"), Number.POSITIVE_INFINITY)
    assert.strictEqual(read("-Inf"), Number.NEGATIVE_INFINITY)
    assert.isTrue(Object.is(read("-0"), -0))
    assert.strictEqual(read("1e+06"), 1e6)
  })
})
