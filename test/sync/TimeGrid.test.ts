/** The time grid, compared with slow and obvious references. */
import { assert, describe, it } from "@effect/vitest"
import { Option, Schema } from "effect"
import { gridToRead } from "../../src/sync/plan.ts"
import {
  afterCursor,
  type GridRange,
  gridRange,
  halve,
  pointCount,
  rangeText,
  takePoints
} from "../../src/sync/TimeGrid.ts"
import { Choices } from "../choices.ts"
import { runs } from "../support/runs.ts"

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** The points of a range, one by one. */
const points = ({ firstMillis, lastMillis, stepMillis }: GridRange): ReadonlyArray<number> => {
  const out: Array<number> = []
  for (let t = firstMillis; t <= lastMillis; t += stepMillis) out.push(t)
  return out
}

/** All multiples of the step in a closed range, found by testing every millisecond. */
const multiples = (startMillis: number, endMillis: number, stepMillis: number): ReadonlyArray<number> => {
  const out: Array<number> = []
  for (let t = startMillis; t <= endMillis; t++) if (t % stepMillis === 0) out.push(t)
  return out
}

// Small enough to test every millisecond.
const start = integer(0, 3000)
const length = integer(-50, 2000)
const step = integer(1, 400)

describe("gridRange", () => {
  it.prop("has the multiples of the step in the range", [start, length, step], ([start, length, step]) => {
    const range = gridRange(start, start + length, step)
    assert.deepStrictEqual(points(range), multiples(start, start + length, step))
    assert.strictEqual(pointCount(range), points(range).length)
    assert.strictEqual(range.stepMillis, step)
  })

  it.each([
    [0, 0, 60_000, [0]],
    [0, 59_999, 60_000, [0]],
    [0, 60_000, 60_000, [0, 60_000]],
    [1, 59_999, 60_000, []],
    [1, 60_000, 60_000, [60_000]],
    [60_000, 60_000, 60_000, [60_000]],
    [60_001, 60_000, 60_000, []],
    [59_999, 60_000, 60_000, [60_000]],
    [500, 2500, 1000, [1000, 2000]]
  ])("from %i ms to %i ms by %i ms: %j", (start, end, step, expected) => {
    assert.deepStrictEqual(points(gridRange(start, end, step)), expected)
  })

  it("counts from the epoch, for any start", () => {
    assert.deepStrictEqual(gridRange(Date.UTC(2026, 0, 1, 0, 0, 1), Date.UTC(2026, 0, 1, 3), 3_600_000), {
      firstMillis: Date.UTC(2026, 0, 1, 1),
      lastMillis: Date.UTC(2026, 0, 1, 3),
      stepMillis: 3_600_000
    })
    // Days of 24 hours begin at midnight; weeks begin on a Thursday, as the epoch did.
    assert.strictEqual(
      gridRange(Date.UTC(2026, 0, 1), Date.UTC(2026, 0, 2), 86_400_000).firstMillis,
      1_767_225_600_000
    )
    assert.strictEqual(
      new Date(gridRange(Date.UTC(2026, 0, 2), Date.UTC(2026, 1, 1), 604_800_000).firstMillis).getUTCDay(),
      4
    )
  })

  it.prop(
    "is exact far away from the epoch",
    [integer(0, 253_402_300_799_999), integer(1, 4_000_000_000)],
    ([millis, step]) => {
      const { firstMillis, lastMillis } = gridRange(millis, millis, step * 1000)
      const stepMillis = BigInt(step) * 1000n
      const floor = (BigInt(millis) / stepMillis) * stepMillis
      assert.strictEqual(BigInt(lastMillis), floor)
      assert.strictEqual(BigInt(firstMillis), BigInt(millis) === floor ? floor : floor + stepMillis)
    }
  )
})

describe("pointCount", () => {
  it("is never negative", () => {
    assert.strictEqual(pointCount({ firstMillis: 60, lastMillis: 0, stepMillis: 60 }), 0)
    assert.strictEqual(pointCount({ firstMillis: 6000, lastMillis: 0, stepMillis: 60 }), 0)
    assert.strictEqual(pointCount({ firstMillis: 0, lastMillis: 0, stepMillis: 60 }), 1)
    assert.strictEqual(pointCount({ firstMillis: 0, lastMillis: 660_000, stepMillis: 60 }), 11_001)
  })
})

