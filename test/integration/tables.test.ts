/** Prometheus' own tables: the mock compared with real servers that have them. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeRequest } from "../../src/mock/http.ts"
import { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { type FamilyMetadata, makeDatabase } from "../../src/mock/MockSeries.ts"
import type { MockExemplar, MockRuleGroup, MockTarget } from "../../src/mock/MockTables.ts"
import { queryDatabase } from "../destinations/duckdb/queryDatabase.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import type { RealServer } from "../support/RealServer.ts"
import { describeEach, prometheusServers, victoriaMetricsServers } from "../support/servers.ts"
import { isScraped, ruleGroups, scrape } from "../support/tables.ts"

interface Exemplars {
  readonly seriesLabels: Readonly<Record<string, string>>
  readonly exemplars: ReadonlyArray<{
    readonly labels: Readonly<Record<string, string>>
    readonly value: string
    readonly timestamp: number
  }>
}

const dataOf = <A>(text: string): A => (JSON.parse(text) as { readonly data: A }).data

/** Where a server has the tables that the mock is given. */
const paths = {
  targets: "/api/v1/targets?state=active",
  rules: "/api/v1/rules",
  metadata: "/api/v1/metadata",
  exemplars: `/api/v1/query_exemplars?${new URLSearchParams({ query: '{__name__!=""}', start: "0", end: "9999999999" })}`
}

const mockOf = Effect.fnUntraced(function* (real: RealServer, version: string) {
  const text = (path: string) => Effect.map(real.request(path), (response) => response.text)
  const [targets, rules, metadata, exemplars] = yield* Effect.all([
    text(paths.targets),
    text(paths.rules),
    text(paths.metadata),
    text(paths.exemplars)
  ])
  const families = dataOf<Readonly<Record<string, ReadonlyArray<FamilyMetadata>>>>(metadata)
  return new MockPrometheus(
    makeDatabase(
      [],
      Object.entries(families).flatMap(([family, entries]) =>
        entries.map((entry) => [family, entry] as const)
      ),
      {
        targets: dataOf<{ readonly activeTargets: ReadonlyArray<MockTarget> }>(targets).activeTargets,
        ruleGroups: dataOf<{ readonly groups: ReadonlyArray<MockRuleGroup> }>(rules).groups,
        exemplars: dataOf<ReadonlyArray<Exemplars>>(exemplars).flatMap(({ exemplars, seriesLabels }) =>
          exemplars.map(
            ({ labels, timestamp, value }): MockExemplar => ({
              seriesLabels,
              labels,
              value,
              timeMillis: Math.round(timestamp * 1000)
            })
          )
        )
      }
    ),
    { version }
  )
})

describeEach(prometheusServers, "the mock and $name", ({ make, release }) => {
  it.effect("have the same tables", () =>
    Effect.gen(function* () {
      const real = yield* make({ scrape, ruleGroups, flags: ["--enable-feature=exemplar-storage"] })
      yield* Effect.promise(() => isScraped(real.baseUrl))
      const exemplars = (params: Readonly<Record<string, string>>) =>
        `query_exemplars?${new URLSearchParams(params)}`
      const all = { start: "0", end: "9999999999" }
      const requests = [
        ...["targets?state=active", "targets?state=ACTIVE", "targets?state=x", "targets?state=dropped"],
        ...["targets?scrapePool=test", "targets?scrapePool=x", "targets"],
        ...["rules", "rules?type=alert", "rules?type=record", "rules?type=Alert", "rules?type=x", "alerts"],
        ...["metadata", "metadata?limit=1", "metadata?metric=requests"],
        ...[`{__name__!=""}`, "requests_total", `{code="200"}`, "other", "", `{a=""}`, `{a=~".*"}`].map(
          (query) => exemplars({ ...all, query })
        ),
        exemplars({ query: "requests_total" }),
        exemplars({ query: "requests_total", start: "5", end: "1" }),
        // Version 3 begins the message with a small letter, here alone.
        ...(release === 2
          ? [
              exemplars({ query: "requests_total", start: "x" }),
              exemplars({ query: "requests_total", end: "x" })
            ]
          : []),
        exemplars({ query: "requests_total", start: "1", end: "2" }),
        "query_exemplars"
      ]
      for (const path of requests) {
        const compare = Effect.gen(function* () {
          const mock = yield* mockOf(real, release === 2 ? "2.42.0" : "3.16.0")
          const expected = yield* real.request(`/api/v1/${path}`)
          const url = new URL(`http://mock/api/v1/${path}`)
          const response = mock.handle(makeRequest("GET", url, [], ""), Date.now())
          const text = Buffer.concat([...response.body]).toString("utf8")
          return [
            [path, response.status, text],
            [path, expected.status, expected.text]
          ] as const
        })
        // Something may have been scraped or evaluated in between.
        let [found, expected] = yield* compare
        for (let i = 0; i < 10 && JSON.stringify(found) !== JSON.stringify(expected); i++) {
          ;[found, expected] = yield* compare
        }
        assert.deepStrictEqual(found, expected)
      }
    })
  )
})

