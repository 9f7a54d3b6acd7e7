/**
 * Writes to a database without end, for tests that kill it: `writerProcess.ts PATH`. Prints a line of JSON per completed
 * stream.
 *
 * `up` is read incrementally, each time from some points before its end. Refreshes replace `whole` one after the other; its
 * values are the number of the refresh.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Option } from "effect"
import { Destination } from "../../../src/destinations/Destination.ts"
import { layer } from "../../../src/destinations/duckdb/DuckDBFile.ts"
import { StreamState } from "../../../src/sync/StreamState.ts"
import { formatTime } from "../../../src/text/formatTime.ts"
import { floats, seriesOf, start } from "../drive.ts"

const SERIES = 100
const POINTS = 40
const LOOKBACK = 10
const STEP_MILLIS = 60_000

const [, , path = ""] = process.argv

const stateAt = (point: number, fullRefresh?: { readonly full_refresh: true }) =>
  new StreamState({ time: formatTime(start + point * STEP_MILLIS), step: 60, version: 1, ...fullRefresh })

const blocks = (stream: string, from: number, count: number, value: (point: number) => string) =>
  Array.from({ length: SERIES }, (_, number) =>
    floats(
      seriesOf(stream, { number: `${number}`, [`only${number % 7}`]: "x".repeat(20) }),
      Array.from(
        { length: count },
        (_, index) => [start + (from + index) * STEP_MILLIS, value(from + index)] as const
      )
    )
  )

const done = (what: Readonly<Record<string, unknown>>) =>
  Effect.sync(() => process.stdout.write(`${JSON.stringify(what)}\n`))

const program = Effect.gen(function* () {
  const destination = yield* Destination
  for (let round = 0; ; round++) {
    const loaded = Option.getOrUndefined(yield* destination.states("incremental_append_deduped").load("up"))
    const next = loaded === undefined ? 0 : (loaded.timeMillis - start) / STEP_MILLIS + 1
    const from = Math.max(0, next - LOOKBACK)
    yield* Effect.scoped(
      Effect.gen(function* () {
        const writer = yield* destination.open("up", "incremental_append_deduped")
        for (let point = from; point < from + 3 * POINTS; point += POINTS) {
          yield* writer.write(blocks("up", point, POINTS, (at) => `${at}`))
          // A new label.
          yield* writer.write([
            floats(seriesOf("up", { [`at${point}`]: "x" }), [[start + point * STEP_MILLIS, `${point}`]])
          ])
          yield* writer.commit(stateAt(point + POINTS - 1))
        }
        yield* writer.complete
      })
    )
    yield* done({ point: from + 3 * POINTS - 1 })
    // A refresh that was killed after all of it was written resumes from there, as a read would.
    const isWritten = Option.isSome(yield* destination.states("full_refresh_overwrite").load("whole"))
    yield* Effect.scoped(
      Effect.gen(function* () {
        const writer = yield* destination.open("whole", "full_refresh_overwrite", isWritten)
        if (!isWritten) yield* writer.write(blocks("whole", 0, POINTS, () => `${process.pid}${round}`))
        yield* writer.commit(stateAt(POINTS - 1, { full_refresh: true }))
        yield* writer.complete
      })
    )
    yield* done({ round })
  }
})
await Effect.runPromise(
  program.pipe(
    Effect.provide(layer({ path, source: "http://mock", labelColumns: true })),
    Effect.provide(NodeServices.layer)
  )
)
