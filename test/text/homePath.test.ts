import { assert, describe, it } from "@effect/vitest"
import { Option, Result } from "effect"
import { expandHome, homeOf } from "../../src/text/homePath.ts"

describe("expandHome", () => {
  it.each([
    ["~", "/home/ada"],
    ["~/", "/home/ada/"],
    ["~/a/~/b", "/home/ada/a/~/b"],
    ["a/~/b", "a/~/b"],
    ["./~", "./~"],
    ["./~ada", "./~ada"],
    ["/~", "/~"],
    ["", ""],
    ["a~", "a~"]
  ])("reads %s as %s", (path, expected) => {
    assert.deepStrictEqual(expandHome(path, "/home/ada"), Result.succeed(expected))
  })

  it("accepts a home with a trailing slash, and the root", () => {
    assert.deepStrictEqual(expandHome("~/a", "/home/ada/"), Result.succeed("/home/ada/a"))
    assert.deepStrictEqual(expandHome("~/a", "/"), Result.succeed("/a"))
    assert.deepStrictEqual(expandHome("~", "/"), Result.succeed("/"))
  })

  it.each(["~ada/x", "~lock", "~~", "~\\x"])("refuses %s, and says how to name it", (path) => {
    assert.strictEqual(
      Option.getOrThrow(Result.getFailure(expandHome(path, "/home/ada"))),
      `only ~/ stands for a home folder. Write the path in full, or ./${path} for one that is called so`
    )
  })

  it("refuses ~ without a home", () => {
    assert.isUndefined(homeOf({}))
    assert.isUndefined(homeOf({ HOME: "" }))
    assert.strictEqual(homeOf({ HOME: "", USERPROFILE: "C:\\Users\\ada" }), "C:\\Users\\ada")
    const why = Option.getOrThrow(Result.getFailure(expandHome("~/x", undefined)))
    assert.strictEqual(why, "HOME is not set, so that ~ has no meaning. Write the path in full")
    assert.deepStrictEqual(expandHome("x", undefined), Result.succeed("x"))
  })
})
