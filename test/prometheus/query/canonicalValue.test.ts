import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { canonicalValue } from "../../../src/prometheus/query/canonicalValue.ts"

describe("canonicalValue", () => {
  it.each([
    ["NaN", "NaN"],
    ["nan", "NaN"],
    ["NAN", "NaN"],
    ["-nan", "NaN"],
    ["+Inf", "+Inf"],
    ["Inf", "+Inf"],
    ["inf", "+Inf"],
    ["+inf", "+Inf"],
    ["Infinity", "+Inf"],
    ["+Infinity", "+Inf"],
    ["INFINITY", "+Inf"],
    ["-Inf", "-Inf"],
    ["-inf", "-Inf"],
    ["-Infinity", "-Inf"],
    ["-0", "-0"],
    ["1e+21", "1e+21"]
  ])("of %s is %s", (text, value) => assert.strictEqual(canonicalValue(text), value))

  it.each([
    "",
    "infinite",
    "in",
    "--inf",
    "+",
    "n",
    "none",
    "null",
    "1.",
    "+1",
    "0x1",
    "__proto__",
    "constructor"
  ])("of %s is none", (text) => assert.isUndefined(canonicalValue(text)))

  it.each([null, undefined, 1, {}, ["NaN"]])("of %j is none, since it is no text", (value) =>
    assert.isUndefined(canonicalValue(value))
  )

  it.prop("keeps the digits of any JSON number", [Schema.Finite], ([number]) => {
    const text = JSON.stringify(number)
    assert.strictEqual(canonicalValue(text), text)
  })
})
