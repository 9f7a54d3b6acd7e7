import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { padEnd, padStart, textWidth, truncate, wrap } from "../../src/terminal/textWidth.ts"

const width = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 }))

describe("textWidth", () => {
  it("counts the columns of a terminal", () => {
    for (const [text, columns] of [
      ["", 0],
      ["up", 2],
      ["Zürich", 6],
      // Its mark is a separate character.
      ["Zu\u0308rich", 6],
      ["温度", 4],
      ["ﾃｽﾄ", 3],
      ["ｆｕｌｌ", 8],
      ["온도", 4],
      ["🚀", 2],
      ["▁▂█━─…✓✗", 8]
    ] as const)
      assert.strictEqual(textWidth(text), columns, text)
  })

  // The widths in tmux 3.3. Some emoji are wider in other terminals.
  it.each([
    ["नमस्ते", 4],
    ["தமிழ்", 4],
    ["ไทยำ", 4],
    ["العربية", 7],
    ["ก็", 1],
    ["👩\u200d🚀", 2],
    ["🇩🇪", 2],
    ["👍🏽", 4],
    ["❤\ufe0f", 2]
  ])("gives %s no fewer columns than a terminal", (text, columns) => {
    assert.isAtLeast(textWidth(text), columns)
  })
})

describe("truncate", () => {
  it("marks a cut, and splits no character", () => {
    assert.strictEqual(truncate("abcd", 4), "abcd")
    assert.strictEqual(truncate("abcde", 4), "abc…")
    assert.strictEqual(truncate("温度計", 4), "温…")
    assert.strictEqual(truncate("温度計", 1), "…")
    assert.strictEqual(truncate("abc", 0), "")
  })

  it.prop("fits", [Schema.String, width], ([text, columns]) => {
    assert.isAtMost(textWidth(truncate(text, columns)), columns)
  })
})

describe("padEnd and padStart", () => {
  it.prop("have the requested width, or the width of the text", [Schema.String, width], ([text, columns]) => {
    const expected = Math.max(columns, textWidth(text))
    assert.strictEqual(textWidth(padEnd(text, columns)), expected)
    assert.strictEqual(textWidth(padStart(text, columns)), expected)
  })
})

describe("wrap", () => {
  it("breaks between words, and within those that are longer than a line", () => {
    assert.deepStrictEqual(wrap("one two three", 7), ["one two", "three"])
    assert.deepStrictEqual(wrap("a 123456789 b", 4), ["a", "1234", "5678", "9 b"])
    assert.deepStrictEqual(wrap("one two", Infinity), ["one two"])
  })

  it("takes linear time", () => {
    const words = "word ".repeat(200_000).trim()
    assert.deepStrictEqual(wrap(words, Infinity), [words])
    // Words without columns.
    const marks = `x ${"\u0301 ".repeat(200_000)}`
    const lines = wrap(marks, 80)
    for (const line of lines) assert.isAtMost(textWidth(line), 80)
    assert.strictEqual(lines.join(" ").trim(), marks.trim())
  })

  const words = Schema.Array(Schema.String.check(Schema.isPattern(/^[a-z温]{1,9}$/)))
  const columns = Schema.Int.check(Schema.isBetween({ minimum: 2, maximum: 20 }))
  it.prop("loses nothing and is never too wide", [words, columns], ([texts, columns]) => {
    const lines = wrap(texts.join(" "), columns)
    for (const line of lines) assert.isAtMost(textWidth(line), columns)
    assert.strictEqual(lines.join("").replaceAll(" ", ""), texts.join(""))
  })
})
