import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Lookback } from "../../../src/prometheus/Backend.ts"
import { FloatColumns } from "../../../src/prometheus/remoteRead/FloatColumns.ts"
import { type Grid, GridEvaluator, storedRange } from "../../../src/prometheus/remoteRead/GridEvaluator.ts"
import { staleHistogram } from "../../../src/prometheus/remoteRead/staleMarkers.ts"
import type { Histogram, SampleBlock, Series } from "../../../src/samples/Sample.ts"
import { type Choices, choices } from "../../choices.ts"
import { runs } from "../../support/runs.ts"
import { textsOf } from "../../sync/readMock.ts"

/** A stored sample: a number, a histogram, or a stale marker of either kind. */
type Value = number | Histogram | "stale" | "stale histogram"
type Stored = readonly [time: number, value: Value]

const seriesOf = (id: string): Series => ({ labels: [["id", id]], id })

/** Samples as blocks of one kind each, cut at random places too. */
const blocksOf = (
  series: Series,
  samples: ReadonlyArray<Stored>,
  isCut: () => boolean = () => false
): Array<SampleBlock> => {
  const blocks: Array<SampleBlock> = []
  const kindOf = (value: Value) => (typeof value === "number" || value === "stale" ? "float" : "histogram")
  for (let from = 0, to = 0; from < samples.length; from = to) {
    const kind = kindOf(samples[from]![1])
    for (to++; to < samples.length && kindOf(samples[to]![1]) === kind && !isCut(); ) to++
    const part = samples.slice(from, to)
    const common = { series, length: part.length }
    if (kind === "float") {
      // Not at the start of the columns: the values of a block are a part of them.
      const columns = new FloatColumns(part.length + 1)
      for (const [i, [time, value]] of part.entries()) {
        if (value === "stale") columns.set(i + 1, time, 0x7ff00000, 2)
        else {
          columns.times[i + 1] = time
          columns.values[i + 1] = value as number
        }
      }
      const [times, values] = [columns.times.subarray(1), columns.values.subarray(1)]
      blocks.push({ _tag: "NumberBlock", ...common, times, values })
    } else {
      const times = Float64Array.from(part, ([time]) => time)
      const histograms = part.map(([, value]) => (typeof value === "object" ? value : staleHistogram))
      blocks.push({ _tag: "HistogramBlock", ...common, times, histograms })
    }
  }
  return blocks
}

/** The points of each series as text. */
const evaluated = (grid: Grid, lookback: Lookback, parts: ReadonlyArray<ReadonlyArray<SampleBlock>>) => {
  const evaluator = new GridEvaluator(grid, lookback)
  const points = new Map<string, Array<string>>()
  const blocks = [...parts.flatMap((part) => evaluator.push(part)), ...evaluator.finish()]
  for (const block of blocks) {
    const found = points.get(block.series.id) ?? []
    points.set(block.series.id, found)
    found.push(...textsOf(block).map((text, i) => `${block.times[i]} ${text}`))
  }
  assert.strictEqual(
    evaluator.points,
    blocks.reduce((sum, { length }) => sum + length, 0)
  )
  return { blocks, points }
}

/** The rule, point by point. */
const expected = (
  { firstMillis, lastMillis, stepMillis }: Grid,
  { isLeftOpen, lookbackMillis }: Lookback,
  samples: ReadonlyArray<Stored>
) => {
  const points: Array<string> = []
  for (let point = firstMillis; point <= lastMillis; point += stepMillis) {
    const [time, value] = samples.findLast(([time]) => time <= point) ?? [0, "stale"]
    const age = point - time
    if (typeof value === "string" || age > lookbackMillis || (isLeftOpen && age === lookbackMillis)) continue
    points.push(`${point} ${typeof value === "number" ? textOf(value) : JSON.stringify(value)}`)
  }
  return points
}

const textOf = (value: number): string =>
  Object.is(value, -0) ? "-0" : value === Infinity ? "+Inf" : `${value}`.replace("Infinity", "Inf")

const histogram = (count: number): Histogram => ({
  count: `${count}`,
  sum: "1.5",
  buckets: [{ boundaries: 0, lower: "1", upper: "2", count: `${count}` }]
})

const within = (lookbackMillis: number, isLeftOpen: boolean): Lookback => ({
  lookbackMillis,
  isLeftOpen
})

