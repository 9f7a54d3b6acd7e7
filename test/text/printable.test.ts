import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import {
  printable,
  printableJson,
  printableLines,
  printableName,
  visible,
  visibleLines
} from "../../src/text/printable.ts"
import { type Choices, choices } from "../choices.ts"

/** Control characters, direction marks, and invisible characters. */
const hostile = [
  ...[
    "\u0000",
    "\u0007",
    "\b",
    "\u001b",
    "\u001b[2J",
    "\u001b]52;c;YQ==\u0007",
    "\u007f",
    "\u0085",
    "\u009b31m",
    "\u009d"
  ],
  ...[
    "\u061c",
    "\u200b",
    "\u200e",
    "\u200f",
    "\u2028",
    "\u2029",
    "\u202a",
    "\u202e",
    "\u2060",
    "\u2066",
    "\u2069"
  ],
  ...["\ufeff", "\u00ad", "\u180e", "\u3164", "\u{e0001}", "\u{e0041}", "\u{e0101}", "\ud800", "\udfff"]
]

const harmless = [
  "a",
  "温度",
  "🚀",
  "é",
  "e\u0301",
  "العربية",
  "👩\u200d🚀",
  "می\u200cخواهم",
  "\\",
  '"',
  "\u00a0"
]

const anyText = (choices: Choices): string =>
  choices.list(12, () => choices.pick([...hostile, ...harmless, " ", "\t", "\r\n", "\n"])).join("")

const bad =
  /[\0-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\u3164\u{e0000}-\u{e0fff}\p{Cs}]/u

describe("visible", () => {
  it("shows invisible characters as codes, and leaves the rest", () => {
    assert.strictEqual(visible("a\u001b[2Jb\u0007\u009bc"), "a\\u001b[2Jb\\u0007\\u009bc")
    assert.strictEqual(visible("\u202egnp.exe\ud800\u{e0041}\n"), "\\u202egnp.exe\\ud800\\u{e0041}\\u000a")
    for (const text of harmless) assert.strictEqual(visible(text), text)
    for (const text of hostile) assert.notMatch(visible(text), bad)
  })

  it.prop("is idempotent", [choices], ([choices]) => {
    const text = anyText(choices)
    assert.strictEqual(visible(visible(text)), visible(text))
    assert.notMatch(visible(text), bad)
  })
})

describe("visibleLines", () => {
  it("leaves only line feeds", () => {
    assert.strictEqual(visibleLines("a\r\nb\nc\rd\u001b"), "a\nb\nc\\u000dd\\u001b")
  })
})

describe("printable", () => {
  it("is one line", () => {
    assert.strictEqual(printable(" a\n\tb\r\n"), "a b")
    assert.strictEqual(printable("a  b"), "a  b")
    assert.strictEqual(printable("温度 🚀 é"), "温度 🚀 é")
  })

  it("has a bounded length for any text", () => {
    for (const part of ["x", "\u001b", "\u0301", "🚀", " ", "\n", "\\"]) {
      assert.isAtMost(printable(part.repeat(1_000_000)).length, 4000)
      assert.isAtMost(printableName(part.repeat(1_000_000)).length, 300)
    }
    assert.strictEqual(printable("x".repeat(10), 5), "xxxx…")
  })

  it.prop("has no control characters", [choices, Schema.String], ([choices, text]) => {
    assert.notMatch(printable(anyText(choices)), bad)
    assert.notMatch(printable(text), bad)
  })
})

describe("printableLines", () => {
  it("indents the lines after the first, so that none can be forged", () => {
    assert.strictEqual(
      printableLines("A name is a\nAll is well.\r\n  up: \u001b[2J\tx  y", 1000),
      "A name is a\n  All is well.\n    up: \\u001b[2J x  y"
    )
    assert.isAtMost(printableLines("x".repeat(1_000_000), 1000).length, 1000)
  })
})

describe("printableJson", () => {
  it.prop("means the same", [choices], ([choices]) => {
    const value = { [anyText(choices)]: [anyText(choices)] }
    const json = printableJson(value)
    assert.notMatch(json.replaceAll("\n", ""), bad)
    assert.deepStrictEqual(JSON.parse(json), value)
  })
})
