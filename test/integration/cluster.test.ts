/** A run on a cluster: the built executable, a real PostgreSQL and a real Prometheus, with kills of all of them but the last. */
import { setTimeout as sleep } from "node:timers/promises"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { queryDatabase } from "../destinations/duckdb/queryDatabase.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { start } from "../support/dataset.ts"
import { iso } from "../support/gauge.ts"
import type { SeriesInput } from "../support/openMetrics.ts"
import * as Postgres from "../support/postgres.ts"
import * as RealPrometheus from "../support/RealPrometheus.ts"

const minute = 60_000
const metrics = 10
const points = 960
const seriesPerMetric = 3

const valueOf = (metric: number, series: number, point: number): number =>
  metric * 1e6 + series * 1e4 + point + 0.5

const series: ReadonlyArray<SeriesInput> = Array.from({ length: metrics * seriesPerMetric }, (_, i) => {
  const [metric, instance] = [Math.floor(i / seriesPerMetric), i % seriesPerMetric]
  return {
    labels: { __name__: `metric_${metric}`, instance: `${instance}` },
    samples: Array.from(
      { length: points },
      (_, point) => [start + point * minute, valueOf(metric, instance, point)] as const
    )
  }
})

/** A process whose log can be awaited. */
const launch = Effect.fnUntraced(function* (args: ReadonlyArray<string>) {
  const running = yield* child.start(args)
  const log: Array<string> = []
  running.process.stderr.on("data", (text: string) => log.push(text))
  return {
    ...running,
    /** How many parts it has read. */
    parts: () => log.join("").match(/^Read .* new rows? in /gm)?.length ?? 0,
    text: () => log.join("")
  }
})

type Launched = Effect.Success<ReturnType<typeof launch>>

const until = (isSo: () => boolean, what: () => string) =>
  Effect.gen(function* () {
    while (!isSo()) yield* Effect.sleep("50 millis")
  }).pipe(
    Effect.timeout("120 seconds"),
    Effect.catch(() => Effect.die(new Error(`Waited in vain: ${what()}`)))
  )

/** Settings of a run beside those of the server and the range. */
type Streams = Readonly<Record<string, unknown>>

const makeWorld = Effect.fnUntraced(function* (streams: Streams = {}) {
  const postgres = yield* Postgres.make()
  const prometheus = yield* RealPrometheus.make({ series })
  const files = yield* connector.workspace
  const config = {
    base_url: prometheus.baseUrl,
    start_date: iso(start),
    end_date: iso(start + (points - 1) * minute),
    step: 60,
    concurrency: 2,
    ...streams
  }
  const configFlags = ["--config", files.write("config.json", config)]
  const flags = ["--cluster", postgres.urlOf(), ...configFlags, "--to", `parquet:${files.path("data")}`]
  const workers: Array<Launched> = []
  const work = Effect.gen(function* () {
    const worker = yield* launch(["worker", ...flags])
    workers.push(worker)
    return worker
  })
  const tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'source_prometheus_cluster'"
  return {
    postgres,
    files,
    configFlags,
    workers,
    work,
    submit: launch(["run", ...flags, "--part-length", "20m", "--json"]),
    parts: () => workers.reduce((sum, worker) => sum + worker.parts(), 0),
    logs: () => workers.map((worker, i) => `worker ${i}:\n${worker.text()}`).join("\n"),
    /** The rows that are left of finished parts, and the processes that count as living. */
    remains: Effect.promise(async () => {
      const names = (await postgres.psql(tables)).trim().split("\n")
      const kept = names.filter((name) => /_(messages|replies)$|^(syncs|workers)$/.test(name))
      const counts = await Promise.all(
        kept.map(
          async (name) =>
            [
              name.replace(/^v1_[0-9a-f]+_/, ""),
              Number(await postgres.psql(`SELECT count(*) FROM source_prometheus_cluster.${name}`))
            ] as const
        )
      )
      return Object.fromEntries(counts)
    }),
    /** Compares all rows with the samples. */
    check: Effect.promise(async () => {
      const rows = await queryDatabase(
        ":memory:",
        `SELECT regexp_extract(filename, 'metric_(\\d+)', 1)::INT AS metric, instance, epoch_ms(time)::DOUBLE AS at, value
         FROM read_parquet('${files.path("data")}/*/*/*.parquet', filename = true)`
      )
      const found = rows.map(({ at, instance, metric, value }) => `${metric} ${instance} ${at} ${value}`)
      const expected = series.flatMap(({ samples }, i) => {
        const of = `${Math.floor(i / seriesPerMetric)} ${i % seriesPerMetric}`
        return samples.map(([at, value]) => `${of} ${at} ${value}`)
      })
      assert.strictEqual(found.length, expected.length)
      assert.deepStrictEqual(new Set(found), new Set(expected))
    })
  }
})

