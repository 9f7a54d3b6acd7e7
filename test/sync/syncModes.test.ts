/** Incremental reads and full refreshes, and the range that they read. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { ReadEvent } from "../../src/sync/ReadEvent.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import {
  checkpoints,
  fullRefresh,
  incremental,
  minutesOf,
  numbers,
  rangeRequests,
  readAll,
  type Setting,
  story,
  windows
} from "./readMock.ts"

describe("an incremental read", () => {
  const state = (minutes: number, more: object = {}) => ({
    m: { time: iso(start + minutes * minute), step: 60, version: 1 as const, ...more }
  })

  it.effect("resumes after its state", () =>
    Effect.gen(function* () {
      const { events } = yield* readAll(incremental("m"), {
        series: gauge("m", 100),
        points: 100,
        states: state(59)
      })
      assert.deepStrictEqual(minutesOf(events), numbers(60, 99))
      assert.strictEqual(checkpoints(events).at(-1)?.time, iso(start + 99 * minute))
    })
  )

  it.effect("reads the look-back window again without moving its state back", () =>
    Effect.gen(function* () {
      const { events } = yield* readAll(incremental("m"), {
        series: gauge("m", 100),
        points: 100,
        config: { lookback_window: 45 * 60 },
        states: state(89)
      })
      assert.deepStrictEqual(minutesOf(events), numbers(45, 99))
      const times = checkpoints(events).map(({ timeMillis }) => timeMillis)
      assert.isAbove(times.length, 1)
      for (const [i, time] of times.entries()) assert.isAtLeast(time, times[i - 1] ?? start + 89 * minute)
      assert.strictEqual(times.at(-1), start + 99 * minute)
    })
  )

  it.effect("does not look back before start_date", () =>
    Effect.gen(function* () {
      const { mock } = yield* readAll(incremental("m"), {
        series: gauge("m", 20),
        points: 20,
        config: { lookback_window: "10d" },
        states: state(9)
      })
      assert.strictEqual(windows(mock)[0]?.[0], 0)
    })
  )

  it.effect("with a state in the future requests nothing and keeps the state", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll(incremental("m"), {
        series: gauge("m", 10),
        points: 10,
        states: state(1_000_000)
      })
      assert.strictEqual(story(events), "Started Running Checkpoint Completed")
      assert.deepStrictEqual(
        checkpoints(events).map((saved) => ({ ...saved })),
        [state(1_000_000).m]
      )
      assert.strictEqual(rangeRequests(mock).length, 0)
    })
  )

  it.effect("with nothing new keeps the same state", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll(incremental("m"), {
        series: gauge("m", 10),
        points: 10,
        states: state(9)
      })
      assert.deepStrictEqual(
        checkpoints(events).map((saved) => ({ ...saved })),
        [state(9).m]
      )
      assert.strictEqual(rangeRequests(mock).length, 0)
    })
  )

  it.effect("resumes with another step at the first point after the state", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll(incremental("m"), {
        series: gauge("m", 100),
        points: 100,
        config: { step: 600 },
        states: state(37, { step: 60 })
      })
      assert.deepStrictEqual(minutesOf(events), [40, 50, 60, 70, 80, 90])
      assert.strictEqual(windows(mock)[0]?.[0], 40)
      assert.deepStrictEqual(
        { ...checkpoints(events).at(-1) },
        { time: iso(start + 90 * minute), step: 600, version: 1 }
      )
    })
  )

  it.effect("reads each point once over many syncs", () =>
    Effect.gen(function* () {
      const all: Array<ReadEvent> = []
      let states: Readonly<Record<string, unknown>> = {}
      for (const points of [10, 10, 11, 47, 200]) {
        const { events } = yield* readAll(incremental("m"), {
          series: gauge("m", 300),
          points,
          states
        })
        all.push(...events)
        states = { m: { ...checkpoints(events).at(-1) } }
      }
      assert.deepStrictEqual(minutesOf(all), numbers(0, 199))
    })
  )
})

describe("a full refresh", () => {
  const setting: Setting = { series: gauge("m", 100), points: 100 }
  const saved = (more: object) => ({
    ...setting,
    states: { m: { time: iso(start + 59 * minute), step: 60, version: 1, ...more } }
  })

  it.effect("ignores the state of an incremental read", () =>
    Effect.gen(function* () {
      const { events } = yield* readAll(fullRefresh("m"), saved({}))
      assert.deepStrictEqual(minutesOf(events), numbers(0, 99))
    })
  )

  it.effect("resumes from its own checkpoint, without the look-back", () =>
    Effect.gen(function* () {
      for (const more of [{}, { config: { lookback_window: 3600 } }]) {
        const { events } = yield* readAll(fullRefresh("m"), { ...saved({ full_refresh: true }), ...more })
        assert.deepStrictEqual(minutesOf(events), numbers(60, 99))
      }
    })
  )

  it.effect("resumes only within the same generation", () =>
    Effect.gen(function* () {
      const checkpoint = saved({ full_refresh: true, generation_id: 7 })
      const same = yield* readAll(fullRefresh("m", 7), checkpoint)
      assert.deepStrictEqual(minutesOf(same.events), numbers(60, 99))
      const other = yield* readAll(fullRefresh("m", 8), checkpoint)
      assert.deepStrictEqual(minutesOf(other.events), numbers(0, 99))
    })
  )

  it.effect("marks its checkpoints", () =>
    Effect.gen(function* () {
      const { events } = yield* readAll(fullRefresh("m", 3), setting)
      assert.isAbove(checkpoints(events).length, 1)
      for (const state of checkpoints(events)) {
        assert.deepInclude({ ...state }, { full_refresh: true, generation_id: 3 })
      }
      const completed = events.at(-1)
      assert.strictEqual(completed?._tag === "Completed" && completed.mode, "full_refresh")
    })
  )

  it.effect("reads everything after an incremental read that resumed from an abandoned refresh", () =>
    Effect.gen(function* () {
      const nothingNew = {
        ...setting,
        states: { m: { time: iso(start + 99 * minute), step: 60, version: 1, full_refresh: true } }
      }
      const between = yield* readAll(incremental("m"), nothingNew)
      const state = checkpoints(between.events).at(-1)
      const { events } = yield* readAll(fullRefresh("m"), { ...setting, states: { m: { ...state } } })
      assert.deepStrictEqual(minutesOf(events), numbers(0, 99))
    })
  )
})

describe("the range", () => {
  it.effect("is empty while start_date is in the future, and its state skips nothing", () =>
    Effect.gen(function* () {
      const config = { start_date: iso(start + 10 * minute) }
      const first = yield* readAll(incremental("m"), { series: gauge("m", 30), points: 5, config })
      assert.strictEqual(story(first.events), "Started Running Checkpoint Completed")
      assert.strictEqual(rangeRequests(first.mock).length, 0)
      const states = { m: { ...checkpoints(first.events).at(-1) } }
      const second = yield* readAll(incremental("m"), { series: gauge("m", 30), points: 30, config, states })
      assert.deepStrictEqual(minutesOf(second.events), numbers(10, 29))
    })
  )

  it.effect("begins at the first multiple of the step", () =>
    Effect.gen(function* () {
      const { mock } = yield* readAll(incremental("m"), {
        series: gauge("m", 30),
        points: 30,
        config: { start_date: iso(start + 1000), step: 300 }
      })
      assert.deepStrictEqual(windows(mock), [[5, 25]])
    })
  )

  it.effect("ends at end_date, or earlier at the settle delay", () =>
    Effect.gen(function* () {
      const setting: Setting = { series: gauge("m", 60), points: 60 }
      const early = yield* readAll(incremental("m"), {
        ...setting,
        config: { end_date: iso(start + 20 * minute + 30_000) }
      })
      assert.deepStrictEqual(minutesOf(early.events), numbers(0, 20))
      const late = yield* readAll(incremental("m"), {
        ...setting,
        config: { end_date: iso(start + 60 * minute), settle_delay: 1800 }
      })
      assert.deepStrictEqual(minutesOf(late.events), numbers(0, 30))
    })
  )

  it.effect("is measured by the server's clock, not by ours", () =>
    Effect.gen(function* () {
      const serverNow = (start + 25 * minute) / 1000 + 0.5
      const { events } = yield* readAll(incremental("m"), {
        series: gauge("m", 60),
        points: 60,
        config: { settle_delay: 120 },
        mock: {
          faults: ({ path }) =>
            path === "/api/v1/query"
              ? {
                  headers: { "content-type": "application/json" },
                  body: `{"status":"success","data":{"resultType":"scalar","result":[${serverNow},"${serverNow}"]}}`
                }
              : undefined
        }
      })
      assert.deepStrictEqual(minutesOf(events), numbers(0, 23))
    })
  )
})
