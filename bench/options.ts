/** The options of the command line. */
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

/** How to run the bench. */
export interface Options {
  /** A fiftieth of the data and one round. It shows only that the bench works, not how fast anything is. */
  readonly small: boolean
  /** The number of measurements of each workload. */
  readonly rounds: number
  /** Append the results to the results file. */
  readonly save: boolean
  /** The folder of the databases, which are kept for later runs. */
  readonly dataFolder: string
}

const usage = `Usage: npm run bench -- [options]
  --small         a fiftieth of the data, one round, nothing saved: shows that the bench works
  --rounds N      how often everything is measured (default 5); medians are reported
  --no-save       do not append the results to bench/results.jsonl
  --data FOLDER   keep the databases here for later runs (default node_modules/.cache/bench)`

/** The command line is not valid. The message explains the usage. */
export class UsageError extends Error {}

/** Reads the arguments after the script's name. */
export const parseOptions = (args: ReadonlyArray<string>): Options => {
  const { data, "no-save": noSave, rounds, small } = parse(args)
  const count = rounds === undefined ? (small ? 1 : 5) : Number(rounds)
  if (!Number.isInteger(count) || count < 1) {
    throw new UsageError(`--rounds must be an integer of 1 or more, not "${rounds}".\n${usage}`)
  }
  return {
    small,
    rounds: count,
    save: !small && !noSave,
    dataFolder: data ?? fileURLToPath(new URL("../node_modules/.cache/bench", import.meta.url))
  }
}

const parse = (args: ReadonlyArray<string>) => {
  try {
    return parseArgs({
      args: [...args],
      options: {
        small: { type: "boolean", default: false },
        rounds: { type: "string" },
        "no-save": { type: "boolean", default: false },
        data: { type: "string" }
      }
    }).values
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${usage}`)
  }
}
