import { assert, describe, it } from "@effect/vitest"
import { BoundedText } from "../../../src/prometheus/http/BoundedText.ts"
import { choices } from "../../choices.ts"

const bounds = { bytes: 1000, depth: 4, containers: 10 }

/** Reads a text in chunks of a size. */
const read = (text: string, size = Infinity, limits = bounds): unknown => {
  const bytes = Buffer.from(text)
  const bounded = new BoundedText(limits)
  for (let from = 0; from < bytes.length; from += size) {
    const excess = bounded.push(bytes.subarray(from, from + size))
    if (excess !== undefined) return excess
  }
  return JSON.parse(bounded.finish())
}

describe("BoundedText", () => {
  it.prop("reads what JSON.parse reads, however the text is split", [choices], ([choices]) => {
    const value = {
      a: ["é\n", "漢", '"\\', "x".repeat(choices.below(200))],
      b: [{}, [null, 1.5e3]],
      c: "[[[[[["
    }
    const size = 1 + choices.below(40)
    assert.deepStrictEqual(read(` ${JSON.stringify(value)}\n`, size), value)
  })

  it.each([
    ["bytes", `"${"x".repeat(999)}"`, /^more than 0\.9765625 KiB$/],
    ["bytes after the value", `1${" ".repeat(1000)}`, /^more than/],
    ["levels", '[{"a":[{"b":[]}]}]', /levels/],
    ["levels without an end", "[".repeat(900), /levels/],
    ["lists", `[${"[],".repeat(10)}1]`, /too many objects or lists/],
    ["objects", `[${"{},".repeat(10)}1]`, /too many objects or lists/]
  ])("refuses too many %s before it parses them", (_, text, message) => {
    for (const size of [1, 7, 2000]) {
      assert.match(String(read(text, size)), message)
    }
  })

  it("ignores brackets in strings", () => {
    const text = JSON.stringify(["[{".repeat(100), '\\"[{'.repeat(50)])
    assert.deepStrictEqual(read(text, 3), JSON.parse(text))
  })

  it.each(["", " ", "{", '{"a":', "1 2", "{}[[[[[[[[[[[[", '["a"', "<html>"])(
    "fails for text that is not JSON: %s",
    (text) => {
      assert.throws(() => read(text, 2), SyntaxError)
    }
  )
})
