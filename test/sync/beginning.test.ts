/** Long empty ranges are left out, and no sample is. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Fault, MockRequest } from "../../src/mock/http.ts"
import { type MockSeries, makeSeries } from "../../src/mock/MockSeries.ts"
import { choices } from "../choices.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { runs } from "../support/runs.ts"
import {
  checkpoints,
  incremental,
  minutesOf,
  numbers,
  rangeRequests,
  readAll,
  type Setting
} from "./readMock.ts"

const YEAR = 365 * 86_400_000
const HOUR = 60 * minute

/** Ten years at a point every 15 s, which would be 1,914 windows. */
const tenYears = { start_date: iso(start - 10 * YEAR), step: 15 }

const setting = (series: ReadonlyArray<MockSeries>, more: Partial<Setting> = {}): Setting => ({
  series,
  points: 60,
  config: tenYears,
  ...more
})

const isOfLists = ({ path }: { readonly path: string }): boolean => /label/.test(path)

describe("a metric that begins years after the start", () => {
  it.effect("is read with a handful of requests", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll(incremental("m"), setting(gauge("m", 60)))
      assert.deepStrictEqual(minutesOf(events), numbers(0, 59))
      assert.isBelow(mock.requests.length, 25)
      const states = checkpoints(events)
      assert.strictEqual(states.at(-1)!.time, iso(start + 59 * minute))
    })
  )

  it.effect("tells other metrics where they probably begin", () =>
    Effect.gen(function* () {
      const count = Effect.fnUntraced(function* (names: ReadonlyArray<string>) {
        const { events, mock } = yield* readAll(
          incremental(...names),
          setting(
            names.flatMap((name) => gauge(name, 60)),
            { config: { ...tenYears, concurrency: 1 } }
          )
        )
        assert.lengthOf(minutesOf(events), 60 * names.length)
        return mock.requests.length
      })
      const one = yield* count(["a"])
      const four = yield* count(["a", "b", "c", "d"])
      // Each reads some windows of its own.
      assert.isAtMost((four - one) / 3, one - 10)
    })
  )

  it.effect("is found though the index does not list it", () =>
    Effect.gen(function* () {
      const faults = (request: MockRequest): Fault | undefined =>
        isOfLists(request) ? { body: '{"status":"success","data":[]}' } : undefined
      const late = gauge("m", 60)
      const early = makeSeries({ __name__: "m", job: "old" }, [[start - 4 * YEAR, 7]])
      const { events, mock } = yield* readAll(
        incremental("m"),
        setting([...late, early], { mock: { faults } })
      )
      assert.deepStrictEqual(minutesOf(events), [(-4 * YEAR) / minute, ...numbers(0, 59)])
      assert.isBelow(mock.requests.length, 60)
    })
  )

  it.effect("is read from the start if the server does not help", () =>
    Effect.gen(function* () {
      const noLists = (request: MockRequest): Fault | undefined =>
        isOfLists(request) ? { status: 404, body: "404 page not found" } : undefined
      const noFunctions = ({ params }: MockRequest): Fault | undefined =>
        params.get("query")?.startsWith("count by") ? { status: 422, body: "not allowed" } : undefined
      for (const faults of [noLists, noFunctions]) {
        const { events, mock } = yield* readAll(
          incremental("m"),
          setting(gauge("m", 60), { config: { start_date: iso(start - YEAR), step: 60 }, mock: { faults } })
        )
        assert.deepStrictEqual(minutesOf(events), numbers(0, 59))
        assert.isAbove(rangeRequests(mock).length, 40)
      }
    })
  )

  it.effect("that does not exist at all ends with a state at the last point", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll(incremental("nope"), setting(gauge("m", 60)))
      assert.deepStrictEqual(minutesOf(events), [])
      assert.strictEqual(checkpoints(events).at(-1)!.time, iso(start + 59 * minute))
      assert.isBelow(mock.requests.length, 25)
    })
  )

  it.effect("has no search if little is left", () =>
    Effect.gen(function* () {
      const { mock } = yield* readAll(
        incremental("m"),
        setting(gauge("m", 60), { config: { start_date: iso(start - 10 * 24 * HOUR), step: 60 } })
      )
      assert.lengthOf(mock.requests.filter(isOfLists), 0)
    })
  )
})

