/** Random processes that write parts into one folder of Parquet files, compared with a slow and obvious model. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert } from "@effect/vitest"
import { Clock, Effect, Exit, Layer, Option } from "effect"
import { Destination } from "../../../src/destinations/Destination.ts"
import { layer, sharedLayer } from "../../../src/destinations/parquet/ParquetFolder.ts"
import { SharedDestination } from "../../../src/destinations/SharedDestination.ts"
import { encodeStreamState, type StreamState } from "../../../src/sync/StreamState.ts"
import type { Choices } from "../../choices.ts"
import { temporaryFolder } from "../drive.ts"
import { PartModel, partOf, points, readPart, type Task } from "../partModel.ts"
import { killed } from "../stops.ts"
import { buryProcess, isManifest, rowsIn, Turns } from "./sharedWorld.ts"

const options = (folder: string) => ({ path: folder, source: "http://mock", labelColumns: true })

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
    const model = new PartModel()
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
