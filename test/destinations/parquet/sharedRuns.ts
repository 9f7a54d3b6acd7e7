/** Random processes that write parts into one folder of Parquet files, compared with a slow and obvious model. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert } from "@effect/vitest"
import { Clock, Effect, Exit, Layer, Option } from "effect"
import { Destination } from "../../../src/destinations/Destination.ts"
import { layer, sharedLayer } from "../../../src/destinations/parquet/ParquetFolder.ts"
import { SharedDestination } from "../../../src/destinations/SharedDestination.ts"
import type { SampleBlock } from "../../../src/samples/Sample.ts"
import { type PartResult, withPart } from "../../../src/sync/partState.ts"
import { encodeStreamState, type StreamState } from "../../../src/sync/StreamState.ts"
import type { Choices } from "../../choices.ts"
import { floats, histogramOf, seriesOf, start, temporaryFolder } from "../drive.ts"
import { killed } from "../stops.ts"
import { buryProcess, isManifest, rowsIn, Turns } from "./sharedWorld.ts"

const step = 6 * 3_600_000
const points = 16
const at = (point: number): number => start + point * step
const options = (folder: string) => ({ path: folder, source: "http://mock", labelColumns: true })

/** The points of a part. */
const partOf = (first: number, last: number, isReread: boolean): PartResult => ({
  grid: { firstMillis: at(0), lastMillis: at(points - 1), stepMillis: step },
  covered: [{ firstMillis: at(first), lastMillis: at(last) }],
  isReread,
  details: { selector: "", excluded_labels: "" }
})

/** A part that a process writes, and what it has read of it. */
interface Task {
  readonly part: PartResult
  readonly blocks: ReadonlyArray<SampleBlock>
  readonly rows: ReadonlyMap<string, string>
}

/** What a part reads: series come and go, and new labels with them. Each value is a new number. */
const readPart = (choices: Choices, part: PartResult, next: () => number): Task => {
  const rows = new Map<string, string>()
  const blocks: Array<SampleBlock> = []
  const [{ firstMillis, lastMillis } = { firstMillis: 0, lastMillis: -1 }] = part.covered
  for (let n = 0; n < choices.between(1, 3); n++) {
    const which = choices.below(4)
    const series = seriesOf("up", {
      n: `${which}`,
      [which % 2 === 0 ? "Case" : "case"]: "x",
      [`only${which}`]: "y"
    })
    const samples: Array<readonly [number, string]> = []
    for (let time = firstMillis; time <= lastMillis; time += step) {
      if (choices.oneIn(6)) continue
      const key = `${series.id} ${time}`
      if (rows.has(key)) continue
      const value = `${next()}`
      if (choices.oneIn(8)) {
        blocks.push(histogramOf(series, time, value))
        rows.set(key, JSON.stringify({ count: value, sum: "1.5", buckets: [[0, "0", "+Inf", value]] }))
      } else {
        samples.push([time, value])
        rows.set(key, value)
      }
    }
    if (samples.length > 0) blocks.push(floats(series, samples))
  }
  return { part, blocks: choices.shuffle(blocks), rows }
}

/** Commits of the model, in the order in which the manifest was replaced. */
class Model {
  state: StreamState | undefined
  readonly rows = new Map<string, string>()
  /** All rows that were ever committed. */
  readonly ever = new Set<string>()

  commit({ part, rows }: Task): void {
    const state = withPart(this.state, part)
    if (state === undefined) throw new Error("a part was committed that had nothing left to do")
    this.state = state
    for (const [key, value] of rows) {
      this.rows.set(key, value)
      this.ever.add(`${key} ${value}`)
    }
  }
}

const sorted = (rows: Iterable<readonly [string, string]>) => Array.from(rows, (row) => row.join(" ")).sort()

interface Manifest {
  readonly state?: unknown
  readonly files: ReadonlyArray<{ readonly from?: string; readonly id?: string }>
  readonly removed?: ReadonlyArray<{ readonly day: string; readonly part: number }>
}

const manifestIn = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(folder, "_state/up.json"), "utf8"))

