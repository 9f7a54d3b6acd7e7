/**
 * The examples for Kubernetes, Docker Compose and systemd: what they start is started here, against a real Prometheus and a real
 * PostgreSQL, and their files are checked by the schema or the program of each.
 */
import { execFile } from "node:child_process"
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Ajv2020 } from "ajv/dist/2020.js"
import addFormats from "ajv-formats"
import { Deferred, Effect } from "effect"
import { parse } from "yaml"
import packageJson from "../../package.json" with { type: "json" }
import { queryDatabase } from "../destinations/duckdb/queryDatabase.ts"
import * as dockerfile from "../shipping/dockerfile.ts"
import { findSystemdAnalyze } from "../support/binaries.ts"
import * as child from "../support/child.ts"
import { composeSchema } from "../support/composeSchema.ts"
import * as connector from "../support/connector.ts"
import { iso, minute, start } from "../support/gauge.ts"
import * as Postgres from "../support/postgres.ts"
import * as RealPrometheus from "../support/RealPrometheus.ts"
import { composeService, exampleText, type Workload, workloads } from "../support/workloads.ts"

const executable = fileURLToPath(new URL("../../dist/source-prometheus.js", import.meta.url))

const IMAGE = `source-prometheus:${packageJson.version}-run`
const METRICS = ["node_load1", "http_requests_total"] as const
const SERIES = 3
const POINTS = 300
const STEP = 5 * minute
/** Prometheus 2 returns a sample for five minutes, inclusive: the last one at the next point too. */
const ROWS = SERIES * (POINTS + 1)

/** The addresses in the examples, and what is there in a test. */
type Places = Readonly<Record<string, string>>

const atPlaces = (text: string, places: Places): string =>
  Object.entries(places).reduce((text, [from, to]) => text.replaceAll(from, to), text)

const prometheus = RealPrometheus.make({
  series: METRICS.flatMap((name) =>
    Array.from({ length: SERIES }, (_, n) => ({
      labels: { __name__: name, instance: `node-${n}` },
      samples: Array.from({ length: POINTS }, (_, i) => [start + i * STEP, i + n] as const)
    }))
  )
})

/** A server with the user and the database of the examples. */
const postgres = (password: string) =>
  Effect.gen(function* () {
    const server = yield* Postgres.make()
    yield* Effect.promise(() =>
      server.psql(
        `CREATE ROLE source_prometheus LOGIN PASSWORD '${password}';
         CREATE DATABASE metrics OWNER source_prometheus;`
      )
    )
    return server
  })

/** Rows, series, and rows that differ in series and time, per metric. */
const totals = (server: Postgres.Postgres) =>
  Effect.promise(async () => {
    const all: Record<string, ReadonlyArray<string>> = {}
    for (const name of METRICS) {
      const sql = `SELECT count(*), count(DISTINCT series_id), count(DISTINCT (series_id, time)) FROM prometheus.${name}`
      all[name] = (await server.psql(sql, "metrics")).trim().split("|")
    }
    return all
  })

const complete = Object.fromEntries(METRICS.map((name) => [name, [`${ROWS}`, `${SERIES}`, `${ROWS}`]]))

/** Compares the rows of a folder of Parquet files with what the server has. */
const assertComplete = Effect.fnUntraced(function* (folder: string) {
  for (const name of METRICS) {
    const sql = `SELECT count(*)::INT AS "rows", count(DISTINCT series_id)::INT AS series, count(DISTINCT (series_id, time))::INT AS points
      FROM read_parquet('${folder}/${name}/*/*.parquet')`
    const rows = yield* Effect.promise(() => queryDatabase(":memory:", sql))
    assert.deepStrictEqual(rows, [{ rows: ROWS, series: SERIES, points: ROWS }])
  }
})

/** The processes of a workload, one after another or a few at a time, as Kubernetes starts them. */
const processes = Effect.fnUntraced(function* (workload: Workload, places: Places) {
  const files = yield* connector.workspace
  const mounts = Object.fromEntries(
    [...workload.files].map(([path, text]) => [path, files.write(basename(path), atPlaces(text, places))])
  )
  const args = workload.args.map((arg) => mounts[arg] ?? atPlaces(arg, places))
  const { environment } = workload
  return workload.indexes.map((index) => ({ args, options: { env: { ...environment, ...index } } }))
})

const workload = (name: string): Workload => {
  const found = workloads.get(name)
  if (found === undefined) throw new Error(`There is no ${name}.`)
  return found
}

const runAll = Effect.fnUntraced(function* (name: string, places: Places, concurrency: number) {
  const started = yield* processes(workload(name), places)
  const results = yield* Effect.forEach(started, ({ args, options }) => child.run(args, options), {
    concurrency
  })
  for (const { code, stderr } of results) assert.strictEqual(code, 0, stderr)
  return results
})