describe("a group that begins years after the start", () => {
  const group = { groups: [{ name: "apps", metrics: { include: ["app*"] } }] }
  const apps = [...gauge("app_a", 30, 2), ...gauge("app_b", 60), ...gauge("app_c", 1)]

  it.effect("is read with a handful of requests, and from its earliest sample", () =>
    Effect.gen(function* () {
      const early = makeSeries({ __name__: "app_b", job: "old" }, [[start - 4 * YEAR, 7]])
      for (const [series, most] of [
        [apps, 20],
        [[early, ...apps], 40]
      ] as const) {
        const { events, mock } = yield* readAll(
          incremental("apps"),
          setting(series, { config: { ...tenYears, ...group } })
        )
        const expected = series.flatMap(({ times }) => Array.from(times, (time) => (time - start) / minute))
        assert.deepStrictEqual(
          minutesOf(events),
          expected.sort((a, b) => a - b)
        )
        assert.isBelow(rangeRequests(mock).length, most)
      }
    })
  )

  it.effect("is read in parts, though the server does not help", () =>
    Effect.gen(function* () {
      const year = { start_date: iso(start - YEAR), step: 60, ...group }
      // A query names one metric.
      const refuseLong = ({ params, path }: MockRequest): Fault | undefined =>
        path === "/api/v1/query_range" && params.get("query")!.includes("|")
          ? { status: 414, body: "URI Too Long" }
          : undefined
      const { events } = yield* readAll(
        incremental("apps"),
        setting(apps, { config: year, mock: { faults: refuseLong } })
      )
      assert.lengthOf(minutesOf(events), 2 * 30 + 60 + 1)
    })
  )

  it.effect("and has no metrics is read without any request for samples", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll(
        incremental("apps"),
        setting(gauge("other", 60), { config: { ...tenYears, ...group } })
      )
      assert.strictEqual(checkpoints(events).at(-1)!.time, iso(start + 59 * minute))
      assert.lengthOf(rangeRequests(mock), 0)
    })
  )
})

describe("a metric with a hole of years", () => {
  it.effect("is read with few requests", () =>
    Effect.gen(function* () {
      const early = makeSeries({ __name__: "m" }, [
        [start - 10 * YEAR, 1],
        [start - 9 * YEAR, 2]
      ])
      const late = makeSeries({ __name__: "m", job: "b" }, [[start, 3]])
      const { events, mock } = yield* readAll(incremental("m"), setting([early, late]))
      assert.deepStrictEqual(minutesOf(events), [(-10 * YEAR) / minute, (-9 * YEAR) / minute, 0])
      assert.isBelow(mock.requests.length, 100)
    })
  )
})

describe("any samples in years", () => {
  it.effect.prop(
    "are all read",
    [choices],
    ([choices]) =>
      Effect.gen(function* () {
        const times = new Set(
          choices.list(
            5,
            () => choices.pick([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) * 40_000 + choices.pick([0, 1, 30, 11_000])
          )
        )
        const series = makeSeries(
          { __name__: "m" },
          [...times].map((at) => [start - 365 * 24 * HOUR + at * minute, at])
        )
        const isGroup = choices.oneIn(2)
        const other = makeSeries({ __name__: "m_none" }, [])
        const { events } = yield* readAll(incremental(isGroup ? "all" : "m"), {
          series: [other, series],
          points: 60,
          config: {
            start_date: iso(start - YEAR),
            step: 60,
            groups: isGroup ? [{ name: "all", metrics: { include: ["m*"] } }] : []
          }
        })
        assert.deepStrictEqual(
          minutesOf(events),
          [...times].map((at) => at - (365 * 24 * HOUR) / minute).sort((a, b) => a - b)
        )
      }),
    { arbitrary: { runs: runs(6, 60) } }
  )
})
