/** States of parts that are committed in any order, twice or overlapping, compared with sets of points. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { type Span, union, without } from "../../src/sync/coverage.ts"
import { overlapWith, type PartResult, withPart } from "../../src/sync/partState.ts"
import { encodeStreamState, MAX_SPANS, StreamState } from "../../src/sync/StreamState.ts"
import { type Choices, choices } from "../choices.ts"
import { iso, minute, start } from "../support/gauge.ts"

const details = { selector: "", excluded_labels: "" }

const span = (first: number, last: number): Span => ({
  firstMillis: start + first * minute,
  lastMillis: start + last * minute
})

const gridOf = (first: number, last: number) => ({ ...span(first, last), stepMillis: minute })

/** A part of a sync from minute 0 to minute 100. */
const part = (
  covered: ReadonlyArray<readonly [number, number]>,
  more: Partial<PartResult> = {}
): PartResult => ({
  grid: gridOf(0, 100),
  covered: covered.map(([first, last]) => span(first, last)),
  isReread: false,
  details,
  ...more
})

const minutesOf = (spans: ReadonlyArray<Span>) =>
  spans.map(({ firstMillis, lastMillis }) => [(firstMillis - start) / minute, (lastMillis - start) / minute])

/** A state in minutes. */
const shown = (state: StreamState | undefined) =>
  state && {
    time: (state.timeMillis - start) / minute,
    read: minutesOf(state.covered),
    again: minutesOf(state.again)
  }

const stateAt = (time: number, more: Partial<StreamState> = {}) =>
  new StreamState({ time: iso(start + time * minute), step: 60, version: 1, ...more })

const listOf = (...spans: ReadonlyArray<readonly [number, number]>) =>
  spans.map(([first, last]) => [iso(start + first * minute), iso(start + last * minute)] as const)

/** The points of a model, which knows nothing of spans. */
const pointsOf = (spans: ReadonlyArray<Span>): ReadonlySet<number> =>
  new Set(
    minutesOf(spans).flatMap(([first = 0, last = 0]) =>
      Array.from({ length: last - first + 1 }, (_, i) => first + i)
    )
  )

const sorted = (points: Iterable<number>) => [...points].sort((a, b) => a - b)

describe("the state after a part", () => {
  it("has a time before the first gap", () => {
    const late = withPart(undefined, part([[50, 59]]))
    assert.deepStrictEqual(shown(late), { time: -1, read: [[50, 59]], again: [] })
    const first = withPart(late, part([[0, 9]]))
    assert.deepStrictEqual(shown(first), {
      time: 9,
      read: [
        [0, 9],
        [50, 59]
      ],
      again: []
    })
    assert.deepStrictEqual(shown(withPart(first, part([[10, 49]]))), { time: 59, read: [[0, 59]], again: [] })
  })

  it("is none for a part that has been read", () => {
    const state = withPart(undefined, part([[0, 59]]))
    assert.isUndefined(withPart(state, part([[10, 19]])))
    assert.isUndefined(withPart(state, part([])))
    assert.isDefined(withPart(state, part([[10, 19]], { isReread: true })))
    assert.isDefined(withPart(state, part([[50, 60]])))
  })

  it("is none for a part with another step than the rows", () => {
    const seconds = { ...gridOf(0, 100), stepMillis: 30_000 }
    assert.isUndefined(withPart(stateAt(9, { read: listOf([0, 9]) }), part([[20, 29]], { grid: seconds })))
  })

  it("keeps the time of a state whose start was moved back, and of one whose end was", () => {
    const state = stateAt(60, { read: listOf([20, 60]) })
    assert.deepStrictEqual(shown(withPart(state, part([[0, 9]])))?.time, 60)
    assert.deepStrictEqual(shown(withPart(state, part([[10, 19]], { grid: gridOf(0, 30) }))), {
      time: 60,
      read: [[10, 60]],
      again: []
    })
  })

  it("advances over points before a start that was moved forward", () => {
    const state = withPart(undefined, part([[0, 9]]))
    const moved = withPart(state, part([[50, 59]], { grid: gridOf(50, 100) }))
    assert.deepStrictEqual(shown(moved)?.time, 59)
  })

  it("has read everything up to the time of a state without a list", () => {
    const state = stateAt(60)
    assert.isUndefined(withPart(state, part([[20, 29]])))
    assert.deepStrictEqual(shown(withPart(state, part([[61, 65]]))), { time: 65, read: [[0, 65]], again: [] })
    assert.deepStrictEqual(minutesOf(overlapWith(state, part([[50, 65]]))), [[50, 60]])
  })

  it("lists the points that may have rows although they are not complete", () => {
    const holes = [span(5, 6)]
    const damaged = part(
      [
        [0, 4],
        [7, 9]
      ],
      { holes }
    )
    const state = withPart(undefined, damaged)
    assert.deepStrictEqual(shown(state), {
      time: 4,
      read: [
        [0, 4],
        [7, 9]
      ],
      again: [[5, 6]]
    })
    // The same damage again is nothing new; a part that was damaged everywhere is.
    assert.isUndefined(withPart(state, part([], { holes })))
    assert.deepStrictEqual(shown(withPart(undefined, part([], { holes })))?.again, [[5, 6]])
    assert.deepStrictEqual(minutesOf(overlapWith(state, part([[5, 6]]))), [[5, 6]])
    assert.deepStrictEqual(shown(withPart(state, part([[5, 6]]))), { time: 9, read: [[0, 9]], again: [] })
  })

  it("lists the points that late samples may still reach, until they are read again", () => {
    const lookbackMillis = 5 * minute
    const at = (last: number, covered: ReadonlyArray<readonly [number, number]>, isReread = false) =>
      part(covered, { grid: gridOf(0, last), lookbackMillis, isReread })
    const first = withPart(undefined, at(20, [[10, 20]]))
    assert.deepStrictEqual(shown(first)?.again, [[16, 20]])
    // Another process is ahead; these points stay until their own process comes.
    const ahead = withPart(first, at(40, [[21, 40]]))
    assert.deepStrictEqual(shown(ahead)?.again, [
      [16, 20],
      [36, 40]
    ])
    assert.deepStrictEqual(shown(withPart(ahead, at(41, [[16, 20]], true)))?.again, [[36, 40]])
  })

  it("is none if there would be too many ranges, instead of forgetting one that has rows", () => {
    const many = Array.from({ length: MAX_SPANS }, (_, i) => [2 * i, 2 * i] as const)
    const state = new StreamState({ time: iso(start), step: 60, version: 1, read: listOf(...many) })
    const grid = gridOf(0, 2 * MAX_SPANS + 10)
    assert.isUndefined(withPart(state, part([[2 * MAX_SPANS + 2, 2 * MAX_SPANS + 3]], { grid })))
    assert.lengthOf(withPart(state, part([[1, 1]], { grid }))!.covered, MAX_SPANS - 1)
  })
})

