/** A DuckDB database as people and other tools see it: its refusals, its messages and its tables. */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { vi } from "vitest"
import { Destination, type SyncMode } from "../../../src/destinations/Destination.ts"
import type { OpenOptions } from "../../../src/destinations/DestinationKind.ts"
import { structHistograms } from "../../../src/destinations/tables/histograms.ts"
import type { SampleBlock } from "../../../src/samples/Sample.ts"
import { StreamState } from "../../../src/sync/StreamState.ts"
import { formatTime } from "../../../src/text/formatTime.ts"
import { Choices } from "../../choices.ts"
import * as child from "../../support/child.ts"
import { floats, histogramOf, logsOf, putStopped, seriesOf, start, temporaryFolder } from "../drive.ts"
import { change, query } from "./steps.ts"
import { use } from "./use.ts"

const one = seriesOf("up", { job: "a" })

const stateAt = (point: number) =>
  new StreamState({ time: formatTime(start + point * 60_000), step: 60, version: 1 })

const at = (point: number, value: string) => [start + point * 60_000, value] as const

/** Writes all of a stream. */
const putAll = (stream: string, mode: SyncMode, ...windows: ReadonlyArray<ReadonlyArray<SampleBlock>>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const writer = yield* Effect.flatMap(Destination, (destination) => destination.open(stream, mode))
      for (const [index, blocks] of windows.entries()) {
        yield* writer.write(blocks)
        yield* writer.commit(stateAt(index))
      }
      yield* writer.complete
    })
  )

/** Writes points of `up`. */
const put = (mode: SyncMode, ...points: ReadonlyArray<number>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const writer = yield* Effect.flatMap(Destination, (destination) => destination.open("up", mode))
      yield* writer.write([
        floats(
          one,
          points.map((point) => at(point, `${point}`))
        )
      ])
      yield* writer.commit(stateAt(points.at(-1)!))
      yield* writer.complete
    })
  )

const values = (path: string) =>
  Effect.map(query(path, "SELECT value FROM up ORDER BY time"), (rows) => rows.map(({ value }) => value))

const databasePath = Effect.map(temporaryFolder, (folder) => join(folder, "data.duckdb"))

const refusal = (path: string, options?: Partial<OpenOptions>) =>
  Effect.map(Effect.flip(use(path, put("incremental_append", 1), options)), ({ message }) => message)

