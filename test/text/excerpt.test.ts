import { assert, describe, it } from "@effect/vitest"
import { endSentence, excerptLine, truncateText } from "../../src/text/excerpt.ts"

describe("truncateText", () => {
  it("never cuts a surrogate pair", () => {
    assert.strictEqual(truncateText("ab🚀c", 4), "ab…")
    assert.strictEqual(truncateText("ab🚀c", 5), "ab🚀c")
  })
})

describe("endSentence", () => {
  it.each([
    ["done", "done."],
    ["done.", "done."],
    ["done!", "done!"],
    ["really?", "really?"],
    ["and so on…", "and so on…"]
  ])("%s", (text, sentence) => {
    assert.strictEqual(endSentence(text), sentence)
  })
})

describe("excerptLine", () => {
  it("is one line of at most 301 characters, including an ellipsis", () => {
    assert.strictEqual(excerptLine(" a\r\n\tb "), "a b")
    assert.strictEqual(excerptLine("x".repeat(301)), "x".repeat(301))
    assert.strictEqual(excerptLine("x".repeat(302)), `${"x".repeat(300)}…`)
    assert.strictEqual(excerptLine(`a${" ".repeat(5000)}b`), "a…")
    assert.strictEqual(excerptLine(`${"x".repeat(299)}🚀y`), `${"x".repeat(299)}…`)
  })
})
