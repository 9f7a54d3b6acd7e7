import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger, Result, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { GroupSettings } from "../../src/config/StreamSettings.ts"
import { parseSelector, select } from "../../src/mock/evaluate.ts"
import type { Faults } from "../../src/mock/faults.ts"
import type { Fault } from "../../src/mock/http.ts"
import { type MockSeries, makeDatabase } from "../../src/mock/MockSeries.ts"
import { compilePattern } from "../../src/promql/MetricFilter.ts"
import { groupMetrics, nameClash } from "../../src/sync/groups.ts"
import { cutBySize, cutNames, nameLimitsOf, partOfLists } from "../../src/sync/metricParts.ts"
import { read } from "../../src/sync/Read.ts"
import type { SeriesPart } from "../../src/sync/SeriesPart.ts"
import { type Choices, choices } from "../choices.ts"
import { gauge, minute, start } from "../support/gauge.ts"
import { runs } from "../support/runs.ts"
import {
  checkpoints,
  failuresOf,
  fullRefresh,
  incremental,
  launch,
  of,
  rangeRequests,
  readAll,
  refusal,
  type Setting,
  samplesOf,
  settle,
  setUp,
  story
} from "./readMock.ts"

const groupsOf = (groups: Readonly<Record<string, readonly [include: string, exclude?: string]>>) =>
  Effect.forEach(Object.entries(groups), ([name, [include, exclude]]) =>
    Effect.gen(function* () {
      const group: GroupSettings = {
        name,
        metrics: {
          include: [yield* compilePattern(include)],
          exclude: exclude === undefined ? [] : [yield* compilePattern(exclude)]
        }
      }
      return group
    })
  )

describe("groupMetrics", () => {
  it.effect("puts each metric into the first group that has it, and leaves out empty groups", () =>
    Effect.gen(function* () {
      const groups = yield* groupsOf({
        node: ["node_*", "node_scrape_*"],
        disks: ["*_disk_*"],
        none: ["nothing"]
      })
      const metrics = ["node_cpu", "node_disk_bytes", "node_scrape_ok", "up", "vm_disk_bytes"]
      const { groups: found, ungrouped } = groupMetrics({ groups }, metrics)
      assert.deepStrictEqual(
        [...found],
        [
          ["node", ["node_cpu", "node_disk_bytes"]],
          ["disks", ["vm_disk_bytes"]]
        ]
      )
      assert.deepStrictEqual(ungrouped, ["node_scrape_ok", "up"])
      assert.deepStrictEqual(groupMetrics({ groups: [] }, metrics), { ungrouped: metrics, groups: new Map() })
    })
  )

  it.effect("says which names clash, whatever their case", () =>
    Effect.gen(function* () {
      const groups = yield* groupsOf({ Node: ["node_*"], other: ["x"] })
      const settings = { groups, queries: [], tables: ["alerts" as const] }
      assert.isUndefined(nameClash(settings, ["node_cpu", "up"]))
      assert.strictEqual(
        nameClash(settings, ["up", "node"])?.message,
        "Streams would have the same name: the group Node and the metric node. Give the group another name, or exclude the metric with metrics.exclude."
      )
      assert.match(
        nameClash(settings, ["prometheus_alerts", "OTHER"])?.message ?? "",
        /^Streams would have the same name: the group other and the metric OTHER; the table prometheus_alerts and the metric prometheus_alerts\. Give the queries and groups other names, or exclude the metrics with metrics\.exclude\.$/
      )
      // A table cannot have another name.
      assert.strictEqual(
        nameClash(settings, ["prometheus_alerts"])?.message,
        "Streams would have the same name: the table prometheus_alerts and the metric prometheus_alerts. Exclude the metric with metrics.exclude."
      )
    })
  )
})

const leavesOf = (part: SeriesPart): ReadonlyArray<SeriesPart> =>
  part.halves === undefined ? [part] : part.halves.flatMap(leavesOf)

