/** Queries on real servers: each example of docs/queries.md, and what servers refuse. */
import { readFileSync } from "node:fs"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { seriesId } from "../../src/samples/Series.ts"
import { query } from "../destinations/duckdb/steps.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { start } from "../support/dataset.ts"
import type { SeriesInput } from "../support/openMetrics.ts"
import type { MatrixSeries } from "../support/RealServer.ts"
import { recordKey } from "../support/referenceRecords.ts"
import {
  describeEach,
  describeEachConcurrently,
  prometheusServers,
  type ServerKind,
  servers
} from "../support/servers.ts"

const minute = 60_000
const iso = (millis: number): string => new Date(millis).toISOString().replace(".000Z", "Z")

const HOURS = 6

/** A counter with a sample per minute. */
const counter = (labels: Readonly<Record<string, string>>, perMinute: number): SeriesInput => ({
  labels,
  samples: Array.from({ length: HOURS * 60 + 1 }, (_, i) => [start + i * minute, i * perMinute] as const)
})

/** What the examples of the page query. */
const series: ReadonlyArray<SeriesInput> = [
  ...["a:9100", "b:9100"].flatMap((instance, n) =>
    ["0", "1"].flatMap((cpu) => [
      counter({ __name__: "node_cpu_seconds_total", instance, cpu, mode: "idle" }, 30 + 5 * n),
      counter({ __name__: "node_cpu_seconds_total", instance, cpu, mode: "user" }, 30 - 5 * n)
    ])
  ),
  ...["api", "web"].flatMap((job, n) => [
    counter({ __name__: "http_requests_total", job, code: "200" }, 60 + n),
    counter({ __name__: "http_requests_total", job, code: "500" }, 1 + n),
    counter({ __name__: "http_requests_total", job, code: "503" }, 2),
    ...["0.1", "0.5", "1", "+Inf"].map((le, bucket) =>
      counter({ __name__: "http_request_duration_seconds_bucket", job, le }, (bucket + 1) * (10 + n))
    )
  ])
]

interface Query {
  readonly name: string
  readonly expression: string
  readonly step?: number
}

interface Config {
  readonly step: number
  readonly queries: ReadonlyArray<Query>
}

/** The configuration of the page. */
const page = readFileSync(new URL("../../docs/queries.md", import.meta.url), "utf8")
const example = JSON.parse(/```json\n(.*?)```/s.exec(page)![1]!) as Config

const range = { start_date: iso(start), end_date: iso(start + HOURS * 60 * minute) }

/**
 * Each value of an expression by labels and time, one request per point: the result does not depend on how it is read.
 * VictoriaMetrics does not search the index of the last millisecond, which may be the first one of a day.
 */
const valuesOf = async (baseUrl: string, { expression, step = example.step }: Query) => {
  const values = new Map<string, string>()
  for (let time = start / 1000; time <= start / 1000 + HOURS * 3600; time += step) {
    const url = new URL(`${baseUrl}/api/v1/query_range`)
    url.search = String(
      new URLSearchParams({
        query: expression,
        start: `${time}`,
        end: `${time + 0.001}`,
        step: `${step}`,
        nocache: "1"
      })
    )
    const { data } = (await (await fetch(url)).json()) as {
      readonly data: { readonly result: ReadonlyArray<MatrixSeries> }
    }
    for (const { metric, values: points = [] } of data.result) {
      for (const [seconds, value] of points) values.set(recordKey(metric, seconds * 1000), value)
    }
  }
  return values
}

const ours = new Set(["time", "value", "special_value", "series_id", "other_labels"])

/** The records of a stream by labels and time. */
const byKey = (records: ReadonlyArray<connector.ParsedRecord>, stream: string) => {
  const values = new Map<string, string>()
  for (const { data, stream: name, valueText } of records) {
    if (name !== stream) continue
    const labels = Object.entries(data).filter(([column]) => !ours.has(column)) as Array<[string, string]>
    const key = recordKey(labels, Date.parse(data.time as string))
    assert.isFalse(values.has(key), `${key} twice`)
    values.set(key, (data.special_value as string | undefined) ?? valueText)
    const sorted = labels.toSorted(([a], [b]) => (a < b ? -1 : 1))
    assert.strictEqual(data.series_id, seriesId(sorted))
  }
  return values
}

