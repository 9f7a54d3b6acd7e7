/** A stream without records says why, unless it just has nothing new. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type MockSeries, makeSeries } from "../../src/mock/MockSeries.ts"
import { iso, minute, start } from "../support/gauge.ts"
import { incremental, readAll, type Setting } from "./readMock.ts"

const HOUR = 60 * minute
const SECOND = 1000

/** Scraped once an hour, ten minutes after it. */
const hourly = makeSeries(
  { __name__: "m", job: "hourly" },
  Array.from({ length: 24 }, (_, hour) => [start + hour * HOUR + 10 * minute, hour])
)

/** A pod of twenty minutes, between two hours. */
const pod = makeSeries(
  { __name__: "m", pod: "a" },
  Array.from({ length: 80 }, (_, i) => [start + 5 * HOUR + 20 * minute + i * 15 * SECOND + 3 * SECOND, i])
)

/** A batch job that writes one sample and ends. */
const batch = makeSeries({ __name__: "m" }, [
  [start + 7 * HOUR + 12 * minute + 7 * SECOND, 1],
  [start + 7 * HOUR + 12 * minute + 30 * SECOND, "stale"]
])

const notices = Effect.fnUntraced(function* (
  series: ReadonlyArray<MockSeries>,
  more: Partial<Setting> = {},
  name = "m"
) {
  const { events, mock } = yield* readAll(incremental(name), {
    series,
    points: 24 * 60,
    ...more,
    mock: { version: "2.42.0", lookbackMillis: 5 * minute, ...more.mock },
    config: { step: 3600, ...more.config }
  })
  const completed = events.filter((event) => event._tag === "Completed")
  return { notices: completed.map(({ notice }) => notice), mock }
})

describe("a metric without a point on the grid", () => {
  const because = "no point of the step of 1 h shows one, because a point shows a sample for 5 min only."

  it.effect("is named with the step that shows it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* notices([hourly])).notices, [
        `It has samples between 2026-01-01T00:10:00Z and 2026-01-01T22:10:00Z, but ${because} A step of 5 min (300) shows them.`
      ])
      assert.deepStrictEqual((yield* notices([pod])).notices, [
        `It has samples between 2026-01-01T05:20:03Z and 2026-01-01T05:39:48Z, but ${because} A step of 5 min (300) shows them.`
      ])
    })
  )

  it.effect("that ends at once needs a smaller step", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* notices([batch])).notices, [
        `It has a sample at 2026-01-01T07:12:07Z, but ${because} A step of 20 s (20) shows them.`
      ])
    })
  )

  it.effect("shows its sample at that step", () =>
    Effect.gen(function* () {
      for (const [series, step] of [
        [hourly, 300],
        [pod, 300],
        [batch, 20]
      ] as const) {
        const { events } = yield* readAll(incremental("m"), {
          series: [series],
          points: 24 * 60,
          mock: { version: "2.42.0", lookbackMillis: 5 * minute },
          config: { step }
        })
        assert.isTrue(events.some(({ _tag }) => _tag === "Samples"))
      }
    })
  )

  it.effect("is named only if it has no samples at all", () =>
    Effect.gen(function* () {
      const atTheHour = makeSeries({ __name__: "m", job: "other" }, [[start + HOUR, 1]])
      assert.deepStrictEqual((yield* notices([hourly, atTheHour])).notices, [undefined])
    })
  )
})

describe("a metric without samples in what is read", () => {
  const earlier = makeSeries({ __name__: "m" }, [[start + HOUR, 1]])

  it.effect("has nothing new if it has earlier ones", () =>
    Effect.gen(function* () {
      const states = { m: { time: iso(start + 20 * HOUR), step: 3600, version: 1 } }
      const { notices: none } = yield* notices([earlier], { states })
      assert.deepStrictEqual(none, [undefined])
    })
  )

  it.effect("is gone if it has none in the configured range", () =>
    Effect.gen(function* () {
      const states = { gone: { time: iso(start + 20 * HOUR), step: 3600, version: 1 } }
      for (const more of [{}, { states }]) {
        const { notices: said } = yield* notices([earlier], more, "gone")
        assert.match(
          said[0]!,
          /^The server has no such metric from 2025-12-31T23:55:00Z on\. It was removed or renamed/
        )
      }
    })
  )

  it.effect("costs one list for all such streams, and no query", () =>
    Effect.gen(function* () {
      const names = ["a", "b", "c", "d", "e"]
      const states = Object.fromEntries(
        names.map((name) => [name, { time: iso(start + 20 * HOUR), step: 3600, version: 1 }])
      )
      const { events, mock } = yield* readAll(incremental(...names), {
        series: names.map((name) => makeSeries({ __name__: name }, [[start + HOUR, 1]])),
        points: 24 * 60,
        states,
        config: { step: 3600 }
      })
      assert.isTrue(events.every((event) => event._tag !== "Completed" || event.notice === undefined))
      // The lists of what was read, and of the configured range.
      assert.lengthOf(
        mock.requests.filter(({ path }) => /label/.test(path)),
        2
      )
      assert.lengthOf(
        mock.requests.filter(({ path }) => /query_range/.test(path)),
        names.length
      )
    })
  )

  it.effect("says nothing if the server does not help", () =>
    Effect.gen(function* () {
      const { notices: none } = yield* notices([hourly], {
        mock: {
          faults: ({ params, path }) =>
            /label/.test(path) || params.get("query")?.startsWith("count")
              ? { status: 422, body: "no" }
              : undefined
        }
      })
      assert.deepStrictEqual(none, [undefined])
    })
  )
})