/** Processes in some rounds. Throws if the folder differs from the model. */
export const sharedRuns = Effect.fnUntraced(
  function* (choices: Choices) {
    const folder = join(yield* temporaryFolder, "data")
    const model = new Model()
    let value = 0
    const next = () => value++
    for (let round = choices.between(1, 3); round > 0; round--) {
      const turns = new Turns(choices)
      const clock = yield* Clock.Clock
      /** The task that a process commits, until its manifest is saved. */
      const committing = new Map<number, Task>()
      const count = choices.between(2, 4)
      const process = (number: number, tasks: number) =>
        Effect.gen(function* () {
          const destination = yield* SharedDestination
          const lengths = yield* destination.partLengths(new Map([["up", 1000 + number]]))
          assert.strictEqual(
            lengths.get("up"),
            JSON.parse(readFileSync(join(folder, "_state/up.json"), "utf8")).partMillis
          )
          for (let n = 0; n < tasks; n++) {
            const state = Option.getOrUndefined(yield* destination.states.load("up"))
            const first = choices.below(points)
            const part = partOf(
              first,
              Math.min(points - 1, first + choices.below(5)),
              state !== undefined && choices.oneIn(3)
            )
            const task = readPart(choices, part, next)
            yield* Effect.scoped(
              Effect.gen(function* () {
                const writer = yield* destination.openPart("up")
                for (const block of task.blocks) yield* writer.write([block])
                if (choices.oneIn(8)) return
                committing.set(number, task)
                const isCommitted = yield* writer.commit(task.part)
                assert.strictEqual(isCommitted, !committing.has(number))
                committing.delete(number)
              })
            )
          }
        }).pipe(
          Effect.scoped,
          Effect.provide(
            Layer.provide(
              sharedLayer(options(folder)),
              turns.files(number, (to) => {
                if (!isManifest(to, "up")) return
                const task = committing.get(number)
                if (task !== undefined) {
                  model.commit(task)
                  committing.delete(number)
                }
              })
            )
          ),
          Effect.provideService(Clock.Clock, turns.clock(clock, number)),
          Effect.exit,
          Effect.ensuring(Effect.sync(() => turns.end(number)))
        )
      const victim = choices.below(count)
      const kind = choices.pick(["kill", "pause", "none"] as const)
      const when = choices.below(250)
      for (let number = 0; number < count; number++) turns.begin(number)
      const reader = async () => {
        if (!choices.oneIn(25)) return
        const rows = await rowsIn(folder, "up").catch((error: unknown) => {
          // A file was superseded between the listing and the reading.
          if (/No such file|Cannot open/.test(String(error))) return []
          throw error
        })
        for (const { key, value } of rows) assert.isTrue(model.ever.has(`${key} ${value}`), `${key} ${value}`)
        const keys = new Set(rows.map(({ key }) => key))
        if (keys.size < rows.length) {
          const { removed = [] } = manifestIn(folder)
          assert.isAbove(removed.length, 0, "rows are seen twice although no file was superseded")
        }
      }
      const [exits] = yield* Effect.all(
        [
          Effect.forEach(
            Array.from({ length: count }, (_, number) => process(number, choices.between(1, 3))),
            (body) => body,
            { concurrency: "unbounded" }
          ),
          Effect.promise(() =>
            turns.run((waiting) => {
              if (kind === "kill" && turns.turns >= when) turns.killed.add(victim)
              const others = waiting.filter((process) => process !== victim)
              const isPaused = kind === "pause" && turns.turns >= when && others.length > 0
              return choices.pick(isPaused ? others : waiting)
            }, reader)
          )
        ],
        { concurrency: "unbounded" }
      )
      for (const [number, exit] of exits.entries()) {
        if (turns.killed.has(number)) continue
        if (Exit.isFailure(exit)) return yield* exit
      }
      for (const name of existsSync(join(folder, "_state")) ? readdirSync(join(folder, "_state")) : []) {
        const id = /^_shared\.(.*)$/.exec(name)?.[1]
        if (id !== undefined) buryProcess(folder, id)
      }
      // The next process completes what a killed one has left.
      const state = yield* Effect.flatMap(SharedDestination, ({ states }) => states.load("up")).pipe(
        Effect.provide(sharedLayer(options(folder)))
      )
      const text = (state: StreamState | undefined) =>
        JSON.stringify(state === undefined ? null : encodeStreamState(state))
      assert.strictEqual(text(Option.getOrUndefined(state)), text(model.state))
      const rows = yield* Effect.promise(() => rowsIn(folder, "up"))
      assert.deepStrictEqual(sorted(rows.map(({ key, value }) => [key, value] as const)), sorted(model.rows))
      const { contents, loaded } = yield* Effect.gen(function* () {
        const destination = yield* Destination
        return {
          contents: yield* destination.contents("up", "current"),
          loaded: yield* destination.states("incremental_append_deduped").load("up")
        }
      }).pipe(Effect.provide(layer(options(folder))))
      assert.strictEqual(contents.rows, model.rows.size)
      assert.strictEqual(text(Option.getOrUndefined(loaded)), text(model.state))
      assert.deepStrictEqual(readdirSync(join(folder, "_state/_new")), [])
    }
  },
  Effect.scoped,
  Effect.provide(NodeServices.layer),
  (body) => Effect.catchDefect(body, (defect) => (defect === killed ? Effect.void : Effect.die(defect)))
)
