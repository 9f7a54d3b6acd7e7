/** Servers that cannot return some of their points: everything else is read, and the holes are reported. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { parseSelector, select } from "../../src/mock/evaluate.ts"
import type { Fault, MockRequest } from "../../src/mock/http.ts"
import { type MockSeries, makeDatabase } from "../../src/mock/MockSeries.ts"
import type { ReadEvent } from "../../src/sync/ReadEvent.ts"
import { Choices, choices } from "../choices.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { runs } from "../support/runs.ts"
import {
  checkpoints,
  failuresOf,
  incremental,
  minutesOf,
  numbers,
  onRange,
  rangeRequests,
  readAll,
  refusal,
  samplesOf,
  story
} from "./readMock.ts"

/** What a server may answer if it cannot read its data. The reader has never heard of any of these words. */
const answers: Readonly<Record<string, Fault>> = {
  "422": refusal(422, "segment 3 is gone"),
  "400": refusal(400, "no"),
  "500": refusal(500, "panic"),
  "503": { status: 503, body: "oops" },
  "a reset": { reset: true },
  "half a response": { cutAfterBytes: 20 }
}

/** Damaged points of a series, in minutes from the start, both included. */
interface Damaged {
  readonly n: number
  readonly first: number
  readonly last: number
}

/** Responds with a fault to all range queries that touch damaged points. */
const damagedBy =
  (series: ReadonlyArray<MockSeries>, damage: ReadonlyArray<Damaged>, fault: Fault) =>
  ({ params, path }: Pick<MockRequest, "params" | "path">): Fault | undefined => {
    if (path !== "/api/v1/query_range") return undefined
    const selector = Result.getOrUndefined(parseSelector(params.get("query") ?? "", true))
    if (selector === undefined) return fault
    const from = (Number(params.get("start")) * 1000 - start) / minute
    const until = (Number(params.get("end")) * 1000 - start) / minute
    const touched = damage.filter(({ first, last }) => first <= until && last >= from)
    if (touched.length === 0) return undefined
    const selected = new Set(
      select(makeDatabase(series), selector).map(({ labels }) => JSON.stringify(labels))
    )
    const isHit = touched.some(({ n }) => {
      const { labels } = makeDatabase([series[n]!]).series[0]!
      return selected.has(JSON.stringify(labels))
    })
    return isHit ? fault : undefined
  }

const keysOf = (series: ReadonlyArray<MockSeries>, points: number, damage: ReadonlyArray<Damaged>) =>
  series.flatMap((_, n) =>
    numbers(0, points - 1)
      .filter((at) => !damage.some((hole) => hole.n === n && hole.first <= at && at <= hole.last))
      .map((at) => `${n} ${at}`)
  )

const readKeys = (events: ReadonlyArray<ReadEvent>) =>
  [...samplesOf(events).keys()].map((key) => {
    const [labels, time] = JSON.parse(key) as [ReadonlyArray<[string, string]>, number]
    return `${labels.find(([name]) => name === "n")![1]} ${(time - start) / minute}`
  })

