import { assert, describe, it } from "@effect/vitest"
import { fittingLines, type Table, tableLines } from "../../src/terminal/table.ts"

const table = (...[header, rows, numbers = []]: [Table["header"], Table["rows"], Table["numbers"]?]) =>
  tableLines({ header, rows, numbers }).join("\n")

describe("tableLines", () => {
  it("has columns as wide as their widest cell, and omits empty ones", () => {
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

  it("aligns numbers at the right, and counts wide characters as two columns", () => {
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

  it("supports 150,000 rows, and limits the width of a column", () => {
    const rows = Array.from({ length: 150_000 }, (_, i) => [i === 7 ? "x".repeat(10_000) : "x", "y"])
    const lines = table(["A", "B"], rows).split("\n")
    assert.lengthOf(lines, 150_001)
    assert.strictEqual(lines[1], `${"x".padEnd(200)}  y`)
    assert.strictEqual(lines[8], `${"x".repeat(10_000)}  y`)
  })

  it("has only its header without rows", () => {
    assert.strictEqual(table(["A", "B"], []), "")
  })
})

describe("fittingLines", () => {
  const rows = [
    ["a_long_name", "12"],
    ["b", "3"]
  ]
  const full = (): Table => ({
    header: ["NAME", "ROWS"],
    rows,
    numbers: ["ROWS"],
    cut: { column: "NAME", least: 5 }
  })
  const short = (): Table => ({ header: ["NAME"], rows: rows.map(([name]) => [name!]) })

  it("uses the first table that fits", () => {
    assert.deepStrictEqual(fittingLines([full, short], 17), [
      "NAME         ROWS",
      "a_long_name    12",
      "b               3"
    ])
    assert.deepStrictEqual(fittingLines([full, short], 10), ["NAME", "a_long_na…", "b"])
  })

  it("truncates the cells of a column, unless they become too narrow", () => {
    assert.deepStrictEqual(fittingLines([full, short], 12), ["NAME    ROWS", "a_lon…    12", "b          3"])
    assert.deepStrictEqual(fittingLines([full], 10), ["NAME   RO…", "a_lo…    …", "b        …"])
  })

  it("builds no table that is not needed", () => {
    fittingLines([short, () => assert.fail("not needed")], 80)
  })
})
