import { assert, describe, it } from "@effect/vitest"
import { table } from "../../src/terminal/table.ts"

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

  it("has room for hundreds of thousands of rows, and is not as wide as its widest cell where that is absurd", () => {
    const rows = Array.from({ length: 300_000 }, (_, i) => [i === 7 ? "x".repeat(10_000) : "x", "y"])
    const lines = table(["A", "B"], rows).split("\n")
    assert.lengthOf(lines, 300_001)
    assert.strictEqual(lines[1], `${"x".padEnd(200)}  y`)
    assert.strictEqual(lines[8], `${"x".repeat(10_000)}  y`)
  })

  it("has no lines but its header where there are no rows", () => {
    assert.strictEqual(table(["A", "B"], []), "")
  })
})
