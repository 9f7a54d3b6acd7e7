/** That the queries of docs/histograms.md compute what real servers compute. */
import { readFileSync, writeFileSync } from "node:fs"
import { DuckDBInstance } from "@duckdb/node-api"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { ensureExtensions } from "../support/duckdbExtensions.ts"
import { iso } from "../support/gauge.ts"
import type { RealServer } from "../support/RealServer.ts"
import { CUSTOM_BUCKETS, type NativeHistogram, type RemoteSeriesInput } from "../support/remoteWrite.ts"
import { describeEachConcurrently, prometheusServers } from "../support/servers.ts"

const hour = 3_600_000
const start = Date.UTC(2026, 0, 1, 10)
const hours = 4

/** The page's SQL. Its macros are at the end, and come first. */
const blocks = Array.from(
  readFileSync("docs/histograms.md", "utf8").matchAll(/^```sql\n(.*?)^```/gms),
  ([, sql]) => sql!
).sort((a, b) => Number(b.includes("CREATE")) - Number(a.includes("CREATE")))
/** The queries with the same in PromQL. */
const examples = blocks.flatMap((sql) => {
  const [, promql] = /^-- (histogram_quantile\(.*\))\n/.exec(sql) ?? []
  return promql === undefined ? [] : [{ promql, sql: sql.replace(/;\s*$/, "") }]
})

const total = (counts: ReadonlyArray<number>): number => counts.reduce((sum, count) => sum + count, 0)

/** A series with a histogram per minute that only grows. */
const seriesOf = (
  name: string,
  labels: Readonly<Record<string, string>>,
  growth: Omit<NativeHistogram, "count">
): RemoteSeriesInput => ({
  labels: { __name__: name, ...labels },
  samples: Array.from({ length: hours * 60 + 1 }, (_, minute) => {
    const grown = (count: number, index: number) =>
      count * (minute + 1) * (1 + ((minute + index) % 3) / 10 + minute)
    const counts = growth.counts.map(grown)
    const negativeCounts = growth.negativeCounts?.map(grown)
    const zeroCount = growth.zeroCount * (minute + 1)
    return [
      start + minute * 60_000,
      {
        ...growth,
        sum: growth.sum * minute,
        zeroCount,
        counts,
        ...(negativeCounts === undefined ? {} : { negativeCounts }),
        count: zeroCount + total(counts) + total(negativeCounts ?? [])
      }
    ] as const
  })
})

const none = { zeroThreshold: 2 ** -128, zeroCount: 0, sum: 1 }

const exponential = [
  seriesOf(
    "latency",
    { job: "api", instance: "fine" },
    {
      ...none,
      schema: 3,
      offset: -5,
      counts: [1, 2, 3.5, 0.25, 7, 1, 2, 9, 4, 1]
    }
  ),
  seriesOf(
    "latency",
    { job: "api", instance: "coarse" },
    {
      ...none,
      schema: 0,
      zeroThreshold: 0.001,
      zeroCount: 3,
      offset: -2,
      counts: [5, 1, 7, 2]
    }
  ),
  seriesOf(
    "latency",
    { job: "drift", instance: "both sides" },
    {
      ...none,
      schema: 1,
      sum: -3,
      zeroThreshold: 0.01,
      zeroCount: 2,
      offset: 1,
      counts: [3, 1],
      negativeOffset: -3,
      negativeCounts: [2, 6, 4]
    }
  ),
  seriesOf(
    "latency",
    { job: "drift", instance: "negative" },
    {
      ...none,
      schema: 2,
      sum: -9,
      zeroThreshold: 0.3,
      zeroCount: 1,
      offset: 0,
      counts: [],
      negativeOffset: 2,
      negativeCounts: [1, 1.5, 4, 8]
    }
  ),
  seriesOf(
    "latency",
    { job: "idle", instance: "only zero" },
    {
      ...none,
      schema: 2,
      zeroThreshold: 0.5,
      zeroCount: 4,
      offset: 0,
      counts: []
    }
  )
]

const custom = [
  seriesOf(
    "request_seconds",
    { job: "api", instance: "a" },
    {
      ...none,
      zeroThreshold: 0,
      schema: CUSTOM_BUCKETS,
      customBounds: [0.1, 0.25, 1, 4],
      offset: 0,
      counts: [4, 2, 8, 1, 3]
    }
  ),
  seriesOf(
    "request_seconds",
    { job: "api", instance: "b" },
    {
      ...none,
      zeroThreshold: 0,
      schema: CUSTOM_BUCKETS,
      customBounds: [0.1, 0.25, 1, 4],
      offset: 1,
      counts: [1, 2.5, 4]
    }
  ),
  seriesOf(
    "request_seconds",
    { job: "balance", instance: "c" },
    {
      ...none,
      zeroThreshold: 0,
      schema: CUSTOM_BUCKETS,
      customBounds: [-10, -1, 1, 2],
      offset: 0,
      counts: [4, 2, 3, 1]
    }
  )
]

