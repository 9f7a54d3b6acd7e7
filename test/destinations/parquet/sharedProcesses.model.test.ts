/** Real processes that write parts into one folder or prefix of a bucket, and are killed and paused at random. */
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Destination } from "../../../src/destinations/Destination.ts"
import { layer } from "../../../src/destinations/parquet/ParquetFolder.ts"
import { Choices } from "../../choices.ts"
import { bundled } from "../../support/bundled.ts"
import * as child from "../../support/child.ts"
import { runs } from "../../support/runs.ts"
import { environmentOf } from "../../support/s3.ts"
import { S3_DATA, S3_ENDPOINT } from "../../support/s3Setup.ts"
import { temporaryFolder } from "../drive.ts"
import { rowsIn } from "./sharedWorld.ts"

/** Where processes write parts. */
interface Place {
  readonly name: string
  /** The destination for a path, and its environment. */
  readonly path: (folder: string) => string
  readonly env: () => Readonly<Record<string, string>>
  /** Its files. */
  readonly filesOf: (folder: string) => string
}

const places: ReadonlyArray<Place> = [
  { name: "a folder", path: (folder) => folder, env: () => ({}), filesOf: (folder) => folder },
  {
    name: "a bucket",
    path: (folder) => `s3://metrics${folder}`,
    env: () => environmentOf(process.env[S3_ENDPOINT]!),
    filesOf: (folder) => join(process.env[S3_DATA]!, "metrics", folder)
  }
]

/** The names in a folder, which a bucket has only if there is an object inside. */
const namesIn = (path: string): ReadonlyArray<string> => (existsSync(path) ? readdirSync(path) : [])

const SERIES = 20
const POINTS = 240

describe("processes that write parts", () => {
  it.live.each(places)(
    "into $name lose nothing and repeat nothing, if they are killed or paused at any moment",
    ({ env, filesOf, path }) =>
      Effect.gen(function* () {
        Object.assign(process.env, env())
        const script = yield* Effect.promise(() => bundled(new URL("partProcess.ts", import.meta.url)))
        const choices = new Choices(19, Number.POSITIVE_INFINITY)
        for (let round = 0; round < runs(1, 1); round++) {
          const folder = join(yield* temporaryFolder, "data")
          const files = filesOf(folder)
          let seed = round * 1000
          let kills = runs(4, 5)
          const worker = Effect.gen(function* () {
            for (;;) {
              const started = yield* child.start([path(folder), `${seed++}`], { script })
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
          // The next process removes what killed ones have left aside.
          const next = yield* child.run([path(folder), `${seed++}`], { script })
          assert.strictEqual(next.code, 0, next.stderr)
          // A run that needs the place for itself completes what the killed ones have left.
          const contents = yield* Effect.flatMap(Destination, ({ contents }) =>
            contents("up", "current")
          ).pipe(
            Effect.provide(layer({ path: path(folder), source: "http://mock", labelColumns: true })),
            Effect.provide(NodeServices.layer)
          )
          assert.strictEqual(contents.rows, SERIES * POINTS)
          const rows = yield* Effect.promise(() => rowsIn(files, "up"))
          assert.lengthOf(rows, SERIES * POINTS)
          assert.strictEqual(new Set(rows.map(({ key }) => key)).size, SERIES * POINTS)
          assert.deepStrictEqual(namesIn(join(files, "_state/_new")), [])
          assert.deepStrictEqual(
            namesIn(join(files, "_state")).filter((name) => name.startsWith("_shared")),
            []
          )
        }
      }).pipe(Effect.scoped),
    240_000
  )
})
