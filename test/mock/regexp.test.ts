/** A selection; test/integration/MockAgainstReal.test.ts compares many more with a real server. */
import { assert, describe, it } from "@effect/vitest"
import { Option, Result } from "effect"
import { parseQuery, parseSelector } from "../../src/mock/evaluate.ts"
import { compileFullMatch, MAX_WEIGHT, weightOf } from "../../src/mock/regexp.ts"

describe("compileFullMatch", () => {
  it.each<[string, ReadonlyArray<string>, ReadonlyArray<string>]>([
    ["", [""], ["a"]],
    ["a|b", ["a", "b"], ["ab", "xa", "bx"]],
    ["api.*", ["api", "api-1"], ["my-api", "api\n"]],
    [".", ["a", "😀", "\r", "\u2028"], ["", "ab", "\n"]],
    ["(?s).", ["\n"], [""]],
    ["(?i)é+", ["é", "Éé"], ["e"]],
    ["(?P<name>a)\\z", ["a"], ["b"]],
    ["[[:digit:]_]+", ["1_2"], ["a"]],
    ["[^[:alpha:]]", ["1"], ["a"]],
    ["[]a]", ["]", "a"], ["b"]],
    ["[[.]", ["[", "."], ["a"]],
    ["\\pL\\p{Lu}\\p{Greek}", ["aBα"], ["abα", "1Bα"]],
    ["\\Qa.b\\E.", ["a.bc"], ["axbc"]],
    ["a\\-b\\_\\.", ["a-b_."], ["a-b_x"]],
    ["{a},b{2}", ["{a},bb"], ["{a},b"]],
    ["a{,2}", ["a{,2}"], ["aa"]],
    ["\\x{1F600}\\x41\\a", ["😀A\x07"], ["A"]],
    ["\\s", [" ", "\t"], ["\u00a0", "\v"]],
    ["[\\s]\\S", [" a"], ["\u00a0a"]]
  ])("%s", (expression, matching, others) => {
    const matches = compileFullMatch(expression, false)
    for (const text of matching) assert.isTrue(matches(text), JSON.stringify(text))
    for (const text of others) assert.isFalse(matches(text), JSON.stringify(text))
  })

  it("lets a dot match a line feed on request", () => {
    assert.isTrue(compileFullMatch("a.b", true)("a\nb"))
    assert.isFalse(compileFullMatch("a[.]b", true)("a\nb"))
  })

  it.each([
    "(",
    ")",
    "[",
    "*",
    "\\",
    "(?=a)",
    "(?!a)",
    "(?<!a)",
    "\\1",
    "\\e",
    "[b-a]",
    "[[:nope:]]",
    "\\p{Nope}",
    "(a{1000}){2}",
    "a{1001}",
    "(".repeat(2000) + ")".repeat(2000)
  ])("refuses %s", (expression) => {
    assert.throws(() => compileFullMatch(expression, false), SyntaxError)
  })
})

describe("expressions that a backtracking engine would not finish", () => {
  it.each(["(a+)+$", "(a*)*b", "(a|a)*b", "(a|aa)+b", "(.*)(.*)(.*)(.*)(.*)x", "(([a-z])+.)+[A-Z]([a-z])+$"])(
    "%s is matched in linear time",
    (expression) => {
      const matches = compileFullMatch(expression, true)
      const expected = expression === "(a+)+$"
      assert.strictEqual(matches("a".repeat(20_000)), expected)
      assert.isFalse(matches(`${"a".repeat(20_000)}!`))
    }
  )

  it("are refused if they are large, whatever they contain", () => {
    assert.isBelow(weightOf("(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}"), MAX_WEIGHT)
    assert.isBelow(weightOf("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), MAX_WEIGHT)
    const large = [
      "\\pL{1000}".repeat(1000),
      "a?".repeat(20_000),
      "((a{10}){10}){10}".repeat(100),
      "a{2,999}".repeat(9),
      "x|".repeat(100_000)
    ]
    for (const expression of large) {
      assert.isAbove(weightOf(expression), MAX_WEIGHT)
      const selector = `{a=~${JSON.stringify(expression)}}`
      for (const failure of [
        Result.getFailure(parseQuery(selector)),
        Result.getFailure(parseSelector(selector))
      ]) {
        assert.include(Option.getOrThrow(failure), "too large")
      }
    }
    const many = Array.from({ length: 1000 }, () => 'a=~"(b{9}){9}"').join(",")
    assert.isTrue(Result.isFailure(parseQuery(`{${many}}`)))
  })
})
