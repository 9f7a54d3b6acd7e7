/** Names of any text, which Prometheus 3 and current releases of VictoriaMetrics take: from the server into files. */
import { readdirSync } from "node:fs"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { escapeName } from "../../src/promql/escapeName.ts"
import { query } from "../destinations/duckdb/steps.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { iso, minute, start } from "../support/gauge.ts"
import type { RealServer } from "../support/RealServer.ts"
import { referenceRecords } from "../support/referenceRecords.ts"
import { describeEach, prometheusServers, servers, victoriaMetricsServers } from "../support/servers.ts"

class Server extends Context.Service<Server, RealServer>()("test/Server") {}

const metrics = [
  "http.server.duration",
  "http.client.duration",
  "HTTP.server.duration",
  "http_server_duration",
  "disk usage",
  "disk/usage",
  'say "hi"',
  "back\\slash",
  "..",
  ".",
  "größe",
  "😀",
  "100%",
  "__proto__",
  "con",
  "-x"
]

/** VictoriaMetrics lists names with a line feed, but finds no series by them. */
const labels = [
  "k8s.pod.name",
  "k8s.pod name",
  "a/b",
  'quo"te',
  "..",
  ".",
  "é",
  "U__c",
  "a:b",
  "0",
  "back\\slash",
  "😀",
  "a%2Fb",
  "plain"
]

const MINUTES = 20

/** Each metric has a series without labels, one with all of them, and one per label. */
const series = metrics.flatMap((name, n) => {
  const one = (own: ReadonlyArray<readonly [string, string]>, i: number) => ({
    labels: [["__name__", name], ...own] as ReadonlyArray<readonly [string, string]>,
    samples: Array.from({ length: MINUTES }, (_, m) => [start + m * minute, n * 1000 + i * 50 + m] as const)
  })
  return [
    one([], 0),
    one(
      labels.map((label, i) => [label, `all ${i}`]),
      1
    ),
    ...(n === 0 ? labels.map((label, i) => one([[label, `own "${i}"`]], i + 2)) : [])
  ]
})

const settingsOf = (server: RealServer, more: object = {}) => ({
  base_url: server.baseUrl,
  start_date: iso(start),
  end_date: iso(start + (MINUTES - 1) * minute),
  step: 60,
  ...more
})

const modern = [prometheusServers[1]!, victoriaMetricsServers[1]!]

/** What the server itself returns for a metric. */
const reference = (server: RealServer, metric: string) =>
  Effect.promise(() =>
    referenceRecords({
      baseUrl: server.baseUrl,
      metric,
      start: start / 1000,
      end: start / 1000 + (MINUTES - 1) * 60,
      step: 60
    })
  )

