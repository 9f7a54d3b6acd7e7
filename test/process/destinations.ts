/** A server with some data, and helpers that read it back from each destination of the built program. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { queryDatabase } from "../destinations/duckdb/queryDatabase.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { pointsOf, refusal, serve } from "../support/mockServer.ts"

export const formats = ["duckdb", "parquet", "jsonl"] as const

export type Format = (typeof formats)[number]

const MINUTES = 1500

/** The number of series of each stream. */
const STREAMS = { one: 1, three: 3 }

/** A server with small windows, so that there are several commits, and configurations that read all or half of its data. */
export const serveSome = Effect.map(
  serve(
    Object.entries(STREAMS).flatMap(([name, series]) => gauge(name, MINUTES, series)),
    MINUTES,
    { faults: (request) => (pointsOf(request) > 400 ? refusal : undefined) }
  ),
  ({ config }) => ({
    all: config,
    half: { ...config, end_date: iso(start + (MINUTES / 2 - 1) * minute) }
  })
)

const rowsUntil = (minutes: number): ReadonlyArray<string> =>
  Object.entries(STREAMS)
    .flatMap(([name, series]) =>
      Array.from({ length: series * minutes }, (_, at) => {
        const [n, i] = [Math.floor(at / minutes), at % minutes]
        return `${name} ${n} ${start + i * minute} ${i + n / 8}`
      })
    )
    .sort()

/** The rows of all data, and of half of it. */
export const expected = { all: rowsUntil(MINUTES), half: rowsUntil(MINUTES / 2) }

/** The rows of a destination, sorted. */
export const rowsOf = async (format: Format, path: string): Promise<ReadonlyArray<string>> => {
  const rows: Array<string> = []
  for (const name of Object.keys(STREAMS)) {
    if (format === "jsonl") {
      for (const line of readFileSync(join(path, `${name}.jsonl`), "utf8")
        .split("\n")
        .slice(0, -1)) {
        const { data } = JSON.parse(line) as { data: { n: string; time: string; value: number } }
        rows.push(`${name} ${data.n} ${Date.parse(data.time)} ${data.value}`)
      }
      continue
    }
    const [database, table] =
      format === "duckdb"
        ? [path, name]
        : [":memory:", `read_parquet('${path}/${name}/**/*.parquet', hive_partitioning = false)`]
    for (const row of await queryDatabase(
      database,
      `SELECT n, epoch_ms(time) AS time, value FROM ${table}`
    )) {
      rows.push(`${name} ${row.n} ${row.time} ${row.value}`)
    }
  }
  return rows.sort()
}

/** Fails with a few differing rows: there are thousands. */
export const assertRows = (
  actual: ReadonlyArray<string>,
  wanted: ReadonlyArray<string>,
  what: string
): void => {
  const [is, should] = [new Set(actual), new Set(wanted)]
  assert.deepStrictEqual(
    {
      missing: wanted.filter((row) => !is.has(row)).slice(0, 3),
      surplus: actual.filter((row) => !should.has(row)).slice(0, 3),
      rows: actual.length
    },
    { missing: [], surplus: [], rows: wanted.length },
    what
  )
}

/** Files and folders without part numbers: these depend on earlier failures. */
export const treeOf = (folder: string): ReadonlyArray<string> => {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" })
  return [
    ...new Set(names.map((name) => name.replaceAll(/part-\d+/g, "part").replace(/_lock\.\d+$/, "_lock")))
  ].sort()
}
