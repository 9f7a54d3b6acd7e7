import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { parseFloat64, parseFloatApproximately } from "../../src/samples/parseFloat64.ts"

const read = (text: string): number => {
  const bytes = Buffer.from(`[${text}]`)
  return parseFloat64(bytes, 1, bytes.length - 1)
}

const readRoughly = (text: string): number => {
  const bytes = Buffer.from(`[${text}]`)
  return parseFloatApproximately(bytes, 1, bytes.length - 1)
}

describe("parseFloat64", () => {
  it.prop("parses the same as Number", [Schema.Number], ([number]) => {
    const text = Number.isFinite(number) ? `${number}` : "0"
    assert.strictEqual(read(text), Number(text))
  })

  it.prop("parses decimals to the last bit", [Schema.Int, Schema.Int], ([complete, part]) => {
    const text = `${complete}.${Math.abs(part)}`
    assert.strictEqual(read(text), Number(text))
  })

  it("parses integers of 16 digits to the nearest float", () => {
    for (let below = 0; below < 200; below++) {
      const text = `${Number.MAX_SAFE_INTEGER - below}`
      assert.strictEqual(read(text), Number(text), text)
    }
  })

  it("parses values that are not finite", () => {
    assert.isNaN(read("NaN"))
    assert.strictEqual(read("+Inf"), Number.POSITIVE_INFINITY)
    assert.strictEqual(read("-Inf"), Number.NEGATIVE_INFINITY)
    assert.isTrue(Object.is(read("-0"), -0))
    assert.strictEqual(read("1e+06"), 1e6)
  })
})

describe("parseFloatApproximately", () => {
  const digits = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 }))
  it.prop("parses 14 digits of a number in any notation", [Schema.Finite, digits], ([number, digits]) => {
    const texts = [number, number % 1000].flatMap((number) => [
      `${number}`,
      number.toPrecision(digits),
      number.toExponential(digits),
      number.toFixed(digits)
    ])
    for (const text of texts) {
      const expected = Number(text)
      if (Number.isFinite(expected)) {
        assert.isAtMost(Math.abs(readRoughly(text) - expected), Math.abs(expected) * 1e-14, text)
      }
    }
  })

  it("parses short numbers exactly, and values that are not finite", () => {
    for (const text of [
      "0",
      "1",
      "-2.5",
      "0.1",
      "123456.789012345",
      "1e+06",
      "0.000001",
      "1234567890123456789"
    ]) {
      assert.strictEqual(readRoughly(text), Number(text), text)
    }
    assert.isNaN(readRoughly("NaN"))
    assert.strictEqual(readRoughly("+Inf"), Number.POSITIVE_INFINITY)
    assert.strictEqual(readRoughly("-Inf"), Number.NEGATIVE_INFINITY)
    assert.isTrue(Object.is(readRoughly("-0"), -0))
  })
})
