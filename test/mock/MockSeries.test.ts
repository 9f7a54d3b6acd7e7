import { assert, describe, it } from "@effect/vitest"
import { makeLabels } from "../../src/mock/MockLabels.ts"
import { compareLabels, labelValue, makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"

describe("labels", () => {
  it("are sorted, and empty ones are absent", () => {
    const labels = makeLabels({ zone: "a", __name__: "m", empty: "" })
    assert.deepStrictEqual(labels, [
      ["__name__", "m"],
      ["zone", "a"]
    ])
    assert.strictEqual(labelValue(labels, "zone"), "a")
    assert.strictEqual(labelValue(labels, "empty"), "")
  })

  it("may have the names of object properties", () => {
    const labels = makeLabels([
      ["constructor", "c"],
      ["__proto__", "p"]
    ])
    assert.strictEqual(labelValue(labels, "__proto__"), "p")
    assert.strictEqual(labelValue(labels, "constructor"), "c")
    assert.strictEqual(labelValue(labels, "toString"), "")
  })

  it("compare by name, then by value, then by number", () => {
    const sets = [
      [],
      [["a", "1"]],
      [
        ["a", "1"],
        ["b", "1"]
      ],
      [["a", "10"]],
      [["a", "2"]],
      [["b", "1"]]
    ].map((pairs) => makeLabels(pairs.map(([name, value]) => [name!, value!] as const)))
    assert.deepStrictEqual([...sets].reverse().sort(compareLabels), sets)
  })
})

describe("series and databases", () => {
  it("are sorted", () => {
    const b = makeSeries({ __name__: "b" }, [
      [2000, "stale"],
      [1000, 1]
    ])
    assert.deepStrictEqual([...b.times], [1000, 2000])
    assert.deepStrictEqual(b.values, [1, "stale"])
    const a = makeSeries({ __name__: "a" }, [])
    assert.deepStrictEqual(makeDatabase([b, a]).series, [a, b])
  })

  it("refuse impossible data", () => {
    assert.throws(
      () =>
        makeSeries({ __name__: "a" }, [
          [1, 1],
          [1, 2]
        ]),
      "two samples at 1"
    )
    assert.throws(() => makeSeries({ __name__: "a" }, [[1.5, 1]]), "1.5 is not a time")
    const twice = [makeSeries({ __name__: "a", x: "" }, []), makeSeries({ __name__: "a" }, [])]
    assert.throws(() => makeDatabase(twice), "two series")
  })

  it("collect the metadata of a family", () => {
    const one = { type: "gauge", help: "One.", unit: "" }
    const other = { type: "counter", help: "Two.", unit: "" }
    const { metadata } = makeDatabase(
      [],
      [
        ["a", one],
        ["__proto__", one],
        ["a", other]
      ]
    )
    assert.deepStrictEqual(
      [...metadata],
      [
        ["a", [one, other]],
        ["__proto__", [one]]
      ]
    )
  })
})
