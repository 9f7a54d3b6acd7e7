/** `npm run bench`: compares the built connector with its peers, against a real Prometheus. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ensurePrometheus } from "../test/support/binaries.ts"
import { ensureDatabase } from "./database.ts"
import { datasets } from "./datasets.ts"
import { parseOptions, UsageError } from "./options.ts"
import { assertLinux } from "./proc.ts"
import { report } from "./report.ts"
import { save } from "./save.ts"
import { withServer } from "./server.ts"
import { withStore } from "./store.ts"
import { measureAll } from "./workloads.ts"

const log = (what: string): void => console.error(what)

const main = async (): Promise<void> => {
  const options = parseOptions(process.argv.slice(2))
  assertLinux()
  const { prometheus, promtool } = await ensurePrometheus()
  const temporaryFolder = mkdtempSync(join(tmpdir(), "source-prometheus-bench-"))
  // On exit, not when the promise settles: Ctrl-C ends the process while the promise is pending.
  process.once("exit", () => rmSync(temporaryFolder, { recursive: true, force: true }))

  const sets = datasets(options)
  const results = await withStore(() =>
    measureAll({
      datasets: sets,
      rounds: options.rounds,
      temporaryFolder,
      log,
      withServerOn: async (dataset, use) => {
        const database = await ensureDatabase(options.dataFolder, dataset, promtool, (what) =>
          log(`${dataset.name}: ${what}`)
        )
        return withServer(prometheus, database, use)
      }
    })
  )
  console.log(report(results, sets))
  if (options.small) log("With so little data, the figures only show that the bench works.")
  if (options.save) {
    await save(results, options.rounds)
    log("Appended to bench/results.jsonl.")
  }
}

main().catch((error: unknown) => {
  // A usage error explains itself. The stack trace helps only with other errors.
  console.error(error instanceof UsageError ? error.message : error)
  process.exitCode = error instanceof UsageError ? 2 : 1
})
