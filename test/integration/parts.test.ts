/** A sync that several processes divide among them with `--part`, killed again and again, from real servers. */
import { existsSync, mkdirSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { DuckDBInstance } from "@duckdb/node-api"
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { DryRunDocument } from "../../src/report/dryRun.ts"
import { SummaryDocument } from "../../src/report/summaryJson.ts"
import { queryDatabase } from "../destinations/duckdb/queryDatabase.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { EXTENSIONS_VARIABLE } from "../support/duckdbExtensions.ts"
import { iso, minute, start } from "../support/gauge.ts"
import * as postgres from "../support/postgres.ts"
import { describeEach, prometheusServers } from "../support/servers.ts"

/** A destination that several processes can write, in a folder of its own. */
interface SharedPlace {
  readonly flags: (folder: string) => ReadonlyArray<string>
  /** The rows of a query of a stream's table, whose columns are named in `select`. */
  readonly rows: (
    folder: string,
    stream: string,
    select: string
  ) => Promise<ReadonlyArray<Readonly<Record<string, unknown>>>>
  /** The saved state of a stream as JSON. */
  readonly state: (folder: string, stream: string) => Promise<unknown>
}

const parquet: SharedPlace = {
  flags: (folder) => ["--to", `parquet:${folder}/data`],
  rows: (folder, stream, select) =>
    queryDatabase(
      ":memory:",
      `SELECT ${select} FROM read_parquet('${folder}/data/${stream}/*/*.parquet', union_by_name = true) ORDER BY ALL`
    ),
  state: async (folder, stream) => {
    const path = join(folder, "data", "_state", `${stream}.json`)
    return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).state : undefined
  }
}

/** A DuckLake with a catalog in a PostgreSQL of its own, and a database for each folder. */
const ducklake = Effect.gen(function* () {
  const server = yield* postgres.make({ settings: { max_connections: "100" } })
  for (const name of ["single", "parts"]) yield* Effect.promise(() => server.psql(`CREATE DATABASE ${name}`))
  const catalogOf = (folder: string) =>
    `ducklake:postgres:dbname=${basename(folder)} host=127.0.0.1 port=${server.port} user=postgres`
  const query = async (folder: string, sql: string) => {
    const instance = await DuckDBInstance.create(":memory:", {
      threads: "1",
      extension_directory: process.env[EXTENSIONS_VARIABLE]!
    })
    try {
      const connection = await instance.connect()
      for (const name of ["ducklake", "postgres_scanner"]) await connection.run(`LOAD ${name}`)
      await connection.run(`ATTACH '${catalogOf(folder)}' AS lake (READ_ONLY)`)
      await connection.run("SET TimeZone = 'UTC'")
      const rows = (await connection.runAndReadAll(sql)).getRowObjectsJS()
      connection.closeSync()
      return rows
    } finally {
      instance.closeSync()
    }
  }
  const place: SharedPlace = {
    flags: (folder) => ["--to", catalogOf(folder), "--data-path", `${folder}/data`],
    rows: (folder, stream, select) =>
      query(folder, `SELECT ${select} FROM lake.main."${stream}" ORDER BY ALL`),
    state: async (folder, stream) => {
      const [row] = await query(
        folder,
        `SELECT entry FROM lake._source_prometheus.streams WHERE stream = '${stream}'`
      )
      return row === undefined ? undefined : JSON.parse(String(row.entry)).state
    }
  }
  return place
})

const sharedPlaces = [
  { name: "parquet", open: Effect.succeed(parquet) },
  { name: "ducklake in PostgreSQL", open: ducklake }
]

const streams = ["cpu", "memory", "up"]

const HOURS = 12

/** Three metrics with some series each; one begins late, and one has a gap. */
const series = streams.flatMap((name, m) =>
  Array.from({ length: 4 + m }, (_, n) => ({
    labels: { __name__: name, instance: `i${n}` },
    samples: Array.from({ length: HOURS * 60 }, (_, i) => i)
      .filter((i) => (name === "memory" ? i >= 400 : name === "up" ? i < 100 || i > 300 : true))
      .map((i) => [start + i * minute, i + n / 8 + m * 1000] as const)
  }))
)

const documentOf = <S extends Schema.Codec<unknown, unknown>>(schema: S, text: string): S["Type"] =>
  Schema.decodeUnknownSync(Schema.fromJsonString(schema))(text)

