/** The names of metrics, whatever a server's lists lack, and those that the configuration selects. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Fault, MockRequest } from "../../src/mock/http.ts"
import { makeSeries } from "../../src/mock/MockSeries.ts"
import { discoverNames, noMetrics } from "../../src/sync/Discovery.ts"
import {
  DAY,
  HOUR,
  iso,
  namesOf,
  provide,
  type Range,
  requestsTo,
  run,
  type Setting,
  series,
  shop,
  start
} from "./discoverMock.ts"

describe("a server that lists less than it has", () => {
  /** One metric per month of a year, and one that is there all the time. */
  const year = 365 * DAY
  const months = Array.from({ length: 12 }, (_, month) =>
    series({ __name__: `month_${month}`, [`label_${month}`]: "x" }, start + (month * 30 + 10) * DAY)
  )
  const always = makeSeries(
    { __name__: "always", job: "x" },
    Array.from({ length: 365 }, (_, day) => [start + day * DAY + HOUR, day])
  )
  const setting: Setting = { series: [...months, always], now: start + year }
  const complete = [
    ...months.map(({ labels }) => labels.map(([name, value]) => (name === "__name__" ? value : name)))
  ]

  const lists = (metrics: ReadonlyArray<{ readonly name: string; readonly labels: ReadonlyArray<string> }>) =>
    metrics.map(({ labels, name }) => [name, ...labels].sort())

  const expected = [...complete, ["always", "job"]].map((names) => [...names].sort())
  const sorted = (names: ReadonlyArray<ReadonlyArray<string>>) => names.map(String).sort()

  for (const [what, clamp] of [
    [
      "moves the start to 60 days before the end",
      ({ end, start }) => ({ start: Math.max(start, end - 60 * DAY), end })
    ],
    [
      "moves the start to a week before the end",
      ({ end, start }) => ({ start: Math.max(start, end - 7 * DAY), end })
    ],
    [
      "moves the end to 32 days after the start",
      ({ end, start }) => ({ start, end: Math.min(end, start + 32 * DAY) })
    ],
    ["lists everything", (range) => range]
  ] as ReadonlyArray<readonly [string, (range: Range) => Range]>) {
    it.effect(`finds all metrics and labels if the server ${what}`, () =>
      Effect.gen(function* () {
        const { mock, result } = yield* run({ ...setting, clamp })
        assert.deepStrictEqual(sorted(lists(result)), sorted(expected))
        assert.isAtMost(requestsTo(mock, "/api/v1/label/__name__/values").length, 128 + 13 * 128)
      })
    )
  }

  it.effect("finds the metrics of an override's selector, too", () =>
    Effect.gen(function* () {
      const clamp = ({ end, start }: Range) => ({ start: Math.max(start, end - 40 * DAY), end })
      const ended = months.map(({ labels }, month) =>
        series({ ...Object.fromEntries(labels), tier: "own" }, start + (month * 30 + 10) * DAY)
      )
      const config = {
        selector: '{tier=""}',
        overrides: [{ metrics: "month_*", selector: '{tier="own"}' }]
      }
      const own = { ...setting, series: [...ended, always, series({ __name__: "month_other" })] }
      const names = [...ended.map(({ labels }) => labels.find(([name]) => name === "__name__")![1]), "always"]
      assert.deepStrictEqual(yield* namesOf({ ...own, config, clamp }), names.sort())
      // Without lists, all that are named exactly are read.
      const { result } = yield* provide(discoverNames, {
        ...own,
        config: { ...config, metrics: { include: ["month_1", "always"] } },
        mock: {
          faults: ({ params, path }) =>
            path.includes("/label") && params.get("match[]")?.includes("own") === true
              ? { status: 422, body: "too many series" }
              : undefined
        }
      })
      assert.deepStrictEqual(result.names, ["always", "month_1"])
    })
  )

  it.effect("finds all labels of a metric if the server moves the start of a list of labels", () =>
    Effect.gen(function* () {
      const one = months.map(({ labels }, month) =>
        series({ ...Object.fromEntries(labels), __name__: "one" }, start + (month * 30 + 10) * DAY)
      )
      const clamp = ({ end, start }: Range) => ({ start: Math.max(start, end - 40 * DAY), end })
      for (const beside of [[], [always, series({ __name__: "b" }), series({ __name__: "c" })]]) {
        const { result } = yield* run({ series: [...one, ...beside], now: start + year, clamp })
        assert.lengthOf(result.find(({ name }) => name === "one")!.labels, 12)
      }
    })
  )

  it.effect("spends a handful of requests on empty years", () =>
    Effect.gen(function* () {
      const { mock, result } = yield* provide(discoverNames, {
        series: [series({ __name__: "up" }, start)],
        config: { start_date: iso(start - 10 * year) }
      })
      assert.deepStrictEqual(result.names, ["up"])
      const days = requestsTo(mock, "/api/v1/label/__name__/values").filter(
        ({ params }) => Number(params.get("end") ?? start / 1000) * 1000 < start - 5 * year
      )
      assert.isAtMost(days.length, 8)
      assert.isAtMost(mock.requests.length, 128)
    })
  )

  it.effect("finds a metric that is listed only in a range without end, if it has samples in the range", () =>
    Effect.gen(function* () {
      const clamp = ({ end, start: from }: Range) =>
        end === Number.POSITIVE_INFINITY ? { start: from, end } : { start: from, end: start }
      const all = [
        series({ __name__: "first" }, start),
        series({ __name__: "written_late" }, start + HOUR),
        series({ __name__: "young" }, start + 3 * HOUR)
      ]
      const config = { end_date: iso(start + 2 * HOUR) }
      assert.deepStrictEqual(yield* namesOf({ series: all, config, clamp }), ["first", "written_late"])
    })
  )

  it.effect("uses the other parts if the server fails on some, and warns", () =>
    Effect.gen(function* () {
      const logs: Array<string> = []
      const faults = ({ params, path }: MockRequest): Fault | undefined =>
        path.includes("__name__") && Number(params.get("end")) * 1000 < start + 30 * DAY && params.has("end")
          ? { status: 500, body: "panic" }
          : undefined
      const { result } = yield* provide(discoverNames, { ...setting, logs, mock: { faults } })
      assert.lengthOf(result.names, 13)
      assert.lengthOf(
        logs.filter((log) =>
          /^The names of metrics could not be listed for each part of the range/.test(log)
        ),
        1
      )
    })
  )

  it.effect("warns of a list whose length is a round limit", () =>
    Effect.gen(function* () {
      const warned = Effect.fnUntraced(function* (count: number) {
        const logs: Array<string> = []
        const all = Array.from({ length: count }, (_, i) => series({ __name__: `m${i}` }))
        yield* provide(discoverNames, { series: all, logs })
        return logs.filter((log) =>
          log.startsWith("The server lists exactly 1,000 metrics. That may be a limit")
        )
      })
      assert.lengthOf(yield* warned(1000), 1)
      assert.lengthOf(yield* warned(999), 0)
    })
  )
})

