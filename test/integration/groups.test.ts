/** Groups of metrics on real servers: the same records as in the streams of their metrics, also where the server sets limits. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { queryDatabase } from "../destinations/duckdb/queryDatabase.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { start } from "../support/dataset.ts"
import type { SeriesInput } from "../support/openMetrics.ts"
import {
  describeEach,
  describeEachConcurrently,
  prometheusServers,
  servers,
  victoriaMetricsServers
} from "../support/servers.ts"

const minute = 60_000
const iso = (millis: number): string => new Date(millis).toISOString().replace(".000Z", "Z")

/** A gauge with so many series, and a sample per minute. */
const gauge = (name: string, count: number, minutes: number): ReadonlyArray<SeriesInput> =>
  Array.from({ length: count }, (_, n) => ({
    labels: { __name__: name, ...(n === 0 ? {} : { instance: `10.0.0.${n}`, metric: `${n % 2}` }) },
    samples: Array.from({ length: minutes }, (_, i) => [start + i * minute, i + n / 8] as const)
  }))

const MINUTES = 90

const metrics = ["app_memory_bytes", "app_requests_total", "app_temperature", "app_up"]

const apps = [
  ...gauge("app_requests_total", 40, MINUTES),
  ...gauge("app_memory_bytes", 7, MINUTES),
  ...gauge("app_up", 1, MINUTES),
  ...gauge("app_temperature", 2, MINUTES)
]

const configOf = (baseUrl: string, minutes = MINUTES) => ({
  base_url: baseUrl,
  start_date: iso(start),
  end_date: iso(start + (minutes - 1) * minute),
  step: 60,
  groups: [{ name: "apps", metrics: { include: ["app_*"] } }]
})

type Records = Effect.Success<ReturnType<typeof connector.read>>["records"]

/** The metric, series, time, value and labels of each record. */
const flat = (records: Records) =>
  records
    .map(({ data: { labels, metric, series_id, time }, stream, valueText }) =>
      JSON.stringify([metric ?? stream, series_id, time, valueText, labels])
    )
    .sort()

/** Reads the group, and the streams of its metrics without groups. */
const readBoth = Effect.fnUntraced(function* (baseUrl: string, names = metrics) {
  const files = yield* connector.workspace
  const config = configOf(baseUrl)
  const group = yield* connector.read(files, config, connector.catalogOf("apps"))
  assert.deepStrictEqual([group.errors, group.stderr, group.code], [[], "", 0])
  const separate = yield* connector.read(
    files,
    { ...config, groups: [], label_columns: false },
    connector.catalogOf(...names)
  )
  assert.deepStrictEqual([separate.errors, separate.code], [[], 0])
  return { group, separate }
})

describeEach(servers, "a group on a real $name", ({ make }) => {
  it.effect("has the records of the streams of its metrics, and resumes after its state", () =>
    Effect.gen(function* () {
      const { baseUrl } = yield* make({ series: [...apps, ...gauge("other", 1, MINUTES)] })
      const { group, separate } = yield* readBoth(baseUrl)
      assert.lengthOf(group.records, 50 * MINUTES)
      assert.deepStrictEqual(flat(group.records), flat(separate.records))
      assert.deepStrictEqual(new Set(group.records.map(({ data }) => data.metric)), new Set(metrics))

      const files = yield* connector.workspace
      const catalog = connector.catalogOf("apps")
      const first = yield* connector.read(files, configOf(baseUrl, 35), catalog)
      const later = yield* connector.read(files, configOf(baseUrl), catalog, [first.states.at(-1)])
      assert.deepStrictEqual([first.code, later.code], [0, 0])
      assert.lengthOf(first.records, 50 * 35)
      assert.deepStrictEqual(flat([...first.records, ...later.records]), flat(group.records))
    })
  )
})

