/** Tests the test harness: its real servers return the data that it writes, and it leaves nothing behind. */
import { access, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Scope } from "effect"
import * as child from "../support/child.ts"
import * as faultProxy from "../support/faultProxy.ts"
import * as RealPrometheus from "../support/RealPrometheus.ts"
import { recordKey, referenceRecords } from "../support/referenceRecords.ts"
import { describeEach, prometheusServers, servers } from "../support/servers.ts"

const start = 1_700_000_000

/** A gauge with one sample every minute. */
const gauge = (name: string, values: ReadonlyArray<number>) => ({
  labels: { __name__: name },
  samples: values.map((value, i) => [(start + i * 60) * 1000, value] as const)
})

/** Whether a process exists. */
const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describeEach(prometheusServers, "a real $name", ({ make, makeWritable }) => {
  it.effect("returns every value in exact digits", () =>
    Effect.gen(function* () {
      const values = [
        [0.1 + 0.2, "0.30000000000000004"],
        [1 / 3, "0.3333333333333333"],
        [0, "0"],
        [-0, "-0"],
        [Number.NaN, "NaN"],
        [Number.POSITIVE_INFINITY, "+Inf"],
        [Number.NEGATIVE_INFINITY, "-Inf"],
        [5e-324, "5e-324"],
        [Number.MAX_VALUE, "1.7976931348623157e+308"],
        [1e21, "1e+21"],
        [123456789012345680000, "123456789012345680000"],
        [1e-7, "1e-07"],
        [0.000001, "0.000001"],
        [2 ** 53, "9007199254740992"],
        [-1.2345678901234567, "-1.2345678901234567"]
      ] as const
      const server = yield* make({
        series: [
          gauge(
            "special",
            values.map(([value]) => value)
          )
        ]
      })
      const result = yield* server.queryRange("special", start, start + 60 * (values.length - 1), 60)
      assert.deepStrictEqual(result, [
        {
          metric: { __name__: "special" },
          values: values.map(([, text], i) => [start + i * 60, text] as const)
        }
      ])
    })
  )

  it.effect("returns labels and times unchanged", () =>
    Effect.gen(function* () {
      const labels = [
        ["Time", "T"],
        ["__name__", "job:requests:rate5m"],
        ["__proto__", "p"],
        ["constructor", "c"],
        ["labels", "l"],
        ["quoting", 'a\\b"c\nd\\n😀 é'],
        ["series_id", "s"],
        ["time", "t"],
        ["value", "v"]
      ] as const
      const times = [
        1, 999, 1009, 1018, 1_700_000_000_000, 1_700_000_000_001, 1_700_000_000_123, 1_700_000_000_999
      ]
      const server = yield* make({
        series: [
          { labels, samples: times.map((time, i) => [time, i]) },
          gauge("other", [1]),
          { labels: { __name__: "job:requests:rate5m" }, samples: [[0, 1]] }
        ]
      })
      const response = yield* server.get("/api/v1/query", {
        query: '{__name__="job:requests:rate5m",time="t"}[100y]',
        time: `${start + 1}`
      })
      const [series] = (response as { data: { result: ReadonlyArray<RealPrometheus.MatrixSeries> } }).data
        .result
      assert.deepStrictEqual(
        Object.entries(series!.metric),
        labels.map(([name, value]): [string, string] => [name, value])
      )
      assert.deepStrictEqual(
        series!.values,
        times.map((time, i) => [time / 1000, `${i}`])
      )
      const names = yield* server.get("/api/v1/label/__name__/values")
      assert.deepStrictEqual(names, { status: "success", data: ["job:requests:rate5m", "other"] })
    })
  )

  it.effect("requires the password under basic auth", () =>
    Effect.gen(function* () {
      const server = yield* make({ series: [gauge("guarded", [1])], basicAuth: true })
      const path = "/api/v1/labels"
      const without = yield* server.request(path, { authenticate: false })
      assert.strictEqual(without.status, 401)
      const wrong = Buffer.from(`${RealPrometheus.basicAuthUser}:open`).toString("base64")
      const refused = yield* server.request(path, { headers: { Authorization: `Basic ${wrong}` } })
      assert.strictEqual(refused.status, 401)
      const accepted = yield* server.request(path)
      assert.strictEqual(accepted.status, 200)
    })
  )

  it.effect("accepts a form, and returns the server's own error", () =>
    Effect.gen(function* () {
      const server = yield* make({
        flags: ["--query.max-samples=5"],
        series: [gauge("m", [1, 2])]
      })
      const params = { query: "m", start: `${start}`, end: `${start + 3600}`, step: "60" }
      const { status, text } = yield* server.request("/api/v1/query_range", { method: "POST", params })
      assert.strictEqual(status, 422)
      assert.include(text, "query processing would load too many samples into memory")
    })
  )

  it.effect("has the metadata of scraped metrics", () =>
    Effect.gen(function* () {
      // A server looks for targets only every five seconds, so the servers do it at the same time.
      const scraping = (text: string) => make({ scrape: { text } })
      const [server, modern, failed] = yield* Effect.all(
        [
          scraping("# HELP jobs_total Jobs done.\n# TYPE jobs_total counter\njobs_total 3\n"),
          scraping(
            "# HELP wait_seconds Waits.\n# TYPE wait_seconds gauge\n# UNIT wait_seconds seconds\nwait_seconds 1\n# EOF\n"
          ),
          Effect.flip(scraping("not { a metric\n"))
        ],
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(yield* server.get("/api/v1/metadata"), {
        status: "success",
        data: { jobs_total: [{ type: "counter", help: "Jobs done.", unit: "" }] }
      })
      assert.deepStrictEqual(yield* modern.get("/api/v1/metadata"), {
        status: "success",
        data: { wait_seconds: [{ type: "gauge", help: "Waits.", unit: "seconds" }] }
      })
      const scraped = yield* server.get("/api/v1/series", { "match[]": "jobs_total" })
      assert.strictEqual((scraped as { data: ReadonlyArray<unknown> }).data.length, 1)
      assert.include(failed.message, "The scrape failed")
    })
  )

  it.effect("ends a series at a stale marker, and accepts late samples", () =>
    Effect.gen(function* () {
      const server = yield* makeWritable()
      const labels = { __name__: "written", zone: "é", area: "b" }
      const at = (minute: number) => (start + minute * 60) * 1000
      yield* server.remoteWrite([
        {
          labels,
          samples: [
            [at(0), 1],
            [at(2), Number.NaN],
            [at(3), "stale"]
          ]
        }
      ])
      yield* server.remoteWrite([{ labels, samples: [[at(1), 5e-324]] }])
      assert.deepStrictEqual(yield* server.queryRange("written", start, start + 300, 60), [
        {
          metric: labels,
          values: [
            [start, "1"],
            [start + 60, "5e-324"],
            [start + 120, "NaN"]
          ]
        }
      ])
    })
  )

  it.effect("reports the error of a server that does not start, or of promtool", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(make({ flags: ["--query.timeout=never"] }))
      assert.include(error.message, "not a valid duration string")
      const invalid = yield* Effect.flip(make({ openMetrics: "m{ 1 2\n" }))
      assert.include(invalid.message, "promtool could not make blocks")
    })
  )
})