/** Observations of NaN, which are in no bucket, and none at all. */
const odd = [
  { count: 14, sum: Number.NaN, counts: [4, 5] },
  { count: 0, sum: 0, counts: [] }
].map(
  (histogram, index): RemoteSeriesInput => ({
    labels: { __name__: "odd", job: "a", instance: `${index}` },
    samples: Array.from(
      { length: hours + 1 },
      (_, at) => [start + at * hour, { ...none, ...histogram, schema: 0, offset: 1 }] as const
    )
  })
)

/** What a server computes at the points in time, by time and labels. */
const expected = Effect.fnUntraced(function* (server: RealServer, query: string) {
  const values = new Map<string, number>()
  for (let at = 0; at <= hours; at++) {
    const time = (start + at * hour) / 1000
    const response = (yield* server.get("/api/v1/query", { query, time: `${time}` })) as {
      readonly data: {
        readonly result: ReadonlyArray<{
          readonly metric: Readonly<Record<string, string>>
          readonly value: readonly [number, string]
        }>
      }
    }
    for (const { metric, value } of response.data.result) {
      values.set(keyOf(time, metric.job, metric.instance), Number(value[1].replace("Inf", "Infinity")))
    }
  }
  return values
})

/** The histograms of a server's response at the points in time, as the struct has them, by time and labels. */
const histogramsOf = Effect.fnUntraced(function* (server: RealServer, query: string) {
  const response = (yield* server.get("/api/v1/query_range", {
    query,
    start: `${start / 1000}`,
    end: `${(start + hours * hour) / 1000}`,
    step: "3600"
  })) as {
    readonly data: {
      readonly result: ReadonlyArray<{
        readonly metric: Readonly<Record<string, string>>
        readonly histograms?: ReadonlyArray<
          readonly [
            number,
            {
              readonly count: string
              readonly sum: string
              readonly buckets?: ReadonlyArray<readonly [number, string, string, string]>
            }
          ]
        >
      }>
    }
  }
  return new Map(
    response.data.result.flatMap(({ histograms = [], metric }) =>
      histograms.map(([time, { buckets = [], count, sum }]) => [
        keyOf(time, metric.job, metric.instance),
        {
          count: Number(count),
          sum: Number(sum),
          buckets: buckets.map(([boundaries, lower, upper, count]) => ({
            boundaries,
            lower: Number(lower),
            upper: Number(upper),
            count: Number(count)
          }))
        }
      ])
    )
  )
})

/** A database of another client of DuckDB, after some statements. */
const openDatabase = Effect.fnUntraced(function* (path: string, statements: ReadonlyArray<string> = []) {
  const extensions = yield* Effect.promise(ensureExtensions)
  const instance = yield* Effect.promise(() =>
    DuckDBInstance.create(path, { extension_directory: extensions })
  )
  const connection = yield* Effect.promise(() => instance.connect())
  const query = (sql: string) =>
    Effect.promise(async () => (await connection.runAndReadAll(sql)).getRowObjectsJS())
  for (const sql of statements) yield* query(sql)
  return {
    query,
    close: () => {
      connection.closeSync()
      instance.closeSync()
    }
  }
})

const settingsOf = ({ baseUrl }: RealServer) => ({
  base_url: baseUrl,
  start_date: iso(start),
  end_date: iso(start + hours * hour),
  step: 3600
})

const keyOf = (seconds: number, job: unknown = "all", instance: unknown = "all") =>
  `${seconds} ${job} ${instance}`

const quantiles = ["0", "0.05", "0.31", "0.49", "0.5", "0.77", "0.95", "0.999", "1", "-1", "2"]

/** Whether two numbers are the same but for the order of additions. */
const areClose = (a: number, b: number): boolean =>
  Object.is(a, b) || Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(a), Math.abs(b))

