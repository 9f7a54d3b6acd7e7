/** Tables in a read, from the mock: snapshots, exemplars window by window, and tables that a server lacks. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Stream } from "effect"
import { TestClock } from "effect/testing"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import * as MockHttpClient from "../../src/mock/MockHttpClient.ts"
import { type MockOptions, MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import type { MockExemplar, MockTarget } from "../../src/mock/MockTables.ts"
import type { StreamRequest } from "../../src/sync/plan.ts"
import { read } from "../../src/sync/Read.ts"
import type { ReadEvent, ReadOptions } from "../../src/sync/ReadEvent.ts"
import { StateStore } from "../../src/sync/StateStore.ts"
import { encodeStreamState } from "../../src/sync/StreamState.ts"
import { choices } from "../choices.ts"
import { runs } from "../support/runs.ts"

const start = Date.UTC(2026, 0, 1)
const hour = 3_600_000
const iso = (millis: number): string => new Date(millis).toISOString().replace(".000Z", "Z")

const target: MockTarget = {
  discoveredLabels: { __address__: "a:1" },
  labels: { instance: "a:1", job: "a", secret: "x" },
  scrapePool: "a",
  scrapeUrl: "http://a:1/metrics",
  globalUrl: "http://a:1/metrics",
  lastError: "",
  lastScrape: "2026-01-01T00:59:00Z",
  lastScrapeDuration: 0.01,
  health: "up",
  scrapeInterval: "15s",
  scrapeTimeout: "10s"
}

const exemplarAt = (
  timeMillis: number,
  trace = `${timeMillis}`,
  metric = "requests_total"
): MockExemplar => ({
  seriesLabels: { __name__: metric, job: "a" },
  labels: { trace_id: trace },
  value: "0.5",
  timeMillis
})

interface Setting {
  readonly config?: object
  readonly mock?: MockOptions
  readonly exemplars?: ReadonlyArray<MockExemplar>
  readonly states?: Readonly<Record<string, unknown>>
  readonly now?: number
}

/** The events of a read of some streams, an hour after the start. */
const readAll = Effect.fnUntraced(function* (
  requests: ReadonlyArray<StreamRequest>,
  setting: Setting = {},
  options: ReadOptions = {}
) {
  yield* TestClock.setTime(setting.now ?? start + hour)
  const up = makeSeries({ __name__: "up" }, [[start, 1]])
  const mock = new MockPrometheus(
    makeDatabase([up], [["up", { type: "gauge", help: "", unit: "" }]], {
      targets: [target],
      exemplars: setting.exemplars ?? []
    }),
    setting.mock
  )
  const config = ConnectorConfig.layerFrom({
    base_url: "http://mock",
    start_date: iso(start),
    step: 60,
    settle_delay: 0,
    tables: ["targets", "rules", "alerts", "metadata", "exemplars"],
    ...setting.config
  })
  const fiber = yield* Stream.runCollect(read(requests, options)).pipe(
    Effect.provide(Layer.provideMerge(MockHttpClient.layerClient(mock), config)),
    Effect.provide(StateStore.layerMemory(Object.entries(setting.states ?? {}))),
    Effect.provide(Logger.layer([])),
    Effect.forkChild
  )
  while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(1000)
  return { events: yield* Fiber.join(fiber), mock }
})

type Events = ReadonlyArray<ReadEvent>

const rowsOf = (events: Events, stream: string) =>
  events.flatMap((event) =>
    event._tag === "Rows" && event.stream === stream ? event.blocks.flatMap(({ rows }) => rows) : []
  )

const statesOf = (events: Events, stream: string) =>
  events.flatMap((event) => (event._tag === "Checkpoint" && event.stream === stream ? [event.state] : []))

const tagsOf = (events: Events, stream: string) =>
  events.flatMap((event) => (event.stream === stream ? [event._tag] : []))

const full = (name: string): StreamRequest => ({ name, mode: "full_refresh" })
const incremental = (name: string): StreamRequest => ({ name, mode: "incremental" })