describe("afterCursor", () => {
  it.prop(
    "keeps the points after the cursor minus the look-back",
    [start, length, step, integer(0, 4000), integer(0, 1000)],
    ([start, length, step, cursor, lookbackMillis]) => {
      const range = gridRange(start, start + length, step)
      for (const lookback of [0, lookbackMillis]) {
        assert.deepStrictEqual(
          points(afterCursor(range, cursor, lookback)),
          points(range).filter((point) => point > cursor - lookback)
        )
      }
    }
  )

  it.prop(
    "resumes where another sync ended",
    [start, length, step, integer(0, 50)],
    ([start, length, step, taken]) => {
      const range = gridRange(start, start + length, step)
      const all = points(range)
      if (all.length === 0) return
      const cursor = all[Math.min(taken, all.length - 1)]!
      const later = gridRange(start, start + length + 1000, step)
      assert.deepStrictEqual(
        [...all.filter((point) => point <= cursor), ...points(afterCursor(later, cursor, 0))],
        points(later)
      )
    }
  )

  it("is empty for a cursor in the future", () => {
    const range = gridRange(0, 600_000, 60_000)
    assert.strictEqual(pointCount(afterCursor(range, 600_000, 0)), 0)
    assert.strictEqual(pointCount(afterCursor(range, Date.UTC(2999, 0, 1), 0)), 0)
    assert.strictEqual(pointCount(afterCursor(range, 599_999, 0)), 1)
  })

  it("never goes back before the start", () => {
    const range = gridRange(600_000, 1_200_000, 60_000)
    assert.deepStrictEqual(afterCursor(range, 600_000, 86_400_000), range)
    assert.deepStrictEqual(afterCursor(range, 0, 0), range)
  })

  it("stays on its own grid, for a cursor on any grid", () => {
    const range = gridRange(0, 600_000, 60_000)
    assert.deepStrictEqual(points(afterCursor(range, 420_500, 0)), [480_000, 540_000, 600_000])
    assert.deepStrictEqual(points(afterCursor(range, 420_000, 0)), [480_000, 540_000, 600_000])
    assert.deepStrictEqual(points(afterCursor(range, 419_999, 0)), [420_000, 480_000, 540_000, 600_000])
  })
})

