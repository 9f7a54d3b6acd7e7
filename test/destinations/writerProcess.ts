/**
 * Writes to a destination until it is killed: `writerProcess.ts BACKEND FOLDER KIND`. It prints a line of JSON per sync.
 * The kind is `metric` or `table`.
 *
 * `up` is read incrementally, with a look-back if the destination replaces rows. `complete` is replaced by one refresh after
 * another. The values of a refresh are its number.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Option } from "effect"
import { Destination, type SyncMode } from "../../src/destinations/Destination.ts"
import { tableSchemas } from "../../src/prometheus/tables/schemas.ts"
import { rowBlocks } from "../../src/samples/TableRow.ts"
import { backends } from "./backends.ts"
import { floats, seriesOf, start, stateAt } from "./drive.ts"
import { exemplarAt } from "./exemplars.ts"

const SERIES = 100
const POINTS = 40
const LOOKBACK = 10
const STEP_MILLIS = 60_000

const [, , name, folder = ""] = process.argv
const kind = process.argv[4] === "table" ? "table" : "metric"
const backend = backends.find((backend) => backend.name === name)!

const blocks = (stream: string, from: number, value: (point: number) => string) =>
  Array.from({ length: SERIES }, (_, number) =>
    floats(
      seriesOf(stream, { number: `${number}`, [`only${number % 7}`]: "x".repeat(20) }),
      Array.from(
        { length: POINTS },
        (_, index) => [start + (from + index) * STEP_MILLIS, value(from + index)] as const
      )
    )
  )

/** The same as rows. */
const rowsOf = (from: number, value: (point: number) => string) =>
  rowBlocks(
    Array.from({ length: SERIES * POINTS }, (_, index) =>
      exemplarAt(index % SERIES, from + Math.floor(index / SERIES), value(from + Math.floor(index / SERIES)))
    )
  )

/** Opens a stream. Returns how to write the samples or rows of some points. */
const open = Effect.fnUntraced(function* (stream: string, mode: SyncMode, isResumed: boolean) {
  const destination = yield* Destination
  if (kind === "table") {
    const writer = yield* destination.openTable({ ...tableSchemas.exemplars, stream }, mode, isResumed)
    return {
      ...writer,
      write: (from: number, value: (point: number) => string) => writer.write(rowsOf(from, value))
    }
  }
  const writer = yield* destination.open(stream, mode, isResumed)
  return {
    ...writer,
    write: Effect.fnUntraced(function* (from: number, value: (point: number) => string) {
      yield* writer.write(blocks(stream, from, value))
      // A new label.
      if (stream === "up") {
        yield* writer.write([
          floats(seriesOf("up", { [`at${from}`]: "x" }), [[start + from * STEP_MILLIS, `${from}`]])
        ])
      }
    })
  }
})

const print = (what: Readonly<Record<string, unknown>>) =>
  Effect.sync(() => process.stdout.write(`${JSON.stringify(what)}\n`))

const program = Effect.gen(function* () {
  const destination = yield* Destination
  for (let round = 0; ; round++) {
    const loaded = Option.getOrUndefined(yield* destination.states("incremental_append_deduped").load("up"))
    const next = loaded === undefined ? 0 : (loaded.timeMillis - start) / STEP_MILLIS + 1
    const from = backend.replacesRows ? Math.max(0, next - LOOKBACK) : next
    yield* Effect.scoped(
      Effect.gen(function* () {
        const writer = yield* open("up", "incremental_append_deduped", loaded !== undefined)
        for (let point = from; point < from + 3 * POINTS; point += POINTS) {
          yield* writer.write(point, (at) => `${at}`)
          yield* writer.commit(stateAt(point + POINTS - 1))
        }
        yield* writer.complete
      })
    )
    yield* print({ point: from + 3 * POINTS - 1 })
    // A read resumes a killed refresh, which may already have all rows.
    const isWritten = Option.isSome(yield* destination.states("full_refresh_overwrite").load("complete"))
    yield* Effect.scoped(
      Effect.gen(function* () {
        const writer = yield* open("complete", "full_refresh_overwrite", isWritten)
        if (!isWritten) yield* writer.write(0, () => `${process.pid}${round}`)
        yield* writer.commit(stateAt(POINTS - 1, true))
        yield* writer.complete
      })
    )
    yield* print({ round })
  }
})
await Effect.runPromise(
  program.pipe(
    Effect.provide(backend.layer(folder, { kindOf: () => kind })),
    Effect.provide(NodeServices.layer)
  )
)
