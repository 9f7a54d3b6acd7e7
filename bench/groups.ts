/**
 * `npm run bench:groups`: ten thousand metrics with a million series as one group, beside curl of the same data and beside a stream
 * for each metric. On this machine, with a real Prometheus.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { ensurePrometheus } from "../test/support/binaries.ts"
import { ensureDatabase } from "./database.ts"
import { type Dataset, lastTime, metricNames, START, sampleCount } from "./datasets.ts"
import { type Command, type Measurement, measure, measureNode, nodeCommand } from "./measure.ts"
import { parseOptions, UsageError } from "./options.ts"
import { countOutput } from "./output.ts"
import { assertLinux } from "./proc.ts"
import { alternate, type Peer, type Summary } from "./rounds.ts"
import { type Server, withServer } from "./server.ts"

const executable = fileURLToPath(new URL("../dist/source-prometheus.js", import.meta.url))

const full: Dataset = { name: "groups", metrics: 10_000, series: 1_000_000, points: 4, stepSeconds: 15 }
const small: Dataset = { ...full, name: "small-groups", metrics: 200, series: 20_000 }

const isoTime = (seconds: number): string => new Date(seconds * 1000).toISOString().replace(".000Z", "Z")

type Name = "curl" | "group" | "streams" | "groupIntoDuckDB"

/** curl downloads all series by one query. */
const curlOf = ({ baseUrl }: Pick<Server, "baseUrl">, dataset: Dataset): Command => ({
  program: "curl",
  args: [
    ...[
      "--silent",
      "--show-error",
      "--fail",
      "--output",
      "/dev/null",
      "--header",
      "Accept-Encoding: identity"
    ],
    `${baseUrl}/api/v1/query_range?${new URLSearchParams({
      query: '{__name__=~"bench_.*"}',
      start: `${START}`,
      end: `${lastTime(dataset)}`,
      step: `${dataset.stepSeconds}`
    })}`
  ]
})

/** The commands of the connector, with one group or without. */
const commandsOf = (folder: string, { baseUrl }: Pick<Server, "baseUrl">, dataset: Dataset) => {
  const of = (name: string, groups: ReadonlyArray<object>, streams: ReadonlyArray<string>) => {
    const config = join(folder, `${name}.json`)
    const catalog = join(folder, `${name}-catalog.json`)
    writeFileSync(
      config,
      JSON.stringify({
        base_url: baseUrl,
        start_date: isoTime(START),
        end_date: isoTime(lastTime(dataset)),
        step: dataset.stepSeconds,
        api: "query_range",
        label_columns: false,
        groups
      })
    )
    writeFileSync(
      catalog,
      JSON.stringify({
        streams: streams.map((name) => ({
          stream: { name, json_schema: {} },
          sync_mode: "full_refresh",
          destination_sync_mode: "overwrite"
        }))
      })
    )
    return { config, read: nodeCommand(executable, "read", "--config", config, "--catalog", catalog) }
  }
  const group = of("group", [{ name: "all", metrics: { include: ["bench_*"] } }], ["all"])
  return { group, streams: of("streams", [], metricNames(dataset)) }
}

const measureAll = async (
  server: Server,
  dataset: Dataset,
  { folder, log, rounds }: { folder: string; log: (what: string) => void; rounds: number }
): Promise<Record<Name, Summary>> => {
  const { group, streams } = commandsOf(folder, server, dataset)
  const records = sampleCount(dataset)
  const runInto = async (): Promise<Measurement> => {
    const to = `duckdb:${join(mkdtempSync(join(folder, "duckdb-")), "data.duckdb")}`
    return measureNode(nodeCommand(executable, "run", "--json", "--config", group.config, "--to", to))
  }
  const peers: ReadonlyArray<Peer<Name>> = [
    { name: "curl", run: () => measure(curlOf(server, dataset)) },
    { name: "group", records, run: () => measureNode(group.read) },
    { name: "streams", records, run: () => measureNode(streams.read) },
    { name: "groupIntoDuckDB", records, run: runInto }
  ]
  const summaries = await alternate(rounds, peers, log, server.cpuSeconds)
  log("counting records, not timed")
  const written = await countOutput(group.read)
  if (written.records !== records) {
    throw new Error(`The group has ${written.records} records instead of ${records}.`)
  }
  return summaries
}

const titles: Readonly<Record<Name, string>> = {
  curl: "curl, one query",
  group: "read of one group",
  streams: "read of a stream for each metric",
  groupIntoDuckDB: "run of the group into DuckDB"
}

const report = (dataset: Dataset, summaries: Record<Name, Summary>): string => {
  const count = (value: number) => value.toLocaleString("en")
  return [
    `| ${count(dataset.metrics)} metrics, ${count(dataset.series)} series, ${count(sampleCount(dataset))} samples | time s | ÷ curl | CPU s | server's CPU s | peak RSS MB |`,
    "| --- | ---: | ---: | ---: | ---: | ---: |",
    ...(Object.keys(titles) as Array<Name>).map((name) => {
      const { cpuSeconds, peakRssMegabytes, seconds, serverCpuSeconds = 0 } = summaries[name]
      const ratio = (seconds / summaries.curl.seconds).toFixed(1)
      const memory = peakRssMegabytes === undefined ? "" : peakRssMegabytes.toFixed(0)
      return `| ${titles[name]} | ${seconds.toFixed(1)} | ${ratio} | ${cpuSeconds.toFixed(1)} | ${serverCpuSeconds.toFixed(1)} | ${memory} |`
    })
  ].join("\n")
}

const main = async (): Promise<void> => {
  const options = parseOptions(process.argv.slice(2))
  assertLinux()
  const { prometheus, promtool } = await ensurePrometheus()
  const folder = mkdtempSync(join(tmpdir(), "source-prometheus-bench-"))
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }))
  const log = (what: string): void => console.error(what)
  const dataset = options.small ? small : full
  const database = await ensureDatabase(options.dataFolder, dataset, promtool, log)
  const rounds = Math.min(options.rounds, 3)
  console.log(
    await withServer(prometheus, database, async (server) =>
      report(dataset, await measureAll(server, dataset, { folder, log, rounds }))
    )
  )
}

main().catch((error: unknown) => {
  console.error(error instanceof UsageError ? error.message : error)
  process.exitCode = error instanceof UsageError ? 2 : 1
})
