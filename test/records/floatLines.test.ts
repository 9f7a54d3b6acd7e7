/** Lines of floats: their digits are those of `formatFloat64`, which is simple and slow. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { LineBuffer } from "../../src/records/LineBuffer.ts"
import { LineTemplate } from "../../src/records/LineTemplate.ts"
import { formatFloat64 } from "../../src/samples/formatFloat64.ts"
import { formatTime } from "../../src/text/formatTime.ts"
import { type Choices, choices } from "../choices.ts"
import { numberBlock } from "../samples/numbers.ts"
import { runs } from "../support/runs.ts"

const series = { labels: [], id: "" }
const template = new LineTemplate([], Buffer.from(" "), Buffer.from("\n"))
const out = new LineBuffer(1)

const lines = (values: ReadonlyArray<number>): ReadonlyArray<string> => {
  out.length = 0
  assert.strictEqual(out.appendLines(template, numberBlock(series, 0, values), 0), values.length)
  return Buffer.from(out.bytes.subarray(0, out.length)).toString().split("\n").slice(0, -1)
}

const check = (values: ReadonlyArray<number>): void => {
  const finite = values.filter(Number.isFinite)
  assert.deepStrictEqual(
    lines(finite),
    finite.map((value, i) => `${formatTime(i * 60_000)} ${formatFloat64(value)}`)
  )
}

const float = new Float64Array(1)
const halves = new Uint32Array(float.buffer)

const fromHalves = (first: number, second: number): number => {
  halves.set([first, second])
  return float[0]!
}

/** A float, and its neighbours. */
const around = (value: number): ReadonlyArray<number> => {
  float[0] = value
  const [first, second] = halves as unknown as [number, number]
  return [-2, -1, 0, 1, 2].map((step) => fromHalves(first + step, second))
}

const word = (choices: Choices): number => choices.below(65_536) * 65_536 + choices.below(65_536)

/** Floats of all kinds, so that each way to find digits is taken, one after the other. */
const anyFloat = (choices: Choices): number => {
  const digits = choices.below(10 ** choices.below(10))
  switch (choices.below(5)) {
    case 0:
      return fromHalves(word(choices), word(choices))
    case 1:
      return (choices.oneIn(2) ? -1 : 1) * (digits / 10 ** choices.below(23))
    case 2:
      return digits * 10 ** choices.below(13) + choices.below(1000)
    case 3:
      return Number(`${digits}.${word(choices)}e${choices.below(680) - 340}`)
    default:
      return fromHalves(word(choices), choices.below(65_536))
  }
}

describe("a line of a float", () => {
  it.prop(
    "has the digits of formatFloat64",
    [choices],
    ([choices]) => check(Array.from({ length: 1000 }, () => anyFloat(choices))),
    { arbitrary: { runs: runs(50, 400) }, timeout: 60_000 }
  )

  it.prop("has them for any number", [Schema.Array(Schema.Finite)], ([values]) => check(values))

  it("has them at all powers of two and ten, and beside them", () => {
    const powers = Array.from({ length: 2100 }, (_, i) => 2 ** (i - 1075))
    const tens = Array.from({ length: 640 }, (_, i) => Number(`1e${i - 330}`))
    for (const value of [...powers, ...tens]) check(around(value))
  })

  it("has them where the notation and the way to find digits change", () => {
    for (const value of [1e-6, 1e15, 999_999_999_999_999.9, 2 ** 53, 1e21, 0.1 + 0.2, 5e-324]) {
      check([...around(value), ...around(-value)])
    }
    check([0, -0, 1, -1, 9, 10, 99_999_999, 100_000_000, 1.5, 0.000_001_5, Number.MAX_VALUE])
  })

  it("has them whatever the values before", () => {
    const places = Array.from({ length: 15 }, (_, i) => Number(`1.${"0".repeat(i)}1`))
    check([...places, ...places.toReversed(), ...places.flatMap((value) => [value, 1 / 3, 12.5])])
  })

  it("ends before a value that is not a number", () => {
    for (const value of [Number.NaN, Infinity, -Infinity]) {
      out.length = 0
      assert.strictEqual(out.appendLines(template, numberBlock(series, 0, [1, 2, value, 3]), 0), 2)
      assert.strictEqual(out.length, Buffer.byteLength("1970-01-01T00:00:00Z 1\n") * 2)
    }
  })

  it("is appended in batches, however long the block and its lines", () => {
    for (const before of ["", "x".repeat(2000)]) {
      const long = new LineTemplate([Buffer.from(before)], Buffer.from(" "), Buffer.from("\n"))
      const values = Array.from({ length: 2500 }, () => -1.234_567_890_123_456_7e-6)
      const buffer = new LineBuffer(1)
      assert.strictEqual(buffer.appendLines(long, numberBlock(series, 250, values), 0), 2500)
      const text = Buffer.from(buffer.bytes.subarray(0, buffer.length)).toString()
      const expected = values.map(
        (value, i) => `${before}${formatTime(250 + i * 60_000)} ${formatFloat64(value)}\n`
      )
      assert.isTrue(text === expected.join(""))
    }
  })
})
