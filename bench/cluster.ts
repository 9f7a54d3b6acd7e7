/**
 * `npm run bench:cluster`: a run in one process beside the same run on a cluster of 1, 2 and 4 workers; what a part costs; and how
 * soon others take the parts of a worker that was killed. All on this machine, with a real Prometheus and a real PostgreSQL.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { ensurePrometheus } from "../test/support/binaries.ts"
import * as Postgres from "../test/support/postgres.ts"
import { collect, exitOf, kill, start } from "./children.ts"
import { ensureDatabase } from "./database.ts"
import { type Dataset, datasets, lastTime, START, sampleCount } from "./datasets.ts"
import { failure, nodeCommand } from "./measure.ts"
import { parseOptions, UsageError } from "./options.ts"
import { assertLinux, endedChildrenCpuSeconds } from "./proc.ts"
import { withServer } from "./server.ts"

const executable = fileURLToPath(new URL("../dist/source-prometheus.js", import.meta.url))

/** What is read: a data set with another step, in parts of this length. */
interface Load {
  readonly dataset: Dataset
  readonly partLength: string
  /** Of all streams together. */
  readonly parts: number
}

/** Many samples: 80 parts of 180,000 samples each in the full variant. */
const largeParts = (day: Dataset): Load => ({
  dataset: { ...day, stepSeconds: 6, points: 14_400 },
  partLength: "3h",
  parts: 8 * day.metrics
})

/** Many parts: each has one point of a metric. */
const smallParts = (day: Dataset): Load => ({
  dataset: { ...day, stepSeconds: 900, points: 96 },
  partLength: "15m",
  parts: 96 * day.metrics
})

interface Outcome {
  readonly seconds: number
  /** Of all processes but the servers. */
  readonly cpuSeconds: number
}

/** The servers, and a folder for files. */
interface World {
  readonly baseUrl: string
  readonly postgres: Postgres.Postgres
  readonly folder: string
  readonly log: (what: string) => void
}

const isoTime = (seconds: number): string => new Date(seconds * 1000).toISOString().replace(".000Z", "Z")

/** The flags of a new destination, in a database of its own. */
const flagsOf = async ({ baseUrl, folder, postgres }: World, { dataset }: Load) => {
  const own = mkdtempSync(join(folder, "run-"))
  const database = own.slice(own.lastIndexOf("-") + 1)
  await postgres.psql(`CREATE DATABASE "${database}"`)
  const config = join(own, "config.json")
  writeFileSync(
    config,
    JSON.stringify({
      base_url: baseUrl,
      start_date: isoTime(START),
      end_date: isoTime(lastTime(dataset)),
      step: dataset.stepSeconds,
      api: "query_range"
    })
  )
  return {
    flags: ["--config", config, "--to", `parquet:${join(own, "data")}`],
    cluster: ["--cluster", postgres.urlOf(database)],
    /** Runs a query of the cluster's tables. */
    query: (sql: string) =>
      postgres
        .psql(`SET search_path = source_prometheus_cluster; ${sql}`, database)
        .then((text) => text.trim())
  }
}

/** Runs the command to its end, and checks how many rows it has read: of parts that a killed process has read, it has none. */
const runToEnd = async (
  { dataset, partLength }: Load,
  args: ReadonlyArray<string>,
  isRight = (rows: number) => rows === sampleCount(dataset)
): Promise<number> => {
  const command = nodeCommand(executable, "run", ...args, "--part-length", partLength, "--json")
  const began = performance.now()
  const child = start(command.program, command.args, { stdio: ["ignore", "pipe", "pipe"] })
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
  const closed = new Promise((resolve) => child.once("close", resolve))
  const exit = await exitOf(child)
  const seconds = (performance.now() - began) / 1000
  await closed
  if (exit !== 0) throw failure(command, exit, stderr())
  const { rows } = JSON.parse(stdout()) as { readonly rows: number }
  if (!isRight(rows)) {
    throw failure(command, "wrong result", `It has ${rows} rows instead of ${sampleCount(dataset)}.`)
  }
  return seconds
}

/** One process with the same parts. */
const inOneProcess = async (world: World, load: Load): Promise<Outcome> => {
  const { flags } = await flagsOf(world, load)
  const before = endedChildrenCpuSeconds()
  const seconds = await runToEnd(load, [...flags, "--part", "0/1"])
  return { seconds, cpuSeconds: endedChildrenCpuSeconds() - before }
}

/** Passes each query of the cluster's tables until it has the wanted result. */
const until = async (query: () => Promise<string>, wanted: string): Promise<void> => {
  // The tables do not exist at first.
  while ((await query().catch(() => "")) !== wanted) await sleep(100)
}