describe("the names of a group", () => {
  const randomNames = (choices: Choices) =>
    Array.from(
      new Set(choices.list(40, () => `${choices.pick(["m", "http.", "a|b", "é"])}${choices.below(1000)}`))
    )

  it.prop(
    "are cut into as few lists as the limits allow, and each is in one part",
    [choices],
    ([choices]) => {
      const names = randomNames(choices)
      const limits = { characters: choices.between(1, 60), names: choices.between(1, 8) }
      const lists = cutNames(names, limits)
      assert.deepStrictEqual(lists.flat(), names)
      const lengthOf = (list: ReadonlyArray<string>) =>
        list.reduce((sum, name) => sum + Buffer.byteLength(name.replace(/[.|]/g, "\\$&")) + 1, 0)
      for (const [i, list] of lists.entries()) {
        assert.isAtMost(list.length, limits.names)
        assert.isTrue(list.length === 1 || lengthOf(list) <= limits.characters)
        const next = lists[i + 1]?.[0]
        if (next !== undefined && list.length < limits.names) {
          assert.isAbove(lengthOf([...list, next]), limits.characters)
        }
      }
      const leaves = leavesOf(partOfLists(lists))
      assert.deepStrictEqual(
        leaves.flatMap(({ metrics = [] }) => metrics),
        names
      )
    }
  )

  it.prop("are cut by the number of their samples", [choices], ([choices]) => {
    const names = randomNames(choices)
    const sizes = new Map(names.map((name) => [name, choices.below(10)]))
    const most = choices.between(1, 20)
    const sizeOf = (name: string) => sizes.get(name)!
    const lists = cutBySize(names, sizeOf, most)
    assert.deepStrictEqual(lists.flat(), names)
    for (const list of lists) {
      assert.isTrue(list.length === 1 || list.reduce((sum, name) => sum + sizeOf(name), 0) <= most)
    }
  })

  it("fit into the queries of each kind of server", () => {
    assert.strictEqual(nameLimitsOf("google").names, 1)
    assert.isBelow(nameLimitsOf("victoriaMetrics").characters, 16_384)
    assert.strictEqual(nameLimitsOf("prometheus3").names, Number.POSITIVE_INFINITY)
  })
})

const group = (include: string, exclude: ReadonlyArray<string> = []) => ({
  groups: [{ name: "apps", metrics: { include: [include], exclude } }]
})

/** Some metrics of an application, of different sizes. */
const apps = (minutes: number): ReadonlyArray<MockSeries> => [
  ...gauge("app_requests_total", minutes, 5),
  ...gauge("app_up", minutes),
  ...gauge("app.dotted", minutes, 2),
  ...gauge("app_memory_bytes", minutes, 3)
]

/** The samples of all metrics, each from a stream of its own. */
const separately = Effect.fnUntraced(function* (setting: Setting) {
  const names = [
    ...new Set(setting.series.map(({ labels }) => labels.find(([name]) => name === "__name__")![1]))
  ]
  const { events } = yield* readAll(incremental(...names), setting)
  return samplesOf(events)
})