describeEach(servers, "a real $name as a resource", ({ make }) => {
  it.effect("serves only under its route prefix", () =>
    Effect.gen(function* () {
      const server = yield* make({
        series: [gauge("m", [1])],
        routePrefix: "/team/prometheus"
      })
      assert.isTrue(server.baseUrl.endsWith("/team/prometheus"))
      assert.strictEqual((yield* server.queryRange("m", start, start, 60)).length, 1)
      const root = yield* Effect.promise(() => fetch(new URL("/api/v1/labels", server.baseUrl)))
      assert.include([400, 404], root.status)
    })
  )

  it.effect("stops, and restarts at the same address with the same data", () =>
    Effect.gen(function* () {
      const server = yield* make({ series: [gauge("m", [1])] })
      const before = server.pid()
      yield* server.stop
      assert.isFalse(isAlive(before))
      const refused = yield* Effect.exit(server.get("/api/v1/labels"))
      assert.isTrue(Exit.isFailure(refused))
      yield* server.restart
      assert.notStrictEqual(server.pid(), before)
      assert.strictEqual((yield* server.queryRange("m", start, start, 60)).length, 1)
    })
  )

  it.effect("is stopped, and its folder deleted, when its scope closes", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const server = yield* make().pipe(Scope.provide(scope))
      assert.isTrue(isAlive(server.pid()))
      yield* Effect.promise(() => access(server.folder))
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(isAlive(server.pid()))
      const folder = yield* Effect.exit(Effect.tryPromise(() => access(server.folder)))
      assert.isTrue(Exit.isFailure(folder))
    })
  )
})

describe("the reference reader", () => {
  it.effect("finds every sample once, for any number of points per request", () =>
    Effect.gen(function* () {
      const series = ["a", "b", "c"].map((zone) => ({
        labels: { __name__: "m", zone },
        samples: Array.from({ length: 100 }, (_, i) => [(start + i * 60) * 1000, i] as const)
      }))
      const server = yield* RealPrometheus.make({
        series,
        flags: ["--query.lookback-delta=1m"],
        basicAuth: true
      })
      const authorization = { Authorization: RealPrometheus.basicAuthHeader }
      const read = (pointsPerRequest: number) =>
        Effect.promise(() =>
          referenceRecords({
            baseUrl: server.baseUrl,
            metric: "m",
            matchers: 'zone!="c"',
            start: start + 1,
            end: start + 100 * 60,
            step: 30,
            headers: authorization,
            pointsPerRequest
          })
        )
      const complete = yield* read(11_000)
      assert.strictEqual(complete.size, 2 * 200)
      const key = recordKey({ zone: "b", __name__: "m" }, 1_700_000_040_000)
      assert.strictEqual(complete.get(key), "0")
      assert.deepStrictEqual(yield* read(7), complete)
      assert.deepStrictEqual(yield* read(1), complete)
    })
  )
})

