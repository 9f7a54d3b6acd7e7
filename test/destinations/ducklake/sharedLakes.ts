/** DuckLakes in PostgreSQL that several processes write in parts. */
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import type { Destination } from "../../../src/destinations/Destination.ts"
import type { OpenOptions } from "../../../src/destinations/DestinationKind.ts"
import { layer, sharedLayer } from "../../../src/destinations/ducklake/DuckLake.ts"
import { SharedDestination } from "../../../src/destinations/SharedDestination.ts"
import type { SampleBlock } from "../../../src/samples/Sample.ts"
import type { PartResult } from "../../../src/sync/partState.ts"
import { floats, seriesOf, start, temporaryFolder } from "../drive.ts"
import { postgresLake } from "../lakes.ts"

export const MINUTE = 60_000

/** The folder of a test. A database of its own belongs to it. */
export const newLake = Effect.map(temporaryFolder, (folder) => join(folder, "data"))

export const optionsOf = (folder: string): Effect.Effect<OpenOptions> =>
  Effect.map(
    Effect.promise(() => postgresLake.place(folder)),
    (path) => ({
      path,
      dataPath: postgresLake.dataPath(folder),
      source: "http://mock",
      labelColumns: true,
      memoryMegabytes: 128
    })
  )

export const share = <A, E>(
  folder: string,
  body: Effect.Effect<A, E, SharedDestination>,
  more: Partial<OpenOptions> = {}
) =>
  Effect.flatMap(optionsOf(folder), (options) =>
    body.pipe(Effect.provide(sharedLayer({ ...options, ...more })), Effect.provide(NodeServices.layer))
  )

export const alone = <A, E>(
  folder: string,
  body: Effect.Effect<A, E, Destination>,
  more: Partial<OpenOptions> = {}
) =>
  Effect.flatMap(optionsOf(folder), (options) =>
    body.pipe(Effect.provide(layer({ ...options, ...more })), Effect.provide(NodeServices.layer))
  )

/** A part from one minute to another one. */
export const partOf = (first: number, last: number, isReread = false): PartResult => ({
  grid: { firstMillis: start, lastMillis: start + 10_000 * MINUTE, stepMillis: MINUTE },
  covered: [{ firstMillis: start + first * MINUTE, lastMillis: start + last * MINUTE }],
  isReread,
  details: { selector: "", excluded_labels: "" }
})

export const points = (
  labels: Readonly<Record<string, string>>,
  first: number,
  last: number,
  value = "1"
): SampleBlock =>
  floats(
    seriesOf("up", labels),
    Array.from({ length: last - first + 1 }, (_, n) => [start + (first + n) * MINUTE, value] as const)
  )

/** Writes blocks as a part. */
export const write = (part: PartResult, blocks: ReadonlyArray<SampleBlock>, stream = "up") =>
  Effect.scoped(
    Effect.gen(function* () {
      const writer = yield* Effect.flatMap(SharedDestination, ({ openPart }) => openPart(stream))
      yield* writer.write(blocks)
      return yield* writer.commit(part)
    })
  )

/** The rows that another client sees: series and time, and the value. */
export const rowsIn = (folder: string): Effect.Effect<ReadonlyArray<readonly [key: string, value: string]>> =>
  Effect.promise(async () => {
    const [tables] = await postgresLake.query(folder, [
      "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'lake' AND schema_name = 'main' AND table_name = 'up'"
    ])
    if (Number(tables?.[0]) === 0) return []
    const rows = await postgresLake.query(folder, [
      `SELECT series_id || ' ' || epoch_ms(time)::VARCHAR AS key, coalesce(value::BIGINT::VARCHAR, 'histogram of ' || histogram.count::BIGINT)
       FROM lake.main.up ORDER BY key`
    ])
    return rows.map(([key, value]) => [String(key), String(value)] as const)
  })

/** The files of parts on the disk, and those of them that the table lists. */
export const filesIn = (folder: string) =>
  Effect.promise(async () => {
    const table = join(folder, "lake", "main", "up")
    const onDisk = existsSync(table) ? readdirSync(table).filter((name) => /^source-prom/.test(name)) : []
    const listed = await postgresLake.query(folder, [
      "SELECT data_file FROM ducklake_list_files('lake', 'up')"
    ])
    const names = new Set(listed.map(([path]) => String(path).split("/").at(-1)))
    return { onDisk: onDisk.sort(), listed: onDisk.filter((name) => names.has(name)).sort() }
  })
