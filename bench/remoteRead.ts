/**
 * `npm run bench:remote-read`: stored samples by remote read, beside the same data as JSON and beside what else one could run. On
 * this machine, with a real Prometheus.
 */
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ensurePrometheus } from "../test/support/binaries.ts"
import { type Connector, type Format, prepareConnector } from "./connector.ts"
import { type Database, ensureDatabase } from "./database.ts"
import { type Dataset, datasets, lastTime, START, sampleCount } from "./datasets.ts"
import { type Command, measure, measureNode } from "./measure.ts"
import { parseOptions, UsageError } from "./options.ts"
import { countOutput, outputOf } from "./output.ts"
import { curlCommand } from "./peers/curl.ts"
import { curlReadCommand } from "./peers/curlRead.ts"
import { assertLinux } from "./proc.ts"
import { alternate, type Peer, type Summary } from "./rounds.ts"
import { type Server, withServer } from "./server.ts"

const titles = {
  curl: "curl of the JSON",
  curlRead: "curl of the chunks",
  readJson: "read of the points, by range queries",
  readPoints: "read of the points, by remote read",
  readRaw: "read of the samples",
  runDuckDB: "run of the samples into DuckDB",
  runParquet: "run of the samples into Parquet",
  runJsonLines: "run of the samples into JSON lines",
  promtool: "promtool tsdb dump into a file",
  vmctl: "vmctl remote-read, its imports discarded"
}

type Name = keyof typeof titles

/** vmctl, if it is installed: `VMCTL_BIN` or on the PATH. Debian's is too old. */
const findVmctl = async (): Promise<string | undefined> => {
  const program = process.env.VMCTL_BIN ?? "vmctl"
  try {
    await outputOf({ program, args: ["remote-read", "--help"] })
    return program
  } catch {
    return undefined
  }
}

