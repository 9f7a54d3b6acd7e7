import { assert, describe, it } from "@effect/vitest"
import { joinGroups, parseGroupFlag } from "../../src/config/groupFlag.ts"

const group = (name: string, ...include: ReadonlyArray<string>) => ({ name, metrics: { include } })

describe("the flag --group", () => {
  it("has a name and patterns, with commas of their own", () => {
    assert.deepStrictEqual(parseGroupFlag("node=node_*"), group("node", "node_*"))
    assert.deepStrictEqual(parseGroupFlag("all = a_* , b.total,"), group("all", "a_*", "b.total"))
    assert.deepStrictEqual(
      parseGroupFlag("x=a{1,2}_.*,[a,b]+,c\\,d"),
      group("x", "a{1,2}_.*", "[a,b]+", "c\\,d")
    )
    // A pattern may have the sign, a name not.
    assert.deepStrictEqual(parseGroupFlag("x=a=b"), group("x", "a=b"))
    for (const text of ["", "node", "=node_*", "node=", "node=,"]) assert.isUndefined(parseGroupFlag(text))
  })

  it("may be repeated for a group", () => {
    assert.deepStrictEqual(joinGroups([group("a", "x"), group("b", "y"), group("a", "z")]), [
      group("a", "x", "z"),
      group("b", "y")
    ])
  })
})