describeEach(modern, "names of any text on a real $name", ({ makeWritable, program }) => {
  const server = Layer.effect(
    Server,
    Effect.tap(makeWritable(), (server) => server.remoteWrite(series))
  )
  layer(server, { timeout: 120_000 })((it) => {
    it.effect("are discovered and read, every sample once and as the server returns it", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const files = yield* connector.workspace
        const streams = yield* connector.discover(files, settingsOf(server))
        assert.sameMembers(
          streams.map(({ name }) => name),
          metrics
        )
        const columns = Object.keys(streams.find(({ name }) => name === metrics[0])!.json_schema.properties)
        // The others would be the same as one of these in a warehouse, as k8s.pod.name, or without a letter.
        const own = ["k8s.pod name", "a/b", 'quo"te', "U__c", "0", "back\\slash", "a%2Fb", "plain"]
        assert.includeMembers(columns, own)
        assert.include(columns, "other_labels")
        const output = yield* connector.read(
          files,
          settingsOf(server),
          connector.configure(streams, "full_refresh")
        )
        assert.deepStrictEqual([output.errors, output.code, output.stderr], [[], 0, ""])
        const records = connector.byKey(output.records)
        assert.strictEqual(records.size, series.length * MINUTES)
        for (const metric of metrics) {
          for (const [key, value] of yield* reference(server, metric)) {
            assert.strictEqual(records.get(key), value, key)
          }
        }
      })
    )

    it.effect("are selected by exact names, by globs whose dots are dots, and by labels", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const files = yield* connector.workspace
        const namesOf = (more: object) =>
          Effect.map(connector.discover(files, settingsOf(server, more)), (streams) =>
            streams.map(({ name }) => name).sort()
          )
        for (const [include, names] of [
          [["http.server.duration"], ["http.server.duration"]],
          [["*.duration"], ["HTTP.server.duration", "http.client.duration", "http.server.duration"]],
          [
            ["disk/*", "..", 'say "*"'],
            ["..", "disk/usage", 'say "hi"']
          ],
          [["http?server?duration"], ["http.server.duration", "http_server_duration"]]
        ] as const) {
          assert.deepStrictEqual(yield* namesOf({ metrics: { include } }), [...names], `${include}`)
        }
        const selector = `{"k8s.pod.name"=~"own.*",'a/b'=""}`
        assert.deepStrictEqual(yield* namesOf({ selector }), ["http.server.duration"])
        const output = yield* connector.read(
          files,
          settingsOf(server, { selector }),
          connector.catalogOf("http.server.duration")
        )
        assert.deepStrictEqual(output.errors, [])
        assert.strictEqual(connector.byKey(output.records).size, MINUTES)
      })
    )

    it.effect.each([
      ["duckdb", "data.duckdb"],
      ["parquet", "data"],
      ["jsonl", "data"]
    ] as const)("are written to %s, each stream apart, and a second run adds nothing", ([format, name]) =>
      Effect.gen(function* () {
        const server = yield* Server
        const files = yield* connector.workspace
        const path = files.path(name)
        const args = [
          "run",
          "--config",
          files.write("c.json", settingsOf(server)),
          "--to",
          `${format}:${path}`
        ]
        for (let i = 0; i < 2; i++) {
          const result = yield* child.run(args)
          assert.strictEqual(result.code, 0, result.stderr)
          if (format === "duckdb") {
            const tables = yield* query(
              path,
              "SELECT table_name AS name, estimated_size::INT AS rows FROM duckdb_tables() WHERE schema_name = 'main'"
            )
            const rows = tables.reduce((sum, { rows }) => sum + Number(rows), 0)
            assert.strictEqual(tables.length, metrics.length)
            assert.strictEqual(rows, series.length * MINUTES)
            continue
          }
          const [{ rows }] = (yield* query(
            ":memory:",
            format === "parquet"
              ? `SELECT count(*)::INT AS rows FROM read_parquet('${path}/*/*/*.parquet', union_by_name = true)`
              : `SELECT count(*)::INT AS rows FROM read_text('${path}/*.jsonl') AS files, unnest(string_split(trim(content, chr(10)), chr(10)))`
          )) as unknown as readonly [{ readonly rows: number }]
          assert.strictEqual(rows, series.length * MINUTES)
          const streams = readdirSync(path).filter((name) => !name.startsWith("_"))
          assert.strictEqual(streams.length, metrics.length, streams.join(" "))
          // Warehouses and other systems do not distinguish case.
          assert.strictEqual(new Set(streams.map((name) => name.toLowerCase())).size, metrics.length)
        }
      })
    )

    it.effect("are found in paths by their escaped form", () =>
      Effect.gen(function* () {
        const server = yield* Server
        for (const [i, label] of labels.entries()) {
          const response = yield* server.get(`/api/v1/label/${escapeName(label)}/values`, {
            start: `${start / 1000}`,
            end: `${start / 1000 + 3600}`
          })
          assert.deepStrictEqual(response, { status: "success", data: [`all ${i}`, `own "${i}"`] }, label)
        }
      })
    )
  })

  layer(Layer.empty)((it) => {
    it.effect("split series that differ in nothing else", () =>
      Effect.gen(function* () {
        const server = yield* makeWritable({
          flags: [program === "Prometheus" ? "--query.max-samples=20" : "-search.maxResponseSeries=20"]
        })
        const pods = Array.from({ length: 100 }, (_, n) => ({
          labels: { __name__: "pods", ...(n === 0 ? {} : { "k8s.pod/name": `pod-${n}` }) },
          samples: Array.from({ length: 5 }, (_, m) => [start + m * minute, n + m] as const)
        }))
        yield* server.remoteWrite(pods)
        const files = yield* connector.workspace
        const settings = { ...settingsOf(server), end_date: iso(start + 4 * minute) }
        const output = yield* connector.read(files, settings, connector.catalogOf("pods"))
        assert.deepStrictEqual([output.errors, output.code], [[], 0])
        assert.strictEqual(connector.byKey(output.records).size, 500)
        assert.isTrue(output.logs.some((line) => line.includes('Requesting its series {"k8s.pod/name"=~')))
      })
    )
  })
})

describeEach(servers, "a label with a dot on a real $name", ({ makeWritable }) => {
  layer(Layer.empty)((it) => {
    it.effect("does not keep its series from being read, nor from being split by others", () =>
      Effect.gen(function* () {
        const server = yield* makeWritable()
        yield* server.remoteWrite(
          [0, 1, 2].map((n) => ({
            labels: { __name__: "dotted", n: `${n}`, "k8s.pod.name": `pod-${n}` },
            samples: [[start, n] as const]
          }))
        )
        const files = yield* connector.workspace
        const settings = { ...settingsOf(server), end_date: iso(start) }
        const streams = yield* connector.discover(files, settings)
        assert.include(Object.keys(streams[0]!.json_schema.properties), "k8s.pod.name")
        const output = yield* connector.read(files, settings, connector.configure(streams, "full_refresh"))
        assert.deepStrictEqual(output.errors, [])
        assert.deepStrictEqual(
          output.records.map(({ data }) => [data.n, data["k8s.pod.name"], data.value]).sort(),
          [0, 1, 2].map((n) => [`${n}`, `pod-${n}`, n])
        )
      })
    )
  })
})
