import { assert, describe, it } from "@effect/vitest"
import { type ScanEnd, sampleScanner } from "../../../src/prometheus/query/SampleScanner.ts"
import { Arena } from "../../../src/samples/Arena.ts"
import { type Choices, choices } from "../../choices.ts"
import { runs } from "../../support/runs.ts"

const NUMBER = String.raw`-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?`
const PLAIN = new RegExp(String.raw`\[([1-9]\d{9}),"(${NUMBER}|NaN|[+-]Inf)"\]([,\]])`, "y")
const BEGINNING = String.raw`-?(?:(?:0|[1-9]\d*)(?:\.\d*)?|(?:0|[1-9]\d*)(?:\.\d+)?[eE][+-]?\d*)?`
/** Starts of a plain sample that are long enough for the loop to recognise. */
const CUT = new RegExp(String.raw`^\[[1-9]\d{9},"(?:${BEGINNING}|[+-]Inf|(?:${NUMBER}|NaN|[+-]Inf)"\]?)$`)
const SHORTEST = '[1435781430,"1"],'.length

interface Scanned {
  readonly samples: ReadonlyArray<readonly [millis: number, value: string]>
  readonly position: number
  readonly end: ScanEnd
}

/** The obvious implementation. */
const expected = (text: string, from: number): Scanned => {
  const samples: Array<readonly [number, string]> = []
  PLAIN.lastIndex = from
  let position = from
  for (;;) {
    const match = PLAIN.exec(text)
    if (match === null) break
    samples.push([Number(match[1]) * 1000, match[2]!])
    position = PLAIN.lastIndex
    if (match[3] === "]") return { samples, position, end: "list" }
  }
  const rest = text.slice(position)
  return {
    samples,
    position,
    end: rest === "" || (rest.length >= SHORTEST && CUT.test(rest)) ? "bytes" : "form"
  }
}

const scan = (text: string, from: number, first = new Arena()): Scanned => {
  const bytes = Buffer.from(text, "latin1")
  const samples: Array<readonly [number, string]> = []
  const scanner = sampleScanner()
  let arena = first
  let next = 0
  let position = from
  for (;;) {
    const end = scanner.scan(bytes, position, arena, next)
    for (; next < scanner.next; next++) {
      samples.push([arena.times[next]!, text.slice(arena.starts[next], arena.ends[next])])
    }
    position = scanner.position
    if (end !== "arena") return { samples, position, end }
    assert.strictEqual(next, arena.capacity)
    arena = arena.next()
    next = 0
  }
}

const check = (text: string, from = 0): Scanned => {
  const scanned = scan(text, from)
  assert.deepStrictEqual(scanned, expected(text, from), JSON.stringify(text.slice(from, from + 300)))
  return scanned
}

const VALUES = ["0", "-1.5", "90.808853", "1e+21", "1E-7", "NaN", "+Inf", "-Inf", `0.${"3".repeat(50)}`]
const ODD = [
  "01",
  ".5",
  "1.",
  "1e",
  "--1",
  "+1",
  "nan",
  "Infinity",
  "0x1",
  "",
  "1 ",
  String.raw`\u0031`,
  "-",
  "-NaN"
]

const randomSample = (choices: Choices): string => {
  const start = choices.pick([1_000_000_000, 1_435_781_430, 4_294_967_290, 9_999_999_000])
  const time = choices.oneIn(20)
    ? choices.pick(["1435781430.5", "999999999", "0123456789", "12345678901", "1e9", ""])
    : `${start + choices.below(999)}`
  const value = choices.oneIn(20) ? choices.pick(ODD) : choices.pick(VALUES)
  const sample = `[${time},"${value}"],`
  if (!choices.oneIn(30)) return sample
  const at = choices.below(sample.length)
  return sample.slice(0, at) + String.fromCharCode(choices.below(256)) + sample.slice(at + choices.below(2))
}

describe("SampleScanner", () => {
  it.prop(
    "finds the samples that the obvious implementation finds, wherever the bytes end",
    [choices],
    ([choices]) => {
      const text = `${choices.list(12, () => randomSample(choices)).join("")}]}`
      for (let end = 0; end <= text.length; end++) check(text.slice(0, end))
      for (let from = 0; from < text.length; from++) check(text, from)
    },
    { arbitrary: { runs: runs(20, 100) } }
  )

  it.prop("does not remember bytes that it scanned before", [choices], ([choices]) => {
    check(`[1435781430,"${"7".repeat(200)}"],`.repeat(3))
    const text = choices.list(5, () => randomSample(choices)).join("")
    for (let end = 0; end <= text.length; end++) check(text.slice(0, end))
  })

  it("refuses every other byte at every position of a sample", () => {
    const sample = '[1435781430,"-1.25e+9"],'
    for (let place = 0; place < sample.length; place++) {
      for (let byte = 0; byte < 256; byte++) {
        check(sample.slice(0, place) + String.fromCharCode(byte) + sample.slice(place + 1) + sample)
      }
    }
  })

  it("continues in lists that are longer than its memory", () => {
    for (const value of ["1", "90.808853", "1".repeat(5000)]) {
      const samples = Array.from({ length: 20_000 }, (_, i) => `[${1_435_781_430 + i * 15},"${value}"]`)
      const text = `${samples.slice(0, value.length > 100 ? 100 : samples.length).join(",")}]`
      assert.strictEqual(check(text).end, "list")
      check(text.slice(0, -30))
      check(`${text.slice(0, -1)},["odd"]]`)
    }
  })

  it("leaves a sample that is longer than its memory to the cursor", () => {
    const text = `[1435781430,"${"1".repeat(70_000)}"],`
    assert.deepStrictEqual(scan(text, 0), { samples: [], position: 0, end: "form" })
  })

  it("continues after a full arena", () => {
    const text = `${Array.from({ length: 1000 }, (_, i) => `[${1_435_781_430 + i},"${i}"]`).join(",")}]`
    assert.strictEqual(check(text).samples.length, 1000)
  })
})