describe("a child process", () => {
  /** A script in its own folder, which is deleted with the scope. */
  const script = (code: string) =>
    Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "source-prometheus-child-"))),
      (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
    ).pipe(
      Effect.tap((folder) => Effect.promise(() => writeFile(join(folder, "script.mjs"), code))),
      Effect.map((folder) => join(folder, "script.mjs"))
    )

  it.effect("returns its output, messages and exit code", () =>
    Effect.gen(function* () {
      const path = yield* script(`
        let input = ""
        for await (const chunk of process.stdin) input += chunk
        console.log(JSON.stringify({ type: "LOG", input, args: process.argv.slice(2), given: process.env.GIVEN }))
        console.error("warning")
        process.exitCode = 3
      `)
      const options = { script: path, stdin: "é\n", env: { GIVEN: "1" } }
      const result = yield* child.run(["read", "--debug"], options)
      assert.deepInclude(result, { code: 3, signal: null, stderr: "warning\n" })
      assert.deepStrictEqual(result.messages, [
        { type: "LOG", input: "é\n", args: ["read", "--debug"], given: "1" }
      ])
    })
  )

  it.effect("rejects a line that is not a message", () =>
    Effect.gen(function* () {
      const result = yield* child.run([], { script: yield* script(`console.log("{}\\nhello")`) })
      assert.strictEqual(result.stdout, "{}\nhello\n")
      assert.throws(() => result.messages, "not JSON: hello")
    })
  )

  it.effect("can be killed midway", () =>
    Effect.gen(function* () {
      const path = yield* script(`
        process.stdout.write('{"n":0}\\n{"n":1}\\n{"n":2}\\n{"cut')
        setInterval(() => {}, 1000)
      `)
      const running = yield* child.start([], { script: path })
      assert.deepStrictEqual(yield* running.waitFor((message) => message.n === 2), { n: 2 })
      running.kill("SIGKILL")
      const result = yield* running.result
      assert.deepInclude(result, { code: null, signal: "SIGKILL" })
      assert.deepStrictEqual(result.messages, [{ n: 0 }, { n: 1 }, { n: 2 }])
      const missed = yield* Effect.exit(running.waitFor((message) => message.n === -1))
      assert.isTrue(Exit.isFailure(missed) && Cause.hasDies(missed.cause))
    })
  )

  it.effect("is killed when its scope closes", () =>
    Effect.gen(function* () {
      const path = yield* script(
        `process.on("SIGTERM", () => {}); setInterval(() => {}, 1000); console.log("{}")`
      )
      const scope = yield* Scope.make()
      const running = yield* child.start([], { script: path }).pipe(Scope.provide(scope))
      yield* running.waitFor(() => true)
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(isAlive(running.process.pid!))
    })
  )
})

describe("a fault proxy", () => {
  it.effect("forwards everything without a fault, and can add warnings", () =>
    Effect.gen(function* () {
      const server = yield* RealPrometheus.make({ series: [gauge("m", [1, 2, 3])], routePrefix: "/prefix" })
      const proxy = yield* faultProxy.make({
        upstream: server.baseUrl,
        plan: ({ attempt, metric }) =>
          metric === "m" && attempt === 1 ? faultProxy.withWarnings("a store is down") : undefined
      })
      const ask = (baseUrl: string) =>
        Effect.promise(async (): Promise<unknown> => {
          const query = `query=${encodeURIComponent('{__name__="m"}')}&start=${start}&end=${start + 120}&step=60`
          return (await fetch(`${baseUrl}/api/v1/query_range?${query}`)).json()
        })
      const plain = yield* ask(server.baseUrl)
      assert.deepStrictEqual(yield* ask(proxy.baseUrl), plain)
      assert.deepStrictEqual(yield* ask(proxy.baseUrl), {
        ...(plain as object),
        warnings: ["a store is down"]
      })
      assert.deepStrictEqual(
        proxy.requests.map(({ attempt, metric, ordinal, path }) => ({ attempt, metric, ordinal, path })),
        [0, 1].map((attempt) => ({ attempt, metric: "m", ordinal: 0, path: "/prefix/api/v1/query_range" }))
      )
      assert.lengthOf(proxy.hits, 1)
    })
  )
})
