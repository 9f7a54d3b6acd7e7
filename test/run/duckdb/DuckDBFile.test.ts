/** A DuckDB database: what it has after any runs, killed or not. */
import { cpSync, existsSync, mkdirSync } from "node:fs"
import { join } from "node:path"
import { DuckDBConnection } from "@duckdb/node-api"
import { describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer } from "effect"
import { layer } from "../../../src/run/duckdb/DuckDBFile.ts"
import { choices } from "../../choices.ts"
import { type Format, killed, type Row, randomRuns } from "../files/drive.ts"
import { ask, hasTable } from "./ask.ts"

/**
 * Statements that are counted; before statement number `at`, the files are copied as a kill would leave them, and nothing is
 * done any more.
 */
const watchStatements: NonNullable<Format["watch"]> = (folder, at, onKill) =>
  Layer.effect(
    FileSystem.FileSystem,
    Effect.gen(function* () {
      const { run } = DuckDBConnection.prototype
      let count = 0
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          DuckDBConnection.prototype.run = function (...args) {
            if (count === at && existsSync(folder)) {
              const copy = `${folder}.killed`
              cpSync(folder, copy, { recursive: true })
              onKill(copy)
            }
            return count++ >= at ? Promise.reject(new Error(killed)) : run.apply(this, args)
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

const format = (labelColumns: boolean): Format => ({
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
    const rows = await ask(
      path,
      `SELECT series_id, strftime(time, '%Y-%m-%dT%H:%M:%SZ') AS time, value FROM "${stream}"`
    )
    return rows.map((row): Row => ({ key: `${row.series_id} ${row.time}`, value: `${row.value}` }))
  },
  watch: watchStatements
})

describe("DuckDBFile", () => {
  it.effect.prop(
    "has what was committed and nothing else, whatever happens",
    [choices],
    ([choices]) => randomRuns(format(choices.oneIn(2)), choices, 21_600),
    { timeout: 240_000, arbitrary: { runs: 40 } }
  )
})