describe("metrics that are included by name", () => {
  /** A server without the label API. */
  const refusesLists = ({ path }: MockRequest): Fault | undefined =>
    /label/.test(path) ? { status: 404, body: "404 page not found" } : undefined

  it.effect("are found though the server does not list them, if they have samples", () =>
    Effect.gen(function* () {
      const clamp = () => ({ start, end: start })
      const logs: Array<string> = []
      const { result } = yield* provide(discoverNames, {
        clamp,
        logs,
        series: [...shop, series({ __name__: "now" }, start)],
        config: { metrics: { include: ["go_gc", "gone", "now"] } }
      })
      assert.deepStrictEqual(result.names, ["go_gc", "now"])
      assert.deepStrictEqual(logs, ["No metric is named gone."])
    })
  )

  it.effect("are not included if they are excluded", () =>
    Effect.gen(function* () {
      const clamp = () => ({ start, end: start })
      const { result } = yield* provide(discoverNames, {
        clamp,
        config: { metrics: { include: ["go_gc", "up"], exclude: ["u*"] } }
      })
      assert.deepStrictEqual(result.names, ["go_gc"])
    })
  )

  it.effect("need no list, so that a server without one can be read", () =>
    Effect.gen(function* () {
      const logs: Array<string> = []
      const { result } = yield* run({
        logs,
        mock: { faults: refusesLists },
        config: { metrics: { include: ["up", "http.server.duration"] } }
      })
      assert.deepStrictEqual(
        result.map(({ labels, name }) => [name, ...labels]),
        [["http.server.duration"], ["up"]]
      )
      assert.match(logs[0]!, /are read without a list of all metrics, because each is named exactly\.$/)
      assert.match(logs[1]!, /have them in other_labels/)
      assert.lengthOf(logs, 2)
    })
  )

  it.effect("need one as soon as there is a pattern, too", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        run({ mock: { faults: refusesLists }, config: { metrics: { include: ["up", "go_*"] } } })
      )
      assert.match(error.message, /label\/__name__\/values returned HTTP 404/)
    })
  )

  it.effect("are requested without parts of the range if the list has them", () =>
    Effect.gen(function* () {
      const { mock } = yield* provide(discoverNames, { config: { metrics: { include: ["up"] } } })
      assert.lengthOf(requestsTo(mock, "/api/v1/label/__name__/values"), 1)
    })
  )
})

describe("patterns that select nothing", () => {
  const unmatched = Effect.fnUntraced(function* (...include: ReadonlyArray<string>) {
    const logs: Array<string> = []
    const { result } = yield* provide(discoverNames, { logs, config: { metrics: { include } } })
    return { logs, ...result }
  })

  it.effect("are named in warnings if others select something", () =>
    Effect.gen(function* () {
      const { logs } = yield* unmatched("up", "reqests_total", "latncy_*", "zzz.*", "*_totl")
      assert.deepStrictEqual(logs, [
        "No metric is named reqests_total. Did you mean requests_total?",
        "No metric matches the pattern latncy_*. Did you mean latency_bucket or latency_sum?",
        "No metric matches the pattern zzz.*.",
        "No metric matches the pattern *_totl. Did you mean requests_total?"
      ])
    })
  )

  it.effect("are named in the error if nothing is left", () =>
    Effect.gen(function* () {
      const { logs, names, unmatched: sentences } = yield* unmatched("latency_sun")
      assert.deepStrictEqual([names, logs], [[], []])
      assert.strictEqual(
        noMetrics({ baseUrl: "http://mock" }, sentences).message,
        "No metric of http://mock has data in the configured range. No metric is named latency_sun. Did you mean latency_sum or latency_bucket? Check start_date and end_date, and whether metrics and selector leave any."
      )
    })
  )
})
