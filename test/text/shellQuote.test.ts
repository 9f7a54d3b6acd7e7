import { execFileSync } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import { visible } from "../../src/text/printable.ts"
import { pathArgument, shellQuote } from "../../src/text/shellQuote.ts"
import { type Choices, choices } from "../choices.ts"
import { runs } from "../support/runs.ts"

const parts = ["a", "7", "\u001b", "\n", "\u009b", "\u202e", "'", '"', "$", "`", "\\", "!", "é", " "]

const anyWord = (choices: Choices): string => choices.list(8, () => choices.pick(parts)).join("")

describe("shellQuote", () => {
  it("leaves plain words, and escapes control characters", () => {
    assert.strictEqual(shellQuote("a/b.duckdb"), "a/b.duckdb")
    assert.strictEqual(shellQuote("it's"), `"it's"`)
    assert.strictEqual(shellQuote("a\u001bb'\\\n\u202e"), "$'a\\033b\\'\\\\\\012\\342\\200\\256'")
    assert.strictEqual(pathArgument("-x"), "./-x")
  })

  it.prop(
    "is parsed by a shell as the original text, and can be printed",
    [choices],
    ([choices]) => {
      const words = Array.from({ length: 20 }, () => anyWord(choices))
      const quoted = words.map(shellQuote).join(" ")
      assert.strictEqual(visible(quoted), quoted)
      const read = execFileSync("bash", ["-c", `printf '%s\\0' ${quoted}`], { encoding: "utf8" })
      assert.deepStrictEqual(read.split("\0").slice(0, -1), words)
    },
    { arbitrary: { runs: runs(20, 100) }, timeout: 60_000 }
  )
})