describe("GridEvaluator", () => {
  const grid: Grid = { firstMillis: 1000, lastMillis: 3000, stepMillis: 100 }
  const pointsOf = (samples: ReadonlyArray<Stored>, lookback = within(250, true), points = grid) => {
    const found = evaluated(points, lookback, [blocksOf(seriesOf("a"), samples)]).points.get("a") ?? []
    assert.sameMembers(found, expected(points, lookback, samples))
    return found
  }

  it("takes the latest sample, up to the look-back", () => {
    assert.deepStrictEqual(pointsOf([[1501, 7]]), ["1600 7", "1700 7"])
    assert.deepStrictEqual(pointsOf([[1500, 7]]), ["1500 7", "1600 7", "1700 7"])
    assert.deepStrictEqual(pointsOf([[1450, 7]]), ["1500 7", "1600 7"])
    assert.deepStrictEqual(pointsOf([[1450, 7]], within(250, false)), ["1500 7", "1600 7", "1700 7"])
    assert.deepStrictEqual(
      pointsOf([
        [1510, 1],
        [1590, 2],
        [1600, 3],
        [1601, 4]
      ]),
      ["1600 3", "1700 4", "1800 4"]
    )
  })

  it("takes samples before the first point, and none after the last one", () => {
    assert.deepStrictEqual(pointsOf([[751, 7]]), ["1000 7"])
    assert.deepStrictEqual(pointsOf([[750, 7]]), [])
    assert.deepStrictEqual(pointsOf([[750, 7]], within(250, false)), ["1000 7"])
    assert.deepStrictEqual(
      pointsOf([
        [2999, 7],
        [3000, 8]
      ]),
      ["3000 8"]
    )
    assert.deepStrictEqual(pointsOf([[2950, 7]]), ["3000 7"])
    assert.deepStrictEqual(storedRange(grid, within(250, true)), { startMillis: 751, endMillis: 3000 })
    assert.deepStrictEqual(storedRange(grid, within(250, false)), { startMillis: 750, endMillis: 3000 })
  })

  it("has no point after a stale marker, and one with a NaN or another special value", () => {
    assert.deepStrictEqual(
      pointsOf([
        [1500, 1],
        [1600, "stale"],
        [1800, Number.NaN],
        [1900, -0],
        [2000, Infinity],
        [2100, -Infinity],
        [2200, "stale"]
      ]),
      ["1500 1", "1800 NaN", "1900 -0", "2000 +Inf", "2100 -Inf"]
    )
  })

  it("takes the latest of floats and histograms", () => {
    const [one, two] = [histogram(1), histogram(2)]
    assert.sameMembers(
      pointsOf([
        [1450, 1],
        [1550, one],
        [1750, 2],
        [1800, two],
        [1850, "stale histogram"],
        [2000, one],
        [2050, "stale"],
        [2150, two]
      ]),
      [
        "1500 1",
        `1600 ${JSON.stringify(one)}`,
        `1700 ${JSON.stringify(one)}`,
        `1800 ${JSON.stringify(two)}`,
        `2000 ${JSON.stringify(one)}`,
        `2200 ${JSON.stringify(two)}`,
        `2300 ${JSON.stringify(two)}`
      ]
    )
  })

  it("cuts many points into blocks, which stay as they are", () => {
    const long = { firstMillis: 0, lastMillis: 50_000, stepMillis: 1 }
    const a = seriesOf("a")
    const floats = evaluated(long, within(1, true), [
      blocksOf(
        a,
        Array.from({ length: 50_001 }, (_, i) => [i, i])
      )
    ])
    assert.isAbove(floats.blocks.length, 5)
    assert.deepStrictEqual(
      floats.points.get("a"),
      Array.from({ length: 50_001 }, (_, i) => `${i} ${i}`)
    )
    const histograms = evaluated(long, within(20_000, false), [blocksOf(a, [[0, histogram(1)]])])
    assert.isAbove(histograms.blocks.length, 4)
    assert.lengthOf(histograms.points.get("a")!, 20_001)
  })

  it.effect.prop(
    "has the points of the rule for any samples",
    { choices },
    ({ choices }) =>
      Effect.sync(() => {
        const stepMillis = choices.pick([1, 7, 100, 1000])
        const firstMillis = choices.below(20) * stepMillis
        const grid = { firstMillis, lastMillis: firstMillis + choices.below(60) * stepMillis, stepMillis }
        const lookback = {
          lookbackMillis: choices.pick([1, 2, stepMillis, 3 * stepMillis, 500]),
          isLeftOpen: choices.oneIn(2)
        }
        const { endMillis, startMillis } = storedRange(grid, lookback)
        const stored = Array.from({ length: 1 + choices.below(3) }, (_, i) => ({
          series: seriesOf(`${i}`),
          samples: storedSamples(choices, startMillis, endMillis)
        }))
        const parts = stored.map(({ samples, series }) => blocksOf(series, samples, () => choices.oneIn(8)))
        const { points } = evaluated(grid, lookback, choices.oneIn(2) ? parts : [parts.flat()])
        for (const { samples, series } of stored) {
          assert.sameMembers(
            points.get(series.id) ?? [],
            expected(grid, lookback, samples),
            JSON.stringify({ grid, lookback, samples })
          )
        }
      }),
    { arbitrary: { runs: runs(300, 3000) } }
  )
})

/** Samples in a range, with those at its ends more often than by chance. */
const storedSamples = (choices: Choices, startMillis: number, endMillis: number): ReadonlyArray<Stored> => {
  const times = new Set(
    choices.list(40, () =>
      choices.oneIn(10) ? choices.pick([startMillis, endMillis]) : choices.between(startMillis, endMillis)
    )
  )
  return [...times]
    .sort((a, b) => a - b)
    .map((time, i) => [
      time,
      choices.pick<Value>([i, i, i, Number.NaN, -0, Infinity, "stale", histogram(i), "stale histogram"])
    ])
}
