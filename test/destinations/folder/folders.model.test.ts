/** What both folders have in common: whom they refuse, what they say, and that a killed process costs nothing. */
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { DuckDBInstance } from "@duckdb/node-api"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, PlatformError } from "effect"
import { Destination, type SyncMode } from "../../../src/destinations/Destination.ts"
import * as JsonLinesFolder from "../../../src/destinations/jsonl/JsonLinesFolder.ts"
import * as ParquetFolder from "../../../src/destinations/parquet/ParquetFolder.ts"
import { StreamState } from "../../../src/sync/StreamState.ts"
import { formatTime } from "../../../src/text/formatTime.ts"
import * as child from "../../support/child.ts"
import { floats, histogramOf, loadedTime, seriesOf, start, temporaryFolder } from "../drive.ts"

const layers = {
  jsonl: (folder: string, source = "http://mock") =>
    JsonLinesFolder.layer({ folder, source, labelColumns: true, gzip: false }),
  gzip: (folder: string, source = "http://mock") =>
    JsonLinesFolder.layer({ folder, source, labelColumns: true, gzip: true }),
  parquet: (folder: string, source = "http://mock") =>
    ParquetFolder.layer({ folder, source, labelColumns: true })
}
type Kind = keyof typeof layers
const kinds = Object.keys(layers) as ReadonlyArray<Kind>

const one = seriesOf("up", { job: "a" })

const stateAt = (point: number) =>
  new StreamState({ time: formatTime(start + point * 60_000), step: 60, version: 1 })

/** Writes points of `up`, the whole stream. */
const put = (mode: SyncMode, ...points: ReadonlyArray<number>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const writer = yield* Effect.flatMap(Destination, (destination) => destination.open("up", mode))
      yield* writer.write([
        floats(
          one,
          points.map((point) => [start + point * 60_000, `${point}`] as const)
        )
      ])
      yield* writer.commit(stateAt(points.at(-1)!))
      yield* writer.complete
    })
  )

const use = <A, E>(kind: Kind, folder: string, body: Effect.Effect<A, E, Destination>, source?: string) =>
  body.pipe(Effect.provide(layers[kind](folder, source)), Effect.provide(NodeServices.layer))

const query = async (sql: string) => {
  const connection = await (await DuckDBInstance.create(":memory:")).connect()
  return (await connection.runAndReadAll(sql)).getRowObjectsJS()
}

/** The values of `up`. */
const values = async (kind: Kind, folder: string): Promise<ReadonlyArray<unknown>> => {
  if (kind === "parquet")
    return (await query(`SELECT value FROM read_parquet('${folder}/up/*/*.parquet') ORDER BY time`)).map(
      (row) => row.value
    )
  const path = join(folder, kind === "gzip" ? "up.jsonl.gz" : "up.jsonl")
  if (kind === "gzip") execFileSync("gzip", ["-t", path])
  const text = kind === "gzip" ? execFileSync("zcat", [path]).toString() : readFileSync(path, "utf8")
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as { readonly data: { readonly value: number } }).data.value)
}