describe("a snapshot", () => {
  it.effect("has the rows of now, a state, and the streams of metrics after it", () =>
    Effect.gen(function* () {
      const { events } = yield* readAll(
        [full("prometheus_targets"), full("prometheus_metadata"), full("up")],
        {
          config: { exclude_labels: ["secret"] }
        }
      )
      assert.deepStrictEqual(tagsOf(events, "prometheus_targets"), [
        "Started",
        "Running",
        "Rows",
        "Checkpoint",
        "Completed"
      ])
      const [row] = rowsOf(events, "prometheus_targets")
      assert.deepInclude(row, {
        time: iso(start + hour),
        health: "up",
        labels: { instance: "a:1", job: "a" },
        last_scrape: "2026-01-01T00:59:00Z"
      })
      assert.deepStrictEqual(
        rowsOf(events, "prometheus_metadata").map(({ metric, type }) => [metric, type]),
        [["up", "gauge"]]
      )
      assert.include(tagsOf(events, "up"), "Samples")
      assert.strictEqual(statesOf(events, "prometheus_targets")[0]?.full_refresh, true)
    })
  )

  it.effect("is not taken again by a refresh that has one, and is taken by any other", () =>
    Effect.gen(function* () {
      const before = { time: iso(start + 60_000), step: 1, version: 1, full_refresh: true, generation_id: 3 }
      const states = { prometheus_targets: before }
      const resumed = yield* readAll([{ ...full("prometheus_targets"), generationId: 3 }], { states })
      assert.lengthOf(rowsOf(resumed.events, "prometheus_targets"), 0)
      assert.deepStrictEqual(statesOf(resumed.events, "prometheus_targets").at(-1)?.time, before.time)
      assert.include(tagsOf(resumed.events, "prometheus_targets"), "Completed")
      const other = yield* readAll([{ ...full("prometheus_targets"), generationId: 4 }], { states })
      assert.lengthOf(rowsOf(other.events, "prometheus_targets"), 1)
      const later = yield* readAll([incremental("prometheus_targets")], {
        states: { prometheus_targets: { time: iso(start + 60_000), step: 1, version: 1 } }
      })
      assert.lengthOf(rowsOf(later.events, "prometheus_targets"), 1)
    })
  )
})