describeEach(prometheusServers.slice(1), "parts from a real $name", ({ make }) => {
  it.live.each(sharedPlaces)(
    "have the rows and states of one process in $name, whoever is killed when",
    ({ open }) =>
      Effect.gen(function* () {
        const { flags: destination, rows, state } = yield* open
        const server = yield* make({ series })
        const files = yield* connector.workspace
        const config = (hours: number) =>
          files.write(`config${hours}.json`, {
            base_url: server.baseUrl,
            start_date: iso(start),
            end_date: iso(start + hours * 60 * minute - minute),
            step: 60,
            lookback_window: 600
          })
        const places = { single: files.path("single"), parts: files.path("parts") }
        for (const folder of Object.values(places)) mkdirSync(folder)
        const argumentsOf = (hours: number, folder: string, ...flags: ReadonlyArray<string>) => [
          "run",
          "--config",
          config(hours),
          ...destination(folder),
          "--json",
          ...flags
        ]
        const single = (hours: number) =>
          Effect.map(child.run(argumentsOf(hours, places.single)), ({ code, stderr }) =>
            assert.strictEqual(code, 0, stderr)
          )
        const part = (index: number, processes: number, hours: number) =>
          argumentsOf(hours, places.parts, "--part", `${index}/${processes}`, "--part-length", "30m")

        /** Starts a process again and again until it ends by itself; the first times it is killed. */
        const persistently = Effect.fnUntraced(function* (args: ReadonlyArray<string>, kills: number) {
          for (let left = kills; ; left--) {
            const result = yield* Effect.scoped(
              Effect.gen(function* () {
                const process = yield* child.start(args)
                if (left > 0) {
                  yield* Effect.sleep(600 + Math.random() * 1500)
                  process.kill("SIGKILL")
                }
                return yield* process.result
              })
            )
            if (result.code === 0) return documentOf(SummaryDocument, result.stdout)
            assert.strictEqual(result.signal, "SIGKILL", result.stderr)
          }
        })

        const rowsOf = Effect.fnUntraced(function* (folder: string, stream: string) {
          const found = yield* Effect.promise(() =>
            rows(
              folder,
              stream,
              "series_id, strftime(time::TIMESTAMP, '%Y-%m-%dT%H:%M:%SZ') AS time, value::VARCHAR AS value"
            )
          )
          return found.map((row) => `${row.series_id} ${row.time} ${row.value}`)
        })

        const compare = Effect.fnUntraced(function* () {
          for (const stream of streams) {
            const expected = yield* rowsOf(places.single, stream)
            const found = yield* rowsOf(places.parts, stream)
            assert.isAbove(expected.length, 300)
            assert.deepStrictEqual(found, expected, stream)
            const [parts, single] = yield* Effect.promise(() =>
              Promise.all([state(places.parts, stream), state(places.single, stream)])
            )
            const { read_again, ...saved } = parts as Record<string, unknown>
            assert.deepStrictEqual<unknown>(saved, single, stream)
          }
        })

        const partsOf = (hours: number, ...flags: ReadonlyArray<string>) =>
          Effect.map(
            child.run(argumentsOf(hours, places.parts, "--dry-run", "--part-length", "30m", ...flags)),
            ({ code, stderr, stdout }) => {
              assert.strictEqual(code, 0, stderr)
              return documentOf(DryRunDocument, stdout).parts ?? []
            }
          )

        // The plan, before there is anything.
        const planned = yield* partsOf(8, "--parts", "4")
        assert.lengthOf(planned, 3 * 16)
        assert.deepStrictEqual([...new Set(planned.map(({ owner }) => owner))].sort(), [0, 1, 2, 3])
        assert.isFalse(existsSync(`${places.parts}/data`))

        // A backfill: four processes, one of them twice, some of them killed.
        yield* single(8)
        const summaries = yield* Effect.forEach(
          [0, 1, 2, 3, 1],
          (index, i) => persistently(part(index, 4, 8), i % 2 === 0 ? 2 : 0),
          { concurrency: "unbounded" }
        )
        for (const { streams: all } of summaries) assert.lengthOf(all, 3)
        yield* compare()

        // Steady syncs: other numbers of processes, and one that is missing.
        yield* single(10)
        yield* persistently(part(1, 3, 10), 0)
        const missing = (yield* partsOf(10, "--parts", "3")).filter(({ reason }) => reason === "gap")
        assert.isAbove(missing.length, 0)
        yield* Effect.forEach([0, 2], (index) => persistently(part(index, 3, 10), 1), {
          concurrency: "unbounded"
        })
        yield* compare()

        // A run of everything, beside no other process, continues from parts.
        const all = yield* child.run(argumentsOf(HOURS, places.parts))
        assert.strictEqual(all.code, 0, all.stderr)
        yield* single(HOURS)
        yield* compare()
      }),
    300_000
  )
})
