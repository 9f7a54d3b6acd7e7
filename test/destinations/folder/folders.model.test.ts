/** What both kinds of folders do: which folders they refuse, and with which message. */
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DuckDBInstance } from "@duckdb/node-api"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, PlatformError } from "effect"
import { Destination, type SyncMode } from "../../../src/destinations/Destination.ts"
import * as JsonLinesFolder from "../../../src/destinations/jsonl/JsonLinesFolder.ts"
import * as ParquetFolder from "../../../src/destinations/parquet/ParquetFolder.ts"
import { StreamState } from "../../../src/sync/StreamState.ts"
import { formatTime } from "../../../src/text/formatTime.ts"
import { floats, seriesOf, start, temporaryFolder } from "../drive.ts"

const layers = {
  jsonl: (folder: string, source = "http://mock") =>
    JsonLinesFolder.layer({ path: folder, source, labelColumns: true, gzip: false }),
  gzip: (folder: string, source = "http://mock") =>
    JsonLinesFolder.layer({ path: folder, source, labelColumns: true, gzip: true }),
  parquet: (folder: string, source = "http://mock") =>
    ParquetFolder.layer({ path: folder, source, labelColumns: true })
}
type Kind = keyof typeof layers
const kinds = Object.keys(layers) as ReadonlyArray<Kind>

const one = seriesOf("up", { job: "a" })

const stateAt = (point: number) =>
  new StreamState({ time: formatTime(start + point * 60_000), step: 60, version: 1 })

/** Writes points of `up`, the entire stream. */
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
    it.live("refuses foreign and damaged folders, in sentences, and changes nothing", () =>
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
        assert.match(yield* refusal(), /has data, but there is no state/)
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

    it.live("reports what is wrong with a path", () =>
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