describe("exemplars", () => {
  it.effect.prop(
    "are read once each, however the syncs divide the time",
    { choices },
    ({ choices: random }) =>
      Effect.gen(function* () {
        const times = random.list(60, () => start + random.below(hour))
        const all = [...new Set(times)].map((time) => exemplarAt(time))
        const found: Array<unknown> = []
        let states: Readonly<Record<string, unknown>> = {}
        // Later each time, even if the choices have run out.
        const later = (now: number) => Math.min(start + hour, now + random.between(60_000, hour))
        for (let now = start + random.below(hour); ; now = later(now)) {
          const { events } = yield* readAll([incremental("prometheus_exemplars")], {
            exemplars: all.filter(({ timeMillis }) => timeMillis <= now),
            states,
            now
          })
          found.push(...rowsOf(events, "prometheus_exemplars").map(({ time }) => time))
          const last = statesOf(events, "prometheus_exemplars").at(-1)!
          states = { prometheus_exemplars: { time: last.time, step: last.step, version: 1 } }
          if (now === start + hour) break
        }
        const expected = all.map(({ timeMillis }) => iso(timeMillis))
        assert.deepStrictEqual(found, expected.sort())
      }),
    { arbitrary: { runs: runs(20, 100) } }
  )

  it.effect("are those of the selected series and metrics", () =>
    Effect.gen(function* () {
      const { events, mock } = yield* readAll([full("prometheus_exemplars")], {
        config: { selector: '{job="a"}', metrics: { include: ["requests_*"], exclude: ["*_other"] } },
        exemplars: [
          exemplarAt(start + 1, "a"),
          exemplarAt(start + 2, "b", "requests_other"),
          exemplarAt(start + 3, "c", "latency"),
          { ...exemplarAt(start + 4, "d"), seriesLabels: { __name__: "requests_total", job: "b" } }
        ]
      })
      assert.deepStrictEqual(
        rowsOf(events, "prometheus_exemplars").map(({ exemplar_labels }) => exemplar_labels),
        [{ trace_id: "a" }]
      )
      const request = mock.requests.find(({ path }) => path.endsWith("query_exemplars"))
      assert.strictEqual(request?.params.get("query"), '{__name__!="",job="a"}')
    })
  )

  it.effect("begin at the start, and are read once each if it is moved", () =>
    Effect.gen(function* () {
      const exemplars = [0, 1, 500, 999, 1000, 1001, 1999, 2000, 2001, 3000, 3999, 4000].map((millis) =>
        exemplarAt(start + millis)
      )
      const found: Array<unknown> = []
      let states: Readonly<Record<string, unknown>> = {}
      const readFrom = Effect.fnUntraced(function* (from: number, now: number) {
        const { events } = yield* readAll(
          [incremental("prometheus_exemplars")],
          { config: { start_date: iso(start + from) }, exemplars, now: start + now, states },
          { detailedStates: true }
        )
        states = {
          prometheus_exemplars: encodeStreamState(statesOf(events, "prometheus_exemplars").at(-1)!)
        }
        const times = rowsOf(events, "prometheus_exemplars").map(({ time }) => time)
        found.push(...times)
        return times
      })
      assert.deepStrictEqual(yield* readFrom(2000, 2500), [iso(start + 2000)])
      assert.deepStrictEqual(
        yield* readFrom(1000, 2500),
        [1000, 1001, 1999].map((millis) => iso(start + millis))
      )
      yield* readFrom(4000, 4000)
      yield* readFrom(0, 4000)
      assert.deepStrictEqual(found.toSorted(), exemplars.map(({ timeMillis }) => iso(timeMillis)).sort())
    })
  )

  it.effect("are those of all metrics if only tables are read", () =>
    Effect.gen(function* () {
      for (const pattern of ["*", ".*"]) {
        const { events } = yield* readAll([incremental("prometheus_exemplars")], {
          config: { metrics: { exclude: [pattern] }, selector: '{job="a"}' },
          exemplars: [
            exemplarAt(start + 1, "a"),
            exemplarAt(start + 2, "b", "latency"),
            { ...exemplarAt(start + 3, "c"), seriesLabels: { __name__: "requests_total", job: "b" } }
          ]
        })
        assert.deepStrictEqual(
          rowsOf(events, "prometheus_exemplars").map(({ exemplar_labels }) => exemplar_labels),
          [{ trace_id: "a" }, { trace_id: "b" }]
        )
      }
    })
  )

  for (const { fault, requests, what } of [
    { what: "fails", fault: { status: 503, body: "" }, requests: 2 },
    { what: "does not respond", fault: { delayMillis: Number.POSITIVE_INFINITY }, requests: 8 }
  ]) {
    it.effect(`fail after few requests if the server ${what}`, () =>
      Effect.gen(function* () {
        const { events, mock } = yield* readAll([incremental("prometheus_exemplars"), full("up")], {
          config: { max_retries: 1, request_timeout: 5 },
          mock: { faults: ({ path }) => (path.endsWith("query_exemplars") ? fault : undefined) }
        })
        assert.deepStrictEqual(tagsOf(events, "prometheus_exemplars"), ["Started", "Failed"])
        assert.lengthOf(
          mock.requests.filter(({ path }) => path.endsWith("query_exemplars")),
          requests
        )
        assert.include(tagsOf(events, "up"), "Completed")
      })
    )
  }

  const early = exemplarAt(start + 60_000)
  const late = exemplarAt(start + 50 * 60_000)
  const isMissing = { status: 404, body: "404 page not found" }
  const isTooLarge = {
    status: 422,
    body: '{"status":"error","errorType":"execution","error":"too many exemplars: the limit is exceeded"}'
  }
  for (const { fault, found, stateMillis, states, what } of [
    {
      what: "in a first sync",
      states: {},
      fault: () => isMissing,
      found: [early, late],
      stateMillis: start - 1000
    },
    {
      what: "in a later sync",
      states: { prometheus_exemplars: { time: iso(start + 600_000), step: 1, version: 1 } },
      fault: () => isMissing,
      found: [late],
      stateMillis: start + 600_000
    },
    {
      what: "after the first window",
      states: {},
      fault: (from: number, to: number) =>
        to - from > 600_000 ? isTooLarge : to > start + 40 * 60_000 ? isMissing : undefined,
      found: [early, late],
      stateMillis: undefined
    }
  ]) {
    it.effect(`that a server lacks for a while are read once it has them: ${what}`, () =>
      Effect.gen(function* () {
        const exemplars = [early, late]
        const lacking = yield* readAll([incremental("prometheus_exemplars")], {
          exemplars,
          states,
          mock: {
            faults: ({ params, path }) =>
              path.endsWith("query_exemplars")
                ? fault(Number(params.get("start")) * 1000, Number(params.get("end")) * 1000)
                : undefined
          }
        })
        const tags = tagsOf(lacking.events, "prometheus_exemplars")
        assert.lengthOf(
          tags.filter((tag) => tag === "Running"),
          1
        )
        assert.strictEqual(tags.at(-1), "Completed")
        const { step, time } = statesOf(lacking.events, "prometheus_exemplars").at(-1)!
        if (stateMillis !== undefined) assert.strictEqual(time, iso(stateMillis))
        const later = yield* readAll([incremental("prometheus_exemplars")], {
          exemplars,
          states: { prometheus_exemplars: { time, step, version: 1 } }
        })
        assert.deepStrictEqual(
          [...lacking.events, ...later.events].flatMap((event) =>
            rowsOf([event], "prometheus_exemplars").map((row) => row.time)
          ),
          found.map(({ timeMillis }) => iso(timeMillis))
        )
      })
    )
  }

  it.effect("are requested in smaller windows where a response is too large", () =>
    Effect.gen(function* () {
      const { events } = yield* readAll([full("prometheus_exemplars")], {
        exemplars: Array.from({ length: 50 }, (_, n) => exemplarAt(start + n * 60_000)),
        mock: {
          faults: ({ params, path }) =>
            path.endsWith("query_exemplars") && Number(params.get("end")) - Number(params.get("start")) > 600
              ? {
                  status: 422,
                  body: '{"status":"error","errorType":"execution","error":"too many exemplars: the limit is exceeded"}'
                }
              : undefined
        }
      })
      assert.lengthOf(rowsOf(events, "prometheus_exemplars"), 50)
      assert.isAbove(statesOf(events, "prometheus_exemplars").length, 5)
    })
  )
})

