/** The command `run` of the built executable, into each of its destinations. The server is the mock. */
import { spawn } from "node:child_process"
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { makeSeries } from "../../src/mock/MockSeries.ts"
import { DryRunDocument } from "../../src/report/dryRun.ts"
import { SummaryDocument } from "../../src/report/summaryJson.ts"
import { query } from "../destinations/duckdb/steps.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { onMetric, serve } from "../support/mockServer.ts"

const executable = fileURLToPath(new URL("../../dist/source-prometheus.js", import.meta.url))

/** The destinations, and how to query a stream of each as a table. */
const destinations = {
  duckdb: { path: "data.duckdb", table: (_: string, stream: string) => `"${stream}"` },
  parquet: {
    path: "data",
    table: (path: string, stream: string) => `read_parquet('${path}/${stream}/*/*.parquet')`
  },
  jsonl: {
    path: "data",
    table: (path: string, stream: string) =>
      `(SELECT "data".series_id AS series_id, "data".time AS time, "data".value AS value FROM read_json('${path}/${stream}.jsonl'))`
  }
} as const

type Format = keyof typeof destinations
const formats = Object.keys(destinations) as ReadonlyArray<Format>

/** A destination in a folder, and its content. */
const placeOf = (format: Format, folder: string) => {
  const { path: name, table } = destinations[format]
  const path = join(folder, name)
  return {
    to: `${format}:${path}`,
    path,
    /** The number of rows and keys of a stream, and the sum of its values. */
    count: (stream: string) =>
      Effect.map(
        query(
          format === "duckdb" ? path : ":memory:",
          `SELECT count(*)::INT AS rows, count(DISTINCT (series_id, time))::INT AS keys, sum(value)::DOUBLE AS sum FROM ${table(path, stream)}`
        ),
        ([row]) => row as { readonly rows: number; readonly keys: number; readonly sum: number }
      )
  }
}

const sumOf = (minutes: number): number => (minutes * (minutes - 1)) / 2

const summaryOf = (stdout: string) => Schema.decodeUnknownSync(Schema.fromJsonString(SummaryDocument))(stdout)

