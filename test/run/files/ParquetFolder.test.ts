/** A folder of Parquet files: what it has after any runs, killed or not. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { DuckDBInstance } from "@duckdb/node-api"
import { describe, it } from "@effect/vitest"
import { fileName } from "../../../src/run/files/fileName.ts"
import { layer } from "../../../src/run/files/ParquetFolder.ts"
import { choices } from "../../choices.ts"
import { type Format, type Row, randomRuns } from "./drive.ts"

const database = DuckDBInstance.create(":memory:", { threads: "1" })

/** The rows of a query, with what it has of each by its column. */
const ask = async (sql: string): Promise<ReadonlyArray<Readonly<Record<string, unknown>>>> => {
  const connection = await (await database).connect()
  try {
    return (await connection.runAndReadAll(sql)).getRowObjectsJS()
  } finally {
    connection.closeSync()
  }
}

const filesOf = (folder: string, stream: string): string =>
  `read_parquet('${join(folder, fileName(stream))}/*/*.parquet', union_by_name = true)`

const format = (labelColumns = true): Format => ({
  layer: (folder) => layer({ folder, source: "http://mock", labelColumns }),
  rows: async (folder, stream) => {
    if (!existsSync(join(folder, fileName(stream)))) return []
    const [files] = await ask(
      `SELECT count(*) AS n FROM glob('${join(folder, fileName(stream))}/*/*.parquet')`
    )
    if (files?.n === 0n) return []
    const rows = await ask(
      `SELECT series_id, strftime(time::TIMESTAMP, '%Y-%m-%dT%H:%M:%SZ') AS time, value FROM ${filesOf(folder, stream)}`
    )
    return rows.map((row): Row => ({ key: `${row.series_id} ${row.time}`, value: `${row.value}` }))
  }
})

describe("ParquetFolder", () => {
  it.effect.prop(
    "has what was committed and nothing else, whatever happens",
    [choices],
    ([choices]) => randomRuns(format(choices.oneIn(2)), choices, 21_600),
    { timeout: 240_000, arbitrary: { runs: 25 } }
  )
})
