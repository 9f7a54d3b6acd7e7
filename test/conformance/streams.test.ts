/** Queries, groups and tables keep the rules of the protocol as metrics do, in all sync modes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { makeDatabase } from "../../src/mock/MockSeries.ts"
import type { MockExemplar, MockRuleGroup, MockTarget } from "../../src/mock/MockTables.ts"
import * as connector from "../support/connector.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { serveMock } from "../support/mockServer.ts"
import { stateFile } from "./destination.ts"
import * as rules from "./rules.ts"

const MINUTES = 130

const target: MockTarget = {
  discoveredLabels: { __address__: "a:1" },
  labels: { instance: "a:1", job: "a" },
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

const ruleGroup: MockRuleGroup = {
  name: "one",
  file: "rules.yml",
  interval: 15,
  limit: 0,
  evaluationTime: 0.1,
  lastEvaluation: "2026-01-01T00:59:00Z",
  rules: [
    {
      name: "Down",
      query: "up == 0",
      duration: 0,
      labels: { severity: "page" },
      annotations: {},
      state: "firing",
      alerts: [
        {
          labels: { alertname: "Down", n: "0" },
          annotations: {},
          state: "firing",
          activeAt: "2026-01-01T00:58:00Z",
          value: "0e+00"
        }
      ],
      health: "ok",
      evaluationTime: 0.01,
      lastEvaluation: "2026-01-01T00:59:00Z",
      type: "alerting"
    }
  ]
}

const exemplars = Array.from(
  { length: MINUTES },
  (_, i): MockExemplar => ({
    seriesLabels: { __name__: "app_a", n: "0" },
    labels: { trace_id: `${i}` },
    value: "0.5",
    timeMillis: start + i * minute + 500
  })
)

const series = [...gauge("app_a", MINUTES, 3), ...gauge("app_b", MINUTES), ...gauge("up", MINUTES, 2)]

const settings = {
  groups: [{ name: "apps", metrics: { include: ["app_*"] } }],
  queries: [{ name: "few", expression: 'app_a{n!="1"}', step: 120 }],
  tables: ["targets", "rules", "alerts", "metadata", "exemplars"]
}

const snapshots = ["targets", "rules", "alerts", "metadata"].map((name) => `prometheus_${name}`)
const isTable = (name: string): boolean => name.startsWith("prometheus_")

const keyOf = (name: string) => [[isTable(name) ? "record_id" : "series_id"], ["time"]]

const open = Effect.gen(function* () {
  const database = makeDatabase(series, [["up", { type: "gauge", help: "Is it up?", unit: "" }]], {
    targets: [target],
    ruleGroups: [ruleGroup],
    exemplars
  })
  const mock = new MockPrometheus(database, { lookbackMillis: 1000, version: "3.0.0" })
  const { config } = yield* serveMock(mock, MINUTES, settings)
  const files = yield* connector.workspace
  return { config, files, streams: yield* connector.discover(files, config) }
})

type Streams = ReadonlyArray<connector.Stream>

/** The catalog of streams in a sync mode, with their own keys. */
const catalogOf = (streams: Streams, mode: "full_refresh" | "incremental") => ({
  streams: connector.configure(streams, mode).streams.map((configured) => ({
    ...configured,
    primary_key: keyOf(configured.stream.name)
  }))
})

/** The records of each stream by their keys. Each key occurs once. */
const byStream = (records: ReadonlyArray<connector.ParsedRecord>) => {
  const streams = new Map<string, Map<string, string>>()
  for (const { data, stream } of records) {
    const found = streams.get(stream) ?? new Map<string, string>()
    const key = `${data.record_id ?? data.series_id} ${data.time}`
    assert.isFalse(found.has(key), `${stream}: ${key} twice`)
    streams.set(stream, found.set(key, JSON.stringify(data)))
  }
  return streams
}

/** How many records each stream with a grid or with exemplars has. */
const counts = {
  apps: 4 * MINUTES,
  few: 2 * (MINUTES / 2),
  // The last one is after the end.
  prometheus_exemplars: MINUTES - 1,
  up: 2 * MINUTES
}