describe("the points that a sync reads", () => {
  /** A configuration, the server's clock and a cursor, anywhere from 1970 to 9999; times in milliseconds. */
  const makePlan = (choices: Choices) => {
    const stepSeconds = choices.oneIn(2)
      ? choices.pick([1, 7, 15, 60, 3600, 86_400, 604_800, 315_360_000])
      : choices.between(1, choices.pick([100, 100_000, 315_360_000]))
    const latest = 253_402_300_799
    /** A second without a fraction, often on the grid or right beside it. */
    const near = (seconds: number, steps: number): number => {
      const moved = seconds + choices.below(steps * stepSeconds + 1)
      const onGrid = moved - (moved % stepSeconds) + choices.between(-1, 1)
      return Math.max(0, choices.oneIn(2) ? onGrid : moved)
    }
    const from = choices.oneIn(4)
      ? choices.between(0, 1000)
      : Math.floor(choices.below(1000) * (latest / 1000)) + choices.below(253_402_300)
    const start = near(from, 2)
    const end = choices.oneIn(3) ? Math.max(start, near(start, choices.between(0, 40))) : undefined
    const settle = choices.oneIn(3) ? choices.between(0, 2 * stepSeconds) : 0
    // The server's clock, unlike dates, has milliseconds; it may be before the start.
    const now =
      (near(start, choices.between(0, 40)) + settle - choices.below(3) * stepSeconds) * 1000 +
      choices.pick([0, 0, 1, 999, choices.below(1000)])
    const cursor = choices.oneIn(3)
      ? undefined
      : near(start, choices.between(0, 60)) * 1000 + choices.pick([0, 0, 0, 500])
    const lookback = choices.oneIn(2) ? 0 : choices.between(0, choices.pick([10, 315_360_000]))
    return { cursor, end, lookback, now, settle, start, stepSeconds }
  }

  type Plan = ReturnType<typeof makePlan>

  const planned = ({ cursor, end, lookback, now, settle, start, stepSeconds }: Plan): GridRange => {
    const range = gridToRead(
      {
        startMillis: start * 1000,
        endMillis: Option.map(Option.fromUndefinedOr(end), (end) => end * 1000),
        settleDelayMillis: settle * 1000
      },
      now,
      stepSeconds * 1000
    )
    return cursor === undefined ? range : afterCursor(range, cursor, lookback * 1000)
  }

  /** The same in unbounded integers, one multiple of the step after the other. */
  const expected = ({
    cursor,
    end,
    lookback,
    now,
    settle,
    start,
    stepSeconds
  }: Plan): ReadonlyArray<bigint> => {
    const step = BigInt(stepSeconds) * 1000n
    const out: Array<bigint> = []
    for (
      let point = (BigInt(start * 1000) / step) * step;
      point + BigInt(settle) * 1000n <= now;
      point += step
    ) {
      const isWanted = point >= start * 1000 && (end === undefined || point <= end * 1000)
      const isNew = cursor === undefined || point + BigInt(lookback) * 1000n > cursor
      if (isWanted && isNew) out.push(point)
    }
    return out
  }

  it("are the multiples of the step in the range that have settled and are later than the cursor", () => {
    const count = runs(600, 3000)
    let empty = 0
    let latest = 0n
    for (let run = 0; run < count; run++) {
      const plan = makePlan(new Choices(run, Number.POSITIVE_INFINITY))
      const range = planned(plan)
      const wanted = expected(plan)
      assert.deepStrictEqual(points(range).map(BigInt), wanted, JSON.stringify({ run, ...plan }))
      assert.strictEqual(pointCount(range), wanted.length)
      if (wanted.length === 0) empty++
      else if (wanted.at(-1)! > latest) latest = wanted.at(-1)!
    }
    // Neither kind of plan is rare, and they cover more than the present.
    assert.isTrue(empty > count / 20 && empty < count / 2, `${empty} of ${count}`)
    assert.isTrue(latest > 240_000_000_000_000n, `${latest}`)
  })
})

describe("takePoints", () => {
  it.prop(
    "splits a range into two, without loss or repetition",
    [start, length, step, integer(1, 12_000)],
    ([start, length, step, count]) => {
      const range = gridRange(start, start + length, step)
      const [taken, rest] = takePoints(range, count)
      assert.deepStrictEqual(points(taken), points(range).slice(0, count))
      assert.deepStrictEqual(points(rest), points(range).slice(count))
      assert.strictEqual(pointCount(taken), Math.min(count, pointCount(range)))
      assert.strictEqual(pointCount(rest), Math.max(0, pointCount(range) - count))
    }
  )

  it.prop(
    "makes windows that cover a range",
    [start, length, step, integer(1, 60)],
    ([start, length, step, count]) => {
      const range = gridRange(start, start + length, step)
      const covered: Array<number> = []
      for (let rest = range; pointCount(rest) > 0; ) {
        const [taken, next] = takePoints(rest, count)
        assert.isAtLeast(pointCount(taken), 1)
        assert.isAtMost(pointCount(taken), count)
        covered.push(...points(taken))
        rest = next
      }
      assert.deepStrictEqual(covered, points(range))
    }
  )
})

describe("halve", () => {
  it.prop("makes two halves, the first the longer one", [start, length, step], ([start, length, step]) => {
    const range = gridRange(start, start + length, step)
    const all = points(range)
    if (all.length < 2) return
    const [earlier, later] = halve(range)
    assert.deepStrictEqual([...points(earlier), ...points(later)], all)
    assert.include([0, 1], pointCount(earlier) - pointCount(later))
  })

  it("ends with single points", () => {
    let range = gridRange(0, 11_000_000, 1000)
    let times = 0
    while (pointCount(range) > 1) {
      range = halve(range)[0]
      times++
    }
    assert.strictEqual(pointCount(range), 1)
    assert.strictEqual(times, 14)
  })
})

describe("rangeText", () => {
  it("has the first and the last point", () => {
    assert.strictEqual(
      rangeText({ firstMillis: 60_000, lastMillis: 120_000, stepMillis: 60_000 }),
      "1970-01-01T00:01:00Z to 1970-01-01T00:02:00Z"
    )
  })
})
