/** The content of a DuckDB database after any runs, killed or not. */
import { cpSync, existsSync, mkdirSync } from "node:fs"
import { join } from "node:path"
import { DuckDBConnection } from "@duckdb/node-api"
import { describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer } from "effect"
import { syncModes } from "../../../src/destinations/Destination.ts"
import { layer } from "../../../src/destinations/duckdb/DuckDBFile.ts"
import { choices } from "../../choices.ts"
import { type Format, killed, type Row, randomRuns } from "../drive.ts"
import { hasTable, queryDatabase } from "./queryDatabase.ts"

/**
 * Counts statements that start so. Before statement number `at`, the files are copied as a kill would leave them, and no more
 * statements run.
 */
const watchStatements =
  (beginning: string): NonNullable<Format["watch"]> =>
  (folder, at, onKill) =>
    Layer.effect(
      FileSystem.FileSystem,
      Effect.gen(function* () {
        const { run } = DuckDBConnection.prototype
        let count = 0
        yield* Effect.acquireRelease(
          Effect.sync(() => {
            let isKilled = false
            DuckDBConnection.prototype.run = function (...args) {
              if (!isKilled && args[0].startsWith(beginning) && count++ === at && existsSync(folder)) {
                const copy = `${folder}.killed`
                cpSync(folder, copy, { recursive: true })
                onKill(copy)
                isKilled = true
              }
              return isKilled ? Promise.reject(new Error(killed)) : run.apply(this, args)
            }
          }),
          () =>
            Effect.sync(() => {
              DuckDBConnection.prototype.run = run
            })
        )
        return yield* FileSystem.FileSystem
      })
    )

const format = (labelColumns: boolean, killedBefore = ""): Format => ({
  layer: (folder) =>
    Layer.unwrap(
      Effect.sync(() => {
        mkdirSync(folder, { recursive: true })
        return layer({ path: join(folder, "data.duckdb"), source: "http://mock", labelColumns })
      })
    ),
  rows: async (folder, stream) => {
    const path = join(folder, "data.duckdb")
    if (!(await hasTable(path, stream))) return []
    const rows = await queryDatabase(
      path,
      `SELECT series_id, strftime(time, '%Y-%m-%dT%H:%M:%SZ') AS time, value FROM "${stream}"`
    )
    return rows.map((row): Row => ({ key: `${row.series_id} ${row.time}`, value: `${row.value}` }))
  },
  hasSteps: true,
  watch: watchStatements(killedBefore)
})

describe("DuckDBFile", () => {
  it.effect.prop(
    "has exactly what was committed, whatever happens",
    [choices],
    ([choices]) => randomRuns(format(choices.oneIn(2)), choices, 21_600),
    { timeout: 240_000, arbitrary: { runs: 40 } }
  )

  it.effect.prop(
    "resumes after a kill within a commit, in any mode",
    [choices],
    ([choices]) =>
      randomRuns(format(true, "COMMIT"), choices, 21_600, {
        streams: 1,
        modes: [...syncModes, "incremental_append_deduped", "incremental_append_deduped"],
        survivors: 4,
        changes: 15,
        points: 20
      }),
    { timeout: 240_000, arbitrary: { runs: 100 } }
  )
})
