import { assert, describe, it } from "@effect/vitest"
import { LineBuffer } from "../../src/records/LineBuffer.ts"
import { LineTemplate } from "../../src/records/LineTemplate.ts"
import type { TextBlock } from "../../src/samples/Sample.ts"
import { formatTime } from "../../src/text/formatTime.ts"
import { type Choices, choices } from "../choices.ts"

type Sample = readonly [time: number, value: string]

const block = (samples: ReadonlyArray<Sample>): TextBlock => {
  const texts = samples.map(([, value]) => value)
  let end = 0
  const ends = texts.map((text) => (end += text.length))
  return {
    _tag: "TextBlock",
    series: { labels: [], id: "" },
    length: samples.length,
    times: Float64Array.from(samples, ([time]) => time),
    bytes: Buffer.from(texts.join(""), "latin1"),
    starts: Uint32Array.from(ends, (end, i) => end - texts[i]!.length),
    ends: Uint32Array.from(ends)
  }
}

/** Appends all samples, with a simple encoder for those that are not plain. Returns the text and the indices of those. */
const append = (
  texts: readonly [string, string, string],
  samples: ReadonlyArray<Sample>,
  capacity: number
) => {
  const [before, between, after] = texts.map((text) => Buffer.from(text)) as [Buffer, Buffer, Buffer]
  const template = new LineTemplate([before], between, after)
  const out = new LineBuffer(capacity)
  const complete = block(samples)
  const unusual: Array<number> = []
  for (let i = 0; i < samples.length; i++) {
    i = out.appendLines(template, complete, i)
    if (i === samples.length) break
    unusual.push(i)
    out.append(Buffer.from(obvious(texts, samples[i]!)))
  }
  return { text: Buffer.from(out.bytes.subarray(0, out.length)).toString(), unusual }
}

const obvious = ([before, between, after]: readonly [string, string, string], [time, value]: Sample) =>
  `${before}${formatTime(time)}${between}${value}${after}`

const isPlain = ([time, value]: Sample): boolean =>
  time >= 0 && time < Date.UTC(10_000, 0, 1) && !/[Nf]$/.test(value)

const DAY = 86_400_000
const MAX = 8_640_000_000_000_000

const randomSample = (choices: Choices): Sample => {
  const unit = choices.pick([1, 10, 250, 1000, 15_000, 60_000, 3_600_000, DAY])
  const span = choices.pick([1000, 3_600_000, DAY, 366 * DAY, 10_000 * DAY, 100_000_000 * DAY])
  const origin = choices.pick([0, Date.UTC(2026, 0, 1), Date.UTC(9999, 11, 31, 23)])
  const offset = Math.floor((choices.below(1_000_000) / 1_000_000) * span) * (choices.oneIn(4) ? -1 : 1)
  const time = Math.max(-MAX, Math.min(MAX, Math.floor((origin + offset) / unit) * unit))
  return [time, choices.pick(["0", "-1.5", "90.808853", "1e+21", "NaN", "+Inf", "-Inf", "9".repeat(40)])]
}

describe("LineTemplate", () => {
  it.prop(
    "writes the same as a simple encoder, and only leaves out samples that are not plain",
    [choices],
    ([choices]) => {
      const samples = choices.list(60, () => randomSample(choices))
      const texts = [
        choices.pick(["", '{"é":1,"t":"']),
        choices.pick(['","v":', ""]),
        choices.pick(["\n", "}}\n"])
      ] as const
      const { text, unusual } = append(texts, samples, choices.pick([1, 100, 10_000]))
      assert.strictEqual(text, samples.map((sample) => obvious(texts, sample)).join(""))
      assert.deepStrictEqual(
        unusual,
        samples.flatMap((sample, i) => (isPlain(sample) ? [] : [i]))
      )
    }
  )

  const check = (times: ReadonlyArray<number>): void => {
    const samples = times.map((time): Sample => [time, "1"])
    const { text, unusual } = append(["", " ", "\n"], samples, 1)
    assert.deepStrictEqual(unusual, [])
    assert.strictEqual(text, samples.map((sample) => obvious(["", " ", "\n"], sample)).join(""))
  }

  it("writes every second of a day", () => {
    const midnight = Date.UTC(2026, 6, 4)
    check(Array.from({ length: 86_400 }, (_, second) => midnight + second * 1000))
  })

  it("writes every millisecond of some seconds", () => {
    const start = Date.UTC(2026, 6, 4, 23, 59, 58)
    check(Array.from({ length: 3000 }, (_, millis) => start + millis))
  })

  it("writes every day of leap years and others, forwards and backwards", () => {
    for (const year of [1970, 1999, 2000, 2024, 2100, 9999]) {
      const days = Array.from({ length: 367 }, (_, day) => Date.UTC(year, 0, 1) + day * DAY).filter(
        (time) => time < Date.UTC(10_000, 0, 1)
      )
      check(days)
      check(days.toReversed())
    }
  })

  it("writes values of any length, and in any order of their bytes", () => {
    const values = ["1", "2".repeat(70_000), "3.5", "4".repeat(60_000), "5".repeat(6000), "6"]
    const samples = values.map((value, i): Sample => [i * 1000, value])
    const { text, unusual } = append(["", " ", "\n"], samples, 1)
    assert.strictEqual(text, samples.map((sample) => obvious(["", " ", "\n"], sample)).join(""))
    assert.deepStrictEqual(unusual, [1])

    const complete = block(samples)
    const backwards = { ...complete, starts: complete.starts.toReversed(), ends: complete.ends.toReversed() }
    const out = new LineBuffer(1)
    const template = new LineTemplate([], Buffer.from(" "), Buffer.from("\n"))
    for (let i = 0; i < samples.length; ) {
      const next = out.appendLines(template, backwards, i)
      if (next === i) out.append(Buffer.from(`unusual ${i++}\n`))
      else i = next
    }
    const lines = Buffer.from(out.bytes.subarray(0, out.length)).toString().split("\n").slice(0, -1)
    assert.deepStrictEqual(
      lines,
      values
        .toReversed()
        .map((value, i) => (value.length > 65_536 ? `unusual ${i}` : `${formatTime(i * 1000)} ${value}`))
    )
  })

  it("does not encode very long lines", () => {
    const long = "x".repeat(40_000)
    for (const texts of [
      [long, " ", "\n"],
      ["", long, "\n"],
      ["", " ", long]
    ] as const) {
      const { text, unusual } = append(
        texts,
        [
          [0, "1"],
          [1000, "2"]
        ],
        1
      )
      assert.deepStrictEqual(unusual, [0, 1])
      assert.strictEqual(text, obvious(texts, [0, "1"]) + obvious(texts, [1000, "2"]))
    }
  })

  it("writes the first and the last supported second", () => {
    check([0, 1000, Date.UTC(9999, 11, 31, 23, 59, 59), 0])
  })
})
