/** The rows of Prometheus' tables, from responses that were recorded from Prometheus 2.42 and from others. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { Headers } from "effect/http"
import type { Endpoint, Exactness } from "../../../src/prometheus/api.ts"
import { profiles } from "../../../src/prometheus/backend/profiles.ts"
import { exemplars, snapshots } from "../../../src/prometheus/tables/endpoints.ts"
import type { Snapshot } from "../../../src/prometheus/tables/rows.ts"
import {
  type SnapshotName,
  type TableName,
  tableNames,
  tableSchemas
} from "../../../src/prometheus/tables/schemas.ts"
import { parse } from "../../../src/promql/Matcher.ts"
import { canonicalLabels, seriesId } from "../../../src/samples/Series.ts"
import { type Row, rowBlocks } from "../../../src/samples/TableRow.ts"
import { choices } from "../../choices.ts"

const snapshot: Snapshot = { timeMillis: Date.UTC(2026, 0, 1), excludedLabels: new Set(["secret"]) }
const exactness: Exactness = {
  profile: profiles.prometheus,
  isGuess: false,
  partialData: "fail",
  maxSourceResolution: "raw"
}
const context = { address: "http://h/api", mask: (text: string) => text, status: 200, headers: Headers.empty }

const decode = <A>(endpoint: Endpoint<A>, data: unknown) =>
  Result.map(endpoint.decode(JSON.stringify({ status: "success", data }), context), ({ value }) => value)

const rowsOf = (name: SnapshotName, data: unknown): ReadonlyArray<Row> =>
  Result.getOrThrow(decode(snapshots[name](snapshot, exactness), data))

const everything = { matchers: [], excludedLabels: new Set<string>(), isIncluded: () => true }

const exemplarsIn = (data: unknown, first = 0, last = Number.MAX_SAFE_INTEGER) =>
  Result.getOrThrow(
    decode(exemplars({ ...everything, range: { startMillis: first, endMillis: last } }, exactness), data)
  )

describe("rows", () => {
  it("are of targets", () => {
    const target = {
      discoveredLabels: { __address__: "127.0.0.1:1", job: "test", secret: "x" },
      labels: { instance: "127.0.0.1:1", job: "test" },
      scrapePool: "test",
      scrapeUrl: "http://127.0.0.1:1/metrics",
      globalUrl: "http://vm:1/metrics",
      lastError: "connection refused",
      lastScrape: "2026-11-30T06:29:33.148173215Z",
      lastScrapeDuration: 0.000356689,
      health: "down",
      scrapeInterval: "1s",
      scrapeTimeout: "1s"
    }
    const [row, never, again] = rowsOf("targets", {
      activeTargets: [
        target,
        { ...target, labels: {}, lastError: "", lastScrape: "0001-01-01T00:00:00Z" },
        { ...target, health: "up" }
      ],
      droppedTargets: []
    })
    assert.deepStrictEqual(row, {
      // Stable for ever.
      record_id: "8a44fe5163160250fd37ed59abe177ed",
      time: "2026-01-01T00:00:00Z",
      scrape_pool: "test",
      scrape_url: "http://127.0.0.1:1/metrics",
      global_url: "http://vm:1/metrics",
      health: "down",
      last_error: "connection refused",
      last_scrape: "2026-11-30T06:29:33.148Z",
      last_scrape_duration_seconds: 0.000356689,
      scrape_interval: "1s",
      scrape_timeout: "1s",
      labels: { instance: "127.0.0.1:1", job: "test" },
      discovered_labels: { __address__: "127.0.0.1:1", job: "test" }
    })
    assert.deepInclude(never, { last_error: null, last_scrape: null, labels: {} })
    // A server that shows a target twice does not lose one.
    assert.notStrictEqual(again?.record_id, row?.record_id)
  })

  it("are of rules, with what a server leaves out as null", () => {
    const group = { name: "one", file: "rules.yml", interval: 1, limit: 0 }
    const rules = [
      { name: "a:b", query: "sum(x)", health: "ok", evaluationTime: 0.5, type: "recording" },
      {
        state: "firing",
        name: "Down",
        query: "up == 0",
        duration: 300,
        keepFiringFor: 60,
        labels: { severity: "page" },
        annotations: { summary: "{{ $labels.instance }}" },
        alerts: [{}, {}],
        health: "err",
        lastError: "no such label",
        type: "alerting"
      }
    ]
    const [recording, alerting] = rowsOf("rules", {
      groups: [
        { ...group, rules },
        { ...group, rules: null }
      ]
    })
    assert.deepInclude(recording, {
      rule_group: "one",
      file: "rules.yml",
      type: "recording",
      name: "a:b",
      active_alerts: null,
      annotations: null,
      labels: {},
      evaluation_time_seconds: 0.5,
      last_evaluation: null
    })
    assert.deepInclude(alerting, {
      state: "firing",
      duration_seconds: 300,
      keep_firing_for_seconds: 60,
      active_alerts: 2,
      labels: { severity: "page" },
      annotations: { summary: "{{ $labels.instance }}" },
      last_error: "no such label",
      group_interval_seconds: 1
    })
  })

  it("are of alerts, whose values may not be finite", () => {
    const alert = { labels: { alertname: "Down", job: "a" }, annotations: {}, state: "firing" }
    const values = ["0e+00", "1.5e+02", "NaN", "+Inf", "-Inf", "x"]
    const rows = rowsOf("alerts", {
      alerts: values.map((value, n) => ({ ...alert, labels: { ...alert.labels, n: `${n}` }, value }))
    })
    assert.deepStrictEqual(
      rows.map(({ special_value, value }) => [value, special_value]),
      [
        [0, null],
        [150, null],
        [null, "NaN"],
        [null, "+Inf"],
        [null, "-Inf"],
        [null, null]
      ]
    )
    assert.deepInclude(rows[0], { name: "Down", state: "firing", active_at: null, annotations: null })
  })

  it("are of metadata: one for each entry of a family", () => {
    const entry = { type: "counter", help: "Help.", unit: "" }
    const rows = rowsOf("metadata", { up: [entry, { ...entry, help: "Other." }], ["__proto__"]: [entry] })
    assert.deepStrictEqual(
      rows.map(({ help, metric, type, unit }) => [metric, type, help, unit]),
      [
        ["up", "counter", "Help.", null],
        ["up", "counter", "Other.", null],
        ["__proto__", "counter", "Help.", null]
      ]
    )
    assert.strictEqual(new Set(rows.map(({ record_id }) => record_id)).size, 3)
  })

  it("are of exemplars, with the identity of their series", () => {
    const seriesLabels = { __name__: "requests_total", code: "200" }
    const exemplar = { labels: { trace_id: "abc" }, value: "0.5", timestamp: 1_796_020_170.937 }
    const data = [
      {
        seriesLabels,
        exemplars: [
          exemplar,
          { ...exemplar, value: "0.7" },
          { ...exemplar, timestamp: 1_796_020_171 },
          { ...exemplar, labels: {} }
        ]
      }
    ]
    const rows = exemplarsIn(data)
    assert.lengthOf(rows, 3)
    assert.deepStrictEqual(rows[0], [
      1_796_020_170_937,
      {
        record_id: "7b3e5a498dbc4a62943480a0840c0942",
        time: "2026-11-30T06:29:30.937Z",
        // Of two with the same key, the last one counts.
        value: 0.7,
        special_value: null,
        metric: "requests_total",
        series_id: seriesId(canonicalLabels(Object.entries(seriesLabels))),
        labels: { code: "200" },
        exemplar_labels: { trace_id: "abc" }
      }
    ])
    assert.lengthOf(exemplarsIn(data, 1_796_020_170_938, 1_796_020_171_000), 1)
    assert.lengthOf(exemplarsIn(data, 1_796_020_171_001), 0)
    assert.lengthOf(exemplarsIn(null), 0)
  })

  it("leave out exemplars whose time is not a date", () => {
    const exemplars = [1_796_020_170_937_000_000, -1, 1e300, 5].map((timestamp) => ({
      labels: {},
      value: "1",
      timestamp
    }))
    assert.deepStrictEqual(
      exemplarsIn([{ seriesLabels: { __name__: "a" }, exemplars }]).map(([time]) => time),
      [5000]
    )
  })

  it.prop("have exactly the columns of their table, whatever a server sends", [choices], ([random]) => {
    const names = ["a", "__proto__", "constructor", "alertname", "__name__"]
    const scalars = [null, true, "", "x", "NaN", "1e400", "-Infinity", "2026-01-01T00:00:00Z", 0, -1.5, 1e308]
    const value = (depth = 2): unknown => {
      if (depth === 0 || random.oneIn(2)) return random.pick(scalars)
      return random.oneIn(2)
        ? random.list(3, () => value(depth - 1))
        : Object.fromEntries(random.list(3, () => [random.pick(names), value(depth - 1)]))
    }
    const members = (...names: ReadonlyArray<string>): unknown =>
      random.oneIn(5) ? value() : Object.fromEntries(random.shuffle(names).map((name) => [name, value()]))
    const many = (make: () => unknown) => random.list(5, make)
    const rule = () =>
      members(
        ...["state", "name", "query", "duration", "labels", "annotations", "alerts", "health", "type"],
        ...["lastEvaluation", "evaluationTime", "keepFiringFor", "lastError"]
      )
    const data: Readonly<Record<TableName, () => unknown>> = {
      targets: () => ({
        activeTargets: many(() => members("labels", "discoveredLabels", "scrapeUrl", "lastScrape", "health"))
      }),
      rules: () => ({ groups: many(() => ({ name: value(), file: value(), rules: many(rule) })) }),
      alerts: () => ({ alerts: many(() => members("labels", "annotations", "value", "activeAt", "state")) }),
      metadata: () =>
        Object.fromEntries(
          many(() => [random.pick(names), many(() => members("type", "help", "unit"))]) as Array<
            [string, unknown]
          >
        ),
      exemplars: () =>
        many(() => ({
          seriesLabels: value(),
          exemplars: many(() => ({
            ...Object(members("labels", "value")),
            timestamp: random.pick([0, 1, 2, "1.5", -1, 1e14, 1.7e18, -1e300, "1e300"])
          }))
        }))
    }
    for (const name of tableNames) {
      const response = data[name]()
      const rows = name === "exemplars" ? exemplarsIn(response).map(([, row]) => row) : rowsOf(name, response)
      const { columns } = tableSchemas[name]
      for (const row of rows) {
        assert.sameMembers(
          Object.keys(row),
          columns.map(({ name }) => name)
        )
        for (const { isRequired, kind, name } of columns) {
          const cell = row[name]
          if (cell === null) assert.isTrue(isRequired !== true, name)
          else if (kind === "object") assert.isObject(cell)
          else if (kind === "number" || kind === "count") assert.isTrue(Number.isFinite(cell), name)
          else assert.isString(cell)
          if (kind === "time" && cell !== null) assert.isFinite(Date.parse(String(cell)))
        }
      }
      const keys = rows.map(({ record_id, time }) => `${record_id} ${time}`)
      assert.strictEqual(new Set(keys).size, keys.length)
    }
  })

  it("are in blocks by time", () => {
    const blocks = rowBlocks(Array.from({ length: 2500 }, (_, n) => [2500 - n, { n }] as const))
    assert.deepStrictEqual(
      blocks.map(({ length, times }) => [length, times[0], times.at(-1)]),
      [
        [1000, 1, 1000],
        [1000, 1001, 2000],
        [500, 2001, 2500]
      ]
    )
    assert.deepStrictEqual(rowBlocks([]), [])
  })
})

describe("requests", () => {
  it("ask for active targets alone", () => {
    const { path, params } = snapshots.targets(snapshot, exactness).request
    assert.deepStrictEqual([path, params], ["/api/v1/targets", { state: "active" }])
  })

  it("select exemplars", () => {
    const matchers = Result.getOrThrow(parse('{env="prod"}'))
    const range = { startMillis: 1500, endMillis: 86_400_000 }
    assert.deepStrictEqual(exemplars({ ...everything, matchers, range }, exactness).request.params, {
      query: '{__name__!="",env="prod"}',
      start: "1.5",
      end: "86400"
    })
  })

  it("take a response without the table as one of another server", () => {
    const failed = decode(snapshots.rules(snapshot, exactness), { result: [] })
    assert.isTrue(Result.isFailure(failed) && failed.failure.reason === "NotPrometheus")
    const nothing = decode(snapshots.rules(snapshot, exactness), null)
    assert.isTrue(Result.isFailure(nothing) && nothing.failure.reason === "NoTableApi")
  })
})
