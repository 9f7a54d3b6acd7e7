/** A sync that several processes divide among them with `--part`, killed again and again, from real servers. */
import { existsSync, mkdirSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { DryRunDocument } from "../../src/report/dryRun.ts"
import { SummaryDocument } from "../../src/report/summaryJson.ts"
import { queryDatabase } from "../destinations/duckdb/queryDatabase.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { iso, minute, start } from "../support/gauge.ts"
import * as S3 from "../support/s3.ts"
import { describeEach, prometheusServers } from "../support/servers.ts"

/** A destination that several processes can write. Folders have names of their own. */
interface SharedPlace {
  /** The value of `--to` for a folder. */
  readonly to: (folder: string) => string
  /** The variables that it needs. */
  readonly env: Readonly<Record<string, string>>
  /** The path of its files. */
  readonly filesOf: (folder: string) => string
}

const folders: SharedPlace = {
  to: (folder) => `parquet:${folder}/data`,
  env: {},
  filesOf: (folder) => join(folder, "data")
}

const bucket = Effect.map(
  S3.make(),
  ({ data, environment }): SharedPlace => ({
    to: (folder) => `parquet:s3://metrics/${basename(folder)}`,
    env: environment,
    filesOf: (folder) => join(data, "metrics", basename(folder))
  })
)

const sharedPlaces = [
  { name: "a folder of Parquet files", place: Effect.succeed(folders) },
  { name: "a bucket of Parquet files", place: bucket }
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
    "have the rows and states of one process in $name, if some are killed at any moment",
    ({ place }) =>
      Effect.gen(function* () {
        const { env, filesOf, to } = yield* place
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
          "--to",
          to(folder),
          "--json",
          ...flags
        ]
        const single = (hours: number) =>
          Effect.map(child.run(argumentsOf(hours, places.single), { env }), ({ code, stderr }) =>
            assert.strictEqual(code, 0, stderr)
          )
        const part = (index: number, processes: number, hours: number) =>
          argumentsOf(hours, places.parts, "--part", `${index}/${processes}`, "--part-length", "30m")

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

        const rowsOf = Effect.fnUntraced(function* (folder: string, stream: string) {
          const rows = yield* Effect.promise(() =>
            queryDatabase(
              ":memory:",
              `SELECT series_id, strftime(time::TIMESTAMP, '%Y-%m-%dT%H:%M:%SZ') AS time, value::VARCHAR AS value
               FROM read_parquet('${filesOf(folder)}/${stream}/*/*.parquet', union_by_name = true) ORDER BY ALL`
            )
          )
          return rows.map((row) => `${row.series_id} ${row.time} ${row.value}`)
        })

        const state = (folder: string, stream: string): unknown =>
          JSON.parse(readFileSync(join(filesOf(folder), "_state", `${stream}.json`), "utf8")).state

        const compare = Effect.fnUntraced(function* () {
          for (const stream of streams) {
            const expected = yield* rowsOf(places.single, stream)
            const found = yield* rowsOf(places.parts, stream)
            assert.isAbove(expected.length, 300)
            assert.deepStrictEqual(found, expected, stream)
            const { read_again, ...saved } = state(places.parts, stream) as Record<string, unknown>
            assert.deepStrictEqual<unknown>(saved, state(places.single, stream), stream)
          }
        })

        const partsOf = (hours: number, ...flags: ReadonlyArray<string>) =>
          Effect.map(
            child.run(argumentsOf(hours, places.parts, "--dry-run", "--part-length", "30m", ...flags), {
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
        assert.isFalse(existsSync(filesOf(places.parts)))

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
        const all = yield* child.run(argumentsOf(HOURS, places.parts), { env })
        assert.strictEqual(all.code, 0, all.stderr)
        yield* single(HOURS)
        yield* compare()
      }),
    180_000
  )
})
