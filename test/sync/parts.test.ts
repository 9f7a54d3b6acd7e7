/** The parts of a sync: who reads which points. */
import { assert, describe, it } from "@effect/vitest"
import { Option, Schema } from "effect"
import { noStreamSettings } from "../../src/config/StreamSettings.ts"
import { cutParts, MAX_SLOTS, ownerOf, proposedLength, SyncPart, slotMillis } from "../../src/sync/parts.ts"
import { type Part, plan } from "../../src/sync/plan.ts"
import { StreamState } from "../../src/sync/StreamState.ts"
import { type GridRange, pointCount } from "../../src/sync/TimeGrid.ts"
import { type Choices, choices } from "../choices.ts"
import { iso, minute, start } from "../support/gauge.ts"

const hour = 60 * minute
const day = 24 * hour

const pointsOf = ({ firstMillis, lastMillis, stepMillis }: GridRange) =>
  Array.from(
    { length: pointCount({ firstMillis, lastMillis, stepMillis }) },
    (_, i) => firstMillis + i * stepMillis
  )

interface Given {
  readonly state?: StreamState | undefined
  readonly startMinute?: number
  readonly endMinute?: number | undefined
  readonly stepSeconds?: number
  readonly lookbackMillis?: number
  /** The server's time, in minutes. */
  readonly now: number
}

const planned = ({ state, startMinute = 0, endMinute, stepSeconds = 60, lookbackMillis = 0, now }: Given) =>
  plan(
    [{ name: "m", mode: "incremental" }],
    new Map(state === undefined ? [] : [["m", state]]),
    {
      startMillis: start + startMinute * minute,
      endMillis: endMinute === undefined ? Option.none() : Option.some(start + endMinute * minute),
      settleDelayMillis: 0,
      stepSeconds,
      sampling: "step",
      lookbackMillis,
      matchers: [],
      excludedLabels: new Set<string>(),
      metrics: { include: [], exclude: [] },
      ...noStreamSettings
    },
    start + now * minute,
    { detailedStates: true }
  )[0]!

const cut = (given: Given, partMillis: number) =>
  cutParts(planned(given), partMillis, given.lookbackMillis ?? 0)

const shown = (parts: ReadonlyArray<Part>) =>
  parts.map(({ range, reason }) => [
    reason,
    (range.firstMillis - start) / minute,
    (range.lastMillis - start) / minute
  ])

const stateOf = (time: number, ...spans: ReadonlyArray<readonly [number, number]>) =>
  new StreamState({
    time: iso(start + time * minute),
    step: 60,
    version: 1,
    read: spans.map(([first, last]) => [iso(start + first * minute), iso(start + last * minute)] as const)
  })

describe("the parts of a stream", () => {
  it("are cut at multiples of their length since the epoch", () => {
    assert.deepStrictEqual(shown(cut({ startMinute: 50, now: 150 }, hour)), [
      ["start", 50, 59],
      ["start", 60, 119],
      ["start", 120, 150]
    ])
  })

  it("fill gaps, and resume with the look-back", () => {
    const state = stateOf(29, [10, 29], [60, 119], [180, 199])
    const parts = cut({ state, now: 205, lookbackMillis: 10 * minute }, hour)
    assert.deepStrictEqual(shown(parts), [
      ["gap", 0, 9],
      ["gap", 30, 59],
      ["gap", 120, 179],
      ["resume", 190, 205]
    ])
    assert.deepStrictEqual(
      parts.map(({ isReread }) => isReread),
      [false, false, false, true]
    )
  })

  it("read again what was incomplete, with neighbours in one part", () => {
    const state = new StreamState({
      ...stateOf(119, [0, 99], [110, 119]),
      read_again: [
        [iso(start + 90 * minute), iso(start + 95 * minute)],
        [iso(start + 100 * minute), iso(start + 109 * minute)]
      ]
    })
    assert.deepStrictEqual(shown(cut({ state, now: 125 }, hour)), [
      ["gap", 90, 95],
      ["gap", 100, 109],
      ["resume", 120, 125]
    ])
    const looking = cut({ state, now: 125, lookbackMillis: 15 * minute }, hour)
    assert.deepStrictEqual(shown(looking), [
      ["gap", 90, 95],
      ["resume", 100, 119],
      ["resume", 120, 125]
    ])
    assert.deepStrictEqual(
      looking.map(({ isReread }) => isReread),
      [true, true, false]
    )
  })

  it("are none if nothing is new", () => {
    assert.deepStrictEqual(cut({ state: stateOf(100, [0, 100]), now: 100 }, hour), [])
    assert.deepStrictEqual(cut({ now: -5 }, hour), [])
  })

  it("have a length of entire steps, however short the agreed one is", () => {
    const parts = cut({ now: 24 * 60, stepSeconds: 7 * 60 }, hour)
    assert.strictEqual(slotMillis(planned({ now: 1440, stepSeconds: 420 }).grid, hour), 63 * minute)
    for (const { range } of parts) assert.isAtMost(pointCount(range), 9)
    assert.lengthOf(cut({ now: 2 }, 1), 3)
  })

  it("are never more than a state can list", () => {
    const parts = cut({ now: 60 * 24 * 365 * 20 }, minute)
    assert.isAtMost(parts.length, MAX_SLOTS + 1)
    assert.isAbove(parts.length, MAX_SLOTS / 2)
  })
})