describe("a DuckDB database", () => {
  it.live("has one table for a stream after a refresh, and one file", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      yield* use(path, put("incremental_append", 0, 1))
      yield* use(path, putStopped("up", "full_refresh_overwrite", 7))
      yield* use(path, put("full_refresh_overwrite", 8))
      assert.deepStrictEqual(yield* values(path), [8])
      assert.deepStrictEqual(
        yield* query(path, "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main'"),
        [{ table_name: "up" }]
      )
      assert.deepStrictEqual(readdirSync(join(path, "..")), ["data.duckdb"])
    })
  )

  it.live("keeps the last of repeated samples, in the table or in one commit, also of histograms", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      const other = seriesOf("up", { job: "b" })
      yield* use(
        path,
        putAll(
          "up",
          "incremental_append_deduped",
          [floats(one, [at(0, "1"), at(1, "2")]), floats(one, [at(1, "3")]), histogramOf(other, start, "4")],
          [floats(one, [at(1, "5"), at(2, "6")]), floats(other, [at(0, "7")]), histogramOf(one, start, "8")]
        )
      )
      const rows = (table: string) =>
        query(
          path,
          `SELECT job, value, histogram.count::INTEGER::VARCHAR AS count FROM ${table} ORDER BY time, job, value, count`
        )
      const expected = [
        { job: "a", value: null, count: "8" },
        { job: "b", value: 7, count: null },
        { job: "a", value: 5, count: null },
        { job: "a", value: 6, count: null }
      ]
      assert.deepStrictEqual(yield* rows("up"), expected)
      // The same in the order of appending, and made unique later.
      yield* use(
        path,
        Effect.andThen(
          putAll(
            "again",
            "incremental_append",
            [
              floats(one, [at(0, "1"), at(1, "2")]),
              floats(one, [at(1, "3")]),
              histogramOf(other, start, "4")
            ],
            [floats(one, [at(1, "5"), at(2, "6")]), floats(other, [at(0, "7")]), histogramOf(one, start, "8")]
          ),
          Effect.void
        )
      )
      assert.strictEqual((yield* rows("again")).length, 8)
      yield* use(path, putAll("again", "incremental_append_deduped", []))
      assert.deepStrictEqual(yield* rows("again"), expected)
    })
  )

  it.live("keeps the last of many rows", () =>
    Effect.gen(function* () {
      for (const first of ["incremental_append_deduped", "incremental_append"] as const) {
        const path = yield* databasePath
        const blocks = [1, 2, 3].map((value) =>
          floats(
            one,
            Array.from({ length: 150_000 }, (_, point) => at(point, `${value}`))
          )
        )
        yield* use(path, putAll("up", first, blocks))
        yield* use(path, putAll("up", "incremental_append_deduped", []))
        assert.deepStrictEqual(
          yield* query(path, "SELECT count(*)::INTEGER AS count, min(value) AS least FROM up"),
          [{ count: 150_000, least: 3 }]
        )
      }
    })
  )

  it.live("refuses unknown files, in sentences, and does not change them", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      yield* use(path, put("incremental_append", 0))
      const before = readFileSync(path)
      assert.match(
        yield* refusal(path, { source: "http://else" }),
        /data\.duckdb holds data of http:\/\/mock, and this is http:\/\/else\. Choose another file\./
      )
      assert.match(
        yield* refusal(path, { labelColumns: false }),
        /has a column per label, and this run writes one column for all labels \(label_columns\)/
      )
      assert.deepStrictEqual(readFileSync(path).equals(before), true)

      const streams = "_source_prometheus.streams"
      yield* change(path, "ALTER TABLE up RENAME TO away")
      assert.match(
        yield* refusal(path),
        /has no table "up", but .* records are missing\. Restore the file from before, or read the stream again with --full-refresh --select up\./
      )
      yield* change(path, `DELETE FROM ${streams}; CREATE VIEW up AS FROM away`)
      assert.match(
        yield* refusal(path),
        /has a view "up" that was not created by source-prometheus\. Rename it/
      )
      yield* change(path, "UPDATE _source_prometheus.about SET version = 4")
      assert.match(yield* refusal(path), /was written by a newer version of this program/)
      yield* change(path, "DELETE FROM _source_prometheus.about")
      assert.match(yield* refusal(path), /is damaged: _source_prometheus\.about/)
      assert.deepStrictEqual(yield* query(path, "SELECT value FROM away"), [{ value: 0 }])

      const foreign = join(path, "..", "foreign.duckdb")
      yield* change(foreign, "CREATE TABLE mine (a INTEGER)")
      assert.match(yield* refusal(foreign), /has tables, but none of this program's/)
      const bytes = readFileSync(foreign)
      // The version of the file format.
      writeFileSync(foreign, Buffer.concat([bytes.subarray(0, 12), Buffer.from([250]), bytes.subarray(13)]))
      assert.match(
        yield* refusal(foreign),
        /foreign\.duckdb (was written by a version of DuckDB|is damaged: IO Error: Corrupt)/
      )
      const text = join(path, "..", "text")
      for (const content of ["", "text", "text".repeat(10_000)]) {
        writeFileSync(text, content)
        assert.match(yield* refusal(text), /text is not a DuckDB database\. Choose another file\./)
        assert.strictEqual(readFileSync(text, "utf8"), content)
      }
    })
  )

  it.live("accepts an empty database", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      yield* change(path, "SELECT 1")
      yield* use(path, Effect.void, { source: "http://else", labelColumns: false })
      yield* use(path, put("incremental_append", 0))
      assert.deepStrictEqual(yield* values(path), [0])
    })
  )

  it.live("is refused while it is open in this or another process, even for reading", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      yield* use(path, put("incremental_append", 0))
      assert.match(yield* use(path, refusal(path)), /data\.duckdb is open in this process already/)
      const holder = yield* child.start([path], {
        script: fileURLToPath(new URL("holderProcess.ts", import.meta.url))
      })
      yield* holder.waitFor(() => true)
      assert.match(
        yield* refusal(path),
        new RegExp(
          `in use by process ${holder.process.pid} \\(.+\\)\\. Wait for its end or close the file there`
        )
      )
      holder.kill("SIGKILL")
      yield* holder.result
      yield* use(path, put("incremental_append", 1))
      assert.deepStrictEqual(yield* values(path), [0, 1])
    }).pipe(Effect.scoped)
  )

  it.live("reports what is wrong with a path", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      writeFileSync(join(folder, "file"), "")
      const message = (path: string) =>
        Effect.map(Effect.flip(use(path, Effect.void)), ({ message }) => message)
      assert.match(
        yield* message(join(folder, "a", "b.duckdb")),
        /b\.duckdb cannot be opened: the folder .*\/a does not exist\. Make it, or choose another file\./
      )
      assert.match(yield* message(folder), /cannot be opened: it is a folder, not a file/)
      assert.match(
        yield* message(join(folder, "file", "b.duckdb")),
        /b\.duckdb cannot be opened: (a part of that path is a file|the folder)/
      )
      assert.match(yield* message("/proc/self/b.duckdb"), /b\.duckdb.* cannot be (written|opened|made): /)
    })
  )

  it.live("says what to do if DuckDB cannot be loaded", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      yield* Effect.acquireRelease(
        Effect.sync(() =>
          vi.doMock("@duckdb/node-api", () => {
            throw new Error("no native part for this system")
          })
        ),
        () => Effect.sync(() => vi.doUnmock("@duckdb/node-api"))
      )
      assert.match(
        yield* refusal(path),
        /DuckDB cannot be loaded on this system: .*\. Install it \(npm install @duckdb\/node-api\), or write JSON lines \(--to jsonl:DIR\)\./s
      )
      assert.isFalse(existsSync(path))
    }).pipe(Effect.scoped)
  )
})