/** A Prometheus, a PostgreSQL and a folder, and where the examples have theirs. */
const servers = Effect.gen(function* () {
  const source = yield* prometheus
  const files = yield* connector.workspace
  const database = yield* postgres(workload("source-prometheus-backfill").environment.PGPASSWORD!)
  const places = {
    "http://prometheus-server.monitoring.svc:9090": source.baseUrl,
    "postgres.databases.svc:5432": `127.0.0.1:${database.port}`,
    "parquet:/data": `parquet:${files.path("")}`
  }
  return { places, folder: files.path("metrics") }
})

describe("examples/kubernetes", () => {
  it("uses the image of this version, as a user without rights and with a root that is read-only", () => {
    assert.lengthOf([...workloads], 4)
    for (const { image, name, pod } of workloads.values()) {
      assert.strictEqual(image, IMAGE)
      assert.deepInclude(pod.securityContext, {
        runAsNonRoot: true,
        seccompProfile: { type: "RuntimeDefault" }
      })
      assert.strictEqual(
        `${pod.securityContext.runAsUser}:${pod.securityContext.runAsGroup}`,
        dockerfile.run.user
      )
      assert.isFalse(pod.automountServiceAccountToken)
      for (const container of pod.containers) {
        assert.deepStrictEqual(container.securityContext, {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] }
        })
        // What the image lets everybody write to.
        const writable = container.volumeMounts.filter(
          ({ name }) => pod.volumes.find((volume) => volume.name === name)?.emptyDir !== undefined
        )
        assert.deepStrictEqual(
          writable.map(({ mountPath }) => mountPath),
          ["/tmp", dockerfile.run.environment.HOME, dockerfile.run.environment.DUCKDB_EXTENSION_DIRECTORY],
          name
        )
      }
    }
  })

  it("has as many indexes as parts", () => {
    for (const { args, indexes, name } of workloads.values()) {
      const parts = args.indexOf("--parts")
      if (parts >= 0) assert.strictEqual(args[parts + 1], `${indexes.length}`, name)
    }
  })

  it.live(
    "backfills with the indexes of a Job, and the indexes of a CronJob add only what is missing",
    () =>
      Effect.gen(function* () {
        const { folder, places } = yield* servers
        yield* runAll("source-prometheus-backfill", places, 3)
        yield* assertComplete(folder)
        yield* runAll("source-prometheus-sync", places, 2)
        yield* assertComplete(folder)
      }),
    600_000
  )

  it.live("syncs with the workers of a Deployment", () =>
    Effect.gen(function* () {
      const { folder, places } = yield* servers
      const workers = (yield* processes(workload("source-prometheus-worker"), places)).slice(0, 2)
      const running = yield* Effect.forEach(workers, ({ args, options }) => child.start(args, options))
      yield* runAll("source-prometheus-submit", places, 1)
      yield* assertComplete(folder)
      for (const worker of running) {
        worker.kill("SIGTERM")
        const { code, signal } = yield* worker.result
        // A worker that was still starting has not taken charge of signals.
        assert.include([143, "SIGTERM"], code ?? signal)
      }
    })
  )
})

describe("docs/scale-out.md", () => {
  const blocks = Array.from(
    readFileSync(fileURLToPath(new URL("../../docs/scale-out.md", import.meta.url)), "utf8").matchAll(
      /^```sh\n(.*?)^```/gms
    ),
    ([, code]) => code!
  )

  it.each(blocks.map((code) => ({ code })))("has commands that work: $code", ({ code }) =>
    Effect.gen(function* () {
      const source = yield* prometheus
      const database = yield* postgres("s3cret")
      const files = yield* connector.workspace
      files.write("config.json", { base_url: source.baseUrl, start_date: iso(start), step: 300 })
      symlinkSync(executable, files.path("source-prometheus"))
      const places = { "user@db/sync": `source_prometheus@127.0.0.1:${database.port}/metrics` }
      // A worker ends with the block.
      const script = `trap 'kill $(jobs -p) 2> /dev/null || true; wait || true' EXIT\n${atPlaces(code, places)}`
      const env = { ...process.env, PGPASSWORD: "s3cret", PATH: `${files.path("")}:${process.env.PATH}` }
      yield* Effect.promise(() =>
        promisify(execFile)("bash", ["-e", "-c", script], { cwd: files.path(""), env })
      )
      yield* assertComplete(files.path("metrics"))
    }).pipe(Effect.scoped, Effect.runPromise)
  )
})

