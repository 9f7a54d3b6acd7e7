import { assert, describe, it } from "@effect/vitest"
import { Option, Result } from "effect"
import { expandHome } from "../../src/text/homePath.ts"

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
    assert.deepStrictEqual(expandHome(path, { HOME: "/home/ada" }), Result.succeed(expected))
  })

  it("accepts a home with a trailing slash, and the root", () => {
    assert.deepStrictEqual(expandHome("~/a", { HOME: "/home/ada/" }), Result.succeed("/home/ada/a"))
    assert.deepStrictEqual(expandHome("~/a", { HOME: "/" }), Result.succeed("/a"))
    assert.deepStrictEqual(expandHome("~", { HOME: "/" }), Result.succeed("/"))
  })

  it.each(["~ada/x", "~lock", "~~", "~\\x"])("refuses %s, and says how to name it", (path) => {
    assert.strictEqual(
      Option.getOrThrow(Result.getFailure(expandHome(path, { HOME: "/home/ada" }))),
      `only ~/ stands for a home folder. Write the path in full, or ./${path} for one that is called so`
    )
  })

  it("refuses ~ without a home", () => {
    for (const environment of [{}, { HOME: "" }]) {
      const why = Option.getOrThrow(Result.getFailure(expandHome("~/x", environment)))
      assert.strictEqual(why, "HOME is not set, so that ~ has no meaning. Write the path in full")
    }
    assert.deepStrictEqual(expandHome("x", {}), Result.succeed("x"))
  })

  it("uses the home of Windows too", () => {
    const environment = { HOME: "", USERPROFILE: "C:\\Users\\ada" }
    assert.deepStrictEqual(expandHome("~/x", environment), Result.succeed("C:\\Users\\ada/x"))
  })
})
