/** A folder of Parquet files: what it has after any runs, killed or not. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { DuckDBInstance } from "@duckdb/node-api"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Destination } from "../../../src/destinations/Destination.ts"
import { fileName } from "../../../src/destinations/folder/fileName.ts"
import { layer } from "../../../src/destinations/parquet/ParquetFolder.ts"
import { StreamState } from "../../../src/sync/StreamState.ts"
import { formatTime } from "../../../src/text/formatTime.ts"
import { choices } from "../../choices.ts"
import {
  type Format,
  floats,
  onFullDisk,
  type Row,
  randomRuns,
  seriesOf,
  start,
  temporaryFolder
} from "../folder/drive.ts"

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
  it.live("says what to do where a stream has more labels than DuckDB can write in its memory", () =>
    Effect.gen(function* () {
      const folder = join(yield* temporaryFolder, "data")
      const blocks = Array.from({ length: 20 }, (_, series) => {
        const labels = Array.from({ length: 300 }, (_, index) => [`l${index}`, `a value of ${series}`])
        const samples = Array.from({ length: 30 }, (_, point) => [start + point * 60_000, "1"] as const)
        return floats(seriesOf("up", Object.fromEntries(labels)), samples)
      })
      const error = yield* Effect.gen(function* () {
        const writer = yield* Effect.flatMap(Destination, ({ open }) => open("up", "incremental_append"))
        yield* writer.write(blocks)
        yield* writer.commit(new StreamState({ time: formatTime(start), step: 60, version: 1 }))
        yield* writer.complete
      }).pipe(
        Effect.scoped,
        Effect.provide(layer({ folder, source: "http://mock", labelColumns: true, memoryMegabytes: 64 })),
        Effect.flip
      )
      assert.match(
        error.message,
        /data cannot be written in the memory that DuckDB is given, 64 MB: [^\n]*\. Give it more with --memory/
      )
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.effect.prop(
    "has what was committed and nothing else, whatever happens",
    [choices],
    ([choices]) => randomRuns(format(choices.oneIn(2)), choices, 21_600),
    { timeout: 240_000, arbitrary: { runs: 25 } }
  )

  it.effect.prop(
    "has what was committed and nothing else on a disk that is full",
    [choices],
    ([choices]) => randomRuns(onFullDisk(format()), choices, 21_600, { changes: 120 }),
    { timeout: 240_000, arbitrary: { runs: 25 } }
  )
})
