/** A selection; test/integration/MockAgainstReal.test.ts compares many more with a real server. */
import { assert, describe, it } from "@effect/vitest"
import { wholeValue } from "../../../src/prometheus/mock/regexp.ts"

describe("wholeValue", () => {
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
    const pattern = wholeValue(expression, false)
    for (const text of matching) assert.isTrue(pattern.test(text), JSON.stringify(text))
    for (const text of others) assert.isFalse(pattern.test(text), JSON.stringify(text))
  })

  it("lets a dot match a line feed when it is told to", () => {
    assert.isTrue(wholeValue("a.b", true).test("a\nb"))
    assert.isFalse(wholeValue("a[.]b", true).test("a\nb"))
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
    "\\p{Nope}"
  ])("refuses %s", (expression) => {
    assert.throws(() => wholeValue(expression, false), SyntaxError)
  })
})
