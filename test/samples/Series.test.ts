import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import type { Labels } from "../../src/samples/Sample.ts"
import { byBytes, canonicalLabels, DecodedSeries, seriesId } from "../../src/samples/Series.ts"
import { choices } from "../choices.ts"

const idOf = (labels: Readonly<Record<string, string>> | Labels): string =>
  seriesId(canonicalLabels(Array.isArray(labels) ? labels : Object.entries(labels)))

const texts = [
  "",
  "a",
  "b",
  "ab",
  "é",
  "\uffee",
  "\ufffd",
  "😀",
  "\u{10ffff}",
  "\ue000",
  "\u0000",
  "__proto__"
]

describe("byBytes", () => {
  it.prop("has the order of UTF-8 bytes", [Schema.String, Schema.String], ([a, b]) => {
    if (!a.isWellFormed() || !b.isWellFormed()) return
    assert.strictEqual(Math.sign(byBytes(a, b)), Buffer.compare(Buffer.from(a), Buffer.from(b)))
  })

  it("puts high code points last", () => {
    assert.isBelow(byBytes("\uffee", "😀"), 0)
    assert.isAbove(byBytes("😀", "\ue000"), 0)
    assert.isBelow(byBytes("a", "😀"), 0)
    assert.isBelow(byBytes("😀", "😁"), 0)
  })
})

describe("seriesId", () => {
  // Made with Python, independently of this program:
  // hashlib.sha256(b"".join(name + b"\xff" + value + b"\xff" for name, value in sorted(pairs))).hexdigest()[:32]
  it.each<readonly [labels: Labels, id: string]>([
    [[], "e3b0c44298fc1c149afbf4c8996fb924"],
    [[["__name__", "up"]], "05efd0484b0b127236dd907196edada4"],
    [
      [
        ["__name__", "up"],
        ["instance", "localhost:9090"],
        ["job", "prometheus"]
      ],
      "3fe5254cc5c6caf70daaf3c9f940a4a7"
    ],
    [
      [
        ["__name__", "http.status"],
        ["région", "Île-de-France"],
        ["😀", "漢字"]
      ],
      "a3d9b73755000a9cd2d75f7f270f8f5d"
    ],
    [
      [
        ["__proto__", "p"],
        ["constructor", "c"]
      ],
      "18bc7e1f8326543afc04e21a6461f35f"
    ],
    [[["a", "\u00e9"]], "57fa39d2a37e2a70752ea11a4975c459"],
    [[["a", "e\u0301"]], "75c50291eccf910f9fc5e54724f2c083"],
    [
      [
        ["😀", "2"],
        ["\uffee", "1"]
      ],
      "c4c26c41670d0369c5c4b21d08eb2075"
    ],
    [[["job", 'a\nb"c\\d\u0000']], "e3fa1d9e1a69374fb3f6c39d107672e4"],
    [
      [
        ["_z", "3"],
        ["zone", "2"],
        ["Zone", "1"],
        ["__name__", "m"]
      ],
      "0a246ae51b8e956362768f3902ee6dd6"
    ]
  ])("of %j is %s for ever", (labels, id) => {
    assert.strictEqual(idOf(labels), id)
    assert.strictEqual(idOf(labels.toReversed()), id)
  })

  it.prop("does not depend on the order of labels", [choices], ([choices]) => {
    const labels = Array.from(
      new Map(choices.list(8, () => [choices.pick(texts), choices.pick(texts)] as const))
    )
    const id = idOf(labels)
    assert.match(id, /^[0-9a-f]{32}$/)
    for (let i = 0; i < 5; i++) assert.strictEqual(idOf(choices.shuffle(labels)), id)
  })

  it.prop("treats an empty label as missing", [choices, Schema.String], ([choices, name]) => {
    const labels = choices.list(4, (i) => [`l${i}`, choices.pick(texts)] as const)
    assert.strictEqual(idOf([...labels, [`x${name}`, ""]]), idOf(labels))
  })

  it.prop("differs if labels differ", [choices], ([choices]) => {
    const make = () =>
      canonicalLabels(
        new Map(
          choices.list(3, () => [choices.pick(texts.slice(0, 6)), choices.pick(texts.slice(0, 6))] as const)
        )
      )
    const [a, b] = [make(), make()]
    assert.strictEqual(seriesId(a) === seriesId(b), JSON.stringify(a) === JSON.stringify(b))
  })

  it("distinguishes labels whose concatenations are equal", () => {
    const sets: ReadonlyArray<Readonly<Record<string, string>>> = [
      { a: "bc" },
      { ab: "c" },
      { abc: "" },
      { "": "abc" },
      { a: "b", c: "d" },
      { a: "bcd" },
      { a: "b\u0000c\u0000d" },
      { a: "b\u00ffc\u00ffd" },
      { a: "b", c: "d\u00ff" },
      { "a\u00ffb": "c" },
      { a: "\u00ffbc" },
      { a: 'b",c="d' },
      { a: "B" },
      { A: "b" },
      { a: "b " },
      { " a": "b" },
      { __name__: "a", b: "c" },
      { a: "__name__", b: "c" }
    ]
    assert.lengthOf(new Set(sets.map((labels) => idOf(labels))), sets.length)
  })
})

describe("canonicalLabels", () => {
  it.prop("has the order of UTF-8 bytes", [Schema.Array(Schema.String)], ([names]) => {
    const wellFormed = Array.from(new Set(names.filter((name) => name.isWellFormed())))
    const sorted = canonicalLabels(wellFormed.map((name) => [name, "x"])).map(([name]) => name)
    assert.deepStrictEqual(
      sorted,
      wellFormed.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    )
  })

  it("sorts characters beyond the basic plane last", () => {
    const names = ["Z", "_", "a", "é", "\ud7ff", "\ue000", "\uffff", "😀", "\u{10ffff}"]
    assert.deepStrictEqual(
      canonicalLabels(names.toReversed().map((name) => [name, "x"])).map(([name]) => name),
      names
    )
  })

  it("does not change its input", () => {
    const labels: Labels = Object.freeze([
      ["b", "1"],
      ["a", "2"]
    ] as const)
    assert.deepStrictEqual(canonicalLabels(labels), [
      ["a", "2"],
      ["b", "1"]
    ])
  })
})

describe("DecodedSeries", () => {
  it("has the identity of its labels", () => {
    const series = new DecodedSeries()
    series.describe([["__name__", "up"]], new Set())
    assert.strictEqual(series.id, "05efd0484b0b127236dd907196edada4")
    assert.strictEqual(series.id, seriesId(series.labels))
  })

  it("has the identity of all its labels, including excluded ones", () => {
    const all = [
      ["__name__", "up"],
      ["job", "a"],
      ["user", "alice"]
    ] as const
    const series = new DecodedSeries()
    series.describe(all, new Set(["user", "other"]))
    assert.deepStrictEqual(series.labels, all.slice(0, 2))
    assert.strictEqual(series.id, seriesId(all))
    assert.notStrictEqual(series.id, seriesId(series.labels))
  })
})