/** A server that takes whatever vmctl imports and discards it. */
const withSink = async <A>(use: (url: string) => Promise<A>): Promise<A> => {
  const server = createServer((request, response) => {
    request.resume().once("end", () => response.writeHead(request.url === "/health" ? 200 : 204).end())
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

const isoTime = (seconds: number): string => new Date(seconds * 1000).toISOString()

const vmctlCommand = (program: string, baseUrl: string, sink: string, dataset: Dataset): Command => ({
  program,
  args: [
    "--silent",
    "--disable-progress-bar",
    "remote-read",
    `--remote-read-src-addr=${baseUrl}`,
    "--remote-read-use-stream",
    "--remote-read-step-interval=day",
    `--remote-read-filter-time-start=${isoTime(START)}`,
    `--remote-read-filter-time-end=${isoTime(lastTime(dataset))}`,
    "--remote-read-filter-label=__name__",
    "--remote-read-filter-label-value=bench_.*",
    `--vm-addr=${sink}`
  ]
})

/** What a command reads from the server. */
const bytesOf = async (server: Server, run: () => Promise<unknown>): Promise<number> => {
  const before = await server.apiBytes()
  await run()
  return (await server.apiBytes()) - before
}

const verifyRead = async (command: Command, dataset: Dataset): Promise<void> => {
  const { records } = await countOutput(command)
  if (records === sampleCount(dataset)) return
  throw new Error(
    `${dataset.name} has ${sampleCount(dataset)} samples, but ${command.args.join(" ")} wrote ${records} records.`
  )
}

const verifyRun = async (command: Command, dataset: Dataset): Promise<void> => {
  const { rows } = JSON.parse(await outputOf(command)) as { readonly rows: number }
  if (rows === sampleCount(dataset)) return
  throw new Error(
    `${dataset.name} has ${sampleCount(dataset)} samples, but ${command.args.join(" ")} wrote ${rows} rows.`
  )
}

interface Results {
  readonly summaries: Record<Name, Summary>
  /** The size of the responses of the server. */
  readonly bytes: Partial<Record<Name, number>>
}

const measureAll = async (
  server: Server,
  dataset: Dataset,
  {
    database,
    folder,
    log,
    promtool,
    rounds,
    sink
  }: {
    readonly database: Database
    readonly folder: string
    readonly log: (what: string) => void
    readonly promtool: string
    readonly rounds: number
    readonly sink: string
  }
): Promise<Results> => {
  const prepare = (options: object): Promise<Connector> =>
    prepareConnector(mkdtempSync(join(folder, "files-")), dataset, server.baseUrl, { ...options })
  const json = await prepare({ api: "query_range" })
  const points = await prepare({ api: "remote_read" })
  const raw = await prepare({ api: "auto", sampling: "raw" })
  const curl = curlCommand(server.baseUrl, dataset)
  const curlRead = await curlReadCommand(folder, server.baseUrl, dataset)
  const dump: Command = {
    program: "sh",
    args: ["-c", '"$0" tsdb dump "$1" > "$2"', promtool, database.folder, join(folder, "dump.txt")]
  }
  const vmctl = await findVmctl()
  const records = sampleCount(dataset)

  log("counting records and bytes, not timed")
  const bytes: Partial<Record<Name, number>> = {
    curl: await bytesOf(server, () => measure(curl)),
    curlRead: await bytesOf(server, () => measure(curlRead)),
    readJson: await bytesOf(server, () => verifyRead(json.read, dataset)),
    readPoints: await bytesOf(server, () => verifyRead(points.read, dataset)),
    readRaw: await bytesOf(server, () => verifyRead(raw.read, dataset))
  }
  const runInto = async (format: Format) => measureNode(await raw.runInto(format))
  for (const format of ["duckdb", "parquet", "jsonl"] as const) {
    await verifyRun(await raw.runInto(format), dataset)
  }
  const peers: ReadonlyArray<Peer<Name>> = [
    { name: "curl", run: () => measure(curl) },
    { name: "curlRead", run: () => measure(curlRead) },
    { name: "readJson", records, run: () => measureNode(json.read) },
    { name: "readPoints", records, run: () => measureNode(points.read) },
    { name: "readRaw", records, run: () => measureNode(raw.read) },
    { name: "runDuckDB", records, run: () => runInto("duckdb") },
    { name: "runParquet", records, run: () => runInto("parquet") },
    { name: "runJsonLines", records, run: () => runInto("jsonl") },
    { name: "promtool", records, run: () => measure(dump) },
    ...(vmctl === undefined
      ? []
      : [
          {
            name: "vmctl" as const,
            records,
            run: () => measure(vmctlCommand(vmctl, server.baseUrl, sink, dataset))
          }
        ])
  ]
  return { summaries: await alternate(rounds, peers, log, server.cpuSeconds), bytes }
}

const report = (dataset: Dataset, { bytes, summaries }: Results): string => {
  const { curl } = summaries
  const ratio = (value: number | undefined, of: number | undefined): string =>
    value === undefined || of === undefined ? "" : (value / of).toFixed(2)
  const names = (Object.keys(titles) as Array<Name>).filter((name) => summaries[name] !== undefined)
  return [
    `| ${dataset.name}: ${sampleCount(dataset).toLocaleString("en")} samples | time s | ÷ curl | CPU s | server CPU s | ÷ curl | MB | ÷ curl | samples/s | peak RSS MB |`,
    `| --- |${" ---: |".repeat(9)}`,
    ...names.map((name) => {
      const { cpuSeconds, peakRssMegabytes, recordsPerSecond, seconds, serverCpuSeconds } = summaries[name]
      const ofServer = name !== "promtool"
      const cells = [
        titles[name],
        seconds.toFixed(2),
        ratio(seconds, curl.seconds),
        cpuSeconds.toFixed(2),
        ofServer ? serverCpuSeconds!.toFixed(2) : "",
        ofServer ? ratio(serverCpuSeconds, curl.serverCpuSeconds) : "",
        bytes[name] === undefined ? "" : (bytes[name] / 1e6).toFixed(1),
        ratio(bytes[name], bytes.curl),
        recordsPerSecond === undefined ? "" : Math.round(recordsPerSecond).toLocaleString("en"),
        peakRssMegabytes === undefined ? "" : peakRssMegabytes.toFixed(0)
      ]
      return `| ${cells.join(" | ")} |`
    })
  ].join("\n")
}

const main = async (): Promise<void> => {
  const options = parseOptions(process.argv.slice(2))
  assertLinux()
  const { prometheus, promtool } = await ensurePrometheus()
  const folder = mkdtempSync(join(tmpdir(), "source-prometheus-bench-"))
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }))
  const { day, typical } = datasets(options)
  await withSink(async (sink) => {
    for (const dataset of [day, typical]) {
      const log = (what: string): void => console.error(`${dataset.name}: ${what}`)
      const database = await ensureDatabase(options.dataFolder, dataset, promtool, log)
      const results = await withServer(prometheus, database, (server) =>
        measureAll(server, dataset, { database, folder, log, promtool, rounds: options.rounds, sink })
      )
      console.log(`${report(dataset, results)}\n`)
    }
  })
}

main().catch((error: unknown) => {
  console.error(error instanceof UsageError ? error.message : error)
  process.exitCode = error instanceof UsageError ? 2 : 1
})
