import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { cover, intersection, type Span, uncovered, union, without } from "../../src/sync/coverage.ts"

const STEP = 60

const Point = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 }))
const Ends = Schema.Tuple([Point, Point])

const spanOf = ([a, b]: readonly [number, number]): Span => ({
  firstMillis: Math.min(a, b) * STEP,
  lastMillis: Math.max(a, b) * STEP
})

const pointsOf = (spans: ReadonlyArray<Span>): ReadonlyArray<number> =>
  spans.flatMap(({ firstMillis, lastMillis }) =>
    Array.from({ length: (lastMillis - firstMillis) / STEP + 1 }, (_, i) => firstMillis / STEP + i)
  )

describe("the spans that have been read", () => {
  it.prop("are the union of all spans, in order and disjoint", [Schema.Array(Ends)], ([ends]) => {
    const spans = ends.map(spanOf)
    const covered = spans.reduce<ReadonlyArray<Span>>((covered, span) => cover(covered, span, STEP), [])
    assert.deepStrictEqual(
      pointsOf(covered),
      [...new Set(pointsOf(spans))].sort((a, b) => a - b)
    )
    for (const [i, span] of covered.slice(1).entries()) {
      assert.isAbove(span.firstMillis, covered[i]!.lastMillis + STEP, "neighbours are one span")
    }
  })

  it.prop("leave exactly the other points of a range", [Schema.Array(Ends), Ends], ([ends, of]) => {
    const covered = ends
      .map(spanOf)
      .reduce<ReadonlyArray<Span>>((covered, span) => cover(covered, span, STEP), [])
    const range = { ...spanOf(of), stepMillis: STEP }
    const read = new Set(pointsOf(covered))
    const gaps = uncovered(range, covered)
    assert.deepStrictEqual(
      pointsOf(gaps),
      pointsOf([range]).filter((point) => !read.has(point))
    )
    for (const gap of gaps) assert.strictEqual(gap.stepMillis, STEP)
  })

  it("leave points of the range's own grid if the spans have another step", () => {
    const covered = [
      { firstMillis: 60, lastMillis: 120 },
      { firstMillis: 300, lastMillis: 420 }
    ]
    assert.deepStrictEqual(uncovered({ firstMillis: 0, lastMillis: 540, stepMillis: 90 }, covered), [
      { firstMillis: 0, lastMillis: 0, stepMillis: 90 },
      { firstMillis: 180, lastMillis: 270, stepMillis: 90 },
      { firstMillis: 450, lastMillis: 540, stepMillis: 90 }
    ])
  })

  it.prop(
    "are joined, compared and taken away like sets",
    [Schema.Array(Ends), Schema.Array(Ends)],
    ([a, b]) => {
      const [one, other] = [union(a.map(spanOf), [], STEP), union([], b.map(spanOf), STEP)]
      const [ones, others] = [new Set(pointsOf(one)), new Set(pointsOf(other))]
      const inOrder = (points: ReadonlySet<number>) => [...points].sort((x, y) => x - y)
      assert.deepStrictEqual(pointsOf(union(one, other, STEP)), inOrder(new Set([...ones, ...others])))
      assert.deepStrictEqual(
        pointsOf(intersection(one, other)),
        pointsOf(one).filter((point) => others.has(point))
      )
      assert.deepStrictEqual(
        pointsOf(without(one, other, STEP)),
        pointsOf(one).filter((point) => !others.has(point))
      )
    }
  )
})
