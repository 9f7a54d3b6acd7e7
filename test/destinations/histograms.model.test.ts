/** That native histograms are structs with the numbers of the server's digits, in all destinations that have such a type. */
import { join } from "node:path"
import * as DuckDB from "@duckdb/node-api"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type FileSystem, Layer } from "effect"
import type { Destination } from "../../src/destinations/Destination.ts"
import * as DuckDBFile from "../../src/destinations/duckdb/DuckDBFile.ts"
import * as DuckLake from "../../src/destinations/ducklake/DuckLake.ts"
import * as ParquetFolder from "../../src/destinations/parquet/ParquetFolder.ts"
import { structHistograms } from "../../src/destinations/tables/histograms.ts"
import { histogramRows } from "../../src/destinations/tables/staging/histogramRows.ts"
import { formatFloat64 } from "../../src/samples/formatFloat64.ts"
import type { Histogram } from "../../src/samples/Sample.ts"
import { Choices } from "../choices.ts"
import { histogramsOf, putBlocks, seriesOf, start, temporaryFolder } from "./drive.ts"
import { queryDatabase } from "./duckdb/queryDatabase.ts"
import { fileLake, postgresLake, type TestLake } from "./lakes.ts"

const about = { source: "http://mock", labelColumns: true }

interface Place {
  readonly layer: (folder: string) => Layer.Layer<Destination, unknown, FileSystem.FileSystem>
  /** The value `row` of a query for a table of streams. */
  readonly rows: (folder: string, sql: (table: string) => string) => Promise<ReadonlyArray<unknown>>
}

const ducklake = (lake: TestLake): Place => ({
  layer: (folder) =>
    Layer.unwrap(
      Effect.promise(async () =>
        DuckLake.layer({ ...about, path: await lake.place(folder), dataPath: lake.dataPath(folder) })
      )
    ),
  rows: async (folder, sql) => (await lake.query(folder, [sql("lake.m")], true)).map(([row]) => row)
})

const places: Readonly<Record<string, Place>> = {
  duckdb: {
    layer: (folder) => DuckDBFile.layer({ ...about, path: join(folder, "m.duckdb") }),
    rows: async (folder, sql) =>
      (await queryDatabase(join(folder, "m.duckdb"), sql("m"))).map(({ row }) => row)
  },
  parquet: {
    layer: (folder) => ParquetFolder.layer({ ...about, path: folder }),
    rows: async (folder, sql) =>
      (await queryDatabase(":memory:", sql(`'${folder}/m/**/*.parquet'`))).map(({ row }) => row)
  },
  "ducklake with a catalog in a file": ducklake(fileLake),
  "ducklake with a catalog in PostgreSQL": ducklake(postgresLake)
}

const special = [0, -0, 1, 0.1 + 0.2, 5e-324, 2 ** 53 + 2, 2 ** 64, 1e-7, Number.MAX_VALUE]

/** Any float, as the server writes it, or with more digits than it needs. */
const digits = (choices: Choices): string => {
  const bits = new Float64Array(Uint32Array.of(choices.below(2 ** 32), choices.below(2 ** 32)).buffer)
  const value = choices.oneIn(4) ? choices.pick(special) : bits[0]!
  return choices.oneIn(9) && Number.isFinite(value) ? value.toPrecision(25) : formatFloat64(value)
}

const bound = (choices: Choices): string =>
  choices.oneIn(4) ? choices.pick(["+Inf", "-Inf"]) : digits(choices)

const histogram = (choices: Choices): Histogram => ({
  count: choices.oneIn(6) ? choices.pick(["NaN", "+Inf"]) : digits(choices),
  sum: choices.oneIn(4) ? choices.pick(["NaN", "+Inf", "-Inf", "-0", "0"]) : digits(choices),
  buckets: choices.list(30, (index) => ({
    boundaries: index % 4,
    lower: bound(choices),
    upper: bound(choices),
    count: digits(choices)
  }))
})

/** All numbers of a histogram in one list. */
const flat = ({ buckets, count, sum }: Histogram): ReadonlyArray<number> =>
  [
    count,
    sum,
    ...buckets.flatMap((bucket) => [`${bucket.boundaries}`, bucket.lower, bucket.upper, bucket.count])
  ].map((text) => Number(text.replace("Inf", "Infinity")))

