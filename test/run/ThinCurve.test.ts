import { assert, describe, it } from "@effect/vitest"
import { ThinCurve } from "../../src/run/ThinCurve.ts"
import { type Choices, choices } from "../choices.ts"

const STEP = 60_000
const start = Date.UTC(2026, 0, 1)

type Sample = readonly [time: number, value: number]

const thin = (points: number, samples: ReadonlyArray<Sample>): ThinCurve => {
  const curve = new ThinCurve(STEP, points)
  for (const [time, value] of samples) curve.add(time, value)
  return curve
}

const pointsOf = (curve: ThinCurve): ReadonlyArray<Sample> => {
  const { times, values } = curve.points()
  return Array.from(times, (time, i) => [time, values[i]!])
}

/** Some points of a grid in the order of time, with values that may not be finite. */
const samplesOf = (choices: Choices): ReadonlyArray<Sample> => {
  let time = start + choices.below(1000) * STEP
  return choices.list(400, () => {
    time += STEP * (choices.oneIn(10) ? choices.between(1, 50) : 1)
    const value = choices.oneIn(12) ? choices.pick([NaN, Infinity, -Infinity]) : choices.below(1000) - 500
    return [time, value]
  })
}

const finite = (samples: ReadonlyArray<Sample>) => samples.filter(([, value]) => Number.isFinite(value))

describe("ThinCurve", () => {
  it("keeps every sample while there is space, with one gap for missing ones", () => {
    const samples: ReadonlyArray<Sample> = [
      [start, 3],
      [start + STEP, NaN],
      [start + 2 * STEP, 1],
      [start + 6 * STEP, Infinity]
    ]
    assert.deepStrictEqual(pointsOf(thin(20, samples)), [
      ...samples.slice(0, 3),
      [start + 3 * STEP, NaN],
      samples[3]!
    ])
    assert.deepStrictEqual(pointsOf(thin(20, [])), [])
  })

  it("keeps the minimum and maximum of each slot", () => {
    const samples = Array.from(
      { length: 1000 },
      (_, i): Sample => [start + i * STEP, i === 500 ? 100 : i === 700 ? -100 : i % 3]
    )
    const points = pointsOf(thin(20, samples))
    assert.isAtMost(points.length, 20)
    assert.isTrue(points.some(([time, value]) => time === start + 500 * STEP && value === 100))
    assert.isTrue(points.some(([time, value]) => time === start + 700 * STEP && value === -100))
  })

  it.prop(
    "is bounded and in order, and has only samples and gaps, including the extremes",
    [choices],
    ([choices]) => {
      const points = choices.between(4, 100)
      const samples = samplesOf(choices)
      const thinned = pointsOf(thin(points, samples))
      assert.isAtMost(thinned.length, points)
      for (const [i, [time]] of thinned.entries()) if (i > 0) assert.isAbove(time, thinned[i - 1]![0])
      const known = new Map(samples)
      for (const [time, value] of finite(thinned)) assert.strictEqual(known.get(time), value)
      const values = (of: ReadonlyArray<Sample>) => finite(of).map(([, value]) => value)
      assert.strictEqual(Math.max(...values(thinned)), Math.max(...values(samples)))
      assert.strictEqual(Math.min(...values(thinned)), Math.min(...values(samples)))
    }
  )

  it.prop("does not depend on order or merging, except for equal samples", [choices], ([choices]) => {
    const points = choices.between(4, 100)
    // No two equal values: of two equal ones, the first is kept.
    const samples = samplesOf(choices).map(([time, value], i): Sample => [time, value + i / 1000])
    const complete = finite(pointsOf(thin(points, samples)))
    // The first sample decides the slots, so it must stay first.
    const [first, ...rest] = samples
    if (first === undefined) return
    const parts = [thin(points, [first]), new ThinCurve(STEP, points)]
    for (const [time, value] of rest) choices.pick(parts).add(time, value)
    const [into, from] = parts
    into!.merge(from!)
    const merged = finite(pointsOf(into!))
    const extremes = (of: ReadonlyArray<Sample>) => of.map(([, value]) => value).sort((a, b) => a - b)
    assert.strictEqual(extremes(merged)[0], extremes(complete)[0])
    assert.strictEqual(extremes(merged).at(-1), extremes(complete).at(-1))
    const known = new Map(samples)
    for (const [time, value] of merged) assert.strictEqual(known.get(time), value)
    assert.isAtMost(pointsOf(into!).length, points)
    assert.deepStrictEqual(finite(pointsOf(thin(points, choices.shuffle(samples)))), complete)
  })
})