describe("the tables", () => {
  it.live("have the columns of all records, in UTC, whatever this machine's time zone", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
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
      const labels = { job: "a", rowid: "7", time: "noon", Case: "1", case: "2", 'q"uote': "é\u2028" }
      yield* use(
        path,
        putAll(
          "up",
          "incremental_append_deduped",
          [
            floats(seriesOf("up", labels), [
              [start, "1.5"],
              [start + 1, "NaN"],
              [start + 2, "-Inf"],
              [start + 3, "+Inf"]
            ])
          ],
          [
            floats(seriesOf("up", { late: "x", Case: "3", label_rowid: "8" }), [[start + 4, "1e300"]]),
            histogramOf(seriesOf("up", { job: "h" }), start + 5, "18446744073709551615")
          ]
        )
      )
      // A label that comes in a later run.
      yield* use(
        path,
        putAll("up", "incremental_append_deduped", [
          floats(seriesOf("up", { later: "y" }), [[start + 6, "2"]])
        ])
      )
      assert.deepStrictEqual(
        (yield* query(
          path,
          "SELECT column_name || ' ' || data_type AS c FROM duckdb_columns() WHERE table_name = 'up' ORDER BY column_index"
        )).map(({ c }) => c),
        [
          ...["time TIMESTAMP WITH TIME ZONE", "value DOUBLE", "special_value VARCHAR", "series_id VARCHAR"],
          ...[
            `histogram ${structHistograms.type}`,
            "other_labels JSON",
            "Case VARCHAR",
            "job VARCHAR",
            'q"uote VARCHAR'
          ],
          ...["label_rowid VARCHAR", "label_time VARCHAR", "late VARCHAR", "later VARCHAR"]
        ]
      )
      const none = { Case: null, job: null, 'q"uote': null, label_rowid: null, label_time: null }
      const nothing = {
        ...none,
        value: null,
        special: null,
        histogram: null,
        rest: null,
        late: null,
        later: null
      }
      const first = {
        ...{ Case: "1", job: "a", 'q"uote': "é\u2028", label_rowid: "7", label_time: "noon" },
        rest: '{"case":"2"}'
      }
      assert.deepStrictEqual(
        yield* query(
          path,
          `SELECT (epoch_ms(time) - ${start})::INTEGER AS millis, value, special_value AS special, histogram,
             other_labels::VARCHAR AS rest, * EXCLUDE (time, value, special_value, histogram, series_id, other_labels)
           FROM up ORDER BY time`
        ),
        [
          { ...nothing, ...first, millis: 0, value: 1.5 },
          { ...nothing, ...first, millis: 1, special: "NaN" },
          { ...nothing, ...first, millis: 2, special: "-Inf" },
          { ...nothing, ...first, millis: 3, special: "+Inf" },
          { ...nothing, millis: 4, value: 1e300, Case: "3", late: "x", rest: '{"label_rowid":"8"}' },
          {
            ...nothing,
            millis: 5,
            job: "h",
            histogram: {
              count: 2 ** 64,
              sum: 1.5,
              buckets: [{ boundaries: 0, lower: 0, upper: Number.POSITIVE_INFINITY, count: 2 ** 64 }]
            }
          },
          { ...nothing, millis: 6, value: 2, later: "y" }
        ]
      )
    }).pipe(Effect.scoped)
  )

  it.live("have one column of labels if configured", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      yield* use(path, putAll("up", "incremental_append", [floats(one, [at(0, "1")])]), {
        labelColumns: false
      })
      assert.deepStrictEqual(
        yield* query(path, "SELECT * EXCLUDE (time, series_id), labels->>'job' AS job FROM up"),
        [{ value: 1, special_value: null, histogram: null, labels: '{"job":"a"}', job: "a" }]
      )
    })
  )

  it.live("have the exact number of the server's digits", () =>
    Effect.gen(function* () {
      const random = new Choices(5, Number.POSITIVE_INFINITY)
      const path = yield* databasePath
      const bits = new DataView(new ArrayBuffer(8))
      const texts = [
        "-0",
        "0",
        "5e-324",
        "1.7976931348623157e+308",
        "9007199254740993",
        "0.1",
        "1e999",
        "-1e-999"
      ]
      for (let i = 0; i < 5000; i++) {
        bits.setUint32(0, random.below(2 ** 32))
        bits.setUint32(4, random.below(2 ** 32))
        const value = bits.getFloat64(0)
        if (Number.isFinite(value)) texts.push(`${value}`)
      }
      texts.push(`0.${"123456789".repeat(100)}`, "1".repeat(300))
      yield* use(
        path,
        putAll("up", "incremental_append", [
          floats(
            one,
            texts.map((text, index) => [start + index, text] as const)
          )
        ])
      )
      const rows = yield* query(path, "SELECT value, special_value FROM up ORDER BY time")
      assert.strictEqual(rows.length, texts.length)
      for (const [index, { special_value, value }] of rows.entries()) {
        const expected = Number(texts[index])
        if (Number.isFinite(expected))
          assert.isTrue(Object.is(value, expected), `${value} is not ${texts[index]}`)
        else assert.deepStrictEqual([value, special_value], [null, "+Inf"])
      }
    })
  )

  it.live("are distinct if streams have similar names, or names of ours", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      const names = [
        "up",
        "Up",
        "UP",
        "up_2",
        "_source_prometheus",
        "main",
        "data",
        "a\"b'c;--",
        "select",
        "\0x"
      ]
      const all = (mode: SyncMode, value: number) =>
        Effect.scoped(
          Effect.gen(function* () {
            const { open } = yield* Destination
            // All are open at once, as streams of a run are.
            const writers = yield* Effect.forEach(names, (name) => open(name, mode))
            for (const [index, writer] of writers.entries()) {
              yield* writer.write([floats(seriesOf(names[index]!, { a: "b" }), [at(value, `${index}`)])])
              yield* writer.commit(stateAt(value))
            }
            for (const writer of writers) yield* writer.complete
          })
        )
      const logs = yield* logsOf(
        Effect.gen(function* () {
          yield* use(path, all("incremental_append", 0))
          yield* use(path, all("full_refresh_overwrite", 1))
          yield* use(path, all("incremental_append_deduped", 2))
        })
      )
      assert.include(
        logs,
        'The stream Up is in the table "Up_2": DuckDB does not distinguish its name from that of another table.'
      )
      assert.strictEqual(new Set(logs).size, 4)
      const tables = ["up", "Up_2", "UP_3", "up_2_2", ...names.slice(4, -1), "\ufffdx"]
      for (const [index, table] of tables.entries()) {
        assert.deepStrictEqual(
          yield* query(path, `SELECT value FROM main."${table.replaceAll('"', '""')}"`),
          [{ value: index }, { value: index }],
          table
        )
      }
      const stored = yield* query(path, "SELECT count(*)::INTEGER AS count FROM _source_prometheus.streams")
      assert.deepStrictEqual(stored, [{ count: names.length }])
    })
  )

  it.live("have any label, even with a name of ours", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      const names = [
        "number",
        "rest",
        "label_0",
        "label_1",
        "series",
        "place",
        "kind",
        "before",
        "t",
        "s",
        "r"
      ]
      const blocks = names.flatMap((name) => {
        const series = seriesOf("up", { [name]: name })
        return [floats(series, [at(0, "1"), at(1, "1")]), floats(series, [at(1, "2")])]
      })
      for (const mode of ["incremental_append", "incremental_append_deduped"] as const) {
        yield* use(path, putAll(mode, mode, blocks))
      }
      for (const name of names) {
        const rows = (table: string) =>
          query(
            path,
            `SELECT value, "${name}" AS label FROM ${table} WHERE "${name}" IS NOT NULL ORDER BY time, value`
          )
        const row = (value: number) => ({ value, label: name })
        assert.deepStrictEqual(yield* rows("incremental_append"), [row(1), row(1), row(2)])
        assert.deepStrictEqual(yield* rows("incremental_append_deduped"), [row(1), row(2)])
      }
    })
  )

  it.live("have the labels of many series, even those that only later series have", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      const blocks = Array.from({ length: 5000 }, (_, n) =>
        floats(seriesOf("up", { [`a${n % 3}`]: `${n}`, ...(n < 2500 ? {} : { late: `${n}` }) }), [
          at(0, `${n}`)
        ])
      )
      yield* use(path, putAll("up", "incremental_append", blocks))
      assert.deepStrictEqual(
        yield* query(
          path,
          `SELECT count(*)::INTEGER AS count, count(DISTINCT series_id)::INTEGER AS series, count(late)::INTEGER AS late,
             bool_and(value = coalesce(a0, a1, a2)::DOUBLE AND (late IS NULL) = (value < 2500)) AS "isRight"
           FROM up`
        ),
        [{ count: 5000, series: 5000, late: 2500, isRight: true }]
      )
    })
  )

  it.live("may exceed the memory together, each with a few rows", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      const streams = Array.from({ length: 150 }, (_, index) => `m_${index}`)
      yield* use(
        path,
        Effect.forEach(
          streams,
          (stream) =>
            putAll(stream, "incremental_append", [floats(seriesOf(stream, { job: "a" }), [at(0, "1")])]),
          { discard: true }
        ),
        { memoryMegabytes: 24 }
      )
      const all = streams.map((stream) => `SELECT value FROM ${stream}`).join(" UNION ALL ")
      assert.deepStrictEqual(
        yield* query(path, `SELECT sum(value) AS sum, count(*)::INT AS rows FROM (${all})`),
        [{ sum: streams.length, rows: streams.length }]
      )
    })
  )

  it.live("take little of the file if they are small", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      const names = Array.from({ length: 200 }, (_, index) => `metric_${index}`)
      const each = Effect.forEach(names, (name) => {
        const one = seriesOf(name, { job: "a", instance: name })
        return putAll(name, "incremental_append_deduped", [floats(one, [at(0, "1"), at(1, "2")])])
      })
      yield* use(path, each)
      assert.deepStrictEqual(yield* query(path, "SELECT sum(value) AS sum FROM metric_199"), [{ sum: 3 }])
      assert.isBelow(statSync(path).size / names.length, 100_000)
    })
  )

  it.live("say what to do if the memory is too small", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      assert.match(
        yield* refusal(path, { memoryMegabytes: 1 }),
        /data\.duckdb cannot be written: DuckDB needs more memory than its limit of 1 MB: [^\n]*\. Raise it with --memory/
      )
    })
  )

  it.live("exist for a stream without samples, empty", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      yield* use(
        path,
        Effect.andThen(putAll("a", "incremental_append_deduped", []), putAll("b", "full_refresh_overwrite"))
      )
      for (const table of ["a", "b"]) {
        assert.deepStrictEqual(yield* query(path, `FROM ${table}`), [])
      }
    })
  )

  it.live(
    "accept a window that is larger than the memory",
    () =>
      Effect.gen(function* () {
        const path = yield* databasePath
        const series = Array.from({ length: 200 }, (_, n) => seriesOf("up", { n: `${n}` }))
        const samples = Array.from({ length: 15_000 }, (_, point) => at(point, `${point}.25`))
        const blocks = series.map((one) => ({ ...floats(one, samples), series: one }))
        yield* use(path, putAll("up", "incremental_append_deduped", blocks), { memoryMegabytes: 64 })
        assert.deepStrictEqual(
          yield* query(path, "SELECT count(*)::INTEGER AS count, sum(value) / 200 AS sum FROM up"),
          [{ count: 3_000_000, sum: 112_496_250 }]
        )
        assert.isFalse(existsSync(`${path}.tmp`))
      }),
    60_000
  )
})