describe("a query, a group and the tables", () => {
  it.live("are discovered with the columns of their records, keys and a cursor", () =>
    Effect.gen(function* () {
      const { config, files, streams } = yield* open
      yield* rules.verb(["discover", "--config", files.write("config.json", config)])
      assert.sameMembers(
        streams.map(({ name }) => name),
        [...Object.keys(counts), ...snapshots]
      )
      for (const { default_cursor_field, name, source_defined_primary_key } of streams) {
        assert.deepStrictEqual(source_defined_primary_key, keyOf(name))
        assert.deepStrictEqual(default_cursor_field, snapshots.includes(name) ? undefined : ["time"], name)
      }
      const columnsOf = (name: string) =>
        Object.keys(streams.find((stream) => stream.name === name)!.json_schema.properties)
      assert.includeMembers(columnsOf("apps"), ["metric", "labels"])
      assert.includeMembers(columnsOf("few"), ["n", "other_labels"])
      const { records } = yield* rules.read(files, config, catalogOf(streams, "full_refresh"))
      for (const { name } of streams) {
        const columns = columnsOf(name)
        for (const { data } of records.filter(({ stream }) => stream === name)) {
          assert.includeMembers(columns, Object.keys(data))
          // Rows have all of their columns, and samples those that identify them.
          assert.includeMembers(
            Object.keys(data),
            isTable(name) ? columns : ["series_id", "time", "value", ...(name === "apps" ? ["metric"] : [])]
          )
        }
      }
    })
  )

  it.live("have the same records in a full refresh and in incremental syncs that resume", () =>
    Effect.gen(function* () {
      const { config, files, streams } = yield* open
      const whole = yield* rules.read(files, config, catalogOf(streams, "full_refresh"))
      const all = byStream(whole.records)
      for (const [name, count] of Object.entries(counts)) assert.strictEqual(all.get(name)?.size, count, name)
      for (const name of snapshots) assert.isAbove(all.get(name)?.size ?? 0, 0, name)

      const catalog = catalogOf(
        streams.filter(({ supported_sync_modes: modes }) =>
          (modes as ReadonlyArray<string>).includes("incremental")
        ),
        "incremental"
      )
      assert.includeMembers(
        catalog.streams.map(({ stream }) => stream.name),
        Object.keys(counts)
      )
      const first = yield* rules.read(files, { ...config, end_date: iso(start + 61 * minute) }, catalog)
      const states = catalog.streams.map(
        ({ stream: { name } }) =>
          first.states.findLast(({ stream }) => stream.stream_descriptor.name === name)!
      )
      const second = yield* rules.read(files, config, catalog, stateFile(states))
      assert.deepStrictEqual([whole.code, first.code, second.code], [0, 0, 0])
      // A snapshot is another one each time.
      const ofSyncs = byStream([...first.records, ...second.records].filter(({ stream }) => stream in counts))
      for (const name of Object.keys(counts)) assert.deepStrictEqual(ofSyncs.get(name), all.get(name), name)
      const again = yield* rules.read(files, config, catalog, stateFile(second.states))
      assert.deepStrictEqual(
        again.records.filter(({ stream }) => stream in counts),
        []
      )
    })
  )

  it.live("have no columns that a catalog has deselected", () =>
    Effect.gen(function* () {
      const { config, files, streams } = yield* open
      const selected: Readonly<Record<string, ReadonlyArray<string>>> = {
        apps: ["time", "value", "series_id"],
        few: ["time", "series_id", "n"],
        prometheus_exemplars: ["record_id", "time", "metric"],
        prometheus_targets: ["record_id", "time", "health"]
      }
      const narrow = streams.flatMap((stream) => {
        const columns = selected[stream.name]
        if (columns === undefined) return []
        const properties = Object.fromEntries(
          Object.entries(stream.json_schema.properties).filter(([column]) => columns.includes(column))
        )
        return [{ ...stream, json_schema: { ...stream.json_schema, properties } }]
      })
      const { records } = yield* rules.read(files, config, catalogOf(narrow, "full_refresh"))
      for (const [name, columns] of Object.entries(selected)) {
        const found = records.filter(({ stream }) => stream === name)
        assert.isNotEmpty(found, name)
        for (const { data } of found) assert.sameMembers(Object.keys(data), [...columns], name)
      }
    })
  )
})