/** Whether 0 is negative is part of a count and a sum only. */
const textOf = (number: number, index: number): string =>
  index > 1 ? `${number + 0}` : formatFloat64(number)

/** The same of a row, as texts that are the same number again: JSON has no infinite numbers. */
const flattened = (table: string): string => `
  SELECT [histogram.count::VARCHAR, histogram.sum::VARCHAR] || flatten(list_transform(
    histogram.buckets, lambda b: [b.boundaries::VARCHAR, b.lower::VARCHAR, b.upper::VARCHAR, b.count::VARCHAR]
  )) AS row FROM ${table} WHERE histogram IS NOT NULL ORDER BY time`

const numbersOf = (row: unknown): ReadonlyArray<number> =>
  (row as ReadonlyArray<string>).map((text) => Number(text.replace("inf", "Infinity")))

describe("native histograms", () => {
  for (const [name, { layer, rows }] of Object.entries(places)) {
    it.live(`are structs with exact numbers in ${name}`, () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const choices = new Choices(name.length, Number.POSITIVE_INFINITY)
        const all = Array.from({ length: 300 }, () => histogram(choices))
        const put = (from: number, to: number) =>
          putBlocks(
            "m",
            "incremental_append_deduped",
            [histogramsOf(seriesOf("m", { job: "a" }), start + from * 60_000, all.slice(from, to))],
            to - 1
          ).pipe(Effect.provide(layer(folder)))
        // A DuckLake keeps a few rows in its catalog. Some are read again.
        for (const [from, to] of [
          [0, 5],
          [3, 200],
          [150, 300]
        ] as const) {
          yield* put(from, to)
        }
        const found = yield* Effect.promise(() => rows(folder, flattened))
        assert.deepStrictEqual(found.map(numbersOf), all.map(flat))
        const types = yield* Effect.promise(() =>
          rows(folder, (table) => `SELECT DISTINCT typeof(histogram) AS row FROM ${table}`)
        )
        assert.deepStrictEqual(types, [
          "STRUCT(count DOUBLE, sum DOUBLE, buckets STRUCT(boundaries UTINYINT, lower DOUBLE, upper DOUBLE, count DOUBLE)[])"
        ])
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
    )
  }
})

describe("the identity of a histogram", () => {
  it.live("differs if one number, or the order of buckets, does", () =>
    Effect.gen(function* () {
      const choices = new Choices(7, Number.POSITIVE_INFINITY)
      const distinct = new Map<string, Histogram>()
      const add = (one: Histogram) => void distinct.set(JSON.stringify(flat(one).map(textOf)), one)
      for (let n = 0; n < 2000; n++) {
        const one: Histogram = histogram(choices)
        add(one)
        add({ ...one, sum: digits(choices) })
        add({ ...one, sum: one.count, count: one.sum })
        add({ ...one, buckets: one.buckets.slice(1) })
        add({ ...one, buckets: one.buckets.toReversed() })
        const which = choices.below(one.buckets.length)
        add({
          ...one,
          buckets: one.buckets.map((bucket, index) =>
            index === which ? { ...bucket, count: bucket.upper, upper: bucket.count } : bucket
          )
        })
      }
      const all = [...distinct.values()]
      const instance = yield* Effect.promise(() => DuckDB.DuckDBInstance.create(":memory:"))
      const connection = yield* Effect.promise(() => instance.connect())
      const run = (sql: string) => Effect.promise(() => connection.runAndReadAll(sql))
      yield* run(`CREATE TEMP TABLE staged_histogram (
        number INTEGER, series INTEGER, time TIMESTAMPTZ, before INTEGER, histogram ${structHistograms.type})`)
      const rows = histogramRows(DuckDB, connection, structHistograms)
      for (const [number, histogram] of all.entries()) {
        yield* Effect.promise(() => rows.append({ number, series: 0, timeMillis: 0, before: 0, histogram }))
      }
      yield* Effect.promise(rows.flush)
      const read = yield* run(
        `SELECT count(*)::INTEGER, count(DISTINCT ${structHistograms.identity("histogram")})::INTEGER FROM staged_histogram`
      )
      assert.deepStrictEqual(read.getRowsJS(), [[all.length, all.length]])
      connection.closeSync()
      instance.closeSync()
    })
  )
})