const withWorkers = async <A>(
  world: World,
  load: Load,
  count: number,
  use: (run: {
    readonly args: ReadonlyArray<string>
    readonly workers: ReadonlyArray<ReturnType<typeof start>>
    readonly query: (sql: string) => Promise<string>
  }) => Promise<A>
): Promise<A> => {
  const { cluster, flags, query } = await flagsOf(world, load)
  const args = [...cluster, ...flags]
  const workers = Array.from({ length: count }, () =>
    start(process.execPath, [executable, "worker", ...args], { stdio: "ignore" })
  )
  const ends = workers.map(exitOf)
  try {
    await until(() => query("SELECT count(*) FROM workers"), `${count}`)
    // Until each has its share of the locks.
    await sleep(3000)
    return await use({ args, workers, query })
  } finally {
    for (const worker of workers) worker.kill("SIGTERM")
    await Promise.all(ends)
    for (const worker of workers) kill(worker)
  }
}

const onCluster = async (world: World, load: Load, count: number): Promise<Outcome> => {
  const before = endedChildrenCpuSeconds()
  const seconds = await withWorkers(world, load, count, ({ args }) => runToEnd(load, args))
  return { seconds, cpuSeconds: endedChildrenCpuSeconds() - before }
}

interface TakeOver {
  /** From the signal until the other worker has all locks. */
  readonly locks: number
  /** From the signal until the end of the run. */
  readonly end: number
}

/** Stops one of two workers in the middle of a run. */
const afterSignal = (world: World, load: Load, signal: "SIGKILL" | "SIGTERM"): Promise<TakeOver> =>
  withWorkers(world, load, 2, async ({ args, query, workers }) => {
    const ended = runToEnd(load, args, (rows) => rows > 0)
    const tables = `SELECT tablename FROM pg_tables WHERE tablename LIKE 'v%_locks'`
    const locks = await query(tables)
    await until(() => query(`SELECT count(*) > 0 FROM ${locks.replace(/_locks$/, "_replies")}`), "t")
    const killed = performance.now()
    workers[0]!.kill(signal)
    await until(() => query(`SELECT count(DISTINCT address) FROM ${locks} WHERE address IS NOT NULL`), "1")
    const seconds = (performance.now() - killed) / 1000
    await ended
    const end = (performance.now() - killed) / 1000
    await runToEnd(load, args, (rows) => rows === 0)
    return { locks: seconds, end }
  })

const measureAll = async (world: World, day: Dataset): Promise<string> => {
  const { log } = world
  const row = (what: string, { cpuSeconds, seconds }: Outcome, { dataset, parts }: Load): string => {
    const rows = Math.round(sampleCount(dataset) / seconds).toLocaleString("en")
    const perPart = ((cpuSeconds / parts) * 1000).toFixed(0)
    return `| ${what} | ${seconds.toFixed(1)} | ${cpuSeconds.toFixed(1)} | ${rows} | ${perPart} |`
  }
  const table = async (load: Load, counts: ReadonlyArray<number>) => {
    const samples = sampleCount(load.dataset).toLocaleString("en")
    log(`${load.parts} parts: one process`)
    const lines = [
      `| ${samples} samples in ${load.parts} parts | time s | CPU s | rows/s | CPU ms per part |`,
      "| --- | ---: | ---: | ---: | ---: |",
      row("one process", await inOneProcess(world, load), load)
    ]
    for (const count of counts) {
      const what = count === 1 ? "a worker" : `${count} workers`
      log(`${load.parts} parts: ${what}`)
      lines.push(row(`${what} and the run`, await onCluster(world, load, count), load))
    }
    return lines.join("\n")
  }
  const large = await table(largeParts(day), [1, 2, 4])
  const small = await table(smallParts(day), [1, 2, 4])
  const stops: Array<string> = []
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    log(`one of two workers: ${signal}`)
    const { end, locks } = await afterSignal(world, largeParts(day), signal)
    stops.push(`| ${signal} | ${locks.toFixed(1)} | ${end.toFixed(1)} |`)
  }
  const head = "| one of two workers | the other one has its locks after s | the run ends after s |"
  return [large, small, [head, "| --- | ---: | ---: |", ...stops].join("\n")].join("\n\n")
}

const main = Effect.gen(function* () {
  const options = parseOptions(process.argv.slice(2))
  assertLinux()
  const log = (what: string): void => console.error(what)
  const folder = mkdtempSync(join(tmpdir(), "source-prometheus-bench-"))
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(folder, { recursive: true })
  const { prometheus, promtool } = yield* Effect.promise(() => ensurePrometheus())
  const { day } = datasets(options)
  const postgres = yield* Postgres.make()
  const report = yield* Effect.promise(async () => {
    const database = await ensureDatabase(options.dataFolder, day, promtool, log)
    return withServer(prometheus, database, ({ baseUrl }) =>
      measureAll({ baseUrl, postgres, folder, log }, day)
    )
  })
  console.log(report)
})

Effect.runPromise(Effect.scoped(main)).then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error instanceof UsageError ? error.message : error)
    process.exit(error instanceof UsageError ? 2 : 1)
  }
)