const tables = ["targets", "rules", "alerts", "metadata", "exemplars"]
const streams = tables.map((name) => `prometheus_${name}`)

const configOf = (baseUrl: string) => ({
  base_url: baseUrl,
  start_date: "2026-01-01",
  settle_delay: 0,
  metrics: { include: ["up", "requests_*"] },
  tables
})

const fullRefresh = (names: ReadonlyArray<string>) => ({
  streams: names.map((name) => ({
    stream: { name, json_schema: {}, supported_sync_modes: ["full_refresh"] },
    sync_mode: "full_refresh",
    destination_sync_mode: "overwrite",
    generation_id: 1,
    minimum_generation_id: 1,
    sync_id: 1
  }))
})

/** How many records each stream has. */
const countsOf = ({ records }: connector.Output) =>
  Object.fromEntries(
    streams.map((name) => [name, records.filter(({ stream }) => stream === name).length] as const)
  )

describeEach(prometheusServers, "the tables of a real $name", ({ make }) => {
  it.effect("are in catalogs, syncs and runs", () =>
    Effect.gen(function* () {
      const { baseUrl } = yield* make({ scrape, ruleGroups, flags: ["--enable-feature=exemplar-storage"] })
      yield* Effect.promise(() => isScraped(baseUrl))
      const files = yield* connector.workspace
      const config = configOf(baseUrl)

      const catalog = yield* connector.discover(files, config)
      const found = catalog.filter(({ name }) => streams.includes(name))
      assert.deepStrictEqual(
        found.map(({ name, supported_sync_modes }) => [name, supported_sync_modes]),
        streams.map((name) => [
          name,
          name === "prometheus_exemplars" ? ["full_refresh", "incremental"] : ["full_refresh"]
        ])
      )

      const snapshot = yield* connector.read(files, config, fullRefresh(streams))
      assert.deepStrictEqual([snapshot.errors, snapshot.stderr, snapshot.code], [[], "", 0])
      const counts = countsOf(snapshot)
      assert.deepInclude(counts, { prometheus_targets: 1, prometheus_rules: 4, prometheus_alerts: 2 })
      assert.isAbove(counts.prometheus_metadata!, 1)
      for (const { data, stream } of snapshot.records) {
        const { properties } = found.find(({ name }) => name === stream)!.json_schema
        assert.sameMembers(Object.keys(data), Object.keys(properties))
      }

      // The exemplars that are scraped in between are read once.
      const incremental = connector.catalogOf("prometheus_exemplars")
      const first = yield* connector.read(files, config, incremental)
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 6000)))
      const later = yield* connector.read(files, config, incremental, [first.states.at(-1)])
      const keys = [...first.records, ...later.records].map(({ data }) => `${data.record_id} ${data.time}`)
      assert.isAbove(first.records.length, 0)
      assert.isAbove(later.records.length, 0)
      assert.strictEqual(new Set(keys).size, keys.length)

      const to = files.path("data.duckdb")
      const flags = [
        "--url",
        baseUrl,
        "--start",
        "2026-01-01",
        "--select",
        "requests_total",
        "--to",
        `duckdb:${to}`
      ]
      const args = ["run", ...flags, ...tables.flatMap((name) => ["--table", name])]
      const dry = yield* child.run([...args, "--dry-run"])
      for (const name of streams) assert.include(dry.stdout, name)
      const runs = [yield* child.run(args), yield* child.run(args)]
      assert.deepStrictEqual(
        runs.map(({ code }) => code),
        [0, 0],
        runs.map(({ stderr }) => stderr).join("\n")
      )
      const [row] = yield* Effect.promise(() =>
        queryDatabase(
          to,
          `SELECT count(*)::INTEGER AS targets, count(DISTINCT time)::INTEGER AS snapshots, count(DISTINCT record_id)::INTEGER AS ids,
             (SELECT count(*)::INTEGER FROM prometheus_rules) AS rules, typeof(any_value(labels)) AS labels,
             typeof(any_value(last_scrape)) AS scraped, typeof(any_value(last_scrape_duration_seconds)) AS took,
             (SELECT count(*) - count(DISTINCT (record_id, time)) FROM prometheus_exemplars)::INTEGER AS repeated
           FROM prometheus_targets`
        )
      )
      assert.deepStrictEqual(
        { ...row },
        {
          targets: 2,
          snapshots: 2,
          ids: 1,
          rules: 8,
          labels: "JSON",
          scraped: "TIMESTAMP WITH TIME ZONE",
          took: "DOUBLE",
          repeated: 0
        }
      )
      // A refresh keeps the latest snapshot alone.
      const refreshed = yield* child.run([...args, "--full-refresh", "--yes"])
      assert.strictEqual(refreshed.code, 0, refreshed.stderr)
      const [left] = yield* Effect.promise(() =>
        queryDatabase(to, "SELECT count(*)::INTEGER AS targets FROM prometheus_targets")
      )
      assert.strictEqual(left?.targets, 1)
      for (const more of [
        ["--part", "0/2"],
        ["--part", "0/2", "--dry-run"],
        ["--parts", "2", "--dry-run"]
      ]) {
        const parts = yield* child.run([
          "run",
          ...flags.slice(0, -1),
          `parquet:${files.path("parts")}`,
          "--table",
          "rules",
          ...more
        ])
        assert.notStrictEqual(parts.code, 0)
        assert.match(parts.stderr, /One process reads the server's own tables \(rules\).*--table/)
      }
    })
  )
})

describeEach(victoriaMetricsServers, "the tables of a real $name", ({ make }) => {
  it.effect("are read as far as it has them, beside its metrics", () =>
    Effect.gen(function* () {
      const { baseUrl } = yield* make({
        series: [{ labels: { __name__: "up" }, samples: [[Date.now() - 600_000, 1]] }]
      })
      const files = yield* connector.workspace
      const config = { ...configOf(baseUrl), step: 60 }
      const checked = yield* connector.runVerb(["check", "--config", files.write("config.json", config)])
      assert.strictEqual(checked.code, 0)
      const read = yield* connector.read(files, config, fullRefresh([...streams, "up"]))
      assert.deepStrictEqual([read.errors, read.code], [[], 0])
      for (const name of [...streams, "up"]) assert.include(read.statuses, `${name}:COMPLETE`)
      // Each table that is missing has a warning, in both.
      for (const name of streams) {
        const isMissing = (logs: ReadonlyArray<string>) =>
          logs.some((log) => log.includes(name) && /(does not have it|cannot be read)/.test(log))
        assert.strictEqual(isMissing(checked.logs), isMissing(read.logs), name)
      }
    })
  )
})
