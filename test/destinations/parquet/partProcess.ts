/**
 * Writes all parts of a stream that are not read yet, in an order of its own, beside others that do the same:
 * `partProcess.ts FOLDER SEED`. It prints a line of JSON per part, and ends once nothing is left.
 *
 * The value of a row is its point, so that every process reads the same. Each part also reads the end of the one before again.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Option } from "effect"
import { parquet } from "../../../src/destinations/parquet/ParquetFolder.ts"
import { SharedDestination } from "../../../src/destinations/SharedDestination.ts"
import { Choices } from "../../choices.ts"
import { floats, seriesOf, start } from "../drive.ts"

const [, , path = "", seed = "0"] = process.argv
const choices = new Choices(Number(seed), Number.POSITIVE_INFINITY)

const STEP = 600_000
const POINTS = 240
const PART = 20
const SERIES = 20

const at = (point: number): number => start + point * STEP

const blocks = (first: number, last: number) =>
  Array.from({ length: SERIES }, (_, number) =>
    floats(
      seriesOf("up", { number: `${number}`, [`only${number % 7}`]: "x" }),
      Array.from({ length: last - first + 1 }, (_, index) => [at(first + index), `${first + index}`] as const)
    )
  )

const program = Effect.gen(function* () {
  const { openPart, states } = yield* SharedDestination
  for (;;) {
    const state = Option.getOrUndefined(yield* states.load("up"))
    const isRead = (point: number) =>
      state?.covered.some((span) => span.firstMillis <= at(point) && at(point) <= span.lastMillis) ?? false
    const slots = Array.from({ length: POINTS / PART }, (_, slot) => slot * PART).filter(
      (first) => !Array.from({ length: PART }, (_, n) => first + n).every(isRead)
    )
    if (slots.length === 0) return
    const first = choices.pick(slots)
    const last = first + PART - 1
    const begin = Math.max(0, first - 3)
    yield* Effect.scoped(
      Effect.gen(function* () {
        const writer = yield* openPart("up")
        yield* writer.write(blocks(begin, last))
        const isCommitted = yield* writer.commit({
          grid: { firstMillis: start, lastMillis: at(POINTS - 1), stepMillis: STEP },
          covered: [{ firstMillis: at(begin), lastMillis: at(last) }],
          isReread: choices.oneIn(2),
          details: { selector: "", excluded_labels: "" }
        })
        process.stdout.write(`${JSON.stringify({ first, isCommitted })}\n`)
      })
    )
  }
})
await Effect.runPromise(
  program.pipe(
    Effect.provide(
      parquet.sharedLayer!({ path, source: "http://mock", labelColumns: true, memoryMegabytes: 128 })
    ),
    Effect.provide(NodeServices.layer)
  )
)