describe("a group", () => {
  it.effect("has the series of its metrics, by one query for each window", () =>
    Effect.gen(function* () {
      const setting = { series: [...apps(70), ...gauge("other", 70)], points: 70 }
      const { events, mock } = yield* readAll(incremental("apps"), { ...setting, config: group("app*") })
      assert.strictEqual(failuresOf(events), "")
      assert.deepStrictEqual(samplesOf(events), yield* separately({ ...setting, series: apps(70) }))
      assert.strictEqual(story(events), "Started Running Samples Checkpoint Samples Checkpoint Completed")
      const queries = rangeRequests(mock).map(({ params }) => params.get("query"))
      assert.deepStrictEqual(
        new Set(queries),
        new Set(['{__name__=~"app\\\\.dotted|app_memory_bytes|app_requests_total|app_up"}'])
      )
      assert.lengthOf(queries, 2)
      // A series is the same as in the stream of its metric.
      const ids = (events: Effect.Success<ReturnType<typeof readAll>>["events"]) =>
        new Set(
          events.flatMap((event) =>
            event._tag === "Samples" ? event.blocks.map(({ series }) => series.id) : []
          )
        )
      const own = yield* readAll(incremental("app_up"), setting)
      assert.includeMembers([...ids(events)], [...ids(own.events)])
    })
  )

  it.effect("resumes after its state, also with metrics that are new", () =>
    Effect.gen(function* () {
      const config = { ...group("app_*", ["app_memory_*"]), selector: '{n="0"}' }
      const first = yield* readAll(incremental("apps"), {
        series: apps(100),
        points: 50,
        config,
        mock: { hideFuture: true }
      })
      const state = checkpoints(first.events).at(-1)!
      assert.deepInclude(
        { ...state },
        { time: new Date(start + 49 * minute).toISOString().replace(".000Z", "Z") }
      )
      const all = [...apps(100), ...gauge("app_new_total", 100, 2)]
      const later = yield* readAll(incremental("apps"), {
        series: all,
        points: 100,
        config,
        states: { apps: { time: state.time, step: 60, version: 1 } }
      })
      const expected = [
        ...(yield* separately({ series: all, points: 100, config: { selector: '{n="0"}' } }))
      ].filter(([key]) => !/memory|dotted/.test(key))
      const timeOf = ([key]: readonly [string, string]) => (JSON.parse(key) as [unknown, number])[1]
      const end = start + 49 * minute
      assert.deepStrictEqual(
        samplesOf(later.events),
        new Map(expected.filter((sample) => timeOf(sample) > end))
      )
      assert.deepStrictEqual(
        samplesOf(first.events),
        new Map(expected.filter((sample) => timeOf(sample) <= end && !sample[0].includes("new")))
      )
      const refresh = yield* readAll(fullRefresh("apps"), { series: all, points: 100, config })
      assert.deepStrictEqual(samplesOf(refresh.events), new Map(expected))
    })
  )

  it.effect("is empty if the server has none of its metrics", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll(incremental("apps"), {
        series: gauge("other", 10),
        points: 10,
        config: group("app*")
      })
      assert.strictEqual(story(events), "Started Running Checkpoint Completed")
      const last = events.at(-1)
      assert.match(
        last?._tag === "Completed" ? (last.notice ?? "") : "",
        /^The server has no metric of the group apps in the configured range\. Check the patterns/
      )
      assert.lengthOf(rangeRequests(mock), 0)
    })
  )

  it.effect(
    "fails if a list of metrics may be incomplete, and says so if the server always refuses one",
    () =>
      Effect.gen(function* () {
        const listing = Effect.fnUntraced(function* (
          isRefused: (end: string | null) => boolean,
          status: number
        ) {
          const logs: Array<string> = []
          const logger = Logger.make(({ message }) => void logs.push(String(message)))
          const { events } = yield* readAll(incremental("apps"), {
            series: apps(60),
            points: 60,
            config: { ...group("app*"), max_retries: 1 },
            mock: {
              faults: ({ params, path }) =>
                path.includes("/label/__name__") && isRefused(params.get("end"))
                  ? refusal(status, status === 503 ? "not ready" : "no")
                  : undefined
            }
          }).pipe(Effect.provide(Logger.layer([logger])))
          return { events, logs: logs.filter((log) => log.includes("each part of the range")) }
        })
        const isEarly = (end: string | null) => end !== null && Number(end) * 1000 < start + 10 * minute
        const isOpen = (end: string | null) => end === null
        for (const isRefused of [isEarly, isOpen]) {
          const { events } = yield* listing(isRefused, 503)
          assert.match(failuresOf(events), /returned HTTP 503.*not ready/)
          assert.strictEqual(story(events), "Started Failed")
        }
        const refused = yield* listing(isEarly, 400)
        assert.strictEqual(failuresOf(refused.events), "")
        assert.strictEqual(refused.logs.length, 1)
        assert.strictEqual(failuresOf((yield* listing(isOpen, 400)).events), "")
      })
  )

  it.effect("fails alone if the server hides the lists of metrics", () =>
    Effect.gen(function* () {
      for (const status of [403, 404, 410, 501]) {
        const { events } = yield* readAll(incremental("apps", "other"), {
          series: [...apps(10), ...gauge("other", 10)],
          points: 10,
          config: group("app*"),
          mock: { faults: ({ path }) => (path.includes("/label") ? { status, body: "" } : undefined) }
        })
        assert.match(failuresOf(events), /returned HTTP \d+.*The metrics of a group cannot be listed/)
        assert.strictEqual(story(of(events, "apps")), "Started Failed")
        assert.strictEqual(of(events, "other").at(-1)?._tag, "Completed")
      }
    })
  )

  it.effect("is read with fewer names in a query if the server refuses so many", () =>
    Effect.gen(function* () {
      const setting = { series: apps(40), points: 40 }
      const expected = yield* separately(setting)
      const refusesFor =
        (refuses: (query: string) => Fault | undefined): Faults =>
        ({ params, path }) =>
          path === "/api/v1/query_range" ? refuses(params.get("query") ?? "") : undefined
      const faults: Readonly<Record<string, Faults>> = {
        length: refusesFor((query) =>
          query.length > 50 ? { status: 414, body: "URI Too Long" } : undefined
        ),
        regex: refusesFor((query) =>
          query.includes("=~") ? refusal(400, "invalid parameter: only exact names") : undefined
        )
      }
      for (const fault of Object.values(faults)) {
        const { events, mock } = yield* readAll(incremental("apps"), {
          ...setting,
          config: group("app*"),
          mock: { faults: fault }
        })
        assert.strictEqual(failuresOf(events), "")
        assert.deepStrictEqual(samplesOf(events), expected)
        // The second window is requested in these parts at once.
        assert.isAtMost(rangeRequests(mock).length, 4 + 3 + 4)
      }
    })
  )

  it.effect("requests one part ahead of the one whose response arrives", () =>
    Effect.gen(function* () {
      const { mock, services } = yield* setUp({
        series: apps(20),
        points: 20,
        // A service that accepts one name.
        config: { ...group("app*"), base_url: "https://name.westeurope.prometheus.monitor.azure.com" },
        mock: {
          faults: ({ path }) => (path === "/api/v1/query_range" ? { stallAfterBytes: 100 } : undefined)
        }
      })
      const fiber = yield* launch(Effect.provide(Stream.runDrain(read(incremental("apps"))), services))
      yield* TestClock.adjust("1 second")
      yield* settle
      const names = rangeRequests(mock).map(({ params }) => params.get("query"))
      assert.deepStrictEqual(names, ['{__name__="app.dotted"}', '{__name__="app_memory_bytes"}'])
      yield* Fiber.interrupt(fiber)
    })
  )

  it.effect(
    "has more metrics than a stream has splits, on a server that accepts one name",
    () =>
      Effect.gen(function* () {
        const names = Array.from({ length: 2020 }, (_, n) => `app_${n}`)
        const success = (data: unknown): Fault => ({
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ status: "success", data })
        })
        const faults: Faults = ({ params, path }) => {
          if (path.includes("/label/__name__")) return success(names)
          if (path !== "/api/v1/query_range") return undefined
          return params.get("query")?.includes("=~") === true
            ? refusal(400, "invalid parameter: only exact names")
            : success({ resultType: "matrix", result: [] })
        }
        const { events, mock } = yield* readAll(incremental("apps"), {
          series: [],
          points: 1,
          config: group("app_*"),
          mock: { faults }
        }).pipe(Effect.provide(Logger.layer([])))
        assert.strictEqual(failuresOf(events), "")
        assert.strictEqual(story(events), "Started Running Checkpoint Completed")
        const queries = rangeRequests(mock).map(({ params }) => params.get("query") ?? "")
        const read = queries
          .filter((query) => !query.includes("=~"))
          .flatMap((query) => query.match(/app_\d+/) ?? [])
        assert.sameMembers([...new Set(read)], names)
        // Soon no query of several names is sent any more.
        assert.isAtMost(queries.length, names.length + 20)
      }),
    120_000
  )

  it.effect.prop(
    "is complete, each sample once, whatever the server refuses",
    { choices },
    ({ choices }) =>
      Effect.gen(function* () {
        const points = choices.between(1, 60)
        const series = apps(points)
        const config = group("app*")
        const maxSeries = choices.between(1, 12)
        const maxSamples = choices.between(1, 400)
        const faults: Faults = ({ params, path }, attempt) => {
          const query = params.get("query") ?? ""
          if (path !== "/api/v1/query_range" || query.startsWith("count")) return undefined
          const selector = Result.getOrThrow(parseSelector(query, true))
          if (select(makeDatabase(series), selector).length > maxSeries) {
            return refusal(422, "expanding series: exceeded series limit")
          }
          return attempt === 1 && choices.oneIn(6) ? refusal(503, "Service Unavailable") : undefined
        }
        const setting = { series, points, config, mock: { faults, maxSamples } }
        const { events } = yield* readAll(incremental("apps"), setting)
        assert.strictEqual(failuresOf(events), "")
        assert.deepStrictEqual(samplesOf(events), yield* separately({ series, points }))
        const times = checkpoints(of(events, "apps")).map(({ timeMillis }) => timeMillis)
        assert.deepStrictEqual(
          times,
          [...new Set(times)].sort((a, b) => a - b)
        )
        assert.strictEqual(times.at(-1), start + (points - 1) * minute)
      }),
    { arbitrary: { runs: runs(15, 200) }, timeout: 120_000 }
  )
})
