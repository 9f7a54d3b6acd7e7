/** The built connector's commands, and the files that they read. */
import { mkdtemp, writeFile } from "node:fs/promises"
import { basename, join } from "node:path"
import { fileURLToPath } from "node:url"
import { type Dataset, lastTime, metricNames, START } from "./datasets.ts"
import { type Command, nodeCommand } from "./measure.ts"
import { outputOf } from "./output.ts"
import { BUCKET } from "./store.ts"

const executable = fileURLToPath(new URL("../dist/source-prometheus.js", import.meta.url))

export const spec = nodeCommand(executable, "spec")

/** The commands for one data set on one server. */
export interface Connector {
  readonly discover: Command
  readonly read: Command
  /** The command `run` into a new destination each time. It prints its summary as JSON. */
  readonly runInto: (format: Format) => Promise<Command>
}

/** The destinations of `run`. */
export type Format = "duckdb" | "parquet" | "parquetS3" | "jsonl"

/** Writes a configuration with the given options, and the catalog that a platform would make of the discovered streams. */
export const prepareConnector = async (
  folder: string,
  dataset: Dataset,
  baseUrl: string,
  options: Readonly<Record<string, unknown>> = {}
): Promise<Connector> => {
  const config = join(folder, "config.json")
  const catalog = join(folder, "catalog.json")
  await writeFile(
    config,
    JSON.stringify({
      base_url: baseUrl,
      start_date: isoTime(START),
      end_date: isoTime(lastTime(dataset)),
      step: dataset.stepSeconds,
      // Remote read has a bench of its own, so that the figures of this one stay comparable over time.
      api: "query_range",
      ...options
    })
  )
  const discover = nodeCommand(executable, "discover", "--config", config)
  await writeFile(catalog, JSON.stringify(configured(await discoveredStreams(discover, dataset))))
  return {
    discover,
    read: nodeCommand(executable, "read", "--config", config, "--catalog", catalog),
    runInto: async (format) => {
      const place = await mkdtemp(join(folder, `${format}-`))
      const to =
        format === "parquetS3"
          ? `parquet:s3://${BUCKET}/${basename(folder)}/${basename(place)}`
          : `${format}:${join(place, "data")}`
      return nodeCommand(executable, "run", "--json", "--config", config, "--to", to)
    }
  }
}

const isoTime = (seconds: number): string => new Date(seconds * 1000).toISOString().replace(".000Z", "Z")

interface Stream {
  readonly name: string
}

interface CatalogMessage {
  readonly type: string
  readonly catalog: { readonly streams: ReadonlyArray<Stream> }
}

/** The discovered streams. Fails unless they are the metrics of the data set. */
const discoveredStreams = async (discover: Command, dataset: Dataset): Promise<ReadonlyArray<Stream>> => {
  const messages = (await outputOf(discover))
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as CatalogMessage)
  const streams = messages.find(({ type }) => type === "CATALOG")?.catalog.streams ?? []
  const names = streams.map(({ name }) => name).sort()
  if (names.join() !== metricNames(dataset).join()) {
    throw new Error(
      `discover found ${names.length} streams in the data set ${dataset.name}, which has ${dataset.metrics} metrics: ${names.slice(0, 5)} …`
    )
  }
  return streams
}

const configured = (streams: ReadonlyArray<Stream>) => ({
  streams: streams.map((stream) => ({
    stream,
    sync_mode: "full_refresh",
    destination_sync_mode: "overwrite",
    cursor_field: ["time"],
    primary_key: [["series_id"], ["time"]]
  }))
})
