import { assert, describe, it } from "@effect/vitest"
import { listSome } from "../../src/text/listSome.ts"

describe("listSome", () => {
  it.each([
    [[], ""],
    [["a"], "a"],
    [["a", "b"], "a, b"],
    [["a", "b", "c"], "a, b and 1 more"],
    [["a", "b", "c", "d"], "a, b and 2 more"]
  ])("%j", (items, text) => {
    assert.strictEqual(listSome(items, 2), text)
  })
})