/** A random part of the grid, cut at multiples of ten minutes. */
const randomPart = (choices: Choices, last: number): PartResult => {
  const slot = choices.below(Math.ceil((last + 1) / 10))
  const first = slot * 10 + (choices.oneIn(2) ? choices.below(5) : 0)
  const end = Math.min(last, slot * 10 + (choices.oneIn(3) ? choices.between(5, 9) : 9))
  const hole = choices.oneIn(3) ? [span(Math.min(first + 1, end), Math.min(first + 2, end))] : []
  const range = first <= end ? [span(first, end)] : []
  return {
    grid: gridOf(0, last),
    covered: without(range, range.length === 0 ? [] : hole, minute),
    holes: range.length === 0 ? [] : hole,
    isReread: choices.oneIn(3),
    lookbackMillis: choices.pick([0, 0, 7 * minute]),
    details
  }
}

describe("states of parts in any order", () => {
  it.prop("list exactly the points that were read, and those that may have rows", [choices], ([choices]) => {
    let state: StreamState | undefined
    const read = new Set<number>()
    /** The points with rows. A server may return some series of a hole. */
    const rows = new Set<number>()
    let last = choices.between(10, 60)
    for (let i = choices.between(1, 12); i > 0; i--) {
      last += choices.below(10)
      const result = randomPart(choices, last)
      const requested = pointsOf(union(result.covered, result.holes ?? [], minute))
      const overlap = pointsOf(overlapWith(state, result))
      // All rows that were committed before are replaced, and what is replaced is of the part.
      for (const point of requested) if (rows.has(point)) assert.isTrue(overlap.has(point), `${point}`)
      for (const point of overlap) assert.isTrue(requested.has(point), `${point}`)
      const next = withPart(state, result)
      if (next === undefined) {
        for (const point of pointsOf(result.covered)) assert.isTrue(read.has(point), `${point} is lost`)
        continue
      }
      state = Schema.decodeUnknownSync(StreamState)(JSON.parse(JSON.stringify(encodeStreamState(next))))
      for (const point of requested) rows.add(point)
      for (const point of pointsOf(result.covered)) read.add(point)
      assert.deepStrictEqual(sorted(pointsOf(state.covered)), sorted(read))
      let gap = 0
      while (read.has(gap)) gap++
      assert.strictEqual(shown(state)?.time, gap - 1)
      const again = pointsOf(state.again)
      for (const point of rows) assert.isTrue(read.has(point) || again.has(point), `${point} has rows`)
      for (const point of again) assert.isTrue(rows.has(point), `${point} has no rows`)
      for (const point of requested) {
        const isLate = point > last - (result.lookbackMillis ?? 0) / minute
        assert.strictEqual(again.has(point), isLate || !read.has(point), `${point}`)
      }
    }
  })

  it.prop("do not depend on the order, nor on parts that are repeated", [choices], ([choices]) => {
    const slots = Array.from({ length: 10 }, (_, slot) => part([[slot * 10, slot * 10 + 9]]))
    const chosen = slots.slice(choices.below(5))
    const orders = [chosen, choices.shuffle([...chosen, ...choices.list(5, () => choices.pick(chosen))])]
    const states = orders.map((parts) =>
      parts.reduce<StreamState | undefined>((state, one) => withPart(state, one) ?? state, undefined)
    )
    assert.deepStrictEqual(states[1], states[0])
  })
})