describe("contents", () => {
  const contents = (of: "current" | "refresh", stream = "up") =>
    Effect.flatMap(Destination, (destination) => destination.contents!(stream, of))
  const nothing = { rows: 0, firstMillis: null, lastMillis: null }
  const between = (rows: number, first: number, last: number) => ({
    rows,
    firstMillis: start + first * 60_000,
    lastMillis: start + last * 60_000
  })
  /** A refresh that is stopped before its end. */
  const refresh = (mode: SyncMode, ...points: ReadonlyArray<number>) =>
    Effect.scoped(
      Effect.gen(function* () {
        const writer = yield* Effect.flatMap(Destination, ({ open }) => open("up", mode))
        yield* writer.write(points.map((point) => floats(one, [at(point, `${point}`)])))
        yield* writer.commit(new StreamState({ ...stateAt(points.at(-1)!), full_refresh: true }))
      })
    )
  const both = Effect.all({ current: contents("current"), refresh: contents("refresh") })

  it.live("leave out rows that someone has deleted", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      yield* use(path, put("incremental_append", 0, 1, 2, 3))
      yield* use(path, refresh("full_refresh_append", 5, 6, 7))
      yield* change(path, `DELETE FROM up WHERE value IN (0, 2)`)
      assert.deepStrictEqual(yield* use(path, both), { current: between(5, 1, 7), refresh: between(3, 5, 7) })
      yield* change(path, `DELETE FROM up`)
      assert.deepStrictEqual(yield* use(path, both), { current: nothing, refresh: nothing })
    })
  )
})

describe("the command that previews a stream", () => {
  it.live("works, whatever the names of the file and the stream", () =>
    Effect.gen(function* () {
      const folder = join(yield* temporaryFolder, "it's $HOME [1]*")
      mkdirSync(folder)
      const path = join(folder, "a b.duckdb")
      const name = 'it\'s "$HOME" `up`'
      const command = yield* use(
        path,
        Effect.andThen(
          putAll(name, "incremental_append", [
            floats(
              one,
              Array.from({ length: 30 }, (_, i) => at(i, `${i}`))
            )
          ]),
          Effect.map(Destination, ({ previewCommand }) => previewCommand(name))
        )
      )
      // A shell executes it, with another program of that name.
      const args = execFileSync("sh", ["-c", `duckdb() { printf '%s\\n' "$@"; }; ${command}`])
        .toString()
        .split("\n")
      assert.deepStrictEqual(args.slice(0, 3), ["-readonly", path, "-c"])
      const rows = yield* query(path, args[3]!)
      assert.deepStrictEqual(
        rows.map(({ value }) => value),
        [29, 28, 27, 26, 25, 24, 23, 22, 21, 20]
      )
      rmSync(folder, { recursive: true })
    })
  )
})
