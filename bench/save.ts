/** Saves results: one line of JSON per run, with the processor and versions, and nothing that identifies the machine. */
import { execFile } from "node:child_process"
import { appendFile } from "node:fs/promises"
import { cpus } from "node:os"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { targets, verdict } from "./targets.ts"
import type { Results } from "./workloads.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const resultsFile = fileURLToPath(new URL("./results.jsonl", import.meta.url))

/** Appends the results to `bench/results.jsonl`. */
export const save = async (results: Results, rounds: number): Promise<void> => {
  const { measurements, prometheusVersion, ...others } = results
  const processors = cpus()
  const row = {
    date: new Date().toISOString(),
    commit: await commit(),
    machine: {
      cpu: processors[0]?.model,
      cores: processors.length,
      node: process.version,
      prometheus: prometheusVersion
    },
    rounds,
    targets: Object.fromEntries(
      targets(results).map((target) => {
        const { aim, limit, measured, name } = target
        return [name, { measured, limit, aim, verdict: verdict(target) }]
      })
    ),
    measurements,
    ...others
  }
  await appendFile(resultsFile, `${JSON.stringify(row, rounded)}\n`)
}

/** Four significant digits are more than any measurement is accurate to. */
const rounded = (_: string, value: unknown): unknown =>
  typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value

/** The commit, such as `452d2b1`, with a `+` if files were changed since. */
const commit = async (): Promise<string> => {
  const git = async (...args: ReadonlyArray<string>): Promise<string> =>
    (await promisify(execFile)("git", args, { cwd: root })).stdout.trim()
  try {
    const changes = await git("status", "--porcelain", "--", "src", "scripts", "package-lock.json")
    return `${await git("rev-parse", "--short", "HEAD")}${changes === "" ? "" : "+"}`
  } catch {
    return "unknown"
  }
}