describe("a table that the server lacks", () => {
  for (const [what, fault] of Object.entries({
    "a missing page": { status: 404, body: "404 page not found" },
    "a path that is not supported": { status: 400, body: "unsupported path requested" },
    "no data": { body: '{"status":"success","data":null}' },
    "a method that is not allowed": { status: 405, body: "" },
    "a page that is gone": { status: 410, body: "" },
    "a request that is not implemented": { status: 501, body: "" }
  })) {
    it.effect(`is empty, and says so: ${what}`, () =>
      Effect.gen(function* () {
        const { events } = yield* readAll(
          [full("prometheus_rules"), full("prometheus_targets"), full("up")],
          {
            mock: { faults: ({ path }) => (path.endsWith("/rules") ? fault : undefined) }
          }
        )
        assert.deepStrictEqual(tagsOf(events, "prometheus_rules"), [
          "Started",
          "Running",
          "Checkpoint",
          "Completed"
        ])
        const completed = events.find(
          (event) => event._tag === "Completed" && event.stream === "prometheus_rules"
        )
        assert.match(JSON.stringify(completed), /does not have it: .*remove it from tables/)
        assert.lengthOf(rowsOf(events, "prometheus_targets"), 1)
        assert.include(tagsOf(events, "up"), "Completed")
      })
    )
  }

  for (const [what, fault] of Object.entries({
    "a forbidden page": { status: 403, body: "" },
    "a missing signature": { status: 403, body: '{"message":"Missing Authentication Token"}' },
    "a missing tenant": { status: 403, body: "no org id" },
    "a bad request": { status: 400, body: '{"status":"error","errorType":"bad_data","error":"not now"}' }
  })) {
    it.effect(`or refuses fails alone: ${what}`, () =>
      Effect.gen(function* () {
        const { events } = yield* readAll(
          [
            full("prometheus_rules"),
            incremental("prometheus_exemplars"),
            full("prometheus_targets"),
            full("up")
          ],
          { mock: { faults: ({ path }) => (/\/(rules|query_exemplars)$/.test(path) ? fault : undefined) } }
        )
        assert.deepStrictEqual(tagsOf(events, "prometheus_rules"), ["Started", "Failed"])
        assert.deepStrictEqual(tagsOf(events, "prometheus_exemplars"), ["Started", "Failed"])
        assert.lengthOf(rowsOf(events, "prometheus_targets"), 1)
        assert.include(tagsOf(events, "up"), "Completed")
      })
    )
  }

  it.effect("in a form that is unknown fails alone", () =>
    Effect.gen(function* () {
      const { events } = yield* readAll([full("prometheus_rules"), full("up")], {
        mock: {
          faults: ({ path }) =>
            path.endsWith("/rules") ? { body: '{"status":"success","data":{"x":1}}' } : undefined
        }
      })
      assert.deepStrictEqual(tagsOf(events, "prometheus_rules"), ["Started", "Failed"])
      assert.include(tagsOf(events, "up"), "Completed")
    })
  )
})
