/** Real processes that write parts into one folder, and are killed and paused at random. */
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Destination } from "../../../src/destinations/Destination.ts"
import { layer } from "../../../src/destinations/parquet/ParquetFolder.ts"
import { Choices } from "../../choices.ts"
import * as child from "../../support/child.ts"
import { runs } from "../../support/runs.ts"
import { temporaryFolder } from "../drive.ts"
import { rowsIn } from "./sharedWorld.ts"

const script = fileURLToPath(new URL("partProcess.ts", import.meta.url))
const SERIES = 20
const POINTS = 240

describe("processes that write parts into one folder", () => {
  it.live(
    "lose nothing and repeat nothing, whoever is killed or paused at any moment",
    () =>
      Effect.gen(function* () {
        const choices = new Choices(19, Number.POSITIVE_INFINITY)
        for (let round = 0; round < runs(1, 4); round++) {
          const folder = join(yield* temporaryFolder, "data")
          let seed = round * 1000
          let kills = runs(4, 12)
          const worker = Effect.gen(function* () {
            for (;;) {
              const started = yield* child.start([folder, `${seed++}`], { script })
              const end = Effect.raceFirst(
                started.result,
                Effect.as(Effect.sleep(choices.between(400, 3000)), undefined)
              )
              const first = kills > 0 ? yield* end : yield* started.result
              if (first === undefined) {
                kills--
                if (choices.oneIn(2)) {
                  // Longer than others wait for its lock.
                  started.kill("SIGSTOP")
                  yield* Effect.sleep(choices.between(500, 4000))
                  started.kill("SIGCONT")
                } else started.kill("SIGKILL")
              }
              const { code, signal, stderr } = yield* started.result
              if (code === 0) return
              assert.strictEqual(signal, "SIGKILL", stderr)
            }
          }).pipe(Effect.scoped)
          yield* Effect.all([worker, worker, worker, worker], { concurrency: "unbounded" })
          // A run that needs the folder for itself completes what the killed ones have left.
          const contents = yield* Effect.flatMap(Destination, ({ contents }) =>
            contents("up", "current")
          ).pipe(
            Effect.provide(layer({ path: folder, source: "http://mock", labelColumns: true })),
            Effect.provide(NodeServices.layer)
          )
          assert.strictEqual(contents.rows, SERIES * POINTS)
          const rows = yield* Effect.promise(() => rowsIn(folder, "up"))
          assert.lengthOf(rows, SERIES * POINTS)
          assert.strictEqual(new Set(rows.map(({ key }) => key)).size, SERIES * POINTS)
          assert.deepStrictEqual(readdirSync(join(folder, "_state/_new")), [])
          assert.deepStrictEqual(
            readdirSync(join(folder, "_state")).filter((name) => name.startsWith("_shared")),
            []
          )
        }
      }).pipe(Effect.scoped),
    240_000
  )
})
