/** The contents of a folder of Parquet files after any runs, killed or not. */
import { execFileSync } from "node:child_process"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { DuckDBInstance } from "@duckdb/node-api"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Destination } from "../../../src/destinations/Destination.ts"
import { fileName } from "../../../src/destinations/folder/fileName.ts"
import { layer, previewSql } from "../../../src/destinations/parquet/ParquetFolder.ts"
import { structHistograms } from "../../../src/destinations/tables/histograms.ts"
import type { SampleBlock } from "../../../src/samples/Sample.ts"
import { StreamState } from "../../../src/sync/StreamState.ts"
import { formatTime } from "../../../src/text/formatTime.ts"
import { floats, histogramOf, pointsOf, put, seriesOf, start, stateAt, temporaryFolder } from "../drive.ts"

const database = DuckDBInstance.create(":memory:", { threads: "1" })

/** The rows of a query, with their values by column. */
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

const open = (folder: string, labelColumns = true) =>
  layer({ path: folder, source: "http://mock", labelColumns })

const use = <A, E>(folder: string, body: Effect.Effect<A, E, Destination>) =>
  body.pipe(Effect.provide(open(folder)), Effect.provide(NodeServices.layer))

describe("ParquetFolder", () => {
  it.live("has the same texts in parts of many rows, which are written in a different way", () =>
    Effect.gen(function* () {
      for (const labelColumns of [true, false]) {
        const folder = join(yield* temporaryFolder, "data")
        const points = 6000
        const samples = Array.from(
          { length: points },
          (_, point) => [start + point * 1000, `${point}`] as const
        )
        const labels = [
          { job: "a", zone: "é'" },
          { job: "b", Job: "c" },
          { zone: "" },
          ...Array.from({ length: 9 }, (_, index) => ({ [`only_${index}`]: `${index}` }))
        ]
        const series = labels.map((of) => seriesOf("up", of))
        const write = (point: number, blocks: ReadonlyArray<SampleBlock>) =>
          Effect.scoped(
            Effect.gen(function* () {
              const writer = yield* Effect.flatMap(Destination, ({ open }) =>
                open("up", "incremental_append_deduped")
              )
              yield* writer.write(blocks)
              yield* writer.commit(
                new StreamState({ time: formatTime(start + point * 1000), step: 1, version: 1 })
              )
              yield* writer.complete
            })
          ).pipe(Effect.provide(open(folder, labelColumns)), Effect.provide(NodeServices.layer))
        yield* write(points, [
          ...series.map((of) => floats(of, samples)),
          histogramOf(series[0]!, start - 1000, "7")
        ])
        const texts = () =>
          ask(
            labelColumns
              ? `SELECT DISTINCT series_id, job, zone, other_labels, only_8 FROM ${filesOf(folder, "up")}`
              : `SELECT DISTINCT series_id, labels FROM ${filesOf(folder, "up")}`
          )
        const expected = series.map(({ id, labels: all }) => {
          const of: Readonly<Record<string, string>> = Object.fromEntries(
            all.filter(([name]) => name !== "__name__")
          )
          if (!labelColumns) return { series_id: id, labels: JSON.stringify(of) }
          return {
            series_id: id,
            job: of.job ?? null,
            zone: of.zone ?? null,
            other_labels: "Job" in of ? '{"Job":"c"}' : null,
            only_8: of.only_8 ?? null
          }
        })
        const sorted = (rows: ReadonlyArray<object>) => rows.map((row) => JSON.stringify(row)).sort()
        const found = yield* Effect.promise(texts)
        assert.deepStrictEqual(sorted(found), sorted(expected))
        const types = yield* Effect.promise(() => ask(`DESCRIBE FROM ${filesOf(folder, "up")}`))
        for (const { column_name, column_type } of types) {
          if (column_name !== "time" && column_name !== "value" && column_name !== "day") {
            const type = column_name === "histogram" ? structHistograms.type : "VARCHAR"
            assert.strictEqual(column_type, type, `${column_name}`)
          }
        }
        // A part of few rows beside it, and rows that replace some.
        yield* write(points + 1, [
          floats(series[0]!, [
            [start, "-1"],
            [start + points * 1000, "-2"]
          ])
        ])
        assert.deepStrictEqual(sorted(yield* Effect.promise(texts)), sorted(expected))
        assert.deepStrictEqual(
          yield* Effect.promise(() =>
            ask(`SELECT count(*)::INTEGER AS rows, sum(value)::INTEGER AS sum FROM ${filesOf(folder, "up")}`)
          ),
          [{ rows: 12 * points + 2, sum: 12 * (points / 2) * (points - 1) - 3 }]
        )
      }
    })
  )

  it.live("says what to do if a stream has more labels than DuckDB can write in its memory", () =>
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
        Effect.provide(
          layer({ path: folder, source: "http://mock", labelColumns: true, memoryMegabytes: 64 })
        ),
        Effect.flip
      )
      assert.match(
        error.message,
        /data cannot be written: DuckDB needs more memory than its limit of 64 MB: [^\n]*\. Raise it with --memory/
      )
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live("writes a part once, and again only to merge the small parts of a day", () =>
    Effect.gen(function* () {
      const folder = join(yield* temporaryFolder, "data")
      const put = (...points: ReadonlyArray<number>) =>
        Effect.gen(function* () {
          const writer = yield* Effect.flatMap(Destination, ({ open }) => open("up", "incremental_append"))
          for (const point of points) {
            yield* writer.write([floats(seriesOf("up", {}), [[start + point * 3_600_000, "1"]])])
          }
          const time = formatTime(start + points.at(-1)! * 3_600_000)
          yield* writer.commit(new StreamState({ time, step: 3600, version: 1 }))
          yield* writer.complete
        }).pipe(
          Effect.scoped,
          Effect.provide(layer({ path: folder, source: "http://mock", labelColumns: true }))
        )
      const parts = () =>
        readdirSync(join(folder, "up"))
          .toSorted()
          .map((day) => [
            day.slice(-2),
            ...readdirSync(join(folder, "up", day)).map((name) => name.slice(5, 13))
          ])
      yield* put(0)
      assert.deepStrictEqual(parts(), [["01", "00000001"]])
      yield* put(24)
      assert.deepStrictEqual(parts(), [
        ["01", "00000001"],
        ["02", "00000002"]
      ])
      yield* put(25, 48)
      // The first two parts of a day are merged. The other days have one part each.
      assert.deepStrictEqual(parts(), [
        ["01", "00000001"],
        ["02", "00000005"],
        ["03", "00000004"]
      ])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live("rewrites only parts that may have rows of the times that are read again", () =>
    Effect.gen(function* () {
      const folder = join(yield* temporaryFolder, "data")
      const large = Array.from({ length: 40 }, (_, index) => index)
      const parts = () =>
        readdirSync(join(folder, "up", "day=2026-01-01"))
          .map((name) => Number(name.slice(5, 13)))
          .toSorted((a, b) => a - b)
      yield* Effect.gen(function* () {
        const { open } = yield* Destination
        const mode = "incremental_append_deduped"
        /** Writes points in commits of their own, without the end that merges them. */
        const commit = (...points: ReadonlyArray<number>) =>
          Effect.scoped(
            Effect.gen(function* () {
              const writer = yield* open("up", mode, true)
              yield* writer.write([pointsOf("up", points)])
              yield* writer.commit(stateAt(points.at(-1)!))
            })
          )
        yield* commit(...large)
        yield* commit(50, 60)
        yield* commit(70)
        assert.deepStrictEqual(parts(), [1, 2, 3])
        // Between parts, and at the edges of some: only the second one is rewritten.
        yield* commit(45)
        assert.deepStrictEqual(parts(), [1, 2, 3, 4])
        yield* commit(60, 61)
        assert.deepStrictEqual(parts(), [1, 3, 4, 5])
      }).pipe(Effect.provide(open(folder)))
      const rows = yield* Effect.promise(() =>
        ask(`SELECT value::INTEGER AS value FROM ${filesOf(folder, "up")} ORDER BY time`)
      )
      assert.deepStrictEqual(
        rows.map(({ value }) => value),
        [...large, 45, 50, 60, 61, 70]
      )
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live("keeps the last of repeated rows before they are written", () =>
    Effect.gen(function* () {
      const folder = join(yield* temporaryFolder, "data")
      const one = seriesOf("up", {})
      const two = seriesOf("up", { job: "b" })
      yield* Effect.gen(function* () {
        const writer = yield* Effect.flatMap(Destination, ({ open }) =>
          open("up", "incremental_append_deduped")
        )
        yield* writer.write([
          floats(one, [
            [start, "1"],
            [start + 1000, "2"]
          ])
        ])
        yield* writer.write([histogramOf(one, start, "7"), histogramOf(two, start, "3")])
        yield* writer.commit(new StreamState({ time: formatTime(start + 1000), step: 1, version: 1 }))
        yield* writer.write([floats(one, [[start + 1000, "4"]]), floats(two, [[start, "5"]])])
        yield* writer.commit(new StreamState({ time: formatTime(start + 1000), step: 1, version: 1 }))
        yield* writer.complete
      }).pipe(
        Effect.scoped,
        Effect.provide(layer({ path: folder, source: "http://mock", labelColumns: true }))
      )
      const rows = yield* Effect.promise(() =>
        ask(
          `SELECT job, value, histogram.count AS count FROM ${filesOf(folder, "up")} ORDER BY job NULLS FIRST, time`
        )
      )
      assert.deepStrictEqual(rows, [
        { job: null, value: null, count: 7 },
        { job: null, value: 4, count: null },
        { job: "b", value: 5, count: null }
      ])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live("has a preview command that works for any name of the folder", () =>
    Effect.gen(function* () {
      const folder = join(yield* temporaryFolder, "it's $HOME [1]*")
      const command = yield* use(
        folder,
        Effect.andThen(
          put("up", "incremental_append", 0, 1),
          Effect.map(Destination, ({ previewCommand }) => previewCommand("up"))
        )
      )
      // The arguments that a shell makes of it.
      const sql = execFileSync("sh", ["-c", `duckdb() { printf %s "$2"; }; ${command}`]).toString()
      assert.strictEqual(sql, previewSql(folder, "up"))
      assert.lengthOf(yield* Effect.promise(() => ask(sql)), 2)
    })
  )
})

describe("the columns of Parquet files", () => {
  it.live("are those of all records, and other readers understand them", () =>
    Effect.gen(function* () {
      const folder = join(yield* temporaryFolder, "data")
      const write = (
        blocks: ReadonlyArray<ReturnType<typeof floats> | ReturnType<typeof histogramOf>>,
        point: number
      ) =>
        Effect.scoped(
          Effect.gen(function* () {
            const writer = yield* Effect.flatMap(Destination, ({ open }) => open("up", "incremental_append"))
            yield* writer.write(blocks)
            yield* writer.commit(stateAt(point))
            yield* writer.complete
          })
        )
      const labels = { job: "a", day: "Monday", time: "noon", Case: "1", case: "2", 'q"uote': "é\u2028" }
      yield* use(
        folder,
        write(
          [
            floats(seriesOf("up", labels), [
              [start, "1.5"],
              [start + 1500, "NaN"],
              [start + 86_400_000, "-Inf"]
            ])
          ],
          1440
        )
      )
      const later = start + 2 * 86_400_000
      yield* use(
        folder,
        write(
          [
            floats(seriesOf("up", { late: "x", Case: "3" }), [[later, "1e300"]]),
            histogramOf(seriesOf("up", { job: "h" }), later, "12")
          ],
          2880
        )
      )
      const rows = yield* Effect.promise(() =>
        ask(
          `SELECT * EXCLUDE (series_id, time), epoch_ms(time) AS millis, typeof(time) AS type FROM read_parquet('${folder}/up/*/*.parquet', union_by_name = true) ORDER BY time, job NULLS LAST`
        )
      )
      const common = { type: "TIMESTAMP WITH TIME ZONE", histogram: null, late: null, special_value: null }
      const first = { job: "a", label_day: "Monday", label_time: "noon", 'q"uote': "é\u2028" }
      assert.deepStrictEqual(
        rows.slice(0, 3).map(({ day, millis, ...row }) => ({
          ...row,
          millis: Number(millis),
          day: formatTime(Number(day)).slice(0, 10)
        })),
        [
          { ...common, ...first, value: 1.5, millis: start, day: "2026-01-01" },
          { ...common, ...first, value: null, special_value: "NaN", millis: start + 1500, day: "2026-01-01" },
          {
            ...common,
            ...first,
            value: null,
            special_value: "-Inf",
            millis: start + 86_400_000,
            day: "2026-01-02"
          }
        ].map((row) => ({ ...row, Case: "1", other_labels: '{"case":"2"}' }))
      )
      assert.deepStrictEqual(
        rows.slice(3).map(({ Case, histogram, job, late, value }) => ({ Case, histogram, job, late, value })),
        [
          {
            Case: null,
            histogram: {
              count: 12,
              sum: 1.5,
              buckets: [{ boundaries: 0, lower: 0, upper: Number.POSITIVE_INFINITY, count: 12 }]
            },
            job: "h",
            late: null,
            value: null
          },
          { Case: "3", histogram: null, job: null, late: "x", value: 1e300 }
        ]
      )
    })
  )

  it.live("have times in UTC, whatever the time zone here", () =>
    Effect.gen(function* () {
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const before = process.env.TZ
          process.env.TZ = "America/New_York"
          return before
        }),
        (before) =>
          Effect.sync(() => {
            if (before === undefined) delete process.env.TZ
            else process.env.TZ = before
          })
      )
      const folder = join(yield* temporaryFolder, "data")
      yield* use(folder, put("up", "incremental_append", 0, 1))
      const rows = yield* Effect.promise(() =>
        ask(`SELECT epoch_ms(time) AS millis FROM read_parquet('${folder}/up/*/*.parquet') ORDER BY time`)
      )
      assert.deepStrictEqual(
        rows.map(({ millis }) => Number(millis)),
        [start, start + 60_000]
      )
    }).pipe(Effect.scoped)
  )
})
