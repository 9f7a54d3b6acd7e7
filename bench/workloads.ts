/** The workloads, their data, and the checks before anything is timed. */
import { mkdtemp } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { type Connector, type Format, prepareConnector, spec } from "./connector.ts"
import {
  type Dataset,
  type Datasets,
  firstTenth,
  lastTime,
  metricNames,
  START,
  sampleCount,
  tenfold
} from "./datasets.ts"
import { withWatcher } from "./firstRecord.ts"
import {
  type Command,
  type Measurement,
  measure,
  measureNode,
  measureNodeThroughPipe,
  nodeCommand
} from "./measure.ts"
import { countOutput, outputOf } from "./output.ts"
import { curlCommand, downloadedBytes } from "./peers/curl.ts"
import { alternate, median, type Peer, type Summary } from "./rounds.ts"
import type { Server } from "./server.ts"

/** The names of all measurements, in the order of the report. */
export const measurementNames = [
  "curl",
  "read",
  "readThroughPipe",
  "jsonParse",
  "readGzip",
  "readTenth",
  "readTenfold",
  "runDuckDB",
  "runDuckDBTenfold",
  "runParquet",
  "runParquetS3",
  "runJsonLines",
  "readWide",
  "readYear",
  "discover",
  "spec",
  "nodeAlone"
] as const

export type MeasurementName = (typeof measurementNames)[number]

/** All measurements of one run of the bench. */
export interface Results {
  readonly measurements: Record<MeasurementName, Summary>
  /** The mean size of a record of the data set `day`, including the line feed. */
  readonly bytesPerRecord: number
  /** The size of curl's download of `day`. */
  readonly downloadedMegabytes: number
  /** The size of the DuckDB file of `day`. */
  readonly duckdbFileMegabytes: number
  /** Measured from the start of the first response to a range query. */
  readonly secondsToFirstRecord: number
  readonly discoverRequests: number
  readonly prometheusVersion: string
}

/** What all measurements need. */
export interface Setting {
  readonly datasets: Datasets
  readonly rounds: number
  /** Calls `use` with a server that has a data set. */
  readonly withServerOn: <A>(dataset: Dataset, use: (server: Server) => Promise<A>) => Promise<A>
  /** Prints progress. */
  readonly log: (what: string) => void
  /** A folder for temporary files. */
  readonly temporaryFolder: string
}

/** Measures everything; fails if a command fails or its output is incomplete. */
export const measureAll = async (setting: Setting): Promise<Results> => {
  const { day, wide, year, catalog } = setting.datasets
  const { measurements, ...ofDay } = await measureDay(setting, day)
  const readWide = await measureRead(setting, wide)
  const readYear = await measureRead(setting, year)
  const { discover, ...ofCatalog } = await measureDiscover(setting, catalog)
  return {
    ...ofDay,
    ...ofCatalog,
    measurements: { ...measurements, readWide, readYear, discover, ...(await measureStart(setting)) }
  }
}

/** Rounds of the long workloads. */
const LONG_ROUNDS = 2

const measureDay = (setting: Setting, day: Dataset) =>
  setting.withServerOn(day, async (server) => {
    const log = (what: string): void => setting.log(`${day.name}: ${what}`)
    const tenth = firstTenth(day)
    const connector = await prepare(setting, day, server.baseUrl)
    const connectorOfTenth = await prepare(setting, tenth, server.baseUrl)
    const more = tenfold(day)
    const connectorOfMore = await prepare(setting, more, server.baseUrl)
    const packed = await prepare(setting, day, server.baseUrl, { compression: "gzip" })
    const curl = curlCommand(server.baseUrl, day)
    const jsonParse = jsonParseCommand(server.baseUrl, day)

    log("counting records, not timed")
    const downloaded = await downloadedBytes(curl)
    const { bytes } = await verify(connector.read, day)
    await verify(connectorOfTenth.read, tenth)
    await verify(connectorOfMore.read, more)
    await verify(packed.read, day)
    await verify(jsonParse, day)
    const { bytes: duckdbFileBytes } = await verifyRun(connector, "duckdb", day)
    for (const format of ["parquet", "parquetS3", "jsonl"] as const) await verifyRun(connector, format, day)

    const records = sampleCount(day)
    const peers: ReadonlyArray<Peer<"curl" | "read" | "readThroughPipe" | "readTenth">> = [
      { name: "curl", run: () => measure(curl) },
      { name: "read", records, run: () => measureNode(connector.read) },
      { name: "readThroughPipe", records, run: () => measureNodeThroughPipe(connector.read) },
      { name: "readTenth", records: sampleCount(tenth), run: () => measureNode(connectorOfTenth.read) }
    ]
    const measurements = {
      ...(await alternate(setting.rounds, peers, log, server.cpuSeconds)),
      // Separate from the short workloads: these are so long that they would slow down the next peer.
      ...(await alternate(
        Math.min(setting.rounds, LONG_ROUNDS),
        [
          { name: "jsonParse" as const, records, run: () => measureNode(jsonParse) },
          { name: "readGzip" as const, records, run: () => measureNode(packed.read) },
          {
            name: "readTenfold" as const,
            records: sampleCount(more),
            run: () => measureNode(connectorOfMore.read)
          },
          { name: "runDuckDB" as const, records, run: () => measureRun(connector, "duckdb") },
          {
            name: "runDuckDBTenfold" as const,
            records: sampleCount(more),
            run: () => measureRun(connectorOfMore, "duckdb")
          },
          { name: "runParquet" as const, records, run: () => measureRun(connector, "parquet") },
          { name: "runParquetS3" as const, records, run: () => measureRun(connector, "parquetS3") },
          { name: "runJsonLines" as const, records, run: () => measureRun(connector, "jsonl") }
        ],
        (what) => log(`long reads, ${what}`),
        server.cpuSeconds
      ))
    }

    log("waiting for first records")
    return {
      measurements,
      bytesPerRecord: bytes / records,
      downloadedMegabytes: downloaded / 1e6,
      duckdbFileMegabytes: duckdbFileBytes / 1e6,
      secondsToFirstRecord: await measureFirstRecord(setting, day, server),
      prometheusVersion: server.version
    }
  })

