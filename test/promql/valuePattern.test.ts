import { assert, describe, it } from "@effect/vitest"
import { compileFullMatch } from "../../src/mock/regexp.ts"
import { halveValues } from "../../src/promql/valuePattern.ts"
import { type Choices, choices } from "../choices.ts"

/** Characters that are special in expressions, surrogate pairs, and line feeds. */
const characters = [..."ab01-._/:", ..."\\^$*+?()[]{}|", "\n", " ", '"', "é", "𝒳", "😀", "\u{10ffff}"]

const randomValues = (random: Choices): ReadonlyArray<string> => {
  const beginnings = ["", "node-", "a\n", "😀", "(?i)", ...random.list(3, () => random.pick(characters))]
  const values = new Set<string>(["x", "y"])
  for (const beginning of random.list(300, () => random.pick(beginnings))) {
    const text = Array.from({ length: random.below(4) }, () => random.pick(characters)).join("")
    if (beginning + text !== "") values.add(beginning + text)
  }
  return random.shuffle([...values])
}

describe("halveValues", () => {
  it("distinguishes values by their first characters", () => {
    assert.deepStrictEqual(halveValues(["b", "a"]), { pattern: "(?s)a.*", matched: ["a"], others: ["b"] })
    assert.strictEqual(
      halveValues(Array.from({ length: 100 }, (_, n) => `node-${String(n).padStart(2, "0")}`)).pattern,
      "(?s)node-0.*|node-1.*|node-2.*|node-3.*|node-4.*"
    )
  })

  it("uses later characters if many values begin alike", () => {
    const { matched, pattern } = halveValues([
      "10.0.0.1:9100",
      "10.0.0.2:9100",
      "10.0.0.3:9100",
      "10.0.1.1:9100",
      "x"
    ])
    assert.strictEqual(pattern, "(?s)10\\.0\\.0\\.1.*|10\\.0\\.0\\.2.*")
    assert.lengthOf(matched, 2)
  })

  it("distinguishes a value from those that it is a prefix of", () => {
    assert.strictEqual(halveValues(["a", "aa"]).pattern, "(?s)a")
    assert.strictEqual(halveValues(["a", "aa", "ab"]).pattern, "(?s)a")
  })

  it.each([
    ["each begins the next", (n: number) => "a".repeat(n + 1)],
    ["each is a prefix of the next", (n: number) => `${"a".repeat(n)}b`]
  ] as const)("takes time in proportion to the values where %s", { timeout: 60_000 }, (_, valueOf) => {
    const values = Array.from({ length: 5000 }, (_, n) => valueOf(n))
    const { matched, others, pattern } = halveValues(values)
    assert.sameMembers([...matched, ...others], values)
    assert.isAbove(Math.min(matched.length, others.length), 0)
    assert.isBelow(pattern.length, 20 * 5000)
  })

  it("stays short for many values", () => {
    const values = Array.from(
      { length: 100_000 },
      (_, n) => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}:9100`
    )
    const { matched, others, pattern } = halveValues(values)
    assert.isBelow(pattern.length, 1000)
    assert.strictEqual(matched.length + others.length, values.length)
    assert.isAbove(Math.min(matched.length, others.length), 30_000)
    const unlike = Array.from({ length: 20_000 }, (_, n) => String.fromCodePoint(0x4e00 + n))
    assert.isBelow(halveValues(unlike).pattern.length, 1000)
  })

  for (const isModern of [false, true]) {
    it.prop(
      `matches exactly the returned values, and not the empty one (line feeds: ${isModern})`,
      [choices],
      ([random]) => {
        const values = randomValues(random)
        const { matched, others, pattern } = halveValues(values)
        const matches = compileFullMatch(pattern, isModern)
        assert.deepStrictEqual(matched.toSorted(), values.filter((value) => matches(value)).toSorted())
        assert.deepStrictEqual(others.toSorted(), values.filter((value) => !matches(value)).toSorted())
        assert.isFalse(matches(""))
        assert.isAtLeast(matched.length, 1)
        assert.isAtMost(matched.length, values.length / 2)
      }
    )
  }
})
