import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { jsonLine, jsonText } from "../../src/records/jsonLine.ts"

describe("jsonLine", () => {
  it.prop("is JSON that no reader splits into lines", [Schema.String], ([text]) => {
    const value = { [text]: [text, `${text}\u0085\u2028\u2029\n`] }
    const line = jsonLine(value)
    assert.deepStrictEqual(JSON.parse(line), value)
    // The characters at which Python's `splitlines` splits.
    assert.notMatch(line, /[\n\r\v\f\x1c-\x1e\u0085\u2028\u2029]/)
  })

  it("has no character that a terminal interprets, and parses to the same text", () => {
    const all = Array.from({ length: 0x10000 }, (_, code) => String.fromCharCode(code)).join("")
    for (const line of [jsonLine({ [all]: all }), jsonText(all)]) {
      // ASCII controls, DEL, C1 controls, and direction marks.
      assert.notMatch(line, /[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/)
      assert.match(line, /\\u007f\\u0080\\u0081/)
    }
    assert.deepStrictEqual(JSON.parse(jsonLine({ [all]: all })), { [all]: all })
    assert.strictEqual(JSON.parse(jsonText(all)), all)
  })

  it("is otherwise the same as JSON.stringify", () => {
    assert.strictEqual(jsonLine({ a: 'é😀"\\' }), JSON.stringify({ a: 'é😀"\\' }))
    assert.strictEqual(jsonLine("\u2028"), '"\\u2028"')
  })
})