describeEachConcurrently(servers, "a group of many metrics on a real $name", ({ make }) => {
  it.effect("has its series counted before the first window", () =>
    Effect.gen(function* () {
      const series = Array.from({ length: 130 }, (_, n) => gauge(`app_${n}`, 1 + (n % 3), 40)).flat()
      const { baseUrl } = yield* make({ series })
      const files = yield* connector.workspace
      const read = yield* connector.runVerb([
        ...connector.readArgs(files, configOf(baseUrl, 40), connector.catalogOf("apps")),
        "--debug"
      ])
      assert.deepStrictEqual([read.errors, read.code], [[], 0])
      assert.lengthOf(read.records, series.length * 40)
      const begins = read.logs.filter((log) => log.includes("Beginning with"))
      assert.lengthOf(begins, 1)
      assert.include(
        begins[0],
        `apps: ${series.length} series of 130 metrics in 1 part. Beginning with 32 points at once.`
      )
    })
  )
})

describeEachConcurrently(prometheusServers, "a group on a real $name", ({ make }) => {
  it.effect("is a table of run, also in parts, and is estimated by a dry run", () =>
    Effect.gen(function* () {
      const { baseUrl } = yield* make({ series: [...apps, ...gauge("other", 1, MINUTES)] })
      const files = yield* connector.workspace
      const { groups: _, ...config } = configOf(baseUrl)
      const run = (...args: ReadonlyArray<string>) =>
        Effect.map(
          child.run([
            "run",
            "--json",
            ...[
              "--config",
              files.write("run.json", config),
              "--group",
              "apps=app_r*,app_m*",
              "--group",
              "apps=app_[tu].*"
            ],
            ...args
          ]),
          (result) => {
            assert.strictEqual(result.code, 0, result.stderr)
            return JSON.parse(result.stdout) as {
              readonly streams: ReadonlyArray<{
                readonly name: string
                readonly rows?: number
                readonly estimated_samples?: number
              }>
            }
          }
        )
      const sizes = ({ streams }: Effect.Success<ReturnType<typeof run>>) =>
        streams.map(({ estimated_samples, name, rows }) => [name, rows ?? estimated_samples]).sort()
      const database = files.path("all.duckdb")
      const both = [
        ["apps", 50 * MINUTES],
        ["other", MINUTES]
      ]
      assert.deepStrictEqual(sizes(yield* run("--to", `duckdb:${database}`, "--dry-run")), both)
      assert.deepStrictEqual(sizes(yield* run("--to", `duckdb:${database}`)), both)
      const parquet = `parquet:${files.path("parts")}`
      for (const part of ["0/2", "1/2"]) yield* run("--to", parquet, "--part", part, "--part-length", "15m")
      const select = (from: string) =>
        `SELECT metric, labels::VARCHAR AS labels, count(*)::INTEGER AS rows, sum(value) AS sum FROM ${from} GROUP BY ALL ORDER BY ALL`
      const inDatabase = yield* Effect.promise(() => queryDatabase(database, select("apps")))
      assert.lengthOf(inDatabase, 50)
      assert.deepStrictEqual(
        yield* Effect.promise(() =>
          queryDatabase(":memory:", select(`read_parquet('${files.path("parts")}/apps/*/*.parquet')`))
        ),
        inDatabase
      )
    })
  )

  it.effect("with a very low --query.max-samples is split by metric, and then by label", () =>
    Effect.gen(function* () {
      const { baseUrl } = yield* make({ series: apps, flags: ["--query.max-samples=30"] })
      const { group, separate } = yield* readBoth(baseUrl)
      assert.deepStrictEqual(flat(group.records), flat(separate.records))
      const logs = group.logs.join("\n")
      assert.match(logs, /apps: .*too many samples.* Requesting 2 metrics at once instead of 4\./)
      assert.match(logs, /Requesting its series \{instance=~".*"\} apart/)
    })
  )
})

describeEachConcurrently(victoriaMetricsServers, "a group on a real $name", ({ make }) => {
  it.effect("with a limit on the length of queries is requested with fewer names at once", () =>
    Effect.gen(function* () {
      const names = ["a", "b", "c", "d"].map((letter) => `app_${"long_".repeat(12)}${letter}`)
      const series = names.flatMap((name, i) => gauge(name, i + 1, MINUTES))
      const { baseUrl } = yield* make({ series, flags: ["-search.maxQueryLen=220"] })
      const { group, separate } = yield* readBoth(baseUrl, names)
      assert.lengthOf(group.records, 10 * MINUTES)
      assert.deepStrictEqual(flat(group.records), flat(separate.records))
      assert.match(group.logs.join("\n"), /apps: .*too long.* Requesting \d metrics? at once instead of/)
    })
  )
})
