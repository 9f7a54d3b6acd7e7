/** Steps of runs on a database, and changes that people make to it. */
import { join } from "node:path"
import { DuckDBInstance } from "@duckdb/node-api"
import { Effect } from "effect"
import type { SyncMode } from "../../../src/destinations/Destination.ts"
import type { SampleBlock } from "../../../src/samples/Sample.ts"
import { StreamState } from "../../../src/sync/StreamState.ts"
import { formatTime } from "../../../src/text/formatTime.ts"
import { floats, openToResume, seriesOf, start, temporaryFolder } from "../drive.ts"
import { queryDatabase } from "./queryDatabase.ts"

/** The path of a database that does not exist yet, in its own folder. */
export const databasePath = Effect.map(temporaryFolder, (folder) => join(folder, "data.duckdb"))

export const stateAt = (point: number, isRefresh = false) =>
  new StreamState({
    time: formatTime(start + point * 60_000),
    step: 60,
    version: 1,
    ...(isRefresh ? { full_refresh: true as const } : {})
  })

/** Points of a series `job="a"` of a stream, each with its number as its value. */
export const pointsOf = (stream: string, points: ReadonlyArray<number>): SampleBlock =>
  floats(
    seriesOf(stream, { job: "a" }),
    points.map((point) => [start + point * 60_000, `${point}`] as const)
  )

/** Writes blocks of a stream and commits a point; complete, unless it is stopped before. */
export const putBlocks = (
  stream: string,
  mode: SyncMode,
  blocks: ReadonlyArray<SampleBlock>,
  point: number,
  isComplete = true
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const writer = yield* openToResume(stream, mode)
      yield* writer.write(blocks)
      yield* writer.commit(stateAt(point, mode.startsWith("full")))
      if (isComplete) yield* writer.complete
    })
  )

export const put = (stream: string, mode: SyncMode, ...points: ReadonlyArray<number>) =>
  putBlocks(stream, mode, [pointsOf(stream, points)], points.at(-1)!)

/** A refresh that is stopped before its end. */
export const putStopped = (stream: string, mode: SyncMode, ...points: ReadonlyArray<number>) =>
  putBlocks(stream, mode, [pointsOf(stream, points)], points.at(-1)!, false)

export const query = (path: string, sql: string) => Effect.promise(() => queryDatabase(path, sql))

/** The values of a table in the order of their times. */
export const values = (path: string, table = "up") =>
  Effect.map(query(path, `SELECT value FROM "${table}" ORDER BY time`), (rows) =>
    rows.map(({ value }) => value)
  )

/** Changes a database with another client than this program. */
export const change = (path: string, sql: string) =>
  Effect.promise(async () => {
    const instance = await DuckDBInstance.create(path)
    const connection = await instance.connect()
    await connection.run(sql)
    connection.closeSync()
    instance.closeSync()
  })