const measureFirstRecord = (setting: Setting, dataset: Dataset, server: Server): Promise<number> =>
  withWatcher(server.baseUrl, async ({ baseUrl, secondsToFirstRecord }) => {
    const { read } = await prepare(setting, dataset, baseUrl)
    const seconds: Array<number> = []
    for (let round = 0; round < setting.rounds; round++) seconds.push(await secondsToFirstRecord(read))
    return median(seconds)
  })

const measureRead = (setting: Setting, dataset: Dataset): Promise<Summary> =>
  setting.withServerOn(dataset, async (server) => {
    const log = (what: string): void => setting.log(`${dataset.name}: ${what}`)
    const { read } = await prepare(setting, dataset, server.baseUrl)
    log("counting records, not timed")
    await verify(read, dataset)
    const peer = { name: "read", records: sampleCount(dataset), run: () => measureNode(read) }
    return (await alternate(setting.rounds, [peer], log, server.cpuSeconds)).read!
  })

const measureDiscover = (setting: Setting, dataset: Dataset) =>
  setting.withServerOn(dataset, async (server) => {
    const log = (what: string): void => setting.log(`${dataset.name}: ${what}`)
    // This also checks the discovered streams.
    const { discover } = await prepare(setting, dataset, server.baseUrl)
    const peer = { name: "discover", run: () => measureNode(discover) }
    const before = await server.apiRequests()
    const summaries = await alternate(setting.rounds, [peer], log, server.cpuSeconds)
    const requests = ((await server.apiRequests()) - before) / setting.rounds
    return { discover: summaries.discover!, discoverRequests: requests }
  })

/** Starts per round: a start is short, and its time varies more than that of a long workload. */
const STARTS_PER_ROUND = 4

const measureStart = (setting: Setting): Promise<Record<"spec" | "nodeAlone", Summary>> => {
  const peers: ReadonlyArray<Peer<"spec" | "nodeAlone">> = [
    { name: "nodeAlone", run: () => measure(nodeCommand("-e", "0")) },
    { name: "spec", run: () => measure(spec) }
  ]
  return alternate(setting.rounds * STARTS_PER_ROUND, peers, (what) => setting.log(`start: ${what}`))
}

/** Prepares a data set in its own folder. */
const prepare = async (
  setting: Setting,
  dataset: Dataset,
  baseUrl: string,
  options?: Readonly<Record<string, unknown>>
): Promise<Connector> =>
  prepareConnector(await mkdtemp(join(setting.temporaryFolder, "files-")), dataset, baseUrl, options)

const jsonParseCommand = (baseUrl: string, dataset: Dataset): Command =>
  nodeCommand(
    fileURLToPath(new URL("./peers/jsonParse.ts", import.meta.url)),
    baseUrl,
    ...[START, lastTime(dataset), dataset.stepSeconds].map(String),
    ...metricNames(dataset)
  )

const measureRun = async ({ runInto }: Connector, format: Format): Promise<Measurement> =>
  measureNode(await runInto(format))

/** Fails unless a run reports one row per sample. Tests check the rows themselves. */
const verifyRun = async ({ runInto }: Connector, format: Format, dataset: Dataset) => {
  const summary = JSON.parse(await outputOf(await runInto(format))) as {
    readonly rows: number
    readonly bytes: number
  }
  const { rows } = summary
  if (rows !== sampleCount(dataset)) {
    throw new Error(
      `The data set ${dataset.name} has ${sampleCount(dataset)} samples, but a run into ${format} wrote ${rows} rows.`
    )
  }
  return summary
}

/** Fails unless a command writes one record per sample. */
const verify = async (command: Command, dataset: Dataset) => {
  const written = await countOutput(command)
  if (written.records !== sampleCount(dataset)) {
    throw new Error(
      `The data set ${dataset.name} has ${sampleCount(dataset)} samples, but this command wrote ${written.records} records: ${[command.program, ...command.args].join(" ")}`
    )
  }
  return written
}