for (const kind of kinds) {
  describe(kind, () => {
    it.live("goes on behind what is there, and replaces it only by a whole refresh", () =>
      Effect.gen(function* () {
        const folder = join(yield* temporaryFolder, "a", "b")
        yield* use(kind, folder, put("incremental_append", 0, 1))
        yield* use(
          kind,
          folder,
          Effect.gen(function* () {
            assert.strictEqual(yield* loadedTime(), stateAt(1).time)
            yield* put("incremental_append", 2)
            assert.isAbove(yield* Effect.flatMap(Destination, ({ bytes }) => bytes), 0)
          })
        )
        assert.deepStrictEqual(yield* Effect.promise(() => values(kind, folder)), [0, 1, 2])
        yield* use(kind, folder, put("incremental_append_deduped", 3))
        if (kind === "parquet") yield* use(kind, folder, put("incremental_append_deduped", 1, 2, 3))
        assert.sameMembers([...(yield* Effect.promise(() => values(kind, folder)))], [0, 1, 2, 3])
        yield* use(
          kind,
          folder,
          Effect.scoped(
            Effect.gen(function* () {
              const destination = yield* Destination
              const writer = yield* destination.open("up", "full_refresh_overwrite")
              yield* writer.write([floats(one, [[start, "7"]])])
              yield* writer.commit(stateAt(9))
              assert.strictEqual((yield* Effect.promise(() => values(kind, folder))).length, 4)
              yield* writer.complete
              assert.deepStrictEqual(yield* Effect.promise(() => values(kind, folder)), [7])
            })
          )
        )
        // An incremental sync goes on from there.
        assert.strictEqual(yield* use(kind, folder, loadedTime()), stateAt(9).time)
      })
    )

    it.live("writes many streams side by side", () =>
      Effect.gen(function* () {
        const folder = join(yield* temporaryFolder, "data")
        const names = Array.from({ length: 40 }, (_, index) => `stream_${index}`)
        const contents = yield* use(
          kind,
          folder,
          Effect.gen(function* () {
            const destination = yield* Destination
            const write = Effect.fnUntraced(function* (name: string, index: number) {
              const writer = yield* destination.open(name, "incremental_append_deduped")
              for (let point = 0; point <= index; point++) {
                yield* writer.write([floats(seriesOf(name, {}), [[start + point * 60_000, `${point}`]])])
                yield* writer.commit(stateAt(point))
              }
              yield* writer.complete
            })
            yield* Effect.forEach(names, (name, index) => Effect.scoped(write(name, index)), {
              concurrency: 8,
              discard: true
            })
            return yield* Effect.forEach(names, (name) => destination.contents(name, "current"))
          })
        )
        assert.deepStrictEqual(
          contents,
          names.map((_, index) => ({
            rows: index + 1,
            firstMillis: start,
            lastMillis: start + index * 60_000
          }))
        )
      })
    )

    it.live(
      "costs nothing when its process is killed at any moment, and takes over from it",
      () =>
        Effect.gen(function* () {
          const folder = join(yield* temporaryFolder, "data")
          for (let kill = 0; kill < 3; kill++) {
            rmSync(folder, { recursive: true, force: true })
            const writer = yield* child.start([kind, folder], {
              script: fileURLToPath(new URL("writerProcess.ts", import.meta.url))
            })
            const { point } = (yield* writer.waitFor((message) => Number(message.point) >= 3 + kill)) as {
              readonly point: number
            }
            const refused = yield* Effect.flip(use(kind, folder, loadedTime()))
            assert.match(
              refused.message,
              new RegExp(`${folder} is being written by another run \\(process ${writer.process.pid} on `)
            )
            writer.kill("SIGKILL")
            yield* writer.result
            const time = yield* use(kind, folder, loadedTime())
            const last = (Date.parse(time ?? "") - start) / 60_000
            assert.isAtLeast(last, point)
            assert.deepStrictEqual(
              yield* Effect.promise(() => values(kind, folder)),
              Array.from({ length: last + 1 }, (_, point) => point)
            )
          }
        }).pipe(Effect.scoped),
      60_000
    )

    it.live("refuses what it does not know, in sentences, and touches nothing", () =>
      Effect.gen(function* () {
        const folder = join(yield* temporaryFolder, "data")
        yield* use(kind, folder, put("incremental_append", 0))
        const refusal = (which = kind, source?: string) =>
          Effect.map(
            Effect.flip(use(which, folder, put("incremental_append", 1), source)),
            ({ message }) => message
          )
        assert.match(
          yield* refusal(kind, "http://else"),
          /holds data of http:\/\/mock, and this is http:\/\/else/
        )
        assert.match(yield* refusal(kind === "jsonl" ? "gzip" : "jsonl"), /holds .*, and this run writes/)
        const aboutPath = join(folder, "_state", "_about.json")
        const about = readFileSync(aboutPath, "utf8")
        writeFileSync(aboutPath, about.replace(/"version": \d+/, '"version": 1'))
        assert.match(
          yield* refusal(),
          /was written by an earlier version of source-prometheus.*Choose another/
        )
        writeFileSync(aboutPath, about)
        const statePath = join(folder, "_state", "up.json")
        const state = readFileSync(statePath, "utf8")
        for (const damaged of ["", state.slice(0, 40), "[]", state.replace('"up"', '"down"')]) {
          writeFileSync(statePath, damaged)
          assert.match(yield* refusal(), /up\.json is damaged or was not written by source-prometheus/)
        }
        rmSync(statePath)
        assert.match(yield* refusal(), /(exists|has files), but .*no.* state|but not its state/)
        writeFileSync(statePath, state)
        assert.deepStrictEqual(yield* Effect.promise(() => values(kind, folder)), [0])
        const inside = readdirSync(join(folder, "_state")).filter((name) => !name.startsWith("_lock."))
        assert.deepStrictEqual(inside.sort(), ["_about.json", "_new", "up.json"])
        rmSync(join(folder, kind === "parquet" ? "up" : `up.jsonl${kind === "gzip" ? ".gz" : ""}`), {
          recursive: true
        })
        assert.match(yield* refusal(), /records are missing|is missing or not the file/)
      })
    )

    it.live("says what is wrong with a place", () =>
      Effect.gen(function* () {
        const inside = yield* temporaryFolder
        const file = join(inside, "file")
        writeFileSync(file, "")
        const message = (folder: string) =>
          Effect.map(Effect.flip(use(kind, folder, Effect.void)), ({ message }) => message)
        assert.match(yield* message(file), /file cannot be made: it is a file, not a folder/)
        assert.match(yield* message(join(file, "x")), /a part of that path is a file/)
        assert.match(yield* message("/proc/x/y"), /proc\/x\/y cannot be made: no folder can be made there/)
        const full = Layer.effect(
          FileSystem.FileSystem,
          Effect.map(FileSystem.FileSystem, (files) => ({
            ...files,
            open: (path: string) =>
              Effect.fail(
                PlatformError.systemError({
                  _tag: "Unknown",
                  module: "FileSystem",
                  method: "open",
                  pathOrDescriptor: path,
                  cause: Object.assign(new Error("no space"), { code: "ENOSPC" })
                })
              )
          }))
        )
        const error = yield* Effect.flip(
          put("incremental_append", 0).pipe(
            Effect.provide(Layer.provide(layers[kind](join(inside, "d")), full)),
            Effect.provide(NodeServices.layer)
          )
        )
        assert.match(error.message, /the disk is full\. Make room and run again/)
      })
    )
  })
}