describe("examples/compose", () => {
  it.live("is what the schema of Compose allows, which refuses a misspelled key", () =>
    Effect.gen(function* () {
      const schema = yield* Effect.promise(composeSchema)
      const validate = addFormats.default(new Ajv2020({ strict: false, allErrors: true })).compile(schema)
      const text = exampleText("compose/compose.yaml")
      validate(parse(text))
      assert.deepStrictEqual(validate.errors ?? [], [])
      assert.isFalse(validate(parse(text.replace("depends_on", "depend_on"))))
    })
  )

  it("builds the image with DuckDB of this version", () => {
    const { sync } = parse(exampleText("compose/compose.yaml")).services
    assert.deepStrictEqual([sync.image, sync.build], [IMAGE, { context: "../..", target: "run" }])
    assert.include(sync.volumes, `extensions:${dockerfile.run.environment.DUCKDB_EXTENSION_DIRECTORY}`)
  })

  it.live("syncs Prometheus into PostgreSQL again and again", () =>
    Effect.gen(function* () {
      const { command, environment } = composeService()
      assert.match(environment.PGPASSWORD!, /^\$\{POSTGRES_PASSWORD:\?.+\}$/)
      const source = yield* prometheus
      const database = yield* postgres("s3cret")
      const places = {
        "http://prometheus:9090": source.baseUrl,
        "postgres:5432": `127.0.0.1:${database.port}`
      }
      const args = command.map((arg) => (arg === "1m" ? "5m" : atPlaces(arg, places)))
      const sync = yield* child.start(args, { env: { PGPASSWORD: "s3cret" } })
      const rested = yield* Deferred.make<void>()
      sync.process.stderr.on("data", (text: string) => {
        if (text.includes("Next run at ")) Deferred.doneUnsafe(rested, Effect.void)
      })
      yield* Effect.raceFirst(
        Deferred.await(rested),
        Effect.flatMap(sync.result, ({ stderr }) => Effect.die(new Error(stderr)))
      )
      assert.deepStrictEqual(yield* totals(database), complete)
      sync.kill("SIGTERM")
      const { signal, stderr } = yield* sync.result
      assert.strictEqual(signal, "SIGTERM")
      assert.notInclude(stderr, "Stopped immediately")
    })
  )
})

describe("examples/systemd", () => {
  const service = exampleText("systemd/source-prometheus.service")
  const PROGRAM = "/usr/local/bin/source-prometheus"

  /** The units, with a program that exists on this machine, changed as given. */
  const units = Effect.fnUntraced(function* (change: (service: string) => string = (service) => service) {
    const files = yield* connector.workspace
    const path = files.path("source-prometheus.service")
    writeFileSync(path, change(service).replace(PROGRAM, executable))
    const timer = files.path("source-prometheus.timer")
    writeFileSync(timer, exampleText("systemd/source-prometheus.timer"))
    return [path, timer] as const
  })

  const analyze = (...args: ReadonlyArray<string>) =>
    Effect.promise(async () => {
      const { stderr, stdout } = await promisify(execFile)(await findSystemdAnalyze(), [...args])
      return { stderr, stdout }
    })

  it.live("has units that systemd understands, and an exposure of at most 1.5", () =>
    Effect.gen(function* () {
      const [path, timer] = yield* units()
      assert.strictEqual((yield* analyze("verify", path, timer)).stderr, "")
      // Ten times as much. It fails above that.
      yield* analyze("security", "--offline=yes", "--threshold=15", path)
      const [wrong] = yield* units((service) => service.replace("PrivateTmp", "PrivateTemp"))
      assert.match((yield* analyze("verify", wrong)).stderr, /Unknown key .*'PrivateTemp'/)
    })
  )

  it.live("starts a command that works", () =>
    Effect.gen(function* () {
      const source = yield* prometheus
      const files = yield* connector.workspace
      const folders = {
        "%S": files.path("state"),
        "%d": files.path("credentials"),
        "/etc": files.path("etc")
      }
      for (const folder of Object.values(folders)) {
        mkdirSync(join(folder, "source-prometheus"), { recursive: true })
      }
      const [, command = ""] = /^ExecStart=(.*)$/m.exec(service)!
      writeFileSync(join(folders["%d"], "token"), "s3cret-t0ken\n")
      writeFileSync(
        join(folders["/etc"], "source-prometheus/config.json"),
        JSON.stringify({
          base_url: source.baseUrl,
          start_date: "2026-01-01",
          step: 300,
          metrics: { include: ["node_*"] }
        })
      )
      const [program, ...args] = atPlaces(command, folders).split(" ")
      assert.strictEqual(program, PROGRAM)
      const { code, stderr } = yield* child.run(args)
      assert.strictEqual(code, 0, stderr)
      const path = join(folders["%S"], "source-prometheus/metrics.duckdb")
      const [row] = yield* Effect.promise(() =>
        queryDatabase(path, "SELECT count(*)::INT AS rows FROM node_load1")
      )
      assert.deepStrictEqual(row, { rows: ROWS })
      // The token is read from the credentials that systemd loads.
      const [, name, from] = /^LoadCredential=(\w+):(.*)$/m.exec(service)!
      assert.deepStrictEqual([name, from], ["token", "/etc/source-prometheus/token"])
      assert.include(readFileSync(join(folders["%d"], "token"), "utf8"), "t0ken")
    })
  )
})
