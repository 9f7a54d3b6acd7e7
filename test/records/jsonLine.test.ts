import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { jsonLine } from "../../src/records/jsonLine.ts"

describe("jsonLine", () => {
  it.prop("is JSON that no reader breaks into lines", [Schema.String], ([text]) => {
    const value = { [text]: [text, `${text}\u0085\u2028\u2029\n`] }
    const line = jsonLine(value)
    assert.deepStrictEqual(JSON.parse(line), value)
    // What Python's `splitlines` splits at.
    assert.notMatch(line, /[\n\r\v\f\x1c-\x1e\u0085\u2028\u2029]/)
  })

  it("leaves everything else as JSON.stringify writes it", () => {
    assert.strictEqual(jsonLine({ a: 'é😀"\\' }), JSON.stringify({ a: 'é😀"\\' }))
    assert.strictEqual(jsonLine("\u2028"), '"\\u2028"')
  })
})
