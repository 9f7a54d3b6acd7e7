/** A sync that several processes divide among them with `--part`, killed again and again, from real servers. */
import { existsSync, mkdirSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { assert, it } from "@effect/vitest"
import { Effect, Schema, type Scope } from "effect"
import { DryRunDocument } from "../../src/report/dryRun.ts"
import { SummaryDocument } from "../../src/report/summaryJson.ts"
import { queryDatabase } from "../destinations/duckdb/queryDatabase.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { iso, minute, start } from "../support/gauge.ts"
import * as Postgres from "../support/postgres.ts"
import { runInPython } from "../support/pythonDuckdb.ts"
import * as S3 from "../support/s3.ts"
import { describeEach, prometheusServers } from "../support/servers.ts"

/** A destination that several processes can write, in a folder of its own, or in a schema of that name. */
interface SharedPlace {
  /** The value of `--to`. */
  readonly to: (folder: string) => string
  /** Other flags of the destination. */
  readonly flags?: (folder: string) => ReadonlyArray<string>
  /** The variables that it needs. */
  readonly env: Readonly<Record<string, string>>
  /** The rows of a stream: series, time and value. */
  readonly rows: (folder: string, stream: string) => Promise<ReadonlyArray<string>>
  /** The saved state of a stream as JSON. */
  readonly state: (folder: string, stream: string) => Promise<unknown>
  /** Whether there is anything yet. */
  readonly exists: (folder: string) => Promise<boolean>
}

const parquet = (
  to: SharedPlace["to"],
  filesOf: (folder: string) => string,
  env: SharedPlace["env"] = {}
): SharedPlace => ({
  to,
  env,
  rows: async (folder, stream) => {
    const rows = await queryDatabase(
      ":memory:",
      `SELECT series_id, strftime(time::TIMESTAMP, '%Y-%m-%dT%H:%M:%SZ') AS time, value::VARCHAR AS value
       FROM read_parquet('${filesOf(folder)}/${stream}/*/*.parquet', union_by_name = true) ORDER BY ALL`
    )
    return rows.map((row) => `${row.series_id} ${row.time} ${row.value}`)
  },
  state: async (folder, stream) =>
    JSON.parse(readFileSync(join(filesOf(folder), "_state", `${stream}.json`), "utf8")).state,
  exists: async (folder) => existsSync(filesOf(folder))
})

const postgresPlace = (server: Postgres.Postgres): SharedPlace => ({
  to: (folder) => `postgres:${server.urlOf()}?schema=${basename(folder)}`,
  env: {},
  rows: async (folder, stream) => {
    const rows = await server.rows(
      `SELECT series_id || ' ' || to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || ' ' || value AS row
       FROM "${basename(folder)}"."${stream}" ORDER BY series_id COLLATE "C", time`
    )
    return rows.map(({ row }) => row!)
  },
  state: async (folder, stream) => {
    const [row] = await server.rows(
      `SELECT entry::json ->> 'state' AS state FROM "${basename(folder)}"._source_prometheus_streams WHERE stream = '${stream}'`
    )
    return row?.state ? JSON.parse(row.state) : undefined
  },
  exists: async (folder) =>
    (await server.rows(`SELECT 1 AS found FROM pg_namespace WHERE nspname = '${basename(folder)}'`)).length >
    0
})

/** A DuckLake with a catalog in PostgreSQL, whose database has the name of the folder. */
const lakePlace = (server: Postgres.Postgres): SharedPlace => {
  const databaseOf = (folder: string) => basename(folder)
  const catalogOf = (folder: string) =>
    `ducklake:postgres:dbname=${databaseOf(folder)} host=127.0.0.1 port=${server.port} user=postgres`
  const query = (folder: string, sql: string) =>
    runInPython([
      ...["ducklake", "postgres_scanner"].map((name) => `LOAD ${name}`),
      `ATTACH '${catalogOf(folder)}' AS lake (READ_ONLY)`,
      "SET TimeZone = 'UTC'",
      sql
    ])
  return {
    to: catalogOf,
    env: {},
    flags: (folder) => ["--data-path", `${folder}/data`],
    rows: async (folder, stream) => {
      const rows = await query(
        folder,
        `SELECT series_id || ' ' || strftime(time::TIMESTAMP, '%Y-%m-%dT%H:%M:%SZ') || ' ' || value::VARCHAR
         FROM lake.main."${stream}" ORDER BY series_id, time`
      )
      return rows.map(([row]) => String(row))
    },
    state: async (folder, stream) => {
      const [row] = await query(
        folder,
        `SELECT entry FROM lake._source_prometheus.streams WHERE stream = '${stream}'`
      )
      return row === undefined ? undefined : JSON.parse(String(row[0])).state
    },
    exists: async (folder) =>
      (await server.psql(
        "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'",
        databaseOf(folder)
      )) !== "0\n"
  }
}

/** The destinations, with the servers that they need. */
const places: ReadonlyArray<{
  readonly name: string
  readonly make: Effect.Effect<SharedPlace, unknown, Scope.Scope>
}> = [
  {
    name: "a folder of Parquet files",
    make: Effect.succeed(
      parquet(
        (folder) => `parquet:${folder}/data`,
        (folder) => join(folder, "data")
      )
    )
  },
  {
    name: "a bucket of Parquet files",
    make: Effect.map(S3.make(), ({ data, environment }) =>
      parquet(
        (folder) => `parquet:s3://metrics/${basename(folder)}`,
        (folder) => join(data, "metrics", basename(folder)),
        environment
      )
    )
  },
  { name: "PostgreSQL", make: Effect.map(Postgres.make(), postgresPlace) },
  {
    name: "a DuckLake",
    make: Effect.gen(function* () {
      const server = yield* Postgres.make()
      // The names of the folders below.
      for (const name of ["single", "parts"])
        yield* Effect.promise(() => server.psql(`CREATE DATABASE ${name}`))
      return lakePlace(server)
    })
  }
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
  it.live.each(places)(
    "have the rows and states of one process in $name, if some are killed at any moment",
    ({ make: makePlace }) =>
      Effect.gen(function* () {
        const { env, exists, flags: more, rows, state, to } = yield* makePlace
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
        const folders = { single: files.path("single"), parts: files.path("parts") }
        for (const folder of Object.values(folders)) mkdirSync(folder)
        const argumentsOf = (hours: number, folder: string, ...flags: ReadonlyArray<string>) => [
          "run",
          "--config",
          config(hours),
          "--to",
          to(folder),
          ...(more?.(folder) ?? []),
          "--json",
          ...flags
        ]
        const single = (hours: number) =>
          Effect.map(child.run(argumentsOf(hours, folders.single), { env }), ({ code, stderr }) =>
            assert.strictEqual(code, 0, stderr)
          )
        const part = (index: number, processes: number, hours: number) =>
          argumentsOf(hours, folders.parts, "--part", `${index}/${processes}`, "--part-length", "30m")

        /** Starts a process again and again until it ends by itself; the first times it is killed. */
        const persistently = Effect.fnUntraced(function* (args: ReadonlyArray<string>, kills: number) {
          for (let left = kills; ; left--) {
            const result = yield* Effect.scoped(
              Effect.gen(function* () {
                const process = yield* child.start(args, { env })
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

        const rowsOf = (folder: string, stream: string) => Effect.promise(() => rows(folder, stream))
        const stateOf = (folder: string, stream: string) => Effect.promise(() => state(folder, stream))

        const compare = Effect.fnUntraced(function* () {
          for (const stream of streams) {
            const expected = yield* rowsOf(folders.single, stream)
            const found = yield* rowsOf(folders.parts, stream)
            assert.isAbove(expected.length, 300)
            assert.deepStrictEqual(found, expected, stream)
            const { read_again, ...saved } = (yield* stateOf(folders.parts, stream)) as Record<
              string,
              unknown
            >
            assert.deepStrictEqual<unknown>(saved, yield* stateOf(folders.single, stream), stream)
          }
        })

        const partsOf = (hours: number, ...flags: ReadonlyArray<string>) =>
          Effect.map(
            child.run(argumentsOf(hours, folders.parts, "--dry-run", "--part-length", "30m", ...flags), {
              env
            }),
            ({ code, stderr, stdout }) => {
              assert.strictEqual(code, 0, stderr)
              return documentOf(DryRunDocument, stdout).parts ?? []
            }
          )

        // The plan, before there is anything.
        const planned = yield* partsOf(8, "--parts", "4")
        assert.lengthOf(planned, 3 * 16)
        assert.deepStrictEqual([...new Set(planned.map(({ owner }) => owner))].sort(), [0, 1, 2, 3])
        assert.isFalse(yield* Effect.promise(() => exists(folders.parts)))

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
        const all = yield* child.run(argumentsOf(HOURS, folders.parts), { env })
        assert.strictEqual(all.code, 0, all.stderr)
        yield* single(HOURS)
        yield* compare()
      }),
    300_000
  )
})