describe("points that the server cannot return", () => {
  for (const [name, fault] of Object.entries(answers)) {
    it.effect(`cost only themselves if it answers with ${name}`, () =>
      Effect.gen(function* () {
        const series = gauge("m", 300, 3)
        const damage = [{ n: 1, first: 100, last: 139 }]
        const { events, mock } = yield* readAll(incremental("m"), {
          series,
          points: 300,
          config: { max_retries: 2 },
          mock: { faults: damagedBy(series, damage, fault) }
        })
        assert.deepStrictEqual(readKeys(events).sort(), keysOf(series, 300, damage).sort())
        assert.strictEqual(events.at(-1)?._tag, "Failed")
        assert.include(
          failuresOf(events),
          `from ${iso(start + 100 * minute)} to ${iso(start + 139 * minute)} of {`
        )
        assert.include(failuresOf(events), "set damaged_data to skip")
        const last = checkpoints(events).at(-1)!
        assert.isBelow(last.timeMillis, start + 100 * minute)
        // Each point on its own, and to look close to it; not each with all retries.
        assert.isBelow(rangeRequests(mock).length, 40 * 8 + 60)
      })
    )
  }

  it.effect("are left out if the user wants that, and the state advances", () =>
    Effect.gen(function* () {
      const series = gauge("m", 300, 2)
      const damage = [{ n: 0, first: 50, last: 59 }]
      const { events } = yield* readAll(incremental("m"), {
        series,
        points: 300,
        config: { damaged_data: "skip" },
        mock: { faults: damagedBy(series, damage, answers["422"]!) }
      })
      assert.deepStrictEqual(readKeys(events).sort(), keysOf(series, 300, damage).sort())
      assert.strictEqual(events.at(-1)?._tag, "Completed")
      assert.strictEqual(checkpoints(events).at(-1)?.timeMillis, start + 299 * minute)
    })
  )

  it.effect("may be the first ones", () =>
    Effect.gen(function* () {
      const series = gauge("m", 300)
      const { events } = yield* readAll(incremental("m"), {
        series,
        points: 300,
        mock: { faults: onRange(({ from }) => (from < 45 ? answers["422"] : undefined)) }
      })
      assert.deepStrictEqual(minutesOf(events), numbers(45, 299))
      assert.deepStrictEqual(checkpoints(events), [])
      assert.match(failuresOf(events), /not 45 points from 2026-01-01T00:00:00Z to 2026-01-01T00:44:00Z\./)
    })
  )

  it.effect("may be years, which cost few requests", () =>
    Effect.gen(function* () {
      const points = 40_000
      const { events, mock } = yield* readAll(incremental("m"), {
        series: gauge("m", points),
        points,
        mock: {
          faults: onRange(({ from, points }) =>
            from < 30_000 && from + points > 101 ? answers["400"] : undefined
          )
        }
      })
      assert.deepStrictEqual(minutesOf(events), [...numbers(0, 100), ...numbers(30_000, points - 1)])
      assert.isBelow(rangeRequests(mock).length, 1200)
    })
  )

  it.effect("are not assumed if none is returned: the stream fails after a few requests", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll(incremental("m"), {
        series: gauge("m", 5000, 20),
        points: 5000,
        mock: { faults: onRange(() => answers["422"]) }
      })
      assert.strictEqual(story(events), "Started Failed")
      assert.isBelow(rangeRequests(mock).length, 40)
      assert.notInclude(failuresOf(events), "damaged")
    })
  )

  it.effect("do not include those that it returns later, when it is well again", () =>
    Effect.gen(function* () {
      let requests = 0
      const { events } = yield* readAll(incremental("m"), {
        series: gauge("m", 300),
        points: 300,
        config: { max_retries: 1 },
        mock: { faults: onRange(({ from }) => (from >= 32 && requests++ < 9 ? answers["500"] : undefined)) }
      })
      assert.strictEqual(failuresOf(events), "")
      assert.deepStrictEqual(minutesOf(events), numbers(0, 299))
    })
  )

  it.effect("may be all of one series: the others are read", () =>
    Effect.gen(function* () {
      for (const n of [0, 1, 2]) {
        const series = gauge("m", 5, 3)
        const damage = [{ n, first: 0, last: 4 }]
        const { events } = yield* readAll(incremental("m"), {
          series,
          points: 5,
          config: { max_retries: 1 },
          mock: { faults: damagedBy(series, damage, answers["500"]!) }
        })
        assert.deepStrictEqual(readKeys(events).sort(), keysOf(series, 5, damage).sort())
        assert.strictEqual(events.at(-1)?._tag, "Failed")
      }
    })
  )

  it.effect.prop(
    "are the only ones missing, wherever they are",
    [choices],
    ([choices]) =>
      Effect.gen(function* () {
        const c = new Choices(choices.seed, 1000)
        const points = 1 + c.below(400)
        const count = 1 + c.below(5)
        const series = gauge("m", points, count)
        const damage = Array.from({ length: c.below(4) }, () => {
          const first = c.below(points)
          return { n: c.below(count), first, last: Math.min(points - 1, first + c.below(60)) }
        })
        const fault = Object.values(answers)[c.below(Object.keys(answers).length)]!
        const isAll = keysOf(series, points, damage).length === 0
        const { events } = yield* readAll(incremental("m"), {
          series,
          points,
          config: { max_retries: 1 },
          mock: { faults: damagedBy(series, damage, fault) }
        })
        // If no series and no other point is returned either, it is not damage but a refusal of everything.
        if (!isAll) assert.deepStrictEqual(readKeys(events).sort(), keysOf(series, points, damage).sort())
        assert.strictEqual(events.at(-1)?._tag, damage.length === 0 ? "Completed" : "Failed")
        const first = start + Math.min(...damage.map(({ first }) => first)) * minute
        for (const { timeMillis } of checkpoints(events))
          assert.isTrue(damage.length === 0 || timeMillis < first)
      }),
    { arbitrary: { runs: runs(5, 60) }, timeout: 240_000 }
  )
})
