/**
 * The load budget of processes, measured by the server: the built executable, and for a cluster a real PostgreSQL. Too slow is no
 * failure, as a machine may be busy; too fast is one.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as faults from "../../src/mock/faults.ts"
import type { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { pointsOf, serve } from "../support/mockServer.ts"
import * as Postgres from "../support/postgres.ts"
import * as RealPrometheus from "../support/RealPrometheus.ts"

/** How much later than it was sent a request may arrive, on a busy machine. */
const LATE_SECONDS = 2

const names = (count: number) => Array.from({ length: count }, (_, i) => `metric_${i}`)

/** Fails if the server has received too many requests in any interval. */
const checkRequests = (requests: MockPrometheus["requests"], perSecond: number): void => {
  const times = requests.map(({ nowMillis }) => nowMillis)
  for (let i = 0; i < times.length; i++) {
    for (let j = i; j < times.length; j++) {
      const seconds = (times[j]! - times[i]!) / 1000 + LATE_SECONDS
      assert.isAtMost(j - i + 1, perSecond * seconds + 1, `${i} to ${j} of ${times.length}`)
    }
  }
}

describe("the load budget", () => {
  it.live("limits all requests of check, discover and read, also those that are retried", () =>
    Effect.gen(function* () {
      const perSecond = 20
      const { config, mock } = yield* serve(
        names(20).flatMap((name) => gauge(name, 200)),
        200,
        {
          faults: faults.firstTries(1, ({ params, path }) =>
            path.endsWith("/query_range") && /metric_1/.test(params.get("query") ?? "")
              ? faults.refusal(503, "busy")
              : undefined
          )
        },
        { max_requests_per_second: perSecond }
      )
      const files = yield* connector.workspace
      const configPath = files.write("config.json", config)
      yield* connector.runVerb(["check", "--config", configPath])
      yield* connector.discover(files, config)
      const before = mock.requests.length
      const catalog = files.write("catalog.json", connector.catalogOf(...names(20)))
      const output = yield* connector.runVerb(["read", "--config", configPath, "--catalog", catalog])
      assert.strictEqual(output.code, 0, output.stderr)
      assert.lengthOf(output.records, 20 * 200)
      assert.isAbove(mock.requests.length - before, 3 * perSecond)
      checkRequests(mock.requests.slice(before), perSecond)
    }).pipe(Effect.scoped)
  )

  it.live("limits the samples of a run, with smaller windows", () =>
    Effect.gen(function* () {
      const perSecond = 1000
      const { config, mock } = yield* serve(
        names(4).flatMap((name) => gauge(name, 500, 5)),
        500,
        {},
        { max_samples_per_second: perSecond }
      )
      const files = yield* connector.workspace
      const result = yield* child.run([
        "run",
        "--config",
        files.write("config.json", config),
        "--to",
        `jsonl:${files.path("data")}`,
        "--json"
      ])
      assert.strictEqual(result.code, 0, result.stderr)
      const { cost, rows } = JSON.parse(result.stdout)
      assert.strictEqual(rows, 10_000)
      assert.strictEqual(cost.requests, mock.requests.length)
      assert.isAtLeast(cost.samples, 10_000)
      assert.isAbove(cost.received_bytes, 10 * cost.samples)
      // The mock is no process of its own.
      assert.isNull(cost.server_cpu_seconds)
      assert.match(
        result.stderr,
        /Requests are waiting for the load budget \(max_samples_per_second is 1000\)/
      )
      const windows = mock.requests.filter(
        (request) => pointsOf(request) > 0 && !/\(/.test(request.params.get("query") ?? "")
      )
      // Samples of a window arrive with it. At the last one, all others are paid for, except what was not expected yet.
      let samples = 0
      for (const window of windows) {
        assert.isAtMost(pointsOf(window) * 5, perSecond)
        const seconds = (window.nowMillis - windows[0]!.nowMillis) / 1000 + LATE_SECONDS
        assert.isAtMost(samples, perSecond * (seconds + 1))
        samples += pointsOf(window) * 5
      }
      assert.isAtLeast(samples, 10_000)
    }).pipe(Effect.scoped)
  )

  it.live(
    "is kept by all processes of a cluster together",
    () =>
      Effect.gen(function* () {
        const perSecond = 5
        const postgres = yield* Postgres.make()
        const { config, mock } = yield* serve(
          names(5).flatMap((name) => gauge(name, 600)),
          600,
          {},
          { concurrency: 4 }
        )
        const files = yield* connector.workspace
        const flags = [
          ...["--cluster", postgres.urlOf(), "--config", files.write("config.json", config)],
          ...["--to", `parquet:${files.path("data")}`, "--max-requests-per-second", `${perSecond}`]
        ]
        const workers = [yield* child.start(["worker", ...flags]), yield* child.start(["worker", ...flags])]
        const run = yield* child.run(["run", ...flags, "--part-length", "1h", "--json"])
        assert.strictEqual(run.code, 0, run.stderr)
        const { cost, rows } = JSON.parse(run.stdout)
        assert.strictEqual(rows, 5 * 600)
        assert.isAtLeast(cost.samples, 5 * 600)
        assert.isAtMost(cost.requests, mock.requests.length)
        assert.isAbove(cost.requests, 0.9 * mock.requests.length)
        // Both have read a good part of it.
        assert.isAbove(mock.requests.length, 10 * perSecond)
        checkRequests(mock.requests, perSecond)
        for (const worker of workers) worker.kill("SIGTERM")
        for (const worker of workers) {
          const { stderr } = yield* worker.result
          assert.isAbove(stderr.match(/^Read .* new rows? in /gm)?.length ?? 0, 5, stderr)
        }
      }).pipe(Effect.scoped),
    180_000
  )
})

describe("the cost of a run", () => {
  it.live("is estimated by a dry run, and reported with the CPU of a Prometheus", () =>
    Effect.gen(function* () {
      const samples = Array.from({ length: 121 }, (_, i) => [start + i * 30_000, i] as const)
      const { baseUrl } = yield* RealPrometheus.make({ series: [{ labels: { __name__: "up" }, samples }] })
      const files = yield* connector.workspace
      const config = {
        base_url: baseUrl,
        start_date: iso(start),
        end_date: iso(start + 60 * minute),
        step: 60
      }
      const run = Effect.fnUntraced(function* (keys: object, ...flags: ReadonlyArray<string>) {
        const path = files.write("config.json", { ...config, ...keys })
        const args = ["run", "--config", path, "--to", `jsonl:${files.path("data")}`, "--json", ...flags]
        const { code, stderr, stdout } = yield* child.run(args)
        assert.strictEqual(code, 0, stderr)
        return JSON.parse(stdout)
      })
      const points = yield* run({}, "--dry-run")
      assert.strictEqual(points.totals.estimated_samples, 61)
      assert.approximately(points.remote_read.estimated_samples, 122, 8)
      const stored = yield* run({ sampling: "raw" }, "--dry-run")
      assert.approximately(stored.totals.estimated_samples, 121, 8)
      const { cost, rows } = yield* run({})
      assert.strictEqual(rows, 61)
      assert.isAtLeast(cost.samples, 61)
      assert.isAtLeast(cost.server_cpu_seconds, 0)
      assert.isBelow(cost.server_cpu_seconds, 60)
    }).pipe(Effect.scoped)
  )
})
