import { assert, describe, it } from "@effect/vitest"
import { shortened, table } from "../../src/run/table.ts"

describe("table", () => {
  it("has columns as wide as their widest cell, and none without content", () => {
    assert.strictEqual(
      table(
        ["NAME", "TYPE", "HELP"],
        [
          ["up", "", "Whether it is up"],
          ["requests_total", "", ""]
        ]
      ),
      ["NAME            HELP", "up              Whether it is up", "requests_total"].join("\n")
    )
  })

  it("has numbers at the right of their columns, and wide characters in two of the terminal's", () => {
    assert.strictEqual(
      table(
        ["NAME", "ROWS", "NOTE"],
        [
          ["温度", "5", "a"],
          ["up", "12345", "b"]
        ],
        ["ROWS"]
      ),
      ["NAME   ROWS  NOTE", "温度      5  a", "up    12345  b"].join("\n")
    )
  })

  it("has no lines but its header where there are no rows", () => {
    assert.strictEqual(table(["A", "B"], []), "")
  })
})

describe("shortened", () => {
  it("puts a text on one line, and says that it goes on", () => {
    assert.strictEqual(shortened(" a\n  b ", 3), "a b")
    assert.strictEqual(shortened("abcd", 3), "ab…")
    assert.strictEqual(shortened("", 3), "")
  })
})
