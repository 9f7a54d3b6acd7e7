import { assert, describe, it } from "@effect/vitest"
import { curveLimits, StreamTally } from "../../src/run/StreamTally.ts"
import { collectGarbage } from "../../src/samples/collectGarbage.ts"
import { type Choices, choices } from "../choices.ts"
import { floats, histogramOf, seriesOf, start } from "../destinations/drive.ts"
import { asTextBlock, numberBlock, Values } from "../samples/numbers.ts"

const STEP = 60_000

const tallyOf = (limits = { series: 8, points: 500 }) =>
  new StreamTally({ name: "up", stepMillis: 60_000, startedAt: 1000, limits })

const series = (instance: number) => seriesOf("up", { instance: `i${instance}` })

/** A block of values from a step on. */
const block = (instance: number, from: number, values: ReadonlyArray<string>) =>
  floats(
    series(instance),
    values.map((value, i) => [start + (from + i) * STEP, value])
  )

describe("StreamTally", () => {
  it("counts committed rows", () => {
    const tally = tallyOf()
    tally.add(block(0, 0, ["1", "NaN", "+Inf"]))
    tally.add(block(1, 1, ["2.5"]))
    tally.retry()
    tally.commit()
    // Uncommitted rows may be lost.
    tally.add(block(0, 3, ["99"]))
    tally.add(block(2, 3, ["99"]))
    const { curves, ...summary } = tally.summary(3500, "It is gone.")
    assert.deepStrictEqual(summary, {
      name: "up",
      error: "It is gone.",
      notice: undefined,
      series: 2,
      rows: 4,
      span: [start, start + 2 * STEP],
      seconds: 2.5,
      retries: 1
    })
    assert.deepStrictEqual(
      curves.map(({ label, times, values }) => [label, [...times], [...values]]),
      [
        ['{instance="i0"}', [start, start + STEP, start + 2 * STEP], [1, NaN, Infinity]],
        ['{instance="i1"}', [start + STEP], [2.5]]
      ]
    )
  })

  it.prop("counts numbers like their text", [Values], ([values]) => {
    const numbers = numberBlock(series(0), start, values)
    const [fromNumbers, fromText] = [numbers, asTextBlock(numbers)].map((block) => {
      const tally = tallyOf()
      tally.add(block)
      tally.commit()
      return tally.summary(3500)
    })
    const { curves: exact, ...rest } = fromNumbers!
    const { curves: approximate, ...same } = fromText!
    assert.deepStrictEqual(rest, same)
    // Values are parsed to 14 digits, which is enough for a chart.
    assert.strictEqual(exact.length, approximate.length)
    for (const [i, { label, times, values }] of exact.entries()) {
      const other = approximate[i]!
      assert.deepStrictEqual([label, times], [other.label, other.times])
      for (const [j, value] of values.entries()) {
        const error = Math.abs(value - other.values[j]!)
        assert.isTrue(Object.is(value, other.values[j]) || error <= Math.abs(value) * 1e-14, `${value}`)
      }
    }
  })

  it("is empty for a stream without samples", () => {
    const tally = tallyOf()
    tally.commit()
    const { curves, rows, series, span } = tally.summary(1000)
    assert.deepStrictEqual(
      { curves, rows, series, span },
      { curves: [], rows: 0, series: 0, span: undefined }
    )
  })

  it("keeps the first series", () => {
    const tally = tallyOf({ series: 2, points: 100 })
    for (const instance of [1, 2, 3]) tally.add(block(instance, 0, ["1"]))
    tally.commit()
    const { curves, rows, series } = tally.summary(1000)
    assert.deepStrictEqual(
      curves.map(({ label }) => label),
      ['{instance="i1"}', '{instance="i2"}']
    )
    assert.deepStrictEqual([rows, series], [3, 3])
  })

  it("keeps the counts of histograms separate from numbers of the same series", () => {
    const tally = tallyOf()
    tally.add(block(0, 0, ["5"]))
    tally.add(histogramOf(series(0), start + STEP, "12"))
    tally.commit()
    const { curves, rows, series: count } = tally.summary(1000)
    assert.deepStrictEqual(
      curves.map(({ label, values }) => [label, [...values]]),
      [
        ['{instance="i0"}', [5]],
        ['{instance="i0"} count', [12]]
      ]
    )
    assert.deepStrictEqual([rows, count], [2, 1])
  })

  /** Windows of blocks. */
  const windowsOf = (choices: Choices) => {
    let step = 0
    return choices.list(12, () => {
      const points = choices.between(1, 80)
      const blocks = choices.list(5, (instance) =>
        block(
          instance,
          step,
          Array.from({ length: choices.between(1, points) }, () => String(choices.below(100)))
        )
      )
      step += points
      return blocks
    })
  }

  it.prop("counts the committed windows, however many rows each has", [choices], ([choices]) => {
    const limits = { series: 3, points: choices.between(4, 60) }
    const tally = tallyOf(limits)
    const model = { rows: 0, times: [] as Array<number>, series: new Set<string>() }
    for (const blocks of windowsOf(choices)) {
      for (const block of blocks) {
        tally.add(block)
        model.rows += block.length
        model.times.push(...block.times)
        model.series.add(block.series.id)
      }
      tally.commit()
    }
    const committed = tally.summary(2000)
    for (const block of windowsOf(choices).flat()) tally.add(block)
    const summary = tally.summary(2000)
    assert.deepStrictEqual(summary, committed)
    assert.strictEqual(summary.rows, model.rows)
    assert.strictEqual(summary.series, model.series.size)
    assert.deepStrictEqual(
      summary.span,
      model.rows === 0 ? undefined : [Math.min(...model.times), Math.max(...model.times)]
    )
    for (const { values } of summary.curves) assert.isAtMost(values.length, limits.points)
  })
})

describe("curveLimits", () => {
  it("keeps less of each stream if there are more", () => {
    assert.deepStrictEqual(curveLimits(1, true), { series: 8, points: 500 })
    assert.deepStrictEqual(curveLimits(100, true), { series: 8, points: 500 })
    assert.deepStrictEqual(curveLimits(400, true), { series: 4, points: 250 })
    assert.deepStrictEqual(curveLimits(4000, true), { series: 1, points: 100 })
    assert.deepStrictEqual(curveLimits(100, false), { series: 4, points: 64 })
    assert.deepStrictEqual(curveLimits(10_000, false), { series: 1, points: 40 })
  })

  it("keeps at most as many points in total as a page can have", () => {
    for (const hasCharts of [true, false]) {
      for (const streams of [0, 1, 50, 99, 799, 6250, 6251, 12_500, 24_999, 25_000, 25_001, 700_000]) {
        const { points, series } = curveLimits(streams, hasCharts)
        assert.isAtMost(streams * series * points, 800_000)
      }
    }
  })
})

describe("the labels of shown series", () => {
  it("take no memory beyond their excerpt", () => {
    const tally = tallyOf()
    collectGarbage()
    const before = process.memoryUsage().heapUsed
    for (let i = 0; i < 8; i++) {
      // A flat string, as from a decoder.
      const label = Buffer.alloc(4_000_000, `${i}`).toString("latin1")
      tally.add(floats(seriesOf("up", { a: label }), [[start, "1"]]))
    }
    tally.commit()
    collectGarbage()
    assert.isBelow(process.memoryUsage().heapUsed - before, 8_000_000)
    assert.lengthOf(tally.summary(1000).curves, 8)
  })
})