/** Any state and settings. */
const random = (choices: Choices): Given => {
  const spans = choices.list(4, (i) => [i * 60 + choices.below(30), i * 60 + 30 + choices.below(29)] as const)
  const covered = spans[0]?.[1] ?? 0
  return {
    state: spans.length === 0 ? undefined : stateOf(covered, ...spans),
    startMinute: choices.between(-100, 50),
    endMinute: choices.oneIn(4) ? choices.between(0, 300) : undefined,
    stepSeconds: choices.pick([60, 60, 120, 420]),
    lookbackMillis: choices.pick([0, 0, 7 * minute, 90 * minute]),
    now: choices.between(-50, 400)
  }
}

describe("the parts of all processes", () => {
  it.prop("are exactly the points to read, each once, each in one slot", [choices], ([choices]) => {
    const given = random(choices)
    const whole = planned(given)
    const length = choices.pick([minute, 5 * minute, 37 * minute, hour, day])
    const processes = choices.between(1, 5)
    const parts = cutParts(whole, length, given.lookbackMillis ?? 0)
    const slot = slotMillis(whole.grid, length)
    const owned = Array.from({ length: processes }, (_, index) =>
      parts.filter((part) => ownerOf(part, processes) === index)
    )
    assert.strictEqual(
      owned.reduce((sum, own) => sum + own.length, 0),
      parts.length
    )
    const points = owned.flat().flatMap(({ range }) => pointsOf(range))
    assert.deepStrictEqual(
      points.toSorted((a, b) => a - b),
      whole.parts.flatMap(({ range }) => pointsOf(range))
    )
    for (const part of parts) {
      for (const point of pointsOf(part.range)) assert.strictEqual(Math.floor(point / slot), part.slot)
      const read = (given.state?.covered ?? []).some(
        ({ firstMillis, lastMillis }) =>
          firstMillis <= part.range.lastMillis && lastMillis >= part.range.firstMillis
      )
      assert.strictEqual(part.isReread, read)
      assert.deepStrictEqual(
        Schema.decodeUnknownSync(SyncPart)(JSON.parse(JSON.stringify(Schema.encodeSync(SyncPart)(part)))),
        part
      )
    }
  })

  it.prop("only get more points at the end if one plans later", [choices], ([choices]) => {
    const given = { ...random(choices), endMinute: undefined }
    const later = { ...given, now: given.now + choices.below(200) }
    const processes = choices.between(1, 5)
    const length = choices.pick([5 * minute, hour])
    const owners = (one: Given) =>
      new Map(
        cut(one, length).flatMap((part) =>
          pointsOf(part.range).map((point) => [point, ownerOf(part, processes)] as const)
        )
      )
    const [early, late] = [owners(given), owners(later)]
    for (const [point, owner] of early) assert.strictEqual(late.get(point), owner)
    const end = planned(given).grid.lastMillis
    for (const point of late.keys()) assert.isTrue(early.has(point) || point > end)
  })

  it("are spread evenly, and streams begin with different processes", () => {
    const counts = [0, 0, 0, 0]
    const firsts = new Set<number>()
    for (const stream of ["up", "node_cpu_seconds_total", "http_requests_total", "a", "b", "c"]) {
      for (let slot = -20; slot < 20; slot++) counts[ownerOf({ stream, slot }, 4)]!++
      firsts.add(ownerOf({ stream, slot: 0 }, 4))
    }
    assert.deepStrictEqual(counts, [60, 60, 60, 60])
    assert.isAbove(firsts.size, 1)
    // All processes of all versions must agree.
    assert.strictEqual(ownerOf({ stream: "up", slot: 490_000 }, 7), 1)
  })
})

describe("the length of parts", () => {
  it("is one that people can read, with millions of samples", () => {
    assert.strictEqual(proposedLength(1, minute), 364 * day)
    assert.strictEqual(proposedLength(1000, minute), 28 * day)
    assert.strictEqual(proposedLength(10_000, 15_000), day)
    assert.strictEqual(proposedLength(100_000, 15_000), hour)
    assert.strictEqual(proposedLength(1e7, 15_000), minute)
  })

  it("is a multiple of the step, and at least one", () => {
    assert.strictEqual(proposedLength(1e9, 7 * hour), day + 4 * hour)
    assert.strictEqual(proposedLength(1e9, 500 * day), 500 * day)
    assert.strictEqual(proposedLength(1e9, 7000), 63_000)
  })
})
