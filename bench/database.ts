/** Makes the database of a data set, once: it is kept for the next run. */
import { createHash } from "node:crypto"
import { existsSync } from "node:fs"
import { mkdir, rename, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { collect, exitOf, start } from "./children.ts"
import type { Dataset } from "./datasets.ts"
import { writeOpenMetrics } from "./openMetricsFile.ts"

/** To be raised whenever the same data set becomes other data: what was kept is then made again. */
const GENERATION = 1

/** A folder that a server can be started on. */
export interface Database {
  readonly configFile: string
  readonly folder: string
}

/** Answers the database of a data set, which is made if it is not there yet. */
export const ensureDatabase = async (
  dataFolder: string,
  dataset: Dataset,
  promtool: string,
  log: (what: string) => void
): Promise<Database> => {
  const kept = join(dataFolder, `${dataset.name}-${fingerprint(dataset)}`)
  if (!existsSync(kept)) {
    log(`making the data, kept in ${dataFolder}`)
    // Only a finished database gets its final name.
    const unfinished = `${kept}.unfinished`
    await rm(unfinished, { recursive: true, force: true })
    await mkdir(unfinished, { recursive: true })
    await writeFile(configFileIn(unfinished), "{}\n")
    const text = join(unfinished, "samples.om")
    await writeOpenMetrics(text, dataset)
    await createBlocks(promtool, text, dataIn(unfinished))
    await rm(text)
    await rename(unfinished, kept)
  }
  return { configFile: configFileIn(kept), folder: dataIn(kept) }
}

const fingerprint = (dataset: Dataset): string =>
  createHash("sha256")
    .update(JSON.stringify([GENERATION, dataset]))
    .digest("hex")
    .slice(0, 12)

const configFileIn = (folder: string): string => join(folder, "prometheus.yml")
const dataIn = (folder: string): string => join(folder, "data")

const createBlocks = async (promtool: string, text: string, folder: string): Promise<void> => {
  // promtool reads the entire file once per block: with its default of two hours, a year would take hours.
  const args = ["tsdb", "create-blocks-from", "--max-block-duration=100000h", "openmetrics", text, folder]
  const child = start(promtool, args, { stdio: ["ignore", "ignore", "pipe"] })
  const stderr = collect(child.stderr)
  const exit = await exitOf(child)
  if (exit !== 0) throw new Error(`promtool could not make a database, it ended with ${exit}: ${stderr()}`)
}