describe("the command that shows a stream", () => {
  it.live("is a command that works, whatever the folder is called", () =>
    Effect.gen(function* () {
      for (const kind of ["jsonl", "gzip"] as const) {
        const folder = join(yield* temporaryFolder, "it's $HOME [1]*")
        const command = yield* use(
          kind,
          folder,
          Effect.andThen(
            put("incremental_append", 0, 1),
            Effect.map(Destination, (destination) => destination.previewCommand("up"))
          )
        )
        const lines = execFileSync("sh", ["-c", command]).toString().trim().split("\n")
        assert.strictEqual(lines.length, 2)
        assert.include(lines[0], '"value":0')
      }
      const folder = join(yield* temporaryFolder, "it's $HOME [1]*")
      const command = yield* use(
        "parquet",
        folder,
        Effect.andThen(
          put("incremental_append", 0, 1),
          Effect.map(Destination, (destination) => destination.previewCommand("up"))
        )
      )
      // What a shell makes of it, with another program of that name.
      const sql = execFileSync("sh", ["-c", `duckdb() { printf %s "$2"; }; ${command}`]).toString()
      assert.strictEqual(sql, ParquetFolder.previewSql(folder, "up"))
      assert.strictEqual((yield* Effect.promise(() => query(sql))).length, 2)
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
        "parquet",
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
        "parquet",
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
        query(
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
            histogram: '{"count":"12","sum":"1.5","buckets":[[0,"0","+Inf","12"]]}',
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
      yield* use("parquet", folder, put("incremental_append", 0, 1))
      const rows = yield* Effect.promise(() =>
        query(`SELECT epoch_ms(time) AS millis FROM read_parquet('${folder}/up/*/*.parquet') ORDER BY time`)
      )
      assert.deepStrictEqual(
        rows.map(({ millis }) => Number(millis)),
        [start, start + 60_000]
      )
    }).pipe(Effect.scoped)
  )
})
