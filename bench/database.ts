/** Creates the database of a data set once, and keeps it for later runs. */
import { createHash } from "node:crypto"
import { existsSync } from "node:fs"
import { mkdir, rename, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { collect, exitOf, start } from "./children.ts"
import type { Dataset } from "./datasets.ts"
import { writeOpenMetrics } from "./openMetricsFile.ts"

/** Increase this when the generator writes different data for the same data set. Saved databases are then recreated. */
const GENERATION = 1

/** The folder and configuration file for a server. */
export interface Database {
  readonly configFile: string
  readonly folder: string
}

/** Returns the database of a data set. Creates it if it does not exist yet. */
export const ensureDatabase = async (
  dataFolder: string,
  dataset: Dataset,
  promtool: string,
  log: (what: string) => void
): Promise<Database> => {
  const kept = join(dataFolder, `${dataset.name}-${fingerprint(dataset)}`)
  if (!existsSync(kept)) {
    log(`creating the database, kept in ${dataFolder}`)
    // A database gets its final name only when it is complete.
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
  // promtool reads the entire file once per block. With its default block of two hours, a year would take hours.
  const args = ["tsdb", "create-blocks-from", "--max-block-duration=100000h", "openmetrics", text, folder]
  const child = start(promtool, args, { stdio: ["ignore", "ignore", "pipe"] })
  const stderr = collect(child.stderr)
  const exit = await exitOf(child)
  if (exit !== 0) throw new Error(`promtool could not create a database (${exit}): ${stderr()}`)
}
