/** That every destination stores numbers as it stores the same numbers in the server's digits. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type FileSystem, type Layer } from "effect"
import { Destination } from "../../src/destinations/Destination.ts"
import * as DuckDBFile from "../../src/destinations/duckdb/DuckDBFile.ts"
import * as JsonLinesFolder from "../../src/destinations/jsonl/JsonLinesFolder.ts"
import * as ParquetFolder from "../../src/destinations/parquet/ParquetFolder.ts"
import type { SampleBlock } from "../../src/samples/Sample.ts"
import { StreamState } from "../../src/sync/StreamState.ts"
import { formatTime } from "../../src/text/formatTime.ts"
import { asTextBlock, numberBlock } from "../samples/numbers.ts"
import { seriesOf, start, temporaryFolder } from "./drive.ts"
import { queryDatabase } from "./duckdb/queryDatabase.ts"

const values = [0, -0, 1.5, 0.1 + 0.2, 1e-7, -1e21, 5e-324, 2 ** 53, Number.NaN, Infinity, -Infinity]

const series = seriesOf("m", { job: "a" })
const state = new StreamState({ time: formatTime(start + 3_600_000), step: 60, version: 1 })

const about = { source: "http://mock", labelColumns: true }

const destinations: Readonly<
  Record<
    string,
    {
      readonly layer: (path: string) => Layer.Layer<Destination, unknown, FileSystem.FileSystem>
      readonly rows: (path: string) => Promise<ReadonlyArray<unknown>>
    }
  >
> = {
  duckdb: {
    layer: (path: string) => DuckDBFile.layer({ ...about, path: join(path, "m.duckdb") }),
    rows: (path: string) => queryDatabase(join(path, "m.duckdb"), "FROM m ORDER BY time")
  },
  parquet: {
    layer: (folder: string) => ParquetFolder.layer({ ...about, path: folder }),
    rows: (folder: string) => queryDatabase(":memory:", `FROM '${folder}/m/**/*.parquet' ORDER BY time`)
  },
  jsonl: {
    layer: (folder: string) => JsonLinesFolder.layer({ ...about, path: folder, gzip: false }),
    rows: async (folder: string) => readFileSync(join(folder, "m.jsonl"), "utf8").trim().split("\n")
  }
}

describe("numbers", () => {
  for (const [name, { layer, rows }] of Object.entries(destinations)) {
    it.live(`are stored in ${name} as their text is`, () =>
      Effect.gen(function* () {
        const stored = Effect.fnUntraced(function* (block: SampleBlock) {
          const folder = yield* temporaryFolder
          yield* Effect.gen(function* () {
            const destination = yield* Destination
            const writer = yield* destination.open("m", "incremental_append")
            yield* writer.write([block])
            yield* writer.commit(state)
            yield* writer.complete
          }).pipe(Effect.scoped, Effect.provide(layer(folder)))
          return yield* Effect.promise(() => rows(folder))
        })
        const numbers = numberBlock(series, start, values)
        const found = yield* stored(numbers)
        assert.lengthOf(found, values.length)
        assert.deepStrictEqual(found, yield* stored(asTextBlock(numbers)))
      }).pipe(Effect.provide(NodeServices.layer))
    )
  }
})