/** More queries, with all kinds of results. */
const others: ReadonlyArray<Query> = [
  { name: "number", expression: "time() - 3600" },
  { name: "one", expression: "vector(1) # a comment" },
  {
    name: "named",
    expression: '{__name__=~"http_requests_total|node_cpu_seconds_total",mode!="user"}',
    step: 900
  },
  { name: "nothing", expression: "http_requests_total < 0" }
]

/** VictoriaMetrics adds the series of a sum in any order, so that the last digit differs from one evaluation to the next. */
const assertSame = (program: ServerKind["program"]) => (actual: Values, expected: Values, name: string) => {
  const rounded = (values: Values) =>
    Array.from(values, ([key, value]) => [key, Number(Number(value).toPrecision(14))] as const).sort()
  if (program === "Prometheus") assert.deepStrictEqual(actual, expected, name)
  else assert.deepStrictEqual(rounded(actual), rounded(expected), name)
}

type Values = ReadonlyMap<string, string>

describeEach(servers, "queries on a real $name", ({ make, program }) => {
  const same = assertSame(program)

  it.live("are the values of their expressions, in a full refresh and in incremental syncs", () =>
    Effect.gen(function* () {
      const { baseUrl } = yield* make({ series })
      const files = yield* connector.workspace
      const queries = [...example.queries, ...others]
      const config = { ...example, ...range, base_url: baseUrl, queries }
      const streams = yield* connector.discover(files, config)
      assert.deepStrictEqual(
        streams.map(({ name }) => name),
        queries.map(({ name }) => name)
      )
      const labels = (name: string) =>
        Object.keys(streams.find((stream) => stream.name === name)!.json_schema.properties).filter(
          (column) => !ours.has(column) && column !== "histogram"
        )
      assert.deepStrictEqual(labels("cpu_use_by_instance"), ["instance"])
      assert.deepStrictEqual(labels("error_ratio"), ["job"])
      assert.deepStrictEqual(labels("number"), [])
      assert.deepStrictEqual(labels("named"), ["__name__", "code", "cpu", "instance", "job", "mode"])
      const description = streams.find(({ name }) => name === "requests_per_hour")?.json_schema.description
      assert.strictEqual(description, "PromQL: sum by (job) (increase(http_requests_total[1h]))")

      const full = yield* connector.read(files, config, connector.configure(streams, "full_refresh"))
      assert.deepStrictEqual([full.code, full.errors], [0, []])
      const catalog = connector.configure(streams, "incremental")
      const middle = { ...config, end_date: iso(start + 200 * minute) }
      const first = yield* connector.read(files, middle, catalog)
      const states = queries.map(({ name }) =>
        first.states.findLast(({ stream }) => stream.stream_descriptor.name === name)
      )
      const second = yield* connector.read(files, config, catalog, states)
      assert.deepStrictEqual([first.code, second.code], [0, 0])
      for (const one of queries) {
        const expected = yield* Effect.promise(() => valuesOf(baseUrl, one))
        if (one.name !== "nothing") assert.isAbove(expected.size, 3, one.name)
        same(byKey(full.records, one.name), expected, one.name)
        same(byKey([...first.records, ...second.records], one.name), expected, one.name)
      }
      const scalars = full.records.filter(({ stream }) => stream === "number")
      assert.strictEqual(scalars[0]?.data.series_id, "e3b0c44298fc1c149afbf4c8996fb924")
      assert.match(full.logs.join("\n"), /nothing: complete, 0 records/)
    })
  )

  it.live("that are wrong fail the check with the server's message", () =>
    Effect.gen(function* () {
      const { baseUrl } = yield* make({ series })
      const files = yield* connector.workspace
      const check = (expression: string) => {
        const config = { base_url: baseUrl, ...range, queries: [{ name: "q", expression }] }
        return Effect.map(
          connector.runVerb(["check", "--config", files.write("c.json", config)]),
          ({ messages }) => {
            const found = messages.find(({ type }) => type === "CONNECTION_STATUS") as unknown as {
              readonly connectionStatus: { readonly status: string; readonly message?: string }
            }
            return found.connectionStatus
          }
        )
      }
      assert.deepStrictEqual(yield* check("sum(http_requests_total)"), { status: "SUCCEEDED" })
      for (const [expression, expected] of [
        [
          "sum by job (up)",
          /The expression of the query q is not valid: .* stops being valid PromQL at line 1, column 8 \(sum by <-- HERE job/
        ],
        ["nosuchfunction(up)", /The expression of the query q is not valid: .*HTTP 4\d\d: /],
        [
          "sum(up",
          /^The configuration is not valid\. queries\[0\]\.expression, of the stream q, ends too early at line 1/
        ],
        ["up @ end()", /depends on the range of the request at line 1, column 6/]
      ] as const) {
        const { message, status } = yield* check(expression)
        assert.strictEqual(status, "FAILED", expression)
        assert.match(message ?? "", expected)
      }
    })
  )

  it.live("that fail at some points are read up to the first of them", () =>
    Effect.gen(function* () {
      // Two deployments have a second series from minute 90 to 100.
      const gauge = (labels: Readonly<Record<string, string>>, first: number, last: number): SeriesInput => ({
        labels,
        samples: Array.from({ length: last - first + 1 }, (_, i) => [start + (first + i) * minute, i + 1])
      })
      const end = 150
      const { baseUrl } = yield* make({
        series: [
          gauge({ __name__: "cost", pod: "a" }, 0, end),
          gauge({ __name__: "owner", pod: "a", team: "x" }, 0, end),
          gauge({ __name__: "owner", pod: "a", team: "y" }, 90, 100),
          gauge({ __name__: "owner_new", pod: "a", team: "x" }, 90, 100),
          gauge({ __name__: "even" }, 0, end)
        ]
      })
      const files = yield* connector.workspace
      const queries = [
        { name: "duplicates", expression: "cost * on (pod) owner" },
        { name: "many", expression: "owner * on (pod) cost" },
        { name: "named", expression: '{__name__=~"owner(_new)?",team="x"} * 2' },
        { name: "even", expression: "even * 1" }
      ]
      const failing = queries.slice(0, 3)
      const config = {
        base_url: baseUrl,
        start_date: iso(start),
        end_date: iso(start + end * minute),
        step: 60,
        metrics: { exclude: ["*"] },
        queries
      }
      const catalog = connector.configure(yield* connector.discover(files, config), "incremental")
      const sync = yield* connector.read(files, config, catalog)
      assert.strictEqual(sync.code, 1)
      const failsAt =
        /fails: \S+\/api\/v1\/query_range returned HTTP 422: .* It fails at (\S+), and the stream ends before this point\. /
      for (const { name } of failing) {
        const message =
          sync.errors.find((error) => error.message.includes(`the query ${name} `))?.message ?? ""
        const at = (Date.parse(failsAt.exec(message)?.[1] ?? "") - start) / minute
        // VictoriaMetrics takes series with two points in common as one.
        assert.include(program === "Prometheus" ? [90] : [90, 91, 92], at, message)
        assert.match(
          message,
          name === "named"
            ? /Two series of the result have the same labels/
            : /One side of the operator has several/
        )
        const times = sync.records.flatMap(({ data, stream }) => (stream === name ? [data.time] : []))
        assert.deepStrictEqual(
          times,
          Array.from({ length: at }, (_, i) => iso(start + i * minute))
        )
        const state = sync.states.findLast(({ stream }) => stream.stream_descriptor.name === name)
        assert.deepInclude(state?.stream.stream_state, { time: iso(start + (at - 1) * minute) })
      }
      assert.lengthOf(
        sync.records.filter(({ stream }) => stream === "even"),
        end + 1
      )
      assert.notMatch(sync.logs.join("\n"), /may be damaged/)

      // A run saves the points before, and resumes there with a corrected expression.
      const database = files.path("data.duckdb")
      const run = (expression: string, ...flags: ReadonlyArray<string>) =>
        child.run([
          ...["run", "--url", baseUrl, "--start", config.start_date, "--end", config.end_date],
          ...["--step", "1m", "--exclude", "*", "--to", `duckdb:${database}`, ...flags],
          ...["--query", `cost_by_team=${expression}`]
        ])
      const dryRun = yield* run("cost * on (pod) owner", "--dry-run")
      assert.strictEqual(dryRun.code, 0, dryRun.stderr)
      // VictoriaMetrics takes the few points at which series are counted as those of one series.
      if (program === "Prometheus") {
        assert.match(
          dryRun.stderr,
          /cost_by_team fails: .* A sync reads this stream only up to this point\. One side/
        )
      }
      const rows = "SELECT count(*)::INT AS rows, max(time)::VARCHAR AS last FROM cost_by_team"
      const failed = yield* run("cost * on (pod) owner")
      assert.strictEqual(failed.code, 1)
      assert.match(failed.stderr, /match more labels with on/)
      const saved = yield* query(database, rows)
      assert.match(String(saved[0]?.last), program === "Prometheus" ? /01:29:00/ : /01:(29|30|31):00/)
      const corrected = yield* run("cost * on (pod) group_right owner")
      assert.strictEqual(corrected.code, 0, corrected.stderr)
      const all = yield* query(database, rows)
      // The second owner has at least the samples after those that VictoriaMetrics takes for the first one's.
      assert.isAtLeast(Number(all[0]?.rows), end + 1 + 9)
      assert.strictEqual(all[0]?.last, "2026-01-01 02:30:00+00")
    })
  )

  it.live("are tables of run, with a step of their own", () =>
    Effect.gen(function* () {
      const { baseUrl } = yield* make({ series })
      const files = yield* connector.workspace
      const database = files.path("data.duckdb")
      const run = (...flags: ReadonlyArray<string>) =>
        child.run([
          ...["run", "--url", baseUrl, "--start", range.start_date, "--end", range.end_date, "--step", "5m"],
          ...["--exclude", "*", "--to", `duckdb:${database}`, ...flags]
        ])
      const hourly = "requests_per_hour@1h=sum by (job) (increase(http_requests_total[1h]))"
      const queries = ["--query", "number=time()", "--query", hourly]
      const plan = yield* run(...queries, "--dry-run", "--json")
      assert.strictEqual(plan.code, 0, plan.stderr)
      const { streams } = JSON.parse(plan.stdout) as {
        readonly streams: ReadonlyArray<Record<string, unknown>>
      }
      assert.deepStrictEqual(
        streams.map(({ name, points, series }) => [name, points, series]),
        [
          ["number", HOURS * 12 + 1, 1],
          ["requests_per_hour", HOURS + 1, 2]
        ]
      )
      const done = yield* run(...queries)
      assert.strictEqual(done.code, 0, done.stderr)
      assert.deepStrictEqual(
        yield* query(database, "SELECT count(*)::INT AS rows, sum(value)::DOUBLE AS sum FROM number"),
        [{ rows: 73, sum: 73 * (start / 1000 + 3 * 3600) }]
      )
      const expected = yield* Effect.promise(() =>
        valuesOf(baseUrl, { name: "", expression: hourly.slice(hourly.indexOf("=") + 1), step: 3600 })
      )
      const rows = yield* query(
        database,
        "SELECT job, (epoch(time) * 1000)::BIGINT::VARCHAR AS time, value::DOUBLE AS value FROM requests_per_hour ORDER BY ALL"
      )
      assert.strictEqual(rows.length, expected.size)
      for (const { job, time, value } of rows) {
        assert.strictEqual(Number(expected.get(recordKey({ job: String(job) }, Number(time)))), value)
      }

      // A changed expression is noticed, and another step is refused.
      const changed = yield* run("--query", "number=time() - 1")
      assert.match(
        changed.stderr,
        /The expression is time\(\) - 1, but number in .* was filled with time\(\)\./
      )
      const stepped = yield* run("--query", hourly.replace("@1h", "@30m"))
      assert.notStrictEqual(stepped.code, 0)
      assert.match(
        stepped.stderr,
        /The step of requests_per_hour is 30 min.* with a step of 1 h.*Set its step to 1h/
      )
      const wrong = yield* run("--query", "no expression")
      assert.strictEqual(wrong.code, 2)
      assert.match(wrong.stderr, /--query is "no expression", but must be NAME\[@STEP\]=EXPRESSION/)
    })
  )

  it.live("have the same rows in all formats on disk, and if they are read in parts", () =>
    Effect.gen(function* () {
      const { baseUrl } = yield* make({ series })
      const files = yield* connector.workspace
      // Series with a name, with labels and without.
      const queries = [
        'named={__name__=~"node_cpu_seconds_total|http_requests_total",cpu!="1"}',
        "total=sum(http_requests_total)"
      ]
      const run = Effect.fnUntraced(function* (to: string, ...flags: ReadonlyArray<string>) {
        const { code, stderr } = yield* child.run([
          ...["run", "--url", baseUrl, "--start", range.start_date, "--end", range.end_date, "--step", "5m"],
          ...["--exclude", "*", ...queries.flatMap((query) => ["--query", query]), "--to", to, ...flags]
        ])
        assert.strictEqual(code, 0, stderr)
      })
      yield* run(`duckdb:${files.path("data.duckdb")}`)
      yield* run(`jsonl:${files.path("lines")}`)
      const parquet = `parquet:${files.path("parts")}`
      for (const part of ["0/2", "1/2"]) yield* run(parquet, "--part", part, "--part-length", "1h")
      const rowsIn = (from: string, name: string) =>
        query(
          from === "duckdb" ? files.path("data.duckdb") : ":memory:",
          `SELECT time::TIMESTAMPTZ::VARCHAR AS time, series_id, value::DOUBLE AS value${name === "named" ? ', "__name__", job, cpu' : ""}
           FROM ${from === "duckdb" ? name : from} ORDER BY ALL`
        )
      for (const [name, count] of [
        ["named", 10 * (HOURS * 12 + 1)],
        ["total", HOURS * 12 + 1]
      ] as const) {
        const rows = yield* rowsIn("duckdb", name)
        assert.lengthOf(rows, count)
        const lines = `(SELECT unnest(data) FROM read_json('${files.path("lines")}/${name}.jsonl', format = 'newline_delimited'))`
        assert.deepStrictEqual(yield* rowsIn(lines, name), rows)
        const parts = `read_parquet('${files.path("parts")}/${name}/*/*.parquet')`
        assert.deepStrictEqual(yield* rowsIn(parts, name), rows)
      }
    })
  )

  it.live("that have the name of a metric are refused", () =>
    Effect.gen(function* () {
      const { baseUrl } = yield* make({ series })
      const files = yield* connector.workspace
      const config = {
        base_url: baseUrl,
        ...range,
        queries: [{ name: "http_requests_total", expression: "1" }]
      }
      const { errors } = yield* connector.runVerb(["discover", "--config", files.write("c.json", config)])
      assert.match(
        errors[0]?.message ?? "",
        /the query http_requests_total and the metric http_requests_total/
      )
    })
  )
})

describeEachConcurrently(
  prometheusServers,
  "queries on a real $name with a low --query.max-samples",
  ({ make }) => {
    it.live.each([
      // A rate loads all samples of its range, and a selector one sample of each series: of 8, 6 and 8 series.
      {
        maxSamples: 70,
        name: "rates",
        expression: "sum by (job) (rate(http_requests_total[5m]))",
        log: /rates: .* Requesting \d+ points? at once instead of \d+\./
      },
      {
        maxSamples: 7,
        name: "plain",
        expression: '{__name__=~"http_request.*|node_.*"}',
        log: /plain: .* Requesting its series \{__name__=~.*\} apart from the others\./
      },
      {
        maxSamples: 3,
        name: "labelled",
        expression: 'http_requests_total{job=~".+"}',
        log: /labelled: .* Requesting its series \{code=~?.*\} apart from the others\./
      }
    ])("are split in time, and plain selectors by name and labels: $name", ({ log, maxSamples, ...one }) =>
      Effect.gen(function* () {
        const { baseUrl } = yield* make({ series, flags: [`--query.max-samples=${maxSamples}`] })
        const files = yield* connector.workspace
        const config = { base_url: baseUrl, ...range, step: 300, metrics: { exclude: ["*"] }, queries: [one] }
        const low = yield* connector.read(files, config, connector.catalogOf(one.name))
        assert.deepStrictEqual([low.code, low.errors], [0, []])
        assert.match(low.logs.join("\n"), log)
        const { baseUrl: unlimited } = yield* make({ series })
        const expected = yield* Effect.promise(() => valuesOf(unlimited, { ...one, step: 300 }))
        assert.isAbove(expected.size, 100)
        assert.deepStrictEqual(byKey(low.records, one.name), expected)
      })
    )
  }
)