describe("a run on a cluster", () => {
  it.live(
    "has every sample once, whatever is killed, paused or restarted",
    () =>
      Effect.gen(function* () {
        const { check, logs, parts, postgres, remains, submit, work, workers } = yield* makeWorld()
        // The workers may start before the database.
        const started = Effect.gen(function* () {
          for (let i = 0; i < 4; i++) yield* work
          yield* until(
            () => workers.every(({ text }) => /cannot be used: .*\. Trying again\./.test(text())),
            () => `all workers miss the database\n${logs()}`
          )
        })
        const context = yield* Effect.context<Scope.Scope>()
        const whileDown = () => Effect.runPromiseWith(context)(started)
        yield* Effect.promise(() => postgres.restart("stop", whileDown))
        let run = yield* submit
        const reach = (count: number) =>
          until(
            () => parts() >= count,
            () => `${count} parts\n${run.text()}\n${logs()}`
          )

        yield* reach(15)
        const [paused, first] = workers
        paused!.kill("SIGSTOP")
        const pausedAt = Date.now()
        first!.kill("SIGKILL")
        yield* work

        yield* reach(60)
        run.kill("SIGKILL")
        workers[2]!.kill("SIGKILL")
        run = yield* submit
        yield* work

        yield* reach(100)
        yield* Effect.promise(() => postgres.restart("kill", () => sleep(500)))

        yield* reach(140)
        workers[3]!.kill("SIGKILL")
        // Longer than its locks.
        yield* Effect.sleep(Math.max(0, pausedAt + 33_000 - Date.now()))
        paused!.kill("SIGCONT")

        const result = yield* Effect.timeout(run.result, "150 seconds").pipe(
          Effect.catch(() => Effect.die(new Error(`The run did not end.\n${run.text()}\n${logs()}`)))
        )
        assert.strictEqual(result.code, 0, result.stderr)
        const { streams } = JSON.parse(result.stdout)
        assert.lengthOf(streams, metrics)
        yield* check

        for (const worker of workers) worker.kill("SIGTERM")
        const ends = yield* Effect.forEach(workers, ({ result }) => result, { concurrency: "unbounded" })
        assert.deepStrictEqual(
          ends.map(({ signal }) => signal),
          ["SIGTERM", "SIGKILL", "SIGKILL", "SIGKILL", "SIGTERM", "SIGTERM"]
        )
        const { workers: living, ...left } = yield* remains
        assert.deepStrictEqual(left, { messages: 0, replies: 0, syncs: 0 })
        // Those that were killed.
        assert.strictEqual(living, 3)
      }).pipe(Effect.scoped),
    { timeout: 400_000 }
  )

  it.live(
    "has the rows of a query and of a group once, as one process reads them, after the kill of a worker",
    () =>
      Effect.gen(function* () {
        const { configFlags, files, logs, parts, submit, work, workers } = yield* makeWorld({
          metrics: { include: ["metric_[0-6]"] },
          groups: [{ name: "some", metrics: { include: ["metric_[1-6]"] } }],
          queries: [
            { name: "by_instance", expression: 'sum by (instance) ({__name__=~"metric_[0-9]"})' },
            { name: "slow", expression: "avg_over_time(metric_8[10m])", step: 300 }
          ]
        })
        const one = yield* child.run([
          "run",
          ...configFlags,
          "--to",
          `parquet:${files.path("one")}`,
          "--json"
        ])
        assert.strictEqual(one.code, 0, one.stderr)
        yield* work
        yield* work
        const run = yield* submit
        yield* until(
          () => parts() >= 20 && workers.every((worker) => worker.parts() > 0),
          () => `20 parts\n${run.text()}\n${logs()}`
        )
        workers[0]!.kill("SIGKILL")
        const result = yield* Effect.timeout(run.result, "150 seconds").pipe(
          Effect.catch(() => Effect.die(new Error(`The run did not end.\n${run.text()}\n${logs()}`)))
        )
        assert.strictEqual(result.code, 0, result.stderr)
        assert.isAbove(workers[1]!.parts(), 0)
        const names = (text: string): ReadonlyArray<string> =>
          JSON.parse(text).streams.map(({ name }: { readonly name: string }) => name)
        assert.deepStrictEqual(names(result.stdout).toSorted(), ["by_instance", "metric_0", "slow", "some"])
        /** All rows as sorted texts. Files differ in their columns, which are the same in all rows of a stream. */
        const rowsOf = (folder: string, stream: string) =>
          Effect.promise(async () => {
            const rows = await queryDatabase(
              ":memory:",
              `SELECT * EXCLUDE (time), epoch_ms(time)::DOUBLE AS at
               FROM read_parquet('${files.path(folder)}/${stream}/*/*.parquet', union_by_name = true)`
            )
            return rows.map((row) => JSON.stringify(Object.entries(row).sort())).sort()
          })
        for (const [stream, rows] of [
          ["metric_0", seriesPerMetric * points],
          ["some", 6 * seriesPerMetric * points],
          ["by_instance", seriesPerMetric * points],
          ["slow", seriesPerMetric * Math.ceil(points / 5)]
        ] as const) {
          const found = yield* rowsOf("data", stream)
          assert.lengthOf(found, rows)
          assert.deepStrictEqual(found, yield* rowsOf("one", stream))
        }
        // The survivor stops as it should.
        workers[1]!.kill("SIGTERM")
        assert.strictEqual((yield* workers[1]!.result).signal, "SIGTERM")
      }).pipe(Effect.scoped),
    { timeout: 300_000 }
  )
})
