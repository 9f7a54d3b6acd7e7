/** Writes to a folder for ever, for tests that kill it: `writerProcess.ts jsonl|gzip|parquet FOLDER`. A line per commit. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import { Destination } from "../../../src/destinations/Destination.ts"
import * as JsonLinesFolder from "../../../src/destinations/jsonl/JsonLinesFolder.ts"
import * as ParquetFolder from "../../../src/destinations/parquet/ParquetFolder.ts"
import { StreamState } from "../../../src/sync/StreamState.ts"
import { formatTime } from "../../../src/text/formatTime.ts"
import { floats, seriesOf, start } from "../drive.ts"

const [, , kind, folder = ""] = process.argv
const options = { folder, source: "http://mock", labelColumns: true }
const layer =
  kind === "parquet"
    ? ParquetFolder.layer(options)
    : JsonLinesFolder.layer({ ...options, gzip: kind === "gzip" })

const series = seriesOf("up", { job: "a" })
const program = Effect.gen(function* () {
  const destination = yield* Destination
  for (let point = 0; ; point++) {
    yield* Effect.scoped(
      Effect.gen(function* () {
        const writer = yield* destination.open("up", "incremental_append")
        const time = start + point * 60_000
        yield* writer.write([floats(series, [[time, `${point}`]])])
        yield* writer.commit(new StreamState({ time: formatTime(time), step: 60, version: 1 }))
      })
    )
    process.stdout.write(`${JSON.stringify({ point })}\n`)
  }
})
await Effect.runPromise(program.pipe(Effect.provide(layer), Effect.provide(NodeServices.layer)))
