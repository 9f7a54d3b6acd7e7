/**
 * Writes a point of many streams with many labels, and prints its peak memory in megabytes: `manyStreamsProcess.ts PATH STREAMS
 * LABELS MEMORY POINT`.
 */
import { readFileSync } from "node:fs"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import { layer } from "../../../src/destinations/duckdb/DuckDBFile.ts"
import { floats, putBlocks, seriesOf, start } from "../drive.ts"

const [, , path = "", streams, labels, memoryMegabytes, point] = process.argv

const time = start + Number(point) * 60_000
const names = Array.from({ length: Number(labels) }, (_, index) => `label_number_${index}`)

const writeStream = (index: number) => {
  const stream = `some_metric_of_${index}_things_total`
  const blocks = Array.from({ length: 3 }, (_, series) =>
    floats(seriesOf(stream, Object.fromEntries(names.map((name) => [name, `value ${index} of ${series}`]))), [
      [time, `${index}`],
      [time + 1000, "0.5"]
    ])
  )
  return putBlocks(stream, "incremental_append_deduped", blocks, Number(point))
}

const program = Effect.forEach(Array.from({ length: Number(streams) }).keys(), writeStream, {
  concurrency: 4,
  discard: true
})
await Effect.runPromise(
  program.pipe(
    Effect.provide(
      layer({ path, source: "http://mock", labelColumns: true, memoryMegabytes: Number(memoryMegabytes) })
    ),
    Effect.provide(NodeServices.layer)
  )
)
const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? []
process.stdout.write(`${JSON.stringify({ megabytes: (Number(kibibytes) * 1024) / 1e6 })}\n`)