describe("run", () => {
  it.live("reads the demo into DuckDB without arguments, and a second run adds no duplicates", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const cwd = files.path("")
      const first = yield* child.run(["run"], { cwd })
      assert.strictEqual(first.code, 0, first.stderr)
      assert.deepStrictEqual(readdirSync(cwd), ["demo.duckdb"])
      const [, reported] = /([\d,]+) new rows of 76 series in 12 streams/.exec(first.stdout) ?? []
      const rows = Number(reported?.replaceAll(",", ""))
      assert.isAbove(rows, 50_000)
      const count = Effect.gen(function* () {
        const tables = yield* query(
          files.path("demo.duckdb"),
          "SELECT table_name AS name FROM duckdb_tables() WHERE schema_name = 'main'"
        )
        assert.lengthOf(tables, 12)
        const each = yield* Effect.forEach(tables, ({ name }) =>
          query(
            files.path("demo.duckdb"),
            `SELECT count(*)::INT AS rows, count(DISTINCT (series_id, time))::INT AS keys FROM "${name}"`
          )
        )
        const all = each.map(([row]) => row as { readonly rows: number; readonly keys: number })
        assert.deepStrictEqual(
          all.map(({ keys }) => keys),
          all.map(({ rows }) => rows)
        )
        return all.reduce((sum, { rows }) => sum + rows, 0)
      })
      assert.strictEqual(yield* count, rows)
      const second = yield* child.run(["run", "--demo", "--json"], { cwd })
      assert.strictEqual(second.code, 0, second.stderr)
      assert.strictEqual(yield* count, rows + summaryOf(second.stdout).rows)
    })
  )

  it.live.each(formats)("resumes, appends, looks back and refreshes in %s", (format) =>
    Effect.gen(function* () {
      const { config } = yield* serve([...gauge("a", 100), ...gauge("b", 100)], 60)
      const files = yield* connector.workspace
      const { count, to } = placeOf(format, files.path(""))
      const runWith = (more: object, ...flags: ReadonlyArray<string>) =>
        Effect.map(
          child.run([
            "run",
            "--config",
            files.write("c.json", { ...config, ...more }),
            "--to",
            to,
            "--json",
            ...flags
          ]),
          ({ code, stderr, stdout }) => {
            assert.strictEqual(code, 0, stderr)
            return summaryOf(stdout)
          }
        )
      const first = yield* runWith({})
      assert.deepInclude(first, { rows: 120, mode: "incremental_append_deduped", succeeded: true })
      assert.deepStrictEqual(yield* count("a"), { rows: 60, keys: 60, sum: sumOf(60) })

      // JSON lines can only be appended, so rows that are read again cannot replace earlier ones.
      const canReplace = format !== "jsonl"
      const later = { end_date: iso(start + 79 * minute), lookback_window: 600 }
      assert.strictEqual(
        (yield* runWith(canReplace ? later : { end_date: later.end_date })).rows,
        canReplace ? 60 : 40
      )
      assert.deepStrictEqual(yield* count("a"), { rows: 80, keys: 80, sum: sumOf(80) })

      yield* runWith({ ...later, end_date: iso(start + 89 * minute) }, "--mode", "incremental_append")
      const appended = yield* count("a")
      assert.deepInclude(appended, { rows: 100, keys: 90 })

      const refresh = yield* runWith(
        { end_date: iso(start + 49 * minute) },
        "--full-refresh",
        "--yes",
        "--select",
        "a"
      )
      assert.deepInclude(refresh, { rows: 50, mode: "full_refresh_overwrite" })
      assert.deepStrictEqual(yield* count("a"), { rows: 50, keys: 50, sum: sumOf(50) })
      assert.deepInclude(yield* count("b"), { rows: 100 })

      // The next run resumes after the refresh.
      assert.strictEqual((yield* runWith({ end_date: iso(start + 99 * minute) }, "--select", "a")).rows, 50)
      assert.deepStrictEqual(yield* count("a"), { rows: 100, keys: 100, sum: sumOf(100) })

      yield* runWith({}, "--mode", "full_refresh_append", "--select", "a")
      assert.deepInclude(yield* count("a"), { rows: 160, keys: 100 })
    })
  )

  for (const format of formats) {
    for (const signal of ["SIGKILL", "SIGINT"] as const) {
      it.live(`neither loses nor repeats rows in ${format} if ${signal} ends it`, () =>
        Effect.gen(function* () {
          let broken = true
          // One stream stalls in the middle of a window while the others complete.
          const fault = onMetric("z", { stallAfterBytes: 9000 }, true)
          const { config } = yield* serve(
            ["a", "z"].flatMap((name) => gauge(name, 300, 5)),
            300,
            { chunkBytes: 500, faults: (request) => (broken ? fault(request) : undefined) }
          )
          const files = yield* connector.workspace
          const { count, to } = placeOf(format, files.path(""))
          const args = ["run", "--config", files.write("c.json", config), "--to", to]
          const running = yield* child.start(args)
          yield* Effect.callback<void>((resume) => {
            let text = ""
            running.process.stderr.on("data", (chunk: string) => {
              text += chunk
              if (/ a .*rows/.test(text)) resume(Effect.void)
            })
          })

          // No other run may write there meanwhile.
          const other = yield* child.run(args)
          assert.deepStrictEqual([other.code, other.stdout], [1, ""])
          assert.match(other.stderr, new RegExp(`process ${running.process.pid}|PID ${running.process.pid}`))

          running.kill(signal)
          assert.strictEqual((yield* running.result).signal, signal)
          broken = false
          const second = yield* child.run([...args, "--json"])
          assert.strictEqual(second.code, 0, second.stderr)
          const summary = summaryOf(second.stdout)
          assert.strictEqual(summary.streams.find(({ name }) => name === "a")?.rows, 0)
          for (const stream of ["a", "z"]) {
            assert.deepInclude(yield* count(stream), { rows: 1500, keys: 1500 })
          }
        })
      )
    }
  }

  it.live("shows what it would read with --dry-run, and changes nothing", () =>
    Effect.gen(function* () {
      const { config, mock } = yield* serve([...gauge("a", 100, 3), ...gauge("b", 100)], 100)
      const files = yield* connector.workspace
      const place = placeOf("duckdb", files.path(""))
      const args = ["run", "--config", files.write("c.json", config), "--to", place.to]
      const first = yield* child.run([...args, "--dry-run"])
      assert.strictEqual(first.code, 0, first.stderr)
      assert.match(first.stdout, /^STREAM +SERIES +POINTS +WINDOWS +SAMPLES +BYTES\na +3 +100 +\d+ +~300 /)
      assert.match(first.stdout, /A run would read about 400 samples of 4 series in 2 streams/)
      assert.isFalse(existsSync(place.path))
      assert.isFalse(mock.requests.some(({ params }) => params.get("query") === "a"))
      const folder = files.path("foreign")
      mkdirSync(folder)
      files.write("foreign/notes.txt", "theirs")
      for (const format of ["parquet", "jsonl"]) {
        const beside = yield* child.run([...args.slice(0, 3), "--to", `${format}:${folder}`, "--dry-run"])
        assert.strictEqual(beside.code, 0, beside.stderr)
        assert.deepStrictEqual(readdirSync(folder), ["notes.txt"])
      }

      yield* child.run([...args, "--select", "a"])
      const later = yield* child.run([...args, "--dry-run", "--json"])
      assert.strictEqual(later.code, 0, later.stderr)
      const document = Schema.decodeUnknownSync(Schema.fromJsonString(DryRunDocument))(later.stdout)
      assert.deepStrictEqual(
        document.streams.map(({ estimated_samples, name }) => [name, estimated_samples]),
        [
          ["a", 0],
          ["b", 100]
        ]
      )
      assert.deepInclude(yield* place.count("a"), { rows: 300 })
    })
  )

  for (const more of [[], ["--dry-run"]]) {
    it.live(`fails if its summary cannot be written ${more.join("")}`, () =>
      Effect.gen(function* () {
        const { config } = yield* serve(gauge("a", 10), 10)
        const files = yield* connector.workspace
        const full = openSync("/dev/full", "w")
        const running = spawn(
          process.execPath,
          [
            executable,
            "run",
            "--json",
            ...more,
            "--config",
            files.write("c.json", config),
            "--to",
            `jsonl:${files.path("d")}`
          ],
          { stdio: ["ignore", full, "pipe"] }
        )
        let stderr = ""
        running.stderr?.on("data", (chunk: Buffer) => {
          stderr += chunk.toString()
        })
        const code = yield* Effect.promise(
          () => new Promise<number | null>((resolve) => running.once("close", resolve))
        )
        closeSync(full)
        assert.strictEqual(code, 1)
        assert.match(stderr, /Cannot write to standard output: ENOSPC\.\n$/)
      })
    )
  }

  it.live("repeats with --every until it is stopped, and refreshes only in its first run", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("a", 50), 50)
      const files = yield* connector.workspace
      const place = placeOf("duckdb", files.path(""))
      const report = files.path("report.html")
      const args = ["run", "--config", files.write("c.json", config), "--to", place.to, "--every", "1s"]
      const running = yield* child.start([...args, "--full-refresh", "--report", report])
      let stdout = ""
      let stderr = ""
      running.process.stdout.on("data", (chunk: string) => {
        stdout += chunk
      })
      yield* Effect.callback<void>((resume) => {
        running.process.stderr.on("data", (chunk: string) => {
          stderr += chunk
          if (stderr.split("Next run at ").length > 3) resume(Effect.void)
        })
      })
      running.kill("SIGINT")
      assert.strictEqual((yield* running.result).signal, "SIGINT")
      const [first = "", ...others] = stdout.split(/\n(?=\d+ new rows)/).slice(1)
      assert.match(first, /^50 new rows/)
      // Only the first run is a full refresh.
      for (const text of others) assert.match(text, /^0 new rows/)
      assert.deepInclude(yield* place.count("a"), { rows: 50, keys: 50 })
      assert.include(readFileSync(report, "utf8"), "<!doctype html>")
    })
  )

  it.live("repeats with --every in parts, and each process continues with its own new ones", () =>
    Effect.gen(function* () {
      const second = 1000
      // Runs read until a minute ago.
      const from = Math.floor(Date.now() / second) * second - 120 * second
      const points = Array.from({ length: 600 }, (_, n) => [from + n * second, n] as const)
      const { config } = yield* serve([makeSeries({ __name__: "a" }, points)], 1, {}, { step: 1 })
      const files = yield* connector.workspace
      const place = placeOf("parquet", files.path(""))
      const { end_date: _, ...endless } = { ...config, start_date: iso(from) }
      const args = ["run", "--config", files.write("c.json", endless), "--to", place.to]
      const newRows = yield* Effect.forEach(
        [0, 1],
        Effect.fnUntraced(function* (index) {
          const more = ["--part", `${index}/2`, "--part-length", "2s", "--every", "1s"]
          const running = yield* child.start([...args, ...more])
          let stdout = ""
          running.process.stdout.on("data", (chunk: string) => {
            stdout += chunk
          })
          const rows = () => Array.from(stdout.matchAll(/^(\d+) new rows?/gm), ([, count]) => Number(count))
          while (rows().filter((count) => count > 0).length < 3) yield* Effect.sleep("100 millis")
          running.kill("SIGINT")
          assert.strictEqual((yield* running.result).signal, "SIGINT")
          return rows()
        }),
        { concurrency: "unbounded" }
      )
      for (const [first] of newRows) assert.isAbove(first!, 10)
      // A run of everything finds what is missing, and nothing else.
      const ended = yield* child.run(args)
      assert.strictEqual(ended.code, 0, ended.stderr)
      const { keys, rows, sum } = yield* place.count("a")
      // The values are 0, 1, 2 and so on.
      assert.deepStrictEqual([keys, sum], [rows, sumOf(rows)])
      assert.isAbove(rows, 60)
    })
  )

  it.live("reads the file of a token before each run, and again if a token expires during a run", () =>
    Effect.gen(function* () {
      let valid = "token-1"
      const files = yield* connector.workspace
      const tokenFile = files.path("token")
      const seen = new Set<string>()
      let expiresAtLabels = false
      const { config, mock } = yield* serve(gauge("a", 50), 50, {
        faults: ({ headers, path }) => {
          if (expiresAtLabels && path.endsWith("/values")) {
            expiresAtLabels = false
            valid = "token-3"
            writeFileSync(tokenFile, valid)
          }
          if (headers.get("authorization") !== `Bearer ${valid}`) return { status: 401, body: "Unauthorized" }
          seen.add(valid)
          return undefined
        }
      })
      writeFileSync(tokenFile, valid)
      const to = `jsonl:${files.path("data")}`
      const args = ["run", "--config", files.write("c.json", config), "--to", to, "--token-file", tokenFile]
      const running = yield* child.start([...args, "--every", "1s"])
      let stderr = ""
      yield* Effect.callback<void>((resume) => {
        let runs = 0
        running.process.stderr.on("data", (chunk: string) => {
          stderr += chunk
          const after = stderr.split("Next run at ").length - 1
          if (after === runs) return
          runs = after
          // Between two runs, and in the middle of one.
          if (runs === 1) {
            valid = "token-2"
            writeFileSync(tokenFile, valid)
          } else if (runs === 2) expiresAtLabels = true
          else resume(Effect.void)
        })
      })
      running.kill("SIGINT")
      yield* running.result
      assert.deepStrictEqual([...seen], ["token-1", "token-2", "token-3"])
      assert.strictEqual(stderr.split("HTTP 401").length - 1, 1, stderr)
      assert.match(stderr, /HTTP 401: Unauthorized\. The credentials have been renewed/)
      assert.notMatch(stderr, /token-\d/)

      // The same credentials are not tried again.
      const before = mock.requests.length
      valid = "another"
      const failed = yield* child.run(args)
      assert.strictEqual(failed.code, 1)
      assert.match(
        failed.stderr,
        /HTTP 401.* Check authentication\.token \(SOURCE_PROMETHEUS_TOKEN or --token-file\)/
      )
      assert.strictEqual(mock.requests.length, before + 1)
    })
  )

  it.live("writes a report, and compresses JSON lines", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("a", 50), 50)
      const files = yield* connector.workspace
      const report = files.path("report.html")
      const args = ["run", "--config", files.write("c.json", config), "--to", `jsonl:${files.path("data")}`]
      const result = yield* child.run([...args, "--gzip", "--report", report])
      assert.strictEqual(result.code, 0, result.stderr)
      assert.match(result.stderr, /Wrote the report to .*report\.html\./)
      assert.match(result.stdout, /Query it:\n {2}gzip -dc .*a\.jsonl\.gz \| head -n 5/)
      assert.match(readFileSync(report, "utf8"), /<td>a<\/td>|>a</)
      assert.deepStrictEqual(readdirSync(files.path("data")).sort(), ["_state", "a.jsonl.gz"])
      const plain = yield* child.run(args)
      assert.strictEqual(plain.code, 1)
      assert.match(plain.stderr, /holds JSON lines as gzip/)
    })
  )

  it.live(
    "reports that a report cannot be written before any request, and a destination of another shape before it reads",
    () =>
      Effect.gen(function* () {
        const { config, mock } = yield* serve(gauge("a", 50), 50)
        const files = yield* connector.workspace
        const path = files.write("c.json", config)
        const args = ["run", "--config", path, "--to", `jsonl:${files.path("data")}`]
        const report = yield* child.run([...args, "--report", files.path("nowhere/report.html")])
        assert.deepStrictEqual([report.code, report.stdout], [1, ""])
        assert.match(report.stderr, /report\.html cannot be written: its folder does not exist\. Make it/)
        const folder = yield* child.run([...args, "--report", files.path("")])
        assert.deepStrictEqual([folder.code, folder.stdout], [1, ""])
        assert.match(
          folder.stderr,
          /is a folder, and --report wants a file\. Name one in it, such as .*report\.html\./
        )
        assert.lengthOf(mock.requests, 0)

        assert.strictEqual((yield* child.run(args)).code, 0)
        files.write("c.json", { ...config, label_columns: false })
        const shape = yield* child.run(args)
        assert.deepStrictEqual([shape.code, shape.stdout], [1, ""])
        assert.match(
          shape.stderr,
          /holds JSON lines, and this run writes JSON lines with one object for all labels/
        )
      })
  )

  it.live("refuses a look-back with JSON lines before any request, but not with append mode or Parquet", () =>
    Effect.gen(function* () {
      const { config, mock } = yield* serve(gauge("up", 3), 3)
      const files = yield* connector.workspace
      const path = files.write("c.json", { ...config, lookback_window: 60 })
      const run = (...flags: ReadonlyArray<string>) => child.run(["run", "--config", path, ...flags])
      for (const flags of [[], ["--dry-run"], ["--full-refresh", "--every", "1h"]]) {
        const refused = yield* run("--to", `jsonl:${files.path("data")}`, ...flags)
        assert.deepStrictEqual([refused.code, refused.stdout], [1, ""])
        assert.match(
          refused.stderr,
          /lookback_window is 60 seconds, .*incremental_append_deduped cannot replace/
        )
      }
      assert.lengthOf(mock.requests, 0)
      assert.deepStrictEqual(readdirSync(files.path("")), ["c.json"])
      const appended = yield* run("--to", `jsonl:${files.path("data")}`, "--mode", "incremental_append")
      assert.strictEqual(appended.code, 0, appended.stderr)
      const replaced = yield* run("--to", `parquet:${files.path("parquet")}`)
      assert.strictEqual(replaced.code, 0, replaced.stderr)
    })
  )

  it.live.each([
    [["--step", "5m"], /^No Prometheus server is given: add --url/],
    [
      ["--to", "duckdb:mine.duckdb"],
      /^No Prometheus server is given: .* To read the embedded demo, add --demo\./
    ],
    [["--demo", "--url", "http://localhost:9090"], /^--demo reads the embedded demo/],
    [["--to", "duckdb:md:mine"], /--to is "duckdb:md:mine", but must name a path on this machine/],
    [["--to", "out.duckdb"], /--to is "out.duckdb", but must be .*, such as duckdb:out\.duckdb\./],
    [["--mode", "append"], /mode/],
    [["--every", "soon"], /--every is "soon", but must be a duration/],
    [["--gzip"], /--gzip is for jsonl:DIR alone/],
    [["--memory", "1"], /^--memory is 1, but must be at least 64/],
    [
      ["--url", "http://localhost:9090", "--start", "2026-01-01", "--step", "soon"],
      /step \(--step\) is "soon"/
    ],
    [["--dry-run", "--every", "1m"], /remove --every/]
  ] as const)("refuses %j with the fix, and exits with 2", ([flags, message]) =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const result = yield* child.run(["run", ...flags], { cwd: files.path("") })
      assert.deepStrictEqual([result.code, result.stdout], [2, ""])
      assert.match(result.stderr, message)
      assert.strictEqual(result.stderr.trimEnd().split("\n").length, 1, result.stderr)
      assert.deepStrictEqual(readdirSync(files.path("")), [])
    })
  )
})