describeEachConcurrently(prometheusServers, "the queries of docs/histograms.md", ({ make, release }) => {
  it.effect("agree with a server's own quantiles", () =>
    Effect.gen(function* () {
      const server = yield* make({
        remoteWriteReceiver: true,
        flags: ["--enable-feature=native-histograms"]
      })
      yield* server.remoteWrite(release === 2 ? exponential : [...exponential, ...custom, ...odd])
      const { path } = yield* connector.workspace
      writeFileSync(path("config.json"), JSON.stringify(settingsOf(server)))
      const runTo = (to: string) =>
        Effect.map(
          child.run(["run", "--config", "config.json", "--to", to], { cwd: path("") }),
          ({ code, stderr }) => assert.strictEqual(code, 0, stderr)
        )
      const streams = release === 2 ? ["latency"] : ["latency", "request_seconds", "odd"]
      const views = (from: (stream: string) => string) =>
        streams.map((stream) => `CREATE VIEW ${stream} AS FROM ${from(stream)}`)
      yield* runTo("duckdb:data.duckdb")
      yield* runTo("parquet:files")
      yield* runTo("ducklake:data.ducklake")
      const opened = [
        yield* openDatabase(path("data.duckdb")),
        yield* openDatabase(
          ":memory:",
          views((stream) => `read_parquet('${path("files")}/${stream}/*/*.parquet', union_by_name = true)`)
        ),
        yield* openDatabase(":memory:", [
          "LOAD ducklake",
          `ATTACH 'ducklake:${path("data.ducklake")}' AS lake (READ_ONLY)`,
          ...views((stream) => `lake.${stream}`)
        ])
      ]
      for (const { query } of opened) {
        for (const sql of blocks) if (release === 3 || !sql.includes("request_seconds")) yield* query(sql)
      }
      const [ofEach] = examples
      const ofOdd = {
        promql: ofEach!.promql.replace("latency", "odd"),
        sql: ofEach!.sql.replaceAll("latency", "odd")
      }
      const known =
        release === 3 ? [...examples, ofOdd] : examples.filter(({ promql }) => promql.includes("latency"))
      assert.lengthOf(known, release === 3 ? 7 : 4)
      for (const { promql, sql } of known) {
        for (const quantile of quantiles) {
          // Version 2 looks for a quantile from below only, which differs between two buckets.
          if (release === 2 && Number(quantile) === 0.5) continue
          const asked = sql
            .replaceAll("0.95", quantile)
            .replace(/histogram_quantile\((.*)\) AS value/, (all, args: string) =>
              release === 3 || args.includes("linear")
                ? all
                : `histogram_quantile(${args}, linear := true) AS value`
            )
          const values = yield* expected(server, promql.replace("0.95", quantile))
          for (const [place, { query }] of opened.entries()) {
            // The structs are the same, so a few quantiles are enough.
            if (place > 0 && !["0.31", "0.95"].includes(quantile)) continue
            const rows = yield* query(asked)
            const what = `${promql} at ${quantile} in place ${place}`
            assert.isAtLeast(rows.length, 4, what)
            assert.strictEqual(rows.length, values.size, what)
            for (const { instance, job, time, value } of rows) {
              const key = keyOf((time as Date).getTime() / 1000, job, instance)
              const [found, right] = [value as number, values.get(key)!]
              assert.isTrue(areClose(found, right), `${what}, ${key}: ${found} instead of ${right}`)
            }
          }
        }
      }
      // The macros stay in the file, and the next run opens it.
      for (const { close } of opened) close()
      yield* runTo("duckdb:data.duckdb")
    })
  )

  it.effect("find the histograms of queries and of a group as the same structs, equal to the server's", () =>
    Effect.gen(function* () {
      const server = yield* make({
        remoteWriteReceiver: true,
        flags: ["--enable-feature=native-histograms"]
      })
      yield* server.remoteWrite(exponential)
      const { path } = yield* connector.workspace
      const queries = [
        { name: "growth", expression: "rate(latency[1h])" },
        { name: "summed", expression: "sum by (job) (latency)" }
      ]
      const groups = [{ name: "grouped", metrics: { include: ["lat*"] } }]
      writeFileSync(path("config.json"), JSON.stringify({ ...settingsOf(server), queries, groups }))
      const { code, stderr } = yield* child.run(
        ["run", "--config", "config.json", "--to", "duckdb:data.duckdb"],
        { cwd: path("") }
      )
      assert.strictEqual(code, 0, stderr)
      const { close, query } = yield* openDatabase(path("data.duckdb"))
      for (const { expression, name } of [...queries, { name: "grouped", expression: "latency" }]) {
        const labels = name === "grouped" ? "labels->>'job' AS job, labels->>'instance' AS instance" : "*"
        const rows = yield* query(
          `SELECT time, histogram, ${labels} FROM ${name} WHERE histogram IS NOT NULL`
        )
        const wanted = yield* histogramsOf(server, expression)
        assert.isAtLeast(rows.length, 10, name)
        assert.strictEqual(rows.length, wanted.size, name)
        for (const { histogram, instance, job, time } of rows) {
          const key = keyOf((time as Date).getTime() / 1000, job, instance ?? undefined)
          assert.deepStrictEqual(histogram, wanted.get(key), `${name}, ${key}`)
        }
      }
      const types = yield* query(
        [...queries, ...groups]
          .map(({ name }) => `SELECT DISTINCT typeof(histogram) AS type FROM ${name}`)
          .join(" UNION ")
      )
      assert.lengthOf(types, 1)
      close()
    })
  )
})
